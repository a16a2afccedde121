"""GET /api/auto-healer/history and /statistics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api import shapes
from api.roles import needs
from api.state import State
from orchestrator.domain.access import Role

router = APIRouter(prefix="/api/auto-healer", dependencies=[needs(Role.VIEWER)])


@router.get("/history")
def history(state: State, limit: Annotated[int, Query(ge=1, le=500)] = 50, injected: bool = True) -> dict[str, Any]:
    """Incidents, newest first; injected ones are marked."""
    entries = []
    for incident in state.store.incidents(limit=limit, injected=injected):
        runs = state.store.runs(incident_id=incident.id)
        entries.append(
            {
                "timestamp": incident.first_seen.isoformat(),
                "error": shapes.error(incident, state.store.evidence(incident.id, 1)),
                "status": incident.state.value,
                "actions": shapes.actions(runs),
                "success": incident.state in shapes.WELL,
                "reason": incident.reason,
                "injected": incident.origin.value == "injected",
            }
        )
    return {"status": "success", "count": len(entries), "history": entries}


@router.get("/statistics")
def statistics(state: State, injected: bool = False) -> dict[str, Any]:
    """Attempts and their ends; `success_rate` is percent of the ended ones."""
    counted = state.store.statistics(injected=injected)
    return {
        "status": "success",
        "statistics": {
            "total_attempts": counted.total_attempts,
            "successful": counted.successful,
            "failed": counted.failed,
            "pending": counted.pending,
            "success_rate": counted.success_rate,
        },
    }
