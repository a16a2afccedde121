"""GET /healthz: for a supervisor or load balancer; the one read that never needs a token."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from api.errors import ApiError
from api.routes.status import monitoring
from api.state import State

router = APIRouter()


@router.get("/healthz")
def healthz(state: State) -> dict[str, Any]:
    """200 while the store answers and a worker beats, else 503."""
    if not monitoring(state):
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "worker_silent",
            "No worker has beaten lately: it hangs, or its store can't be written. See the log of `healer serve`.",
        )
    return {"status": "success"}
