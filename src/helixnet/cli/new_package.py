"""The package that `helix processors new` writes."""

import importlib.util
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from helixnet.errors import CannotStart

NAME = re.compile(r"([a-z][a-z0-9_]{0,39})\.([a-z][a-z0-9_]{0,39})")
# Groups that are HelixNet's own, or will be.
RESERVED = frozenset({"core", "text", "document", "table", "llm", "embed", "media", "helix", "helixnet"})
TEMPLATES = files("helixnet.cli") / "templates"


@dataclass(frozen=True, slots=True)
class NewPackage:
    """What a package for one processor is called, as a distribution and as a module."""

    name: str
    distribution: str
    package: str

    @classmethod
    def named(cls, name: str) -> "NewPackage":
        """The package for a processor of this name, `group.name`; raises CannotStart when it can't be called so."""
        found = NAME.fullmatch(name)
        if found is None:
            raise CannotStart(
                f"{name!r} can't be a processor's name: it is a group and a name of lower-case letters, digits and "
                "underscores, as acme.count."
            )
        if found[1] in RESERVED:
            raise CannotStart(f"{found[1]!r} is a group of HelixNet's own: take one of yours, as acme.{found[2]}.")
        package = f"{found[1]}_{found[2]}"
        if importlib.util.find_spec(package) is not None:
            raise CannotStart(f"A package {package} is installed already: take another name.")
        return cls(name, package.replace("_", "-"), package)

    def write(self, parent: Path) -> list[Path]:
        """Write it to a folder of its own in `parent`; answers the files. Raises CannotStart rather than overwrite."""
        folder = parent / self.distribution
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CannotStart(f"{folder} is there already, and nothing is overwritten.")
        written = []
        for path, template in self._files().items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self._filled(template), encoding="utf-8")
            written.append(target)
        return written

    def _files(self) -> dict[str, str | None]:
        """Each file and its template."""
        return {
            "pyproject.toml": "pyproject.toml",
            "README.md": "README.md",
            f"src/{self.package}/__init__.py": "init.py",
            f"src/{self.package}/processor.py": "processor.py",
            f"src/{self.package}/py.typed": None,
            "tests/test_processor.py": "test_processor.py",
            "examples/sample.txt": "sample.txt",
        }

    def _filled(self, template: str | None) -> str:
        if template is None:
            return ""
        text = (TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
        return Template(text).substitute(name=self.name, distribution=self.distribution, package=self.package)
