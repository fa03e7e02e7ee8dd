"""The registry: every processor that is installed, found through the entry-point group `helixnet.processors`."""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from helixnet.errors import CannotStart, Invalid, TooLarge, violations
from helixnet.processors.base import Processor

GROUP = "helixnet.processors"


class InvalidParams(Invalid):
    """The parameters do not fit the processor; each of the `violations` has a path and a message."""

    def __init__(self, message: str, processor: str, found: Sequence[Mapping[str, str]]) -> None:
        super().__init__(message, violations=found)
        self.processor = processor
        self.violations = found


class About(Protocol):
    """What is known of a stored file before it is read."""

    @property
    def filename(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def size(self) -> int: ...


class Registry:
    """Processors by name."""

    def __init__(self, processors: Iterable[Processor]) -> None:
        self._processors: dict[str, Processor] = {}
        for processor in processors:
            if processor.name in self._processors:
                raise CannotStart(f"Two installed processors are called {processor.name!r}.")
            self._processors[processor.name] = processor

    def __iter__(self) -> Iterator[Processor]:
        return iter(sorted(self._processors.values(), key=lambda processor: processor.name))

    def __contains__(self, name: object) -> bool:
        return name in self._processors

    @cached_property
    def metered(self) -> frozenset[str]:
        """The names of the processors that spend money."""
        return frozenset(processor.name for processor in self if processor.metered)

    def get(self, name: str) -> Processor:
        """The processor of this name; raises Invalid, naming those that there are."""
        try:
            return self._processors[name]
        except KeyError:
            known = ", ".join(sorted(self._processors))
            raise Invalid(f"There is no processor {name!r}. There are: {known}.") from None


def load(*, development: bool) -> Registry:
    """The installed processors; an entry point names one Processor or a sequence of them.

    Those for drills are left out unless `development`. Raises CannotStart for a broken plug-in: a platform that starts
    without a processor it is believed to have would fail jobs later instead.
    """
    found: list[Processor] = []
    for entry in entry_points(group=GROUP):
        found.extend(_loaded(entry))
    return Registry(processor for processor in found if development or not processor.development_only)


def _loaded(entry: EntryPoint) -> list[Processor]:
    source = f"{entry.name} = {entry.value}" + (f" of {entry.dist.name}" if entry.dist is not None else "")
    try:
        loaded = entry.load()
        processors = [loaded] if isinstance(loaded, Processor) else list(loaded)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if place.filename == __file__ else f" ({place.filename}, line {place.lineno})"
        raise CannotStart(f"The processors {source} can't be loaded: {type(error).__name__}: {error}{where}") from error
    for each in processors:
        if not isinstance(each, Processor):
            raise CannotStart(f"The processors {source} hold {type(each).__name__}, which is no Processor.")
    return processors


def parse_params(processor: Processor, params: dict[str, Any]) -> BaseModel:
    """The parameters in the processor's own type; raises InvalidParams with every violation and its path."""
    try:
        return processor.params.model_validate(params)
    except ValidationError as error:
        found = violations(error.errors(include_url=False, include_input=False))
        raise InvalidParams(f"The parameters do not fit {processor.name}.", processor.name, found) from error


def check_inputs(processor: Processor, roles: Iterable[str]) -> None:
    """Raise Invalid unless the roles given are the ones that the processor asks for."""
    given = set(roles)
    check_known(processor, given)
    missing = [role for role, about in processor.inputs.items() if about.required and role not in given]
    if missing:
        asked = "; ".join(f"{role}: {processor.inputs[role].description.rstrip('.')}" for role in missing)
        raise Invalid(f"{processor.name} needs {' and '.join(missing)}, and was not given {_it(missing)} ({asked}).")


def check_known(processor: Processor, roles: Iterable[str]) -> None:
    """Raise Invalid if the processor does not read one of the roles."""
    unknown = set(roles) - set(processor.inputs)
    if unknown:
        takes = ", ".join(sorted(processor.inputs)) or "no files"
        raise Invalid(f"{processor.name} does not read {', '.join(sorted(unknown))}; it takes {takes}.")


def check_files(processor: Processor, files: Mapping[str, About]) -> None:
    """Raise Invalid, or TooLarge, unless each file (by its role) is of a kind and a size that the processor takes."""
    for role, about in files.items():
        asked = processor.inputs[role]
        if not asked.takes(about.media_type, about.filename):
            takes = ", ".join(asked.media_types)
            raise Invalid(
                f"{role}: {processor.name} can't read {about.filename} ({about.media_type}); it takes {takes}."
            )
        if asked.max_bytes is not None and about.size > asked.max_bytes:
            limit = f"{processor.name} takes at most {asked.max_bytes:,}"
            raise TooLarge(f"{role}: {about.filename} has {about.size:,} bytes; {limit}.")


def _it(things: Sequence[str]) -> str:
    return "it" if len(things) == 1 else "them"
