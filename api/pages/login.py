"""Signing in with a token, and out."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.guard import COOKIE, address_of, cookie
from api.identity import Identities, Throttle
from api.pages.site import form, page
from api.roles import needs
from orchestrator.access import SESSION_HOURS
from orchestrator.domain.access import Role

router = APIRouter(include_in_schema=False)


def _next(given: str) -> str:
    """A page of ours and nothing else: no other host, and no backslash that a browser reads as a slash."""
    parts = urlsplit(given)
    ours = given.startswith("/") and not given.startswith("//") and "\\" not in given
    return given if ours and not parts.netloc and not parts.scheme and given.isprintable() else "/"


@router.get("/login")
def login(request: Request) -> HTMLResponse:
    """The form."""
    return page(request, "login.html", next=_next(request.query_params.get("next", "/")), problem="", stopped=None)


@router.post("/login")
async def signed_in(request: Request) -> Response:
    """A session for who shows a good token. Wrong ones are counted by address, and the eleventh has to wait."""
    given = await form(request)
    target = _next(given.get("next", "/"))
    identities: Identities = request.app.state.identities
    throttle: Throttle = request.app.state.throttle
    address = address_of(request.scope)
    wait = throttle.wait(address)
    if wait:
        problem = f"Too many wrong tokens came from your address. Try again in {wait:.0f} s."
        headers = {"retry-after": f"{wait:.0f}"}
        return page(
            request,
            "login.html",
            status=HTTPStatus.TOO_MANY_REQUESTS,
            headers=headers,
            next=target,
            problem=problem,
            stopped=None,
        )
    value = await run_in_threadpool(identities.open_session, given.get("token", "").strip())
    if value is None:
        if throttle.wrong(address):
            text = f"a wrong token came from {address} at the sign-in; more within 5 minutes are not recorded"
            await run_in_threadpool(
                identities.store.append, "api.refused", text=text, actor="anonymous", data={"address": address}
            )
        problem = "This is no good token: it is wrong, revoked, or has expired."
        return _again(request, target, problem, HTTPStatus.UNAUTHORIZED, {})
    person = await run_in_threadpool(identities.of_session, value)
    if person is not None:
        text = f"{person.actor} ({person.role}) signed in from {address}"
        await run_in_threadpool(
            identities.store.append, "session.opened", text=text, actor=person.actor, data={"address": address}
        )
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        str(value),
        max_age=SESSION_HOURS * 3600,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


def _again(request: Request, target: str, problem: str, status: int, headers: dict[str, str]) -> HTMLResponse:
    shown = {"next": target, "problem": problem, "stopped": None}
    return page(request, "login.html", status=status, headers=headers, **shown)


@router.post("/logout", dependencies=[needs(Role.VIEWER)])
def signed_out(request: Request) -> RedirectResponse:
    """The session is over, also for a copy of its cookie."""
    identities: Identities = request.app.state.identities
    identities.close_session(cookie(request.headers))
    answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE)
    return answer
