"""GET /api/runs/{id}: one playbook run with its tasks and artifacts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from api import shapes
from api.described import MISSING
from api.errors import ApiError
from api.roles import needs
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.record import artifacts, review

router = APIRouter(prefix="/api/runs", dependencies=[needs(Role.VIEWER)])


@router.get("/{run_id}", responses=MISSING)
def run(run_id: str, state: State) -> dict[str, Any]:
    """How it ended, task by task, and which files it left; of very many, the first."""
    found = state.store.run(run_id)
    if found is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND, "not_found", "There is no such run. GET /api/incidents/ID lists an incident's."
        )
    left = review.left(artifacts.folder_of(state.settings.artifacts_dir, found.id))
    return {
        "status": "success",
        "run": shapes.plain(found),
        "tasks": shapes.plain(left.tasks),
        "files": shapes.plain(left.files),
    }
