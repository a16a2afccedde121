"""Incidents, and the story of one: from its lines to its end."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.errors import ApiError
from api.outbreaks import outbreak_of
from api.pages.asked import asked
from api.pages.site import form, gone, page, states
from api.roles import Caller, needs
from api.state import State
from api.v1.asks import closed
from api.v1.queries import decoded, encoded
from orchestrator.domain import ids
from orchestrator.domain.access import Role
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.pages import IncidentFilter, Page
from orchestrator.domain.runs import BEFORE_ASKING
from orchestrator.ports import Event

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Rows on a page; lines of evidence, and steps, of one story.
ROWS, LINES, STEPS = 50, 50, 1000
#: Letters of a person's reason.
REASON_MAX = 500


def paged(request: Request) -> Page:
    """Which part of a list is asked for. Raises BadCursor."""
    return Page(limit=ROWS, after=decoded(request.query_params.get("cursor", "")))


def following(request: Request, place: str | None) -> str:
    """The URL of the next page; '' on the last one."""
    if place is None:
        return ""
    asked = {**dict(request.query_params), "cursor": encoded(place)}
    return f"{request.url.path}?{urlencode(asked)}"


@router.get("/incidents")
def incidents(request: Request, state: State, group: str = "", host: str = "", text: str = "") -> HTMLResponse:
    """Newest first; by group of states, host and words."""
    wanted = IncidentFilter(states=states(group), host=host or None, text=text[:200] or None)
    found = state.store.page_incidents(wanted, paged(request))
    return page(
        request,
        "incidents.html",
        stopped=state.store.stopped(),
        incidents=found.items,
        next=following(request, found.next),
        group=group,
        host=host,
        text=text,
        hosts=sorted(one.name for one in state.fleet.hosts()),
    )


@router.get("/incidents/{incident_id}")
def incident(request: Request, incident_id: str, state: State) -> HTMLResponse:
    """The story: evidence, choice, verdict, question, runs, end, each with its time."""
    return page(request, "incident.html", **_story(state, incident_id))


@router.post("/incidents/{incident_id}", dependencies=[needs(Role.OPERATOR)])
async def close(request: Request, incident_id: str, state: State, caller: Caller) -> Response:
    """Be done with it, with a reason; what can't be says why."""
    reason = (await form(request)).get("reason", "").strip()
    if not reason or len(reason) > REASON_MAX:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "Say why in a few words. Nothing was done.")
    await run_in_threadpool(closed, state, incident_id, caller, reason)
    return RedirectResponse(f"/incidents/{incident_id}", HTTPStatus.SEE_OTHER)


@router.get("/parts/incidents/{incident_id}")
def part(request: Request, incident_id: str, state: State) -> HTMLResponse:
    """The story anew, while it goes on."""
    return page(request, "parts/incident.html", **_story(state, incident_id))


def _story(state: State, incident_id: str) -> dict[str, Any]:
    store = state.store
    found = store.incident(incident_id)
    if found is None:
        raise gone("incident")
    events = store.events(incident_id=incident_id, limit=STEPS)
    runs = tuple(reversed(store.runs(incident_id=incident_id)))
    exchanges, problem = asked(store, incident_id)
    over = found.state in FINAL
    return {
        "stopped": store.stopped(),
        "incident": found,
        "evidence": store.evidence(incident_id, LINES),
        "decision": store.decision(incident_id),
        "decided": _at(events, "decision.made"),
        "verdict": store.verdict(incident_id),
        "judged": _at(events, "verdict.given"),
        "approval": store.approval(ids.approval_id(IncidentId(incident_id))),
        "facts": store.facts(incident_id),
        "exchanges": exchanges,
        "asked_problem": problem,
        "member": store.membership(incident_id),
        "outbreak": outbreak_of(store, found),
        "before": [run for run in runs if run.kind in BEFORE_ASKING],
        "runs": [run for run in runs if run.kind not in BEFORE_ASKING],
        "verified": _at(events, f"incident.{IncidentState.VERIFIED}"),
        "ended": _at(events, f"incident.{found.state}") if over else None,
        "events": events,
        "over": over,
    }


def _at(events: tuple[Event, ...], kind: str) -> datetime | None:
    return next((event.at for event in reversed(events) if event.kind == kind), None)
