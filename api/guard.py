"""Who asks, before any route: host name, origin, token, size. New routes are covered without a word.

Reads are open on a loopback address alone; whatever changes state needs a bearer token anywhere, and its role is
looked at by the route (see roles). A browser page of another site reaches nothing: its Host (DNS rebinding) or
Origin (forged form) gives it away. Whatever asks for a change is recorded, with its actor, address and outcome.
"""

from __future__ import annotations

import hmac
import logging
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import bodies
from api.errors import error_response, for_a_person
from api.identity import Identities, Throttle
from api.paths import FORMS, PUBLIC, SIGNED, STATIC, is_page
from orchestrator.access import is_loopback
from orchestrator.domain.access import ANONYMOUS, Identity
from orchestrator.domain.speech import printable
from orchestrator.errors import HealingError, StoreUnavailable

READS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: A browser or proxy must keep no copy of what a host logged, nor guess its type.
SAFE_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    # Nothing of elsewhere, and no script or style that stands in a page itself: whatever a host logged is text.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}


#: Of a person's session. Not readable by scripts, and sent by no other site's form.
COOKIE = "healer_session"
#: Characters of a method and of a path that the ledger keeps.
METHOD_KEPT, PATH_KEPT = 20, 200

log = logging.getLogger("healing.api")


