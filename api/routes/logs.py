"""GET /api/system-logs/recent: records that were kept as evidence."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api import shapes
from api.errors import ApiError
from api.requests import LEVELS, host_of
from api.roles import needs
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.domain.records import Severity

router = APIRouter(dependencies=[needs(Role.VIEWER)])

#: Incidents that are looked through, newest first.
INCIDENTS = 200


@router.get("/api/system-logs/recent")
def recent(
    state: State, level: str = "ERROR", host: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> dict[str, Any]:
    """Newest first; of `level` or worse. Only what states an error is collected at all."""
    if level.upper() not in Severity.__members__:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"level: accepted are {LEVELS}.", field="level")
    mildest = Severity[level.upper()]
    if host is not None:
        host = host_of(state.fleet, host)
    found = [
        (record, incident)
        for incident in state.store.incidents(host=host, limit=INCIDENTS)
        for record in state.store.evidence(incident.id, limit)
        if shapes.level(record, incident) >= mildest
    ]
    found.sort(key=lambda pair: pair[0].time, reverse=True)
    logs = [
        {
            "timestamp": record.time.isoformat(),
            "host": record.host,
            "service": record.unit,
            "level": shapes.level(record, incident).name,
            "message": record.message,
            "source": record.source,
            "incident": incident.id,
        }
        for record, incident in found[:limit]
    ]
    return {"status": "success", "count": len(logs), "logs": logs}
