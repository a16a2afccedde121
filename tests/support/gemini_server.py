"""A server on loopback that speaks Gemini's wire format, and all the ways in which it goes wrong.

    with GeminiServer() as server:
        server.script(answer("restart_service", {"service": "nginx.service"}))
        asking(server.url).choose(case())
        server.requests[0].body["generationConfig"]["responseSchema"]

Replies are taken from the script in order; the last one is used for every further request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request, as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    raw: str

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.raw)
        return body

    @property
    def prompt(self) -> str:
        """What the user's part says."""
        text: str = self.body["contents"][0]["parts"][0]["text"]
        return text


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One scripted behaviour."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=UTF-8"
    #: Announce more than is sent, then close the connection.
    cut: bool = False
    #: Send this again and again, without a length, until the client goes away.
    endless: bytes = b""
    #: Send nothing until the server is closed.
    silent: bool = False
    #: Send one byte of `body` at a time, each after the server was asked to wait this long; seconds.
    drip: float = 0


#: Made from the request, or the same for every one.
Behaviour = Reply | Callable[[Received], Reply]


def envelope(text: str | None, *, finish: str | None = "STOP", **more: Any) -> Reply:
    """A well-formed answer around any text; None: an answer without content."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    if finish is not None:
        candidate["finishReason"] = finish
    return whole({"candidates": [candidate], "modelVersion": "test", **more})


def whole(body: Any) -> Reply:
    """Any JSON as the answer's whole body."""
    return Reply(body=json.dumps(body).encode())


def answer(
    action: str, parameters: Mapping[str, Any] | None = None, *, reason: str = "It fits.", confidence: Any = 0.9
) -> Reply:
    """A right answer, or one that is only wrong in what it chooses."""
    choice: dict[str, Any] = {"action": action}
    if parameters is not None:
        choice["parameters"] = dict(parameters)
    return envelope(json.dumps({"reason": reason, "choice": choice, "confidence": confidence}))


def failure(
    status: int, name: str, message: str, *, headers: Mapping[str, str] | None = None, details: list[Any] | None = None
) -> Reply:
    """An error as the service words it."""
    error = {"code": status, "message": message, "status": name, "details": details or []}
    return Reply(status=status, body=json.dumps({"error": error}).encode(), headers=headers or {})


class GeminiServer:
    """Listens on a free loopback port while entered."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self._script: list[Behaviour] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def script(self, *behaviours: Behaviour) -> None:
        """What to answer from now on; requests seen so far are forgotten."""
        with self._lock:
            self._script = list(behaviours)
            self.requests.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, received: Received) -> Reply:
        with self._lock:
            self.requests.append(received)
            behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return behaviour if isinstance(behaviour, Reply) else behaviour(received)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                received = Received(path=self.path, headers=dict(self.headers.items()), raw=raw)
                self.close_connection = True
                # The client may have had enough, as some behaviours mean it to.
                with suppress(BrokenPipeError, ConnectionResetError):
                    server._send(self, server._next(received))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.silent:
            self._closing.wait()
            return
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if not reply.endless:
            handler.send_header("Content-Length", str(len(reply.body) + (1000 if reply.cut else 0)))
        handler.end_headers()
        while reply.endless and not self._closing.is_set():
            handler.wfile.write(reply.endless)
        if not reply.drip:
            handler.wfile.write(reply.body)
            return
        for byte in reply.body:
            if self._closing.wait(reply.drip):
                return
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
