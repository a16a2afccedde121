"""GET /api/incidents and /api/incidents/{id}: what links lead to."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api import shapes
from api.described import MISSING
from api.errors import ApiError
from api.roles import needs
from api.routes.heal import result
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.domain.incidents import IncidentState

router = APIRouter(prefix="/api/incidents", dependencies=[needs(Role.VIEWER)])


@router.get("")
def incidents(
    state: State,
    host: str | None = None,
    only: Annotated[IncidentState | None, Query(alias="state")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Newest first."""
    found = state.store.incidents(host=host, states=(only,) if only else (), limit=limit)
    return {"status": "success", "count": len(found), "incidents": shapes.plain(found)}


@router.get("/{incident_id}", responses=MISSING)
def incident(incident_id: str, state: State) -> dict[str, Any]:
    """One incident with evidence, decision, verdict, runs and every step."""
    found = state.store.incident(incident_id)
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "There is no such incident. GET /api/incidents lists them.")
    return {
        "status": "success",
        "incident": shapes.plain(found),
        "evidence": shapes.plain(state.store.evidence(incident_id)),
        "decision": shapes.plain(state.store.decision(incident_id)),
        "verdict": shapes.plain(state.store.verdict(incident_id)),
        "runs": shapes.plain(state.store.runs(incident_id=incident_id)),
        "events": shapes.plain(state.store.events(incident_id=incident_id)),
        "healing_result": result(state, found),
    }
