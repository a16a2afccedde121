"""Bodies of requests: bounded in size and time, whoever sends them, and kept only where they are taken."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from api.errors import error_response

#: Bytes of a request's body. The longest one carries a log line.
BODY_LIMIT = 64 * 1024
#: Bytes of a refused body that are let pass, so that its sender sees the answer.
PASSED_BY = 16 * 1024 * 1024
#: Seconds for a body to arrive.
BODY_SECONDS = 10.0


class Incoming:
    """What comes of a request, and whether there is more."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        """The next piece."""
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


async def read(headers: Headers, receive: Receive) -> bytes | JSONResponse:
    """The whole of it, or why it is refused."""
    too_large = error_response(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"A body may have {BODY_LIMIT} bytes. Nothing was done."
    )
    declared = headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or int(declared) > BODY_LIMIT:
        return too_large
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    # What came may look whole and not be.
                    return error_response(HTTPStatus.BAD_REQUEST, "cut", "The body broke off. Nothing was done.")
                body += bytes(message.get("body", b""))
                if len(body) > BODY_LIMIT:
                    return too_large
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        return error_response(HTTPStatus.REQUEST_TIMEOUT, "timeout", "The body did not arrive in time.")


async def refuse(answer: Response, scope: Scope, incoming: Incoming, send: Send) -> None:
    """Answer at once, and only then let the rest of a body pass unkept: a client that sends all of it before it reads
    would be cut off, and never see why."""

    async def send_first(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(BODY_SECONDS):
                await _pass_by(incoming)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    headers = Headers(scope=scope)
    comes = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    await answer(scope, incoming, send_first if comes and not incoming.ended else send)


async def _pass_by(incoming: Incoming) -> None:
    passed = 0
    while passed < PASSED_BY and not incoming.ended:
        passed += len((await incoming()).get("body", b""))


def again(body: bytes, receive: Receive) -> Receive:
    """Give the route the body that was read; later calls wait for the client to go away, as before."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
