"""document.report on files made to harm: each ends with a plain reason, within its limits, and the next job runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from helixnet.processors.document import REPORT
from tests.processors.reporting import SALES
from tests.processors.sandbox import Sandbox

# A tenth of the CPU time that it has in earnest: what spins for ever is to be seen ended, not to be waited for.
HASTY = replace(REPORT, limits=replace(REPORT.limits, cpu_seconds=3))


def laughs(levels: int) -> str:
    """Billion laughs: ten times the list before, so many times."""
    lines = ["a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    for at in range(1, levels):
        before, name = chr(96 + at), chr(97 + at)
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join(lines)


def merges(levels: int) -> str:
    """The same by merge keys, which PyYAML spreads out one by one."""
    lines = ["a: &a {k: v}"]
    for at in range(1, levels):
        before, name = chr(96 + at), chr(97 + at)
        lines.append(f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}")
    return "\n".join(lines)


SPIN = "{% for a in range(99999) %}{% for b in range(99999) %}{% if a == b + 0.5 %}x{% endif %}{% endfor %}{% endfor %}"
REPLACE = "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x.replace('x', 'xx') %}{% endfor %}"

HARM = {
    "billion laughs": ({"context_key": ("c.yaml", laughs(9))}, "limit", "over 300,000 values, aliases included"),
    "billion merges": ({"context_key": ("c.yaml", merges(9))}, "limit", "over 300,000 values, aliases included"),
    "deep YAML": ({"context_key": ("c.yaml", "[" * 50_000)}, "limit", "nested deeper than 60 levels"),
    "Python in YAML": (
        {"context_key": ("c.yaml", "a: !!python/object/apply:os.system [id]")},
        "input",
        "none of the types of JSON",
    ),
    "deep JSON": ({"content_key": ("c.json", "[" * 500_000 + "]" * 500_000)}, "limit", "nested deeper than 60 levels"),
    "a schema elsewhere": ({"schema_key": ("s.json", '{"$ref": "file:///etc/passwd"}')}, "input", "cannot fetch"),
    # Two ways at each of forty levels: the validator looks at them all, in memory that it can't get.
    "a schema that branches into itself": (
        {
            "content_key": ("c.json", "[" * 40 + "]" * 40),
            "schema_key": ("s.json", '{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}], "maxItems": 0}'),
        },
        "limit",
        "The work took more",
    ),
    "__globals__": (
        {"template_key": ("t.j2", "{{ cycler.__init__.__globals__.os.popen('id').read() }}")},
        "input",
        "attribute '__init__' of 'type' object is unsafe",
    ),
    "__globals__ by a filter": (
        {"template_key": ("t.j2", "{{ range|attr('__globals__') }}")},
        "input",
        "'__globals__' of 'function' object is unsafe",
    ),
    "a format that looks inside": (
        {"template_key": ("t.j2", "{{ '{0.__class__.__mro__}'.format(1) }}")},
        "input",
        "is unsafe",
    ),
    "another file": ({"template_key": ("t.j2", "{% include '/etc/passwd' %}")}, "input", "names another template"),
    "a power": ({"template_key": ("t.j2", "{{ 9**9**9**9 }}{{ 9**(9**9) }}")}, "limit", "more digits than anybody"),
    "a range": (
        {"template_key": ("t.j2", "{% for i in range(10**12) %}x{% endfor %}")},
        "limit",
        "a range of over 100,000 steps",
    ),
    "ranges in ranges": (
        {"template_key": ("t.j2", SPIN)},
        "limit",
        "CPU time",
    ),
    "doubling by adding": (
        {
            "template_key": (
                "t.j2",
                "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
            )
        },
        "limit",
        "longer than 4,194,304 elements",
    ),
    "doubling by joining": (
        {
            "template_key": (
                "t.j2",
                "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            )
        },
        "limit",
        "more memory than a report may",
    ),
    "doubling by replacing": (
        {"template_key": ("t.j2", REPLACE)},
        "limit",
        "CPU time",
    ),
    "a wide word": ({"template_key": ("t.j2", "{{ 'x'|center(10**9) }}")}, "limit", "over 10,000"),
    "a macro in itself": (
        {"template_key": ("t.j2", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")},
        "limit",
        "too deep into itself",
    ),
    "a page without end": (
        {
            "template_key": (
                "t.j2",
                "{% for a in range(99999) %}{% for b in range(9999) %}{{ 'x' * 1000 }}{% endfor %}{% endfor %}",
            )
        },
        "limit",
        "over 16,777,216 characters",
    ),
    "a ZIP archive": ({"content_key": ("c.json", "PK\x03\x04")}, "input", "a ZIP archive"),
}


@pytest.mark.parametrize("name", HARM)
def test_harm_ends_with_a_plain_reason_and_the_next_job_runs(sandbox: Sandbox, name: str) -> None:
    files, kind, words = HARM[name]
    given = {"content_key": ("c.json", "{}")} | files

    ended = sandbox.end(HASTY, {role: (file, text.encode("latin-1")) for role, (file, text) in given.items()})

    assert (ended.error.get("kind"), words in ended.error.get("message", "")) == (kind, True), ended.error
    assert ended.context.written == {}
    following = sandbox.end(HASTY, {"content_key": ("c.csv", b"a,b\n1,2\n")})
    assert following.result["findings"][0]["total"] == 1


def test_ten_gigabytes_are_turned_away_unread(sandbox: Sandbox, tmp_path: Path) -> None:
    zeros = tmp_path / "zeros.csv"
    with zeros.open("wb") as file:
        file.truncate(10 * 1024**3)

    ended = sandbox.end(HASTY, {"content_key": ("zeros.csv", zeros)})

    assert ended.error["kind"] == "input"
    assert "10,737,418,240 bytes, of 16 MiB" in ended.error["message"]


def test_the_sales_report_is_made_in_a_process_of_its_own(sandbox: Sandbox) -> None:
    files = {
        role: (name, SALES / name)
        for role, name in (
            ("content_key", "content.json"),
            ("context_key", "context.yaml"),
            ("schema_key", "schema.json"),
            ("template_key", "template.md.j2"),
        )
    }

    ended = sandbox.end(REPORT, files, output="html", pdf=True)

    assert ended.error == {}
    assert "6,969.10 €" in ended.result["preview"]
    assert b"<td>the ferryman's daughter</td>" in ended.context.written["report.html"].content
    assert ended.context.written["report.pdf"].content.startswith(b"%PDF-")
    assert ended.context.steps[-1] == 1
