"""POST /api/test/inject-error: an error that never was, for tests of the whole chain."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from api.described import BODY
from api.errors import ApiError
from api.requests import Injection, host_of
from api.roles import Caller, needs
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.errors import InventoryError

router = APIRouter(dependencies=[needs(Role.OPERATOR)])


@router.post("/api/test/inject-error", status_code=HTTPStatus.ACCEPTED, responses=BODY)
def inject(injection: Injection, state: State, caller: Caller) -> dict[str, Any]:
    """202: it goes its way, marked as injected for ever. 403 unless enabled, and on any host but a lab's or local."""
    if not state.settings.inject_errors:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "inject_disabled",
            "Injecting errors is switched off. Set inject_errors = true in healer.toml of a lab, never in production.",
        )
    host = host_of(state.fleet, injection.host)
    try:
        incident_id = state.trigger(
            host=host,
            service=injection.service,
            message=injection.message,
            level=injection.level,
            timestamp=None,
            actor=f"{caller.actor} ({injection.source})",
            injected=True,
        )
    except InventoryError as error:
        raise ApiError(HTTPStatus.FORBIDDEN, "inject_refused", str(error), field="host") from error
    return {
        "status": "success",
        "message": f"The error entered on {host}.",
        "injected": {"incident": incident_id, "host": host, "link": f"/api/incidents/{incident_id}"},
    }
