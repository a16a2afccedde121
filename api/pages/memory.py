"""Memory: what healed before is chosen again; what people say of that, and where they say it."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.errors import ApiError
from api.pages.incidents import following, paged
from api.pages.site import form, page, span
from api.roles import Caller, needs
from api.state import ApiState, State
from api.v1.memory import Forbid, Pin, Release, find, say
from orchestrator import precedents
from orchestrator.domain.access import Role
from orchestrator.domain.pages import IncidentFilter, Page
from orchestrator.precedents import Remembered

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Errors on a page: each is counted from its healings.
ERRORS = 12
#: Incidents of one error that are listed with it, and how old they may be.
ROWS, DAYS = 15, 30


@router.get("/memory")
def memory(request: Request, state: State) -> HTMLResponse:
    """What is known of each error, the latest first."""
    asked, times = replace(paged(request), limit=ERRORS), state.settings.memory_healed_times
    found = state.store.page_remembered(asked)
    return page(
        request,
        "memory.html",
        stopped=state.store.stopped(),
        known=[row for one in found.items for row in precedents.details(state.store, one, times)],
        next=following(request, found.next),
        times=times,
    )


@router.get("/memory/{signature}")
def remembered(request: Request, signature: str, state: State) -> HTMLResponse:
    """One error, each healing that memory counts, and where a person says a word."""
    return _shown(request, signature, state, "", HTTPStatus.OK)


def _shown(request: Request, signature: str, state: ApiState, problem: str, status: HTTPStatus) -> HTMLResponse:
    store, known = state.store, find(state, signature)
    rows = precedents.details(store, known, state.settings.memory_healed_times)
    return page(
        request,
        "remembered.html",
        status=status,
        stopped=store.stopped(),
        known=known,
        words=precedents.words(store, known),
        rows=rows,
        pinnable=[(_label(row), _deed(row)) for row in rows if row.action and row.done],
        actions=[one.id for one in state.actions],
        incidents=store.page_incidents(
            IncidentFilter(signature=known.signature, since=span(DAYS)), Page(limit=ROWS)
        ).items,
        days=DAYS,
        problem=problem,
    )


@router.post("/memory/{signature}", dependencies=[needs(Role.ADMIN)])
async def word(request: Request, signature: str, state: State, caller: Caller) -> Response:
    """Said once; what can't be says why."""
    given = await form(request)
    try:
        said = _read(given)
    except (ValidationError, ValueError):
        problem = "Say why in a few words, and choose what is meant. Nothing was done."
        return await run_in_threadpool(_shown, request, signature, state, problem, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        await run_in_threadpool(say, state, signature, caller, said)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return await run_in_threadpool(_shown, request, signature, state, error.message, HTTPStatus(error.status))
    return RedirectResponse(f"/memory/{quote(signature, safe='')}", HTTPStatus.SEE_OTHER)


def _read(given: dict[str, str]) -> Pin | Forbid | Release:
    """Raises ValueError, ValidationError."""
    reason = given.get("reason", "")
    match given.get("word"):
        case "pin":
            deed: Any = json.loads(given.get("deed", ""))
            return Pin.model_validate({**deed, "reason": reason} if isinstance(deed, dict) else deed)
        case "forbid":
            return Forbid.model_validate({"action": given.get("action", ""), "reason": reason})
        case "release":
            return Release.model_validate({"reason": reason})
    raise ValueError("no word")


def _deed(row: Remembered) -> str:
    return json.dumps({"action": row.action, "parameters": dict(row.parameters)})


def _label(row: Remembered) -> str:
    return f"{row.action} {' '.join(f'{name}={value}' for name, value in row.parameters.items())}".strip()
