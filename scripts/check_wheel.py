"""Build the wheel, and make sure that it carries every file of the package: templates, static files, migrations."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "helixnet"
NEEDED = ("helixnet/py.typed", "helixnet/migrations/script.py.mako", "helixnet/web/templates/", "helixnet/web/static/")


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


if __name__ == "__main__":
    sys.exit(main())
