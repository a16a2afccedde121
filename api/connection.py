"""One client's connection: what is not HTTP is refused in the one shape of errors, and no client holds on for nothing.

uvicorn gives a client that says nothing, or takes nothing, all the time in the world.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import error_response

#: Connections at a time. A browser has up to six, and each costs a file descriptor, as each SSH session does.
CONNECTIONS_MAX = 256
#: Seconds for a request's line and headers to arrive, and for the rest of a body that was refused.
HEADERS_SECONDS = 10.0
#: Seconds for which a client may take nothing of what it asked for.
PATIENCE = 30.0
#: Seconds between two looks at a connection.
LOOK = 1.0
#: Before them the answer to a request can still begin.
_BEFORE = (h11.IDLE, h11.SEND_RESPONSE)


class Connection(H11Protocol):
    """uvicorn's own, watched."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Since when the next request is awaited, when the client took something last, and what it has not taken.
        self._since = self._taken = self.loop.time()
        self._untaken = 0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Watched from here on; one too many is told so."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(LOOK, self._look)
        if len(self.connections) > CONNECTIONS_MAX:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, "connections", f"{CONNECTIONS_MAX} connections are open. Close some."
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """It is watched no more."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def on_response_complete(self) -> None:
        """From now on the next request is awaited."""
        self._since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Called while the error of h11 is handled, which knows whether it was too much or nonsense."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.ProtocolError) else 400
        if hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._refuse(hint, "too_large", "The request's line and headers are too large. Nothing was done.")
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "http", "This is no HTTP request. Nothing was done.")

    def _look(self) -> None:
        now, untaken = self.loop.time(), self.transport.get_write_buffer_size()
        if not untaken or untaken < self._untaken:
            self._taken = now
        self._untaken = untaken
        waits = self.cycle is None or self.cycle.response_complete
        if untaken and now - self._taken >= PATIENCE:
            self.transport.abort()
        elif waits and not untaken and now - self._since >= HEADERS_SECONDS:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "timeout", "The request did not arrive in time.")
        self._watch = self.loop.call_later(LOOK, self._look)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer where that is possible still, and close."""
        if self.conn.our_state not in _BEFORE:
            self.transport.abort()
            return
        answer = error_response(status, code, message, headers={"connection": "close"})
        for event in (
            h11.Response(status_code=status, headers=answer.raw_headers, reason=HTTPStatus(status).phrase.encode()),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
