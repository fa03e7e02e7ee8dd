"""document.report: what it makes of content, context, schema and template, and how it says what is wrong."""

import io
import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pypdf
import pytest

from helixnet.jobs.schemas import JobView
from helixnet.processors import OverLimit
from helixnet.processors.document import PROCESSORS
from helixnet.processors.document.results import Report
from helixnet.processors.registry import Registry, check_inputs
from tests.conftest import Stack
from tests.processors.reporting import SALES, Made, make, refusal

CSV = "product,units,price\nbell,3,14.5\nbook,10,9.8\nstick,,6.25\n"


def sales(**params: Any) -> Made:
    return make(
        (SALES / "content.json").read_text(),
        context=(SALES / "context.yaml").read_text(),
        schema=(SALES / "schema.json").read_text(),
        template=(SALES / "template.md.j2").read_text(),
        **params,
    )


def expected_revenue() -> str:
    orders = json.loads((SALES / "content.json").read_text())["orders"]
    return f"{sum((order['units'] - order['returned']) * order['price'] for order in orders):,.2f} €"


def test_the_sales_report_tells_what_the_orders_add_up_to() -> None:
    made = sales()

    assert f"**{expected_revenue()}**, less than the 8,500.00 €" in made.text
    assert "| South | the old bookkeeper | 197 | 3,084.40 € | 88 % |" in made.text
    assert "goes to **South**" in made.text
    assert made.result.validated
    assert [each.name for each in made.result.made] == ["report.md"]
    assert made.result.preview == made.text[:1024]
    assert {(each.column, each.total) for each in made.result.findings} >= {("units", 549), ("returned", 18)}
    assert Report.model_validate_json(made.result.model_dump_json()) == made.result


def test_the_sales_report_becomes_a_page_and_a_pdf() -> None:
    made = sales(output="html", pdf=True)

    assert "<h1>How the third quarter went</h1>" in made.text
    assert '<td style="text-align:right">88 %</td>' in made.text
    pages = pypdf.PdfReader(io.BytesIO(made.written["report.pdf"]))
    assert pages.metadata is not None
    assert pages.metadata.title == "How the third quarter went"
    words = pages.pages[0].extract_text()
    assert "South the old bookkeeper 197 3,084.40 € 88 %" in words
    assert expected_revenue() in words


def test_without_a_template_a_table_is_shown_and_added_up() -> None:
    made = make(CSV, "stock.csv", context="title: The stock | today\nowner: {name: Ida}")

    assert made.text.startswith("# The stock \\| today\n")
    assert "| owner.name | Ida |" in made.text
    assert "| content | units | 2 | 13 | 6.5 | 3 | 10 |" in made.text
    assert "| stick |  | 6.25 |" in made.text
    assert (made.result.template, made.result.content.format, made.result.content.records) == (None, "csv", 3)


def test_without_a_template_mappings_lists_and_texts_are_shown() -> None:
    made = make('{"shop": {"city": "Uig"}, "tags": ["old", "new"], "rows": [{"x": 1}, {"x": 2, "y": "*"}]}')
    text = make("One line.\nAnother.\n", "notes.txt")

    for part in ("| shop.city | Uig |", "## tags\n\n- old\n- new", "## rows\n\n| x | y |", "| 2 | \\* |"):
        assert part in made.text
    assert text.text.endswith("## Text\n\nOne line.\nAnother.\n")


def test_a_long_table_is_cut_and_says_so() -> None:
    made = make("a\n" + "1\n" * 1000, "a.csv")

    assert "*And 800 further rows.*" in made.text
    assert made.result.findings[0].total == 1000


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"a": 1}', "json"),
        ("[1, 2]", "json"),
        ("a: 1\nb: [2]\n", "yaml"),
        ("# values\n- one\n- two\n", "yaml"),
        ("a;b\n1;2\n", "csv"),
        ("a\tb\n1\t2\n", "csv"),
        ("Note: this is prose: it goes on,\nand on.\n", "text"),
        ("Nothing but words.\n", "text"),
    ],
)
def test_a_file_without_a_telling_name_is_told_by_what_it_looks_like(content: str, found: str) -> None:
    assert make(content, "file").result.content.format == found


def test_the_name_or_the_parameter_tells_the_format() -> None:
    assert make("a: 1\n", "notes.txt").result.content.format == "text"
    assert make("a: 1\n", "notes.txt", content_format="yaml").result.content.format == "yaml"


def test_cells_stay_text_unless_their_column_is_numeric() -> None:
    content = "zip;amount;code;share\n01307;12,5;7;1\n10115;-3;x;\n"

    made = make(content, "a.csv", template="{{ content }}")

    assert made.text == str(
        [
            {"zip": "01307", "amount": 12.5, "code": "7", "share": 1},
            {"zip": "10115", "amount": -3.0, "code": "x", "share": None},
        ]
    )


