"""The dashboards against the models that Grafana publishes of its own files."""

import enum
import json
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins, runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tests.watching.test_dashboards import FILES

with warnings.catch_warnings():
    # Of the form of files that every Grafana reads, told for the sake of a newer one.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard

plugins.register_default_plugins()


def complaints(text: str) -> list[str]:
    """What Grafana's models say against a dashboard: words that they don't know, and values that they don't take."""
    written = json.loads(text)
    read = Dashboard.from_json(written)
    unknown = {panel["type"] for panel in written["panels"]} - runtime.Runtime().panelcfg_variants.keys()
    return [
        *(f"no kind of panel: {kind}" for kind in sorted(unknown)),
        *lost(written, json.loads(JSONEncoder().encode(read)), "dashboard"),
        *(f"{name} = {value!r}" for name, value in refused(read)),
    ]


def lost(written: object, back: object, at: str) -> Iterator[str]:
    """What was written and does not come back from the models: they had no place for it."""
    if isinstance(written, dict) and isinstance(back, dict):
        for name, value in written.items():
            if name not in back:
                yield f"not known: {at}.{name}"
            else:
                yield from lost(value, back[name], f"{at}.{name}")
    elif isinstance(written, list) and isinstance(back, list) and len(written) == len(back):
        for number, (one, other) in enumerate(zip(written, back, strict=True)):
            yield from lost(one, other, f"{at}[{number}]")
    elif written != back:
        yield f"changed: {at} from {written!r} to {back!r}"


def refused(value: object) -> Iterator[tuple[str, object]]:
    """Values within a model, and within those that it holds, that are not of their declared types."""
    if isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from refused(one)
    elif hasattr(value, "from_json"):
        hints = typing.get_type_hints(type(value))
        for name, found in vars(value).items():
            if name in hints and not fits(found, hints[name]):
                yield f"{type(value).__name__}.{name}", found
            yield from refused(found)


def fits(value: object, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, arguments[1]) for one in value.values())
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in {member.value for member in hint}
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_grafana_s_own_models_take_every_dashboard(file: Path) -> None:
    assert complaints(file.read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"fillOpacity"', '"fillOpacty"', "not known: dashboard.panels[0].fieldConfig.defaults.custom.fillOpacty"),
        ('"gridPos"', '"gridpos"', "not known: dashboard.panels[0].gridpos"),
        ('"legendFormat"', '"legendformat"', "not known: dashboard.panels[0].targets[0].legendformat"),
        ('"type": "timeseries"', '"type": "timeserie"', "no kind of panel: timeserie"),
        ('"mode": "none"', '"mode": "nonesuch"', "StackingConfig.mode = 'nonesuch'"),
        ('"schemaVersion": ', '"schemaVersion": "x" ,"version": ', "Dashboard.schema_version = 'x'"),
    ],
)
def test_grafana_s_models_refuse_what_is_wrong(right: str, wrong: str, said: str) -> None:
    """The check above can fail."""
    text = next(file for file in FILES if file.stem == "queues").read_text()
    assert right in text

    assert said in complaints(text.replace(right, wrong))
