"""A stand-in for an OpenAI-compatible server: real HTTP and server-sent events on a loopback port, and no model.

What it speaks is the chat completions API as its reference tells it: chunks, `[DONE]`, usage in a last chunk without
choices where it was asked for, and errors as `{"error": {"message", "type", "code", "param"}}`. What it says to a
request is decided by the test. Its tokens are words.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-stand-in-0123456789"


@dataclass(frozen=True)
class Says:
    """An answer, word by word. It waits for `gate` before the word number `gate_at`; `cut` ends the connection
    before that word; `silent_usage` is of servers that count nothing."""

    text: str
    finish: str | None = "stop"
    refusal: bool = False
    silent_usage: bool = False
    cut: int | None = None
    garbage: bool = False
    error_at_end: str = ""
    gate: threading.Event | None = None
    gate_at: int = 0


@dataclass(frozen=True)
class Fails:
    """A status that is no answer."""

    status: int
    message: str = "no"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Silence:
    """Not a word until the event is set, and then none."""

    until: threading.Event


Act = Says | Fails | Silence
Request = dict[str, Any]


def words(request: Request) -> int:
    """The tokens of a request's messages."""
    return sum(len(message["content"].split()) for message in request["messages"])


def last(request: Request) -> str:
    """What the user said last."""
    return str(request["messages"][-1]["content"])


class StandIn:
    """The server; `act` decides what it says, `requests` are those that it got."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.hung_up = threading.Event()
        self.act: Callable[[Request], Act] = lambda request: Says(f"You said: {last(request)}")
        self._lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stand_in._lock:
                    stand_in.requests.append(body)
                    act = stand_in.act(body)
                try:
                    if self.path != "/v1/chat/completions":
                        act = Fails(404, f"no {self.path}")
                    elif self.headers.get("Authorization") != f"Bearer {KEY}":
                        act = Fails(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
                    stand_in._answer(self, body, act)
                except (BrokenPipeError, ConnectionResetError):
                    stand_in.hung_up.set()
                    self.close_connection = True

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def script(self, *acts: Act) -> None:
        """Do these in turn, the last one for ever."""
        left = list(acts)
        self.act = lambda _request: left.pop(0) if len(left) > 1 else left[0]

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _answer(self, http: BaseHTTPRequestHandler, request: Request, act: Act) -> None:
        match act:
            case Fails():
                kind = "invalid_request_error" if act.status < 500 else "server_error"
                error = {"message": act.message, "type": kind, "code": act.code, "param": None}
                body = json.dumps({"error": error}).encode()
                http.send_response(act.status)
                for name, value in act.headers.items():
                    http.send_header(name, value)
                http.send_header("Content-Type", "application/json")
                http.send_header("Content-Length", str(len(body)))
                http.end_headers()
                http.wfile.write(body)
            case Silence():
                act.until.wait(60)
                http.close_connection = True
            case Says():
                self._stream(http, request, act)

    def _stream(self, http: BaseHTTPRequestHandler, request: Request, act: Says) -> None:
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.send_header("Transfer-Encoding", "chunked")
        http.end_headers()

        def write(data: bytes) -> None:
            http.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            http.wfile.flush()

        def event(value: object) -> None:
            write(b"data: " + json.dumps(value).encode() + b"\n\n")

        def chunk(delta: dict[str, str], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            event({"id": "c-1", "object": "chat.completion.chunk", "model": request["model"], "choices": [choice]})

        chunk({"role": "assistant", "content": ""})
        pieces = [piece for piece in act.text.replace(" ", " \0").split("\0") if piece]
        for number, piece in enumerate(pieces):
            if act.gate is not None and number >= act.gate_at:
                while not act.gate.wait(0.05):
                    # A comment, as servers send to keep a connection open: it finds out who has hung up.
                    write(b": still there\n\n")
            if number == act.cut:
                http.close_connection = True
                return
            chunk({"refusal" if act.refusal else "content": piece})
        if act.garbage:
            write(b'data: {"choices": [{"delta": {"content": \n\n')
        if act.error_at_end:
            event({"error": {"message": act.error_at_end, "type": "server_error", "code": None}})
        if act.finish is not None:
            chunk({}, act.finish)
        if (request.get("stream_options") or {}).get("include_usage") and not act.silent_usage:
            counted = {"prompt_tokens": words(request), "completion_tokens": len(pieces)}
            event({"id": "c-1", "object": "chat.completion.chunk", "model": request["model"], "choices": [],
                   "usage": counted | {"total_tokens": sum(counted.values())}})  # fmt: skip
        if act.finish is not None:
            write(b"data: [DONE]\n\n")
        http.wfile.write(b"0\r\n\r\n")


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A stand-in that runs while the block lasts."""
    with StandIn().running() as server:
        yield server
