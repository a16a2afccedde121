"""Outbreaks, and the story of one: whom it struck, what was decided for all, the waves, and where they stopped."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.errors import ApiError
from api.outbreaks import stands, tell
from api.pages.incidents import STEPS, following, paged
from api.pages.site import form, gone, page
from api.roles import Caller, needs
from api.routes.approvals import Answered
from api.state import ApiState, State
from api.v1.outbreaks import answered_all
from orchestrator.domain import ids
from orchestrator.domain.access import Role
from orchestrator.domain.outbreaks import OutbreakState
from orchestrator.domain.pages import OutbreakFilter
from orchestrator.outbreak_answer import questions

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])


@router.get("/outbreaks")
def outbreaks(request: Request, state: State, host: str = "") -> HTMLResponse:
    """Newest first."""
    found = state.store.page_outbreaks(OutbreakFilter(host=host or None), paged(request))
    return page(
        request,
        "outbreaks.html",
        stopped=state.store.stopped(),
        outbreaks=[(one, len(state.store.members(one.id))) for one in found.items],
        next=following(request, found.next),
        host=host,
        hosts=sorted(one.name for one in state.fleet.hosts()),
        least=state.settings.outbreak_hosts,
    )


@router.get("/outbreaks/{outbreak_id}")
def outbreak(request: Request, outbreak_id: str, state: State) -> HTMLResponse:
    """The story, and one answer to all that is asked about it."""
    return _shown(request, outbreak_id, state, (), HTTPStatus.OK)


def _shown(
    request: Request, outbreak_id: str, state: ApiState, problems: Sequence[str], status: HTTPStatus
) -> HTMLResponse:
    told = _told(state, outbreak_id)
    asked = questions(state.store, told["outbreak"])
    return page(request, "outbreak.html", status=status, problems=problems, asked=asked, **told)


@router.post("/outbreaks/{outbreak_id}", dependencies=[needs(Role.APPROVER)])
async def answer(request: Request, outbreak_id: str, state: State, caller: Caller) -> Response:
    """What was not taken says why, host by host."""
    given = await form(request)
    try:
        answered = Answered.model_validate({"answer": given.get("answer", ""), "reason": given.get("reason", "")})
    except ValidationError:
        problem = "Say why in a few words, then approve or deny. Nothing was done."
        return await run_in_threadpool(_shown, request, outbreak_id, state, (problem,), HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        told = await run_in_threadpool(answered_all, outbreak_id, answered, state, caller)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return await run_in_threadpool(_shown, request, outbreak_id, state, (error.message,), HTTPStatus(error.status))
    if any(one.taken for one in told):
        return RedirectResponse(f"/outbreaks/{outbreak_id}", HTTPStatus.SEE_OTHER)
    why = tuple(f"{one.approval.host}: {one.sentence}" for one in told)
    return await run_in_threadpool(_shown, request, outbreak_id, state, why, HTTPStatus.CONFLICT)


@router.get("/parts/outbreaks/{outbreak_id}")
def part(request: Request, outbreak_id: str, state: State) -> HTMLResponse:
    """The story anew, while it goes on."""
    return page(request, "parts/outbreak.html", **_told(state, outbreak_id))


def _told(state: ApiState, outbreak_id: str) -> dict[str, Any]:
    store = state.store
    found = store.outbreak(outbreak_id)
    if found is None:
        raise gone("outbreak")
    decider = ids.decider_of(found.id)
    return {
        "stopped": store.stopped(),
        "outbreak": found,
        "story": tell(store, found, state.settings.outbreak_window_seconds),
        "stands": stands,
        "decider": store.incident(decider),
        "decision": store.decision(decider),
        "events": store.events(incident_id=found.id, limit=STEPS),
        "over": found.state is not OutbreakState.HEALING,
    }
