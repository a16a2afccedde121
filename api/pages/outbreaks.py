"""Outbreaks, and the story of one: whom it struck, what was decided for all, the waves, and where they stopped."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.errors import ApiError
from api.outbreaks import stands, tell
from api.pages.incidents import STEPS, following, paged
from api.pages.site import page
from api.roles import needs
from api.state import ApiState, State
from orchestrator.domain import ids
from orchestrator.domain.access import Role
from orchestrator.domain.outbreaks import OutbreakState
from orchestrator.domain.pages import OutbreakFilter

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
    """The story."""
    return page(request, "outbreak.html", **_told(state, outbreak_id))


@router.get("/parts/outbreaks/{outbreak_id}")
def part(request: Request, outbreak_id: str, state: State) -> HTMLResponse:
    """The story anew, while it goes on."""
    return page(request, "parts/outbreak.html", **_told(state, outbreak_id))


def _told(state: ApiState, outbreak_id: str) -> dict[str, Any]:
    store = state.store
    found = store.outbreak(outbreak_id)
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "There is no such outbreak; it may have been pruned.")
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
