"""Build the wheel, make sure that it carries every file of the package, install it by itself, and use it.

Installed alone, with the versions of the lock and nothing that only developers have, it has to bring all it imports.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "helixnet"
LOCK = ROOT / "requirements" / "development.txt"
NEEDED = (
    "helixnet/py.typed",
    "helixnet/migrations/script.py.mako",
    "helixnet/web/templates/",
    "helixnet/web/static/",
    "helixnet/stack/routes/dynamic/",
)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (wheel,) = Path(folder).glob("*.whl")
        carried = set(zipfile.ZipFile(wheel).namelist())
        size = wheel.stat().st_size
        use(wheel, Path(folder))
    wanted = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = sorted(wanted - carried)
    missing += [start for start in NEEDED if not any(name.startswith(start) for name in carried)]
    if missing:
        print("the wheel lacks", *missing, sep="\n  ", file=sys.stderr)
        return 1
    print(f"{wheel.name}: {len(carried)} files, {size // 1024} KiB")
    return 0


def use(wheel: Path, folder: Path) -> None:
    """Install the wheel into an environment of its own, and have it make a database and name its accounts."""
    environment = folder / "environment"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("uv is not installed")
    python = environment / "bin" / "python"
    run(uv, "venv", "--quiet", "--python", sys.executable, str(environment))
    run(uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(LOCK), f"{wheel}[embedded]")
    run(str(python), "-c", "import kombu.transport.redis, helixnet.web.app, helixnet.worker.app, helixnet.worker.beat")
    helix, home = str(environment / "bin" / "helix"), str(folder / "home")
    run(helix, "db", "init", "--home", home)
    accounts = run(helix, "users", "list", "--home", home).split()
    if "demo@helix.net" not in accounts:
        raise SystemExit(f"the installed wheel knows these accounts: {accounts}")


def run(*command: str) -> str:
    """Run a command away from the source tree; its output, or an end of it all with its errors."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HELIX_", "PYTHONPATH"))}
    done = subprocess.run(command, cwd="/", env=clean, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
