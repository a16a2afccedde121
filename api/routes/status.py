"""GET /api/auto-healer/status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

from api.roles import needs
from api.state import ApiState, State
from orchestrator.domain.access import Role
from orchestrator.domain.hosts import Mode

router = APIRouter(dependencies=[needs(Role.VIEWER)])

#: A worker beats every second; one that has been silent for this long is not there.
SILENCE = timedelta(seconds=15)


def monitoring(state: ApiState) -> bool:
    """Whether a worker collects right now."""
    seen = state.store.worker_seen()
    return seen is not None and datetime.now(UTC) - seen < SILENCE


@router.get("/api/auto-healer/status")
def status(state: State) -> dict[str, Any]:
    """`auto_execute`: at least one host is in mode auto. `max_attempts`: the largest of any host."""
    policies = [host.policy for host in state.fleet.hosts()]
    stopped = state.store.stopped()
    answer: dict[str, Any] = {
        "enabled": stopped is None,
        "auto_execute": any(policy.mode is Mode.AUTO for policy in policies),
        "monitoring": monitoring(state),
        "max_attempts": max((policy.max_attempts for policy in policies), default=0),
    }
    if stopped is not None:
        answer["stopped"] = stopped
    return {"status": "success", "auto_healer": answer}
