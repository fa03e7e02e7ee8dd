"""text.analyze on documents, in a process of its own: their text is found, and hostile ones end within limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helixnet.processors.text import ANALYZE
from tests.conftest import Stack
from tests.processors import documents
from tests.processors.sandbox import Ended, Sandbox

ASKED = b"Who rings the bell?"


def analyze(sandbox: Sandbox, name: str, content: bytes | Path, **params: Any) -> Ended:
    return sandbox.end(ANALYZE, {"content_key": (name, content), "context_key": ("asked.txt", ASKED)}, **params)


def text_of(ended: Ended) -> str:
    """The document's text, once all that the result quotes was found in it."""
    assert ended.error == {}
    text = ended.context.written["text.txt"].content.decode()
    assert ended.result["source"]["text"] == "text.txt"
    found = [*ended.result["summary"], *(span for each in ended.result["passages"] for span in each["found"])]
    assert found
    assert all(text[span["start"] : span["end"]] == span["text"] for span in found)
    return text


def test_a_pdf_is_read_page_by_page(sandbox: Sandbox) -> None:
    pages = ("The clerk rings the bell when work is there.", "The book is kept in the hall. Nobody rings it.")

    ended = analyze(sandbox, "handbook.pdf", documents.pdf(*pages))

    assert text_of(ended) == f"{pages[0]}\n\n{pages[1]}\n\n"
    assert ended.result["source"] == {
        "format": "pdf",
        "pages": 2,
        "text": "text.txt",
        "chunks": 1,
        "approximate": [],
    }
    assert (ended.result["counts"]["words"], ended.result["counts"]["paragraphs"]) == (19, 2)
    assert "The clerk rings the bell" in ended.result["passages"][0]["found"][0]["text"]


def test_a_word_document_is_read_with_its_notes_and_without_what_was_deleted(sandbox: Sandbox) -> None:
    paragraphs = (
        "<w:t>The clerk rings </w:t><w:t xml:space='preserve'>the bell.</w:t>",
        "<w:t>A tab</w:t><w:tab/><w:t>and a line</w:t><w:br/><w:t>break.</w:t>",
        "<w:del><w:r><w:delText>Gone.</w:delText></w:r></w:del><w:t>Å &amp; 簿</w:t>",
    )
    notes = "<w:footnote><w:p><w:r><w:t>A note on the bell.</w:t></w:r></w:p></w:footnote>"

    ended = analyze(sandbox, "letter.docx", documents.docx(*paragraphs, notes=notes))

    assert text_of(ended) == (
        "The clerk rings the bell.\n\nA tab\tand a line\nbreak.\n\nÅ & 簿\n\nA note on the bell.\n\n"
    )
    assert ended.result["source"]["format"] == "docx"


def test_html_is_read_as_a_browser_shows_it(sandbox: Sandbox) -> None:
    page = """<!doctype html><html><head><title>Bells</title><style>p {}</style><script>var x = "<p>no";</script>
    <body><h1>The   bell</h1><p>The clerk&nbsp;rings <b>the</b>
    bell.<p>Nobody&#39;s book &amp; <i>tally</i>.<br>Next.<svg><text>no</text></svg><table><tr><td>a<td>b</table>
    <pre>kept  as
    it is</pre><!-- no --></body></html>"""

    text = text_of(analyze(sandbox, "page", page.encode()))

    assert text.split("\n\n") == [
        "Bells",
        "The bell",
        "The clerk rings the bell.",
        "Nobody's book & tally.\nNext.",
        "a b",
        "kept  as\n    it is",
        "",
    ]


def test_markdown_is_read_without_its_signs(sandbox: Sandbox) -> None:
    markdown = (
        "# The *bell*\n\nThe clerk [rings](http://a.example/) the\n**bell**. ![pic](x.png)\n\n- one\n- `two`\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\nmake\n```\n"
    )

    text = text_of(analyze(sandbox, "notes.md", markdown.encode()))

    assert text == "The bell\n\nThe clerk rings the\nbell. pic\n\none\n\ntwo\n\na\tb\n\n1\t2\n\nmake\n"


def test_a_plain_text_is_read_as_it_is_and_nothing_is_written(sandbox: Sandbox) -> None:
    ended = analyze(sandbox, "a.txt", b"# The clerk rings the *bell*.")

    assert ended.result["source"] == {"format": "text", "pages": None, "text": None, "chunks": 1, "approximate": []}
    assert ended.result["passages"][0]["found"][0]["text"] == "# The clerk rings the *bell*."
    assert ended.context.written == {}