def test_yaml_has_the_types_of_json_and_no_surprises() -> None:
    context = (
        "country: NO\nday: 2026-03-01\nat: 12:30:00\nport: 0x10\nbig: 1e3\nbase: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}"
    )

    made = make(context=context, template="{{ context }}")

    assert made.text == str(
        {
            "country": "NO",
            "day": "2026-03-01",
            "at": "12:30:00",
            "port": 16,
            "big": 1000.0,
            "base": {"x": 1, "y": 2},
            "more": {"x": 1, "y": 3},
        }
    )


def test_the_context_stands_before_the_content_and_fixed_names_before_both() -> None:
    made = make(
        '{"title": "ours", "units": 3, "meta": "mine"}',
        context="title: yours",
        template="{{ title }} {{ units }} {{ content.title }} {{ content.meta }} {{ meta.format }}",
    )

    assert made.text == "yours 3 ours mine json"
    assert made.result.warnings == [
        "The context's `title` stands before the content's; `content` has the other.",
        "`meta` means what it means in every report; see `content` and `context`.",
    ]


def test_an_entry_called_items_is_the_entry_and_not_a_method() -> None:
    made = make('{"order": {"items": [1, 2]}}', template="{{ order.items | sum }} {{ {'a': 1}.items() | list }}")

    assert made.text == "3 [('a', 1)]"


def test_numbers_lines_and_tables_are_written_for_people() -> None:
    template = (
        "{{ 1234567.5 | number(2) }} {{ 1234.5 | number(2, '.', ',') }} {{ '1. a|b\n*' | line }}\n"
        "{{ content | table(['n']) }}"
    )

    made = make("n,m\n1200,x\n", "a.csv", template=template)

    assert made.text == "1,234,567.50 1.234,50 1\\. a\\|b \\*\n| n |\n| ---: |\n| 1,200 |"


def test_values_are_text_in_html_whoever_writes_it() -> None:
    content = '{"name": "<script>alert(1)</script>"}'
    page = make(content, template="Hello {{ name }} [x](javascript:alert(1))", output="html")
    own = make(content, template="<p>{{ name }}</p>", template_name="page.html.j2")

    assert "Hello &lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "href" not in page.text
    assert "default-src 'none'" in page.text
    assert own.text == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"
    assert [each.name for each in own.result.made] == ["report.html"]


def test_no_text_is_code_in_a_pdf() -> None:
    hostile = 'x"];#read("/etc/passwd") \\ #let $a$ `b` <c> ![pic](/etc/passwd) *\\*'

    made = make(json.dumps({"a": hostile}), template="# {{ a }}\n\n{{ a }}\n\n```\n{{ a }}\n```\n", pdf=True)

    words = pypdf.PdfReader(io.BytesIO(made.written["report.pdf"])).pages[0].extract_text()
    assert words.count('#read("/etc/passwd")') + words.count("#read(“/etc/passwd”)") == 3
    assert "[image: pic]" in words


def test_signs_that_a_pdf_does_not_draw_are_remarked_on() -> None:
    assert "boxes" in make(template="帳簿", pdf=True).result.warnings[0]
    assert make(template="Ζήνων, Жук, naïve → 5 €", pdf=True).result.warnings == []


def test_every_violation_of_the_schema_is_told_with_its_path() -> None:
    schema = '{"items": {"required": ["id"], "properties": {"n": {"type": "integer", "minimum": 0}}}}'

    refused = refusal('[{"id": 1, "n": -1}, {"n": 1.5}]', schema=schema)

    assert refused.details["violations"] == [
        {"path": "$[0].n", "message": "-1 is less than the minimum of 0"},
        {"path": "$[1]", "message": '"id" is a required property'},
        {"path": "$[1].n", "message": '1.5 is not of type "integer"'},
    ]
    assert refused.reason.startswith("The content does not fit the schema: 3 violations, the first at $[0].n: -1 is")


def test_many_violations_are_counted_and_few_are_listed() -> None:
    refused = refusal(json.dumps(["x" * 5000] * 300), schema='{"items": {"type": "integer"}}')

    violations = refused.details["violations"]
    assert refused.details["count"] == 300
    assert isinstance(violations, list)
    assert len(violations) == 20
    assert all(len(each["message"]) < 320 and each["message"].endswith('not of type "integer"') for each in violations)