class Guard:
    """ASGI middleware."""

    def __init__(
        self, app: ASGIApp, *, identities: Identities, throttle: Throttle, api_host: str, api_url: str
    ) -> None:
        self._app = app
        self._identities = identities
        self._throttle = throttle
        # A proxy on this machine passes on the name that people reach it by.
        named = {api_host.lower().strip("[]"), urlsplit(api_url).hostname or ""}
        self._names = LOOPBACK_NAMES | (named - {""})
        self._loopback = is_loopback(api_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        reads, headers, incoming = scope["method"] in READS, Headers(scope=scope), bodies.Incoming(receive)
        recorded = reads

        async def record(status: int) -> None:
            nonlocal recorded
            # A route that knows its caller by a signature has said so meanwhile.
            asking = scope["state"]["identity"]
            if not recorded and asking is not ANONYMOUS:
                await run_in_threadpool(self._record, scope, asking, status)
            recorded = True

        async def safe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                # First, so that nobody holds an answer that the ledger doesn't know of.
                await record(message["status"])
            await send(message)

        found = await self._let_in(scope, headers, reads=reads)
        refused, caller = (found, ANONYMOUS) if isinstance(found, Response) else (None, found)
        if refused is None and not reads:
            taken = await _take(headers, incoming, caller)
            if isinstance(taken, JSONResponse):
                refused = taken
            else:
                receive = taken
        scope.setdefault("state", {})["identity"] = caller
        if isinstance(refused, JSONResponse):
            refused = for_a_person(scope, refused)
        try:
            if refused is None:
                await self._app(scope, receive, safe_send)
            else:
                await bodies.refuse(refused, scope, incoming, safe_send)
        except Exception:  # answered further out, as an error of ours; recorded like any other call
            await record(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        finally:
            await record(0)

    async def _let_in(self, scope: Scope, headers: Headers, *, reads: bool) -> Identity | Response:
        """Who asks, or why nobody is let in."""
        try:
            return self._misplaced(headers, reads=reads) or await self._caller(scope, headers, reads=reads)
        except StoreUnavailable as error:
            return error_response(HTTPStatus.SERVICE_UNAVAILABLE, error.code, str(error))

    def _misplaced(self, headers: Headers, *, reads: bool) -> JSONResponse | None:
        host = headers.get("host", "")
        if host and not _name(host):
            return error_response(HTTPStatus.FORBIDDEN, "host", "The Host that was asked for is no name of a host.")
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
        return None

    async def _caller(self, scope: Scope, headers: Headers, *, reads: bool) -> Identity | Response:
        """Who asks, or why nobody is let in. Raises StoreUnavailable."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return await self._visitor(scope, headers, reads=reads)
        address = address_of(scope)
        wait = self._throttle.wait(address)
        if wait:
            return error_response(
                HTTPStatus.TOO_MANY_REQUESTS,
                "throttled",
                f"Too many wrong tokens came from this address. Nothing was done; try again in {wait:.0f} s.",
                headers={"retry-after": f"{wait:.0f}"},
            )
        caller = await run_in_threadpool(self._identities.of, key.strip())
        if caller is None:
            if self._throttle.wrong(address):
                await run_in_threadpool(self._record_wrong, scope)
            return _unknown()
        return caller

    async def _visitor(self, scope: Scope, headers: Headers, *, reads: bool) -> Identity | Response:
        """Who comes without a token: a person at a browser, or anybody where that is enough."""
        path = str(scope["path"])
        if path.startswith(STATIC):
            return ANONYMOUS
        value = cookie(headers)
        if value:
            person = await run_in_threadpool(self._identities.of_session, value)
            if person is not None:
                return person
        if (reads and self._loopback) or path in PUBLIC | SIGNED | FORMS:
            return ANONYMOUS
        if headers.get("hx-request") and is_page(path):
            # A part of a page whose session is over: the page goes, and not the part.
            seen = urlsplit(headers.get("hx-current-url", "")).path
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"hx-redirect": _to_login(seen or "/")})
        if is_page(path) and (reads or "text/html" in headers.get("accept", "")):
            return RedirectResponse(_to_login(path), HTTPStatus.SEE_OTHER)
        return _unknown()

    def _record(self, scope: Scope, caller: Identity, status: int) -> None:
        asked = _asked(scope)
        self._append(
            "api.called",
            f"{caller.actor} ({caller.role}) asked from {address_of(scope)}: {asked}, answered {status or 'nothing'}",
            caller.actor,
            {"address": address_of(scope), "asked": asked, "role": caller.role.value, "status": status},
        )

    def _record_wrong(self, scope: Scope) -> None:
        asked = _asked(scope)
        said = f"a wrong token came from {address_of(scope)}: {asked}; more of them within 5 minutes are not recorded"
        self._append("api.refused", said, ANONYMOUS.actor, {"address": address_of(scope), "asked": asked})

    def _append(self, kind: str, text: str, actor: str, data: dict[str, object]) -> None:
        try:
            self._identities.store.append(kind, text=text, actor=actor, data=data)
        except HealingError as error:
            # What was changed stands in the ledger by itself, written with the change.
            log.warning("a call could not be recorded: %s (%s)", text, error)


def _asked(scope: Scope) -> str:
    return f"{printable(str(scope['method']))[:METHOD_KEPT]} {printable(str(scope['path']))[:PATH_KEPT]}"


def cookie(headers: Headers) -> str:
    """The value of our cookie; '' where there is none."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


async def _take(headers: Headers, incoming: bodies.Incoming, caller: Identity) -> JSONResponse | Receive:
    """What gives the call's body to its route, or why it is given to none."""
    body = await bodies.read(headers, incoming)
    if isinstance(body, JSONResponse):
        return body
    if caller.csrf and not _of_our_form(headers, body, caller):
        return error_response(
            HTTPStatus.FORBIDDEN, "csrf", "The form is older than the session. Nothing was done; load it again."
        )
    return bodies.again(body, incoming)


def _of_our_form(headers: Headers, body: bytes, caller: Identity) -> bool:
    given = headers.get("x-csrf-token", "")
    if not given and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        given = parse_qs(body.decode("utf-8", "replace")).get("csrf", [""])[0]
    return hmac.compare_digest(given.encode(), caller.csrf.encode())


def _to_login(path: str) -> str:
    return f"/login?{urlencode({'next': path})}"


def _unknown() -> JSONResponse:
    return error_response(
        HTTPStatus.UNAUTHORIZED,
        "token",
        "This needs the header `Authorization: Bearer TOKEN` with a token that is neither revoked nor expired: the one "
        "in the token file of state_dir, or one of `healer tokens create`.",
        headers={"www-authenticate": "Bearer"},
    )


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


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
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
