"""Packages of third parties, installed as a user would: built by their own backend, found by their entry point."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Stack
from tests.stack.conftest import helix

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin-weblog"


def install(source: Path, target: Path) -> None:
    """Build the package and install it to a folder for PYTHONPATH, with what this environment has and nothing else."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None
    command = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    command += ["--python", sys.executable, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def weblog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the example's package, installed."""
    folder = tmp_path_factory.mktemp("weblog")
    source = folder / "source"
    shutil.copytree(PLUGIN, source)
    install(source, folder / "site")
    return folder / "site"


@pytest.fixture
def installed(tmp_path: Path) -> Callable[[Path], Path]:
    """Installs a package to a folder of the test's own."""

    def _install(source: Path) -> Path:
        install(source, tmp_path / "site")
        return tmp_path / "site"

    return _install


@pytest.fixture(scope="session")
def weblog_stack(folder: Path, weblog: Path) -> Iterator[Stack]:
    """A HelixNet in whose environment the example's package was installed while it ran, as `helix deploy` has it."""
    site = folder / "weblog-site"
    site.mkdir()
    stack = Stack(folder / "weblog", {"PYTHONPATH": str(site)})
    stack.start()
    assert "weblog.mask" not in {processor.name for processor in stack.client().processors()}
    shutil.copytree(weblog, site, dirs_exist_ok=True)
    deployed = helix("deploy", "--home", stack.home)
    assert deployed.returncode == 0, deployed.stderr
    yield stack
    assert stack.stop() == 0, stack.log
