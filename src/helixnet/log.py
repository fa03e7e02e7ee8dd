"""Logging: an event with fields, written as a line for people or as JSON for machines."""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from helixnet import tracing
from helixnet.config import Settings

NOISY = {
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "watchfiles": logging.WARNING,
    "alembic": logging.WARNING,
    # What becomes of a ring is none of the story; of a process that died the pool tells, and the reaper of its jobs.
    "celery.worker.strategy": logging.WARNING,
    "celery.worker.request": logging.CRITICAL,
    "celery.app.trace": logging.WARNING,
}
CONTROL = {code: None for code in range(32) if code != 9} | {127: None}


def configure(settings: Settings) -> None:
    """Send every line of this process, ours and the libraries', to standard error in one format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        *([_trace] if tracing.wanted() else []),
        _timestamp,
    ]
    render = _json_line if settings.log_format == "json" else _line
    formatter = structlog.stdlib.ProcessorFormatter(
        # What a library adds comes first: it never takes the place of a field of ours.
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            render,
        ],
    )
    _process.render = render
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
    sys.excepthook, threading.excepthook = _ended_by, _thread_ended_by
    for name, level in NOISY.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class _Second(threading.local):
    """The second in which a thread wrote last, in words: lines come close together."""

    number = -1
    text = ""


_second = _Second()


class _Process:
    """How this process writes its lines, for what is said past `logging`."""

    render: Callable[[WrappedLogger, str, EventDict], str]


_process = _Process()


class Logger:
    """The logger of one part. A line that the level leaves out costs next to nothing: `words` are put together with
    `values`, as `%` does it, only when the line is written."""

    def __init__(self, name: str) -> None:
        self._gate = logging.getLogger(name)
        self._lines: structlog.stdlib.BoundLogger = structlog.get_logger(name)

    def debug(self, words: str, /, *values: object, **fields: object) -> None:
        self._write(logging.DEBUG, words, values, fields)

    def info(self, words: str, /, *values: object, **fields: object) -> None:
        self._write(logging.INFO, words, values, fields)

    def warning(self, words: str, /, *values: object, **fields: object) -> None:
        self._write(logging.WARNING, words, values, fields)

    def error(self, words: str, /, *values: object, **fields: object) -> None:
        self._write(logging.ERROR, words, values, fields)

    def exception(self, words: str, /, *values: object, **fields: object) -> None:
        """An error, with the trace of the exception that is being handled."""
        self._write(logging.ERROR, words, values, fields | {"exc_info": True})

    def _write(self, level: int, words: str, values: tuple[object, ...], fields: dict[str, object]) -> None:
        if self._gate.isEnabledFor(level):
            write = getattr(self._lines, logging.getLevelName(level).lower())
            write(words % values if values else words, **fields)


def logger(name: str) -> Logger:
    """The logger of one part, such as `helix.worker`."""
    return Logger(name)


def say(name: str, words: str) -> None:
    """Write a line from within a signal's handler, where logging may be in the middle of another."""
    line = _process.render(None, "", _timestamp(None, "", {"event": words, "level": "info", "logger": name}))
    os.write(sys.stderr.fileno(), f"{line}\n".encode())


def first_line(error: BaseException) -> str:
    """An error in a line, its type where it says nothing: SQLAlchemy goes on with the statement and its parameters."""
    return str(error).partition("\n")[0] or type(error).__name__


def bind(**fields: object) -> None:
    """From here on, every line of this task carries these fields."""
    structlog.contextvars.bind_contextvars(**fields)


def _timestamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    if seconds != _second.number:
        _second.number, _second.text = seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    event["timestamp"] = f"{_second.text}.{milliseconds:03}Z"
    return event


def _trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if (ids := tracing.ids()) is not None:
        event["trace_id"], event["span_id"] = ids
    return event


def _ended_by(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The process ends by an error that nobody expected."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("helix").critical("this process ends by an error", exc_info=(kind, error, trace))


def _thread_ended_by(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value or ended.exc_type()
    if not isinstance(error, SystemExit):
        logging.getLogger("helix").error("a thread ended by an error", exc_info=error)


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """One JSON object in a line, as docs/reference/logs.schema.json says."""
    take = event.pop
    line: dict[str, Any] = {
        "timestamp": take("timestamp", ""),
        "level": take("level", ""),
        "logger": take("logger", ""),
        "event": str(take("event", "")),
    }
    line.update(event)
    line.pop("color_message", None)  # uvicorn's, for terminals
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:
        # A name that is no text, half a surrogate, a number beyond 64 bits: the line is told all the same.
        return json.dumps(_simple(line))


def _simple(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _simple(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_simple(inner) for inner in value]
    return value if isinstance(value, bool | None) else str(value).encode(errors="replace").decode()


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """`[helix.worker][INFO] time message key=value`; control characters from outside never reach the terminal."""
    name = event.pop("logger", "helix")
    level = str(event.pop("level", "info")).upper()
    when = event.pop("timestamp", "")
    message = str(event.pop("event", ""))
    trace = event.pop("exception", "")
    fields = " ".join(
        f"{key}={_plain(value)}" for key, value in event.items() if not key.startswith("_") and key != "color_message"
    )
    line = f"[{name}][{level}] {when} {message}".translate(CONTROL) + (f"  {fields}" if fields else "")
    return f"{line}\n{trace}" if trace else line


def _plain(value: object) -> str:
    text = str(value).translate(CONTROL)
    return repr(text) if " " in text else text
