"""Who may ask what, before any route: host name, origin, token, size. New routes are covered without a word.

Reads are open on a loopback address alone; whatever changes state needs the bearer token anywhere. A browser
page of another site reaches nothing: its Host (DNS rebinding) or Origin (forged form) gives it away.
"""

from __future__ import annotations

import asyncio
import hmac
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import error_response

#: Bytes of a request's body. The longest one carries a log line.
BODY_LIMIT = 64 * 1024
#: Seconds for a body to arrive.
BODY_SECONDS = 10.0
READS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: A browser or proxy must keep no copy of what a host logged, nor guess its type.
SAFE_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, token: str, api_host: str) -> None:
        self._app = app
        self._token = token.encode()
        self._names = LOOPBACK_NAMES | {api_host.lower().strip("[]")}
        self._loopback = _is_loopback(api_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reads = scope["method"] in READS
        refused = self._refuse(Headers(scope=scope), str(scope["path"]), reads=reads)
        if refused is None and not reads:
            body = await _body(Headers(scope=scope), receive)
            if isinstance(body, JSONResponse):
                refused = body
            else:
                receive = _again(body, receive)
        await (refused or self._app)(scope, receive, safe_send)

    def _refuse(self, headers: Headers, path: str, *, reads: bool) -> JSONResponse | None:
        host = headers.get("host", "")
        if self._loopback and _name(host) not in self._names:
            return error_response(
                HTTPStatus.FORBIDDEN,
                "host",
                f"This API answers to {', '.join(sorted(self._names))}, not to the Host that was asked for.",
            )
        if not reads and not _same_origin(headers, host):
            return error_response(
                HTTPStatus.FORBIDDEN, "origin", "A page of another site may change nothing here. Nothing was done."
            )
        if (reads and self._loopback) or path == "/healthz" or self._known(headers):
            return None
        return error_response(
            HTTPStatus.UNAUTHORIZED,
            "token",
            "This needs the header `Authorization: Bearer TOKEN`; TOKEN is in the token file of state_dir.",
            headers={"www-authenticate": "Bearer"},
        )

    def _known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _name(host: str) -> str:
    """The host of a Host header, without port; '' where it does not parse."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_origin(headers: Headers, host: str) -> bool:
    """No Origin (no browser), or that of this very server."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


async def _body(headers: Headers, receive: Receive) -> bytes | JSONResponse:
    too_large = error_response(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"A body may have {BODY_LIMIT} bytes. Nothing was done."
    )
    declared = headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > BODY_LIMIT:
        return too_large
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += bytes(message.get("body", b""))
                if len(body) > BODY_LIMIT:
                    return too_large
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        return error_response(HTTPStatus.REQUEST_TIMEOUT, "timeout", "The body did not arrive in time.")


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the route the body that was read; later calls wait for the client to go away, as before."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
