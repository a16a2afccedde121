"""One host: how well it is and why, what was sick and done there, what policy holds, and how it is being read."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.pages.site import page
from api.roles import needs
from api.scores import score_of
from api.state import State
from api.v1.queries import host_named, policy_now
from orchestrator import policies
from orchestrator.domain.access import Role
from orchestrator.domain.pages import IncidentFilter, Page

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Rows of each list; the other pages have the rest.
ROWS = 15


@router.get("/hosts/{name}")
def host(request: Request, name: str, state: State) -> HTMLResponse:
    """The whole page."""
    found, store, newest = host_named(state, name), state.store, Page(limit=ROWS)
    return page(
        request,
        "host.html",
        stopped=store.stopped(),
        host=found,
        source=next((one for one in state.reading() if one.host == name), None),
        health=score_of(state, name, datetime.now(UTC)),
        incidents=store.page_incidents(IncidentFilter(host=name), newest).items,
        healings=store.page_decisions(IncidentFilter(host=name, acts=True), newest).items,
        values=policies.values_of(found, state.settings) + policy_now(state),
    )
