"""`helix processors`: what is listed, the package that is written, and a processor tried on local files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.conftest import PLUGIN
from tests.stack.conftest import clean_environment, helix

LOG = PLUGIN / "sample" / "access.log"
EXAMPLES = PLUGIN.parent


def run_pytest(folder: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    """A package's own tests, with the package installed."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env=clean_environment(PYTHONPATH=str(site)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_list_names_each_processor_with_its_version_its_inputs_and_its_isolation(weblog: Path) -> None:
    lines = helix("processors", "list", PYTHONPATH=str(weblog)).stdout.splitlines()

    rows = {line.split()[0]: line.split() for line in lines if not line.startswith(" ")}
    assert rows["weblog.summary"][:4] == ["weblog.summary", "1", "content_key", "process"]
    assert rows["core.echo"][:4] == ["core.echo", "1", "–", "inline"]
    assert "[context_key]" in "".join(lines)


def test_the_list_as_json_has_the_schema_of_the_parameters(weblog: Path) -> None:
    done = helix("processors", "list", "--json", PYTHONPATH=str(weblog), HELIX_PROFILE="production")

    listed = {processor["name"]: processor for processor in json.loads(done.stdout)}
    assert {"weblog.summary", "weblog.mask", "text.analyze"} <= set(listed)
    assert "core.echo" not in listed
    schema = listed["weblog.mask"]["params_schema"]
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["ipv4_bits"]["maximum"] == 32
    assert listed["weblog.summary"]["outputs"]["hours.csv"]["media_type"] == "text/csv"


def test_the_packages_own_tests_pass_where_it_is_installed(weblog: Path) -> None:
    done = run_pytest(PLUGIN, weblog)

    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


def test_an_installed_processor_is_tried_on_files_in_the_order_of_its_inputs(weblog: Path, tmp_path: Path) -> None:
    done = helix("processors", "test", "weblog.summary", LOG, "--out", tmp_path, PYTHONPATH=str(weblog))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["requests"] == 12
    assert f"{tmp_path / 'hours.csv'}  text/csv" in done.stderr
    assert (tmp_path / "hours.csv").read_text().startswith("hour,requests,errors,bytes_sent")
    assert "note:" not in done.stderr


def test_files_may_name_their_role() -> None:
    content, context = EXAMPLES / "content_file.txt", EXAMPLES / "context_file.txt"

    done = helix("processors", "test", "text.analyze", f"context_key={context}", content)

    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["passages"]) == 8


def test_artifacts_that_nobody_named_a_folder_for_are_kept_and_named(weblog: Path, tmp_path: Path) -> None:
    done = helix("run", "weblog.summary", "--content", LOG, PYTHONPATH=str(weblog), TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    (named,) = (line.split()[1] for line in done.stderr.splitlines() if "⬇" in line)
    assert Path(named).read_text().startswith("hour,")
    assert {path.name for path in Path(named).parent.iterdir()} == {"hours.csv", "result.json"}
    assert list(tmp_path.iterdir()) == [Path(named).parent]


def test_a_try_that_fails_exits_with_1_and_one_that_is_refused_with_2(weblog: Path) -> None:
    failed = helix("processors", "test", "weblog.summary", EXAMPLES / "content_file.txt", PYTHONPATH=str(weblog))
    refused = helix("processors", "test", "weblog.summary", LOG, LOG, PYTHONPATH=str(weblog))

    assert (failed.returncode, failed.stdout) == (1, "")
    assert "FAILED (input): This is no access log" in failed.stderr
    assert '"first_line": 1' in failed.stderr
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "These are 2 files; weblog.summary takes content_key." in refused.stderr


def test_a_new_package_is_complete_and_passes_its_own_tests(tmp_path: Path, installed: Callable[[Path], Path]) -> None:
    written = helix("processors", "new", "acme.word_count", "--in", tmp_path)
    assert written.returncode == 0, written.stderr
    package = tmp_path / "acme-word-count"

    site = installed(package)

    tested = run_pytest(package, site)
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout
    sample = package / "examples" / "sample.txt"
    tried = helix("processors", "test", "acme.word_count", sample, PYTHONPATH=str(site), TMPDIR=str(tmp_path))
    assert json.loads(tried.stdout) == {"lines": 3, "words": 16, "longest_line": 38}


def test_a_new_package_holds_to_strict_types_and_good_form(tmp_path: Path) -> None:
    helix("processors", "new", "acme.count", "--in", tmp_path)
    bin_folder = Path(sys.executable).parent

    commands: tuple[list[str | Path], ...] = (
        [bin_folder / "mypy", "--strict", "--cache-dir", os.devnull, tmp_path / "acme-count" / "src"],
        [
            bin_folder / "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--select",
            "E,F,B,UP,ARG",
            "--line-length",
            "120",
            tmp_path,
        ],
        [bin_folder / "ruff", "format", "--isolated", "--no-cache", "--check", "--line-length", "120", tmp_path],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "acme-count").mkdir()
    (tmp_path / "acme-count" / "mine.txt").write_text("mine")

    done = helix("processors", "new", "acme.count", "--in", tmp_path)

    assert done.returncode == 1
    assert "is there already, and nothing is overwritten" in done.stderr
    assert [path.name for path in (tmp_path / "acme-count").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("count", "can't be a processor's name"),
        ("Acme.count", "can't be a processor's name"),
        ("acme.count/../../etc", "can't be a processor's name"),
        ("acme.count\n", "can't be a processor's name"),
        ("text.count", "'text' is a group of HelixNet's own: take one of yours, as acme.count."),
        ("helixnet.weblog", "'helixnet' is a group of HelixNet's own"),
    ],
)
def test_names_that_would_not_do_are_refused(name: str, words: str, tmp_path: Path) -> None:
    done = helix("processors", "new", name, "--in", tmp_path)

    assert done.returncode == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def broken_plugin(folder: Path, code: str) -> None:
    """An installed package whose entry point leads to this code."""
    about = folder / "acme_broken-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[helixnet.processors]\nbroken = acme_broken:PROCESSORS\n")
    (folder / "acme_broken.py").write_text(code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import json\nimport not_installed\n", "ModuleNotFoundError: No module named 'not_installed' ("),
        ("PROCESSORS = ['text.analyze']\n", "hold str, which is no Processor."),
        ("from helixnet.processors.text import PROCESSORS\n", "Two installed processors are called 'text.analyze'."),
    ],
)
def test_a_plug_in_that_is_broken_is_named_in_a_line(code: str, words: str, tmp_path: Path) -> None:
    broken_plugin(tmp_path, code)

    done = helix("processors", "list", PYTHONPATH=str(tmp_path))

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if "not_installed" in code:
        assert "broken = acme_broken:PROCESSORS of acme-broken" in done.stderr
        assert "acme_broken.py, line 2)" in done.stderr
