"""GET /api/v1/stream: the ledger as it is written, as server-sent events that go on where they broke off."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import ApiError
from api.roles import needs
from api.state import State
from api.v1 import shapes
from api.v1.shapes import ROOT
from orchestrator.domain.access import Role
from orchestrator.errors import HealingError
from orchestrator.ports import ApiStore

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])

#: Streams at a time.
STREAMS_MAX = 50
#: Seconds between two looks, and between two signs of life.
LOOK, SIGN = 0.5, 15.0
#: Lines of one look, which are held for a client until it takes them.
LINES = 50

_open = threading.BoundedSemaphore(STREAMS_MAX)


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "`id` is the line's number in the ledger"}},
)
async def stream(
    request: Request,
    state: State,
    after: Annotated[
        int | None, Query(ge=0, le=2**53, description="from the line after this; else from now on")
    ] = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,15}$")] = None,
) -> Response:
    """What a client that reconnects sends as Last-Event-ID counts before `after`."""
    begin, newest = int(last) if last is not None else after, await run_in_threadpool(state.store.newest)
    # A line that is not there yet is of a store that was put back: waiting for it would hide what comes.
    begin = newest if begin is None else min(begin, newest)
    if not _open.acquire(blocking=False):
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS, "streams", f"{STREAMS_MAX} streams are open. Close one, or ask GET audit."
        )
    return EventStream(request.app.state.tail, begin)


class Tail:
    """What is new in the ledger, asked once for all streams that are at the same line."""

    def __init__(self, store: ApiStore) -> None:
        self._store = store
        self._turn = asyncio.Lock()
        self._found: dict[int, tuple[tuple[int, bytes], ...]] = {}
        self._looked = float("-inf")

    async def after(self, line: int) -> tuple[tuple[int, bytes], ...]:
        """The next LINES lines, each with its number, as they are sent; the last half of LOOK may be missing.

        Raises HealingError.
        """
        async with self._turn:
            if time.monotonic() - self._looked >= LOOK / 2:
                self._looked = time.monotonic()
                self._found.clear()
            if line not in self._found:
                events = await run_in_threadpool(self._store.events, after=line, limit=LINES)
                self._found[line] = tuple((one.seq, _piece(shapes.event(one))) for one in events)
            return self._found[line]


class EventStream(Response):
    """Holds a thread for no client; one that takes nothing is let go by its connection."""

    media_type = "text/event-stream"

    def __init__(self, tail: Tail, after: int) -> None:
        super().__init__()
        self._tail, self._after = tail, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            gone = asyncio.ensure_future(_gone(receive))
            try:
                async for piece in self._pieces(gone):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if not gone.done():
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                gone.cancel()
        finally:
            _open.release()

    async def _pieces(self, gone: asyncio.Future[None]) -> AsyncIterator[bytes]:
        yield b": the ledger, line by line\n\n"
        quiet = 0.0
        while not gone.done():
            try:
                found = await self._tail.after(self._after)
            except HealingError:
                # It reconnects, and goes on after the last line that it has.
                return
            for self._after, piece in found:
                yield piece
            if found:
                quiet = 0.0
                continue
            quiet += LOOK
            if quiet >= SIGN:
                quiet = 0.0
                yield b": still here\n\n"
            await asyncio.wait({gone}, timeout=LOOK)


def _piece(event: shapes.EventShape) -> bytes:
    # JSON on one line: nothing in it can end the event or begin another field.
    data = json.dumps(event.model_dump(mode="json"), ensure_ascii=True)
    return f"id: {event.seq}\ndata: {data}\n\n".encode()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