ENTITIES = "<!DOCTYPE d [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + at)} '{f'&{chr(97 + at)};' * 10}'>" for at in range(9)
)

HARM: dict[str, tuple[str, Callable[[], bytes], str, str]] = {
    "a PDF whose pages go in a circle": ("a.pdf", documents.pdf_whose_pages_hold_themselves, "input", "cyclic"),
    "a PDF bomb": ("a.pdf", documents.pdf_bomb, "limit", "The PDF asks for more than it may: Limit reached"),
    "a PDF that ends early": ("a.pdf", lambda: documents.pdf("words")[:200], "input", "The PDF is damaged"),
    "a locked PDF": ("a.pdf", documents.locked_pdf, "input", "locked by a password"),
    "a PDF of pictures": ("a.pdf", documents.empty_pdf, "input", "its pages are pictures"),
    "a zip bomb": ("a.docx", documents.docx_bomb, "limit", "a zip bomb, or too large: word/document.xml has 105,"),
    "entities in entities": (
        "a.docx",
        lambda: documents.docx("<w:t>&j;</w:t>", head=f"{ENTITIES}]>"),
        "input",
        "declares a document type",
    ),
    "an entity that is a file": (
        "a.docx",
        lambda: documents.docx("<w:t>&x;</w:t>", head="<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"),
        "input",
        "declares a document type",
    ),
    "deep XML": ("a.docx", lambda: documents.docx("<w:r>" * 100_000), "limit", "nested deeper than 1,000 levels"),
    "a Word document cut off": (
        "a.docx",
        lambda: documents.docx("<w:t>words</w:t>" * 1000)[:-30],
        "input",
        "The Word document is damaged",
    ),
    "a ZIP archive": ("a.docx", lambda: documents.zipped(), "input", "not a Word document"),
    "nothing but divs": ("a.html", lambda: b"<div>" * 20_000_000, "limit", "over 1,000,000 tags"),
    "a tag without end": ("a.html", lambda: b"<html><p " + b"x" * 50_000_000, "limit", "a tag or a comment of over"),
    "a page of scripts": ("a.html", lambda: b"<script>words words</script>" * 10, "input", "The page holds no text"),
    "a page of zeros": ("a.html", lambda: bytes(50_000_000), "input", "binary data"),
}


@pytest.mark.parametrize("name", HARM)
def test_harm_ends_with_a_plain_reason_and_the_next_job_runs(sandbox: Sandbox, name: str) -> None:
    filename, make, kind, words = HARM[name]

    ended = analyze(sandbox, filename, make())

    assert (ended.error.get("kind"), words in ended.error.get("message", "")) == (kind, True), ended.error
    assert ended.context.written == {}
    following = analyze(sandbox, "a.txt", b"The clerk rings the bell.")
    assert following.result["counts"]["words"] == 5


@pytest.mark.parametrize("make", [documents.pdf_whose_forms_draw_each_other, documents.pdf_with_many_forms])
def test_forms_that_draw_forms_are_followed_for_a_while_only(sandbox: Sandbox, make: Callable[[], bytes]) -> None:
    ended = analyze(sandbox, "a.pdf", make())

    assert ended.error == {}
    assert set(ended.context.written["text.txt"].content) == {ord("x"), ord("\n")}


def test_a_document_goes_through_http_and_a_hostile_one_stops_nobody(stack: Stack) -> None:
    helix = stack.client()

    def post(name: str, content: bytes) -> Any:
        files = {"content_key": (name, content), "context_key": ("asked.txt", ASKED)}
        answer = stack.http(helix).post("/api/v1/jobs/upload", files=files)
        return helix.wait(answer.json()["job_id"], 120)

    bomb = post("bomb.docx", documents.docx_bomb())
    circle = post("circle.pdf", documents.pdf_whose_pages_hold_themselves())
    sound = post("sound.pdf", documents.pdf("The clerk rings the bell."))

    assert (bomb.status, bomb.error.kind, bomb.attempt) == ("FAILED", "limit", 1)
    assert (circle.status, circle.error.kind, circle.attempt) == ("FAILED", "input", 1)
    assert sound.status == "COMPLETED"
    assert sound.result_content["source"]["pages"] == 1
    assert "text.txt" in {artifact.filename for artifact in helix.artifacts(sound.job_id)}