@pytest.mark.parametrize(
    ("template", "words", "line"),
    [
        ("one\n\n{{ nope }}", "The template fails in line 3: 'nope' is undefined.", 3),
        ("{{ content.a.b }}", "The template fails in line 1: 'dict object' has no attribute 'a'.", 1),
        ("one\n{% for %}", "The template can't be read, in line 2: Expected an expression", 2),
        ("\n{{ 1 / 0 }}", "The template fails in line 2: ZeroDivisionError: division by zero.", 2),
        ("{{ 1 | nofilter }}", "The template can't be read, in line 1: No filter named 'nofilter'.", 1),
        ("{% macro m() %}\n{{ x.y }}\n{% endmacro %}\n{{ m() }}", "The template fails in line 2: 'x' is undefined.", 2),
    ],
)
def test_what_is_wrong_with_a_template_is_told_with_its_line(template: str, words: str, line: int) -> None:
    refused = refusal(template=template)

    assert refused.reason.startswith(words)
    assert refused.details["line"] == line


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ('{"a": 1,\n "b": }', "a.json", "The content is no JSON, in line 2, column 7: unexpected character"),
        ("a: [1\nb: 2\n", "a.yaml", "The content is no YAML that can be used, in line 2, column 2: did not find"),
        ("a: 1\nb: 2\na: 3\n", "a.yaml", "in line 3, column 1: the key 'a' is there twice."),
        ("a: &x [*x]\n", "a.yaml", "in line 1, column 8: *x names nothing before it, or itself."),
        ("--- 1\n--- 2\n", "a.yaml", "in line 2, column 1: a second document begins here"),
        ("a,b\n1,2\n1,2,3\n", "a.csv", "Line 3 of the content has 3 values, and the first line names 2 columns."),
        ('a,b\n1,"2\n', "a.csv", "no CSV that can be read, in line 2: unexpected end of data."),
        ("a,a\n1,2\n", "a.csv", "two columns called 'a'"),
        ("", "a.json", "The content is empty."),
    ],
)
def test_a_content_that_can_not_be_read_is_told_with_its_place(content: str, name: str, words: str) -> None:
    assert words in refusal(content, name).reason


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"context": "just words"}, "The context is a text; it has to be values with names"),
        ({"schema": '{"type": "strin"}'}, "The schema is no JSON Schema that can be used, at $.type"),
        ({"schema": "[]"}, "The schema is no JSON Schema: it has to be an object."),
        ({"schema": '{"$ref": "http://schemas.invalid/a.json"}'}, "cannot fetch http://schemas.invalid/a.json"),
        (
            {"template": "<p>", "template_name": "a.html", "pdf": True},
            "writes HTML, as its name says; a PDF is made of",
        ),
        (
            {"template": "<p>", "template_name": "a.html", "output": "markdown"},
            "writes HTML, as its name says; ask for",
        ),
        ({"template": "a", "template_name": "a.txt", "output": "html"}, "HTML is made of Markdown"),
    ],
)
def test_files_that_do_not_go_together_are_refused_in_words(files: dict[str, object], words: str) -> None:
    assert words in refusal(**files).reason


def test_more_markdown_than_a_page_takes_is_over_the_limit() -> None:
    refused = refusal(template="{{ 'x' * 3000000 }}", output="html")

    assert isinstance(refused, OverLimit)
    assert "at most 2,097,152 can be made into HTML or PDF" in refused.reason


def test_a_pdf_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "helixnet.processors.document.pdf.find_spec", lambda name: None if name == "typst" else find_spec(name)
    )

    assert "helixnet[pdf] is not installed" in refusal(pdf=True).reason


def test_the_processor_is_for_everyone_and_runs_apart() -> None:
    processor = Registry(PROCESSORS).get("document.report")

    assert (processor.isolation, processor.development_only) == ("process", False)
    check_inputs(processor, ["content_key"])
    check_inputs(processor, ["content_key", "context_key", "schema_key", "template_key"])


def test_importing_the_processor_loads_none_of_its_heavy_libraries() -> None:
    heavy = "{'jsonschema_rs', 'yaml', 'markdown_it', 'typst', 'charset_normalizer'}"
    code = f"import sys, helixnet.processors.document; print({heavy} & {{*sys.modules}})"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "set()"


def test_the_four_files_go_through_http_and_come_back_as_artifacts(stack: Stack) -> None:
    helix = stack.client()
    names = {
        "content_key": "content.json",
        "context_key": "context.yaml",
        "schema_key": "schema.json",
        "template_key": "template.md.j2",
    }

    answer = stack.http(helix).post(
        "/api/v1/jobs/upload",
        files={role: (name, (SALES / name).read_bytes()) for role, name in names.items()},
        data={"processor": "document.report", "params": json.dumps({"output": "html", "pdf": True})},
    )
    job = helix.wait(answer.json()["job_id"], 60)

    assert job.status == "COMPLETED", job.error
    assert job.result_content is not None
    assert expected_revenue() in job.result_content["preview"]
    stored = {artifact.filename for artifact in helix.artifacts(job.job_id)}
    assert stored >= {"report.html", "report.pdf", "result.json"}


def test_what_is_wrong_is_on_the_jobs_page_and_the_next_job_runs(stack: Stack) -> None:
    helix = stack.client()

    def post(template: bytes) -> JobView:
        files = {
            "content_key": ("a.json", b"{}"),
            "context_key": ("b.yaml", b"a: 1"),
            "template_key": ("t.md.j2", template),
        }
        answer = stack.http(helix).post("/api/v1/jobs/upload", files=files, data={"processor": "document.report"})
        return helix.wait(answer.json()["job_id"], 60)

    refused = post(b"one\n{{ a.b }}")
    following = post(b"{{ a }}")

    assert refused.status == "FAILED"
    assert refused.error is not None
    assert (refused.error.kind, refused.error.details) == ("input", {"line": 2})
    assert "fails in line 2: 'int object' has no attribute 'b'" in refused.error.message
    assert following.status == "COMPLETED"
