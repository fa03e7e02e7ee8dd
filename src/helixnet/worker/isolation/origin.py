"""Where an isolated process finds a processor: its name, and the module and attribute that hold it."""

from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from helixnet.processors.base import Processor

GROUP = "helixnet.processors"


@dataclass(frozen=True, slots=True)
class Origin:
    """A processor's name, and `module:attribute` of its entry point, or `module` alone: there it is looked for."""

    processor: str
    value: str

    def load(self, *, libraries: bool = False) -> Processor:
        """Import the processor, with what it names to be imported ahead if `libraries` are wanted, and nothing else;
        raises LookupError, or whatever its import raises."""
        processor = self._find()
        for name in processor.preload if libraries else ():
            import_module(name)
        return processor

    def _find(self) -> Processor:
        if ":" in self.value:
            places: list[Any] = [EntryPoint(self.processor, self.value, GROUP).load()]
        else:
            places = list(vars(import_module(self.value)).values())
        for place in places:
            for found in place if isinstance(place, list | tuple) else (place,):
                if isinstance(found, Processor) and found.name == self.processor:
                    return found
        raise LookupError(f"{self.value} holds no processor {self.processor!r}")

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@cache
def origin_of(name: str, module: str) -> Origin:
    """Where the installed processor of this name comes from; one that no entry point names is looked for in the
    module of its function."""
    for entry in entry_points(group=GROUP):
        loaded = entry.load()  # a worker has imported them all before
        processors = [loaded] if isinstance(loaded, Processor) else loaded
        if any(processor.name == name for processor in processors):
            return Origin(name, entry.value)
    return Origin(name, module)
