"""GET /api/approvals and /api/approvals/{id}, POST /api/approvals/{id}: questions to a person."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from api import shapes
from api.described import BODY, CONFLICT, MISSING
from api.errors import ApiError
from api.requests import Text
from api.roles import Caller, needs
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.errors import AnswerRefused
from orchestrator.guard.answering import Bar

router = APIRouter(prefix="/api/approvals", dependencies=[needs(Role.VIEWER)])


class Answered(BaseModel):
    """What a person says, and why."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["approved", "denied"]
    reason: Text


@router.get("")
def approvals(
    state: State,
    answer: Answer | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Newest first; each with the digest of the very bytes that would run."""
    found = state.store.approvals((answer,) if answer else (), limit)
    return {"status": "success", "count": len(found), "approvals": shapes.plain(found)}


@router.get("/{approval_id}", responses=MISSING)
def approval(approval_id: str, state: State) -> dict[str, Any]:
    """What is sick, what was decided and why, and what would change on the host."""
    found = state.store.approval(approval_id)
    if found is None:
        raise _unknown()
    return {
        "status": "success",
        "approval": shapes.plain(found),
        "decision": shapes.plain(state.store.decision(found.incident_id)),
        "evidence": shapes.plain(state.store.evidence(found.incident_id)),
    }


@router.post("/{approval_id}", dependencies=[needs(Role.APPROVER)], responses={**MISSING, **CONFLICT, **BODY})
def answer(approval_id: str, answered: Answered, state: State, caller: Caller) -> dict[str, Any]:
    """Carried out within a second by the worker.

    409 where it was answered before, has expired or is void; 403 where the host's policy lets somebody else answer.
    """
    return {"status": "success", "approval": shapes.plain(answered_by(approval_id, answered, state, caller))}


def answered_by(approval_id: str, answered: Answered, state: State, caller: Caller) -> Approval:
    """The answered question. Raises ApiError: 403, 404, 409."""
    if state.store.approval(approval_id) is None:
        raise _unknown()
    try:
        return state.answer(approval_id, Answer(answered.answer), caller.actor, answered.reason)
    except AnswerRefused as error:
        raise refused(error) from error


def refused(error: AnswerRefused) -> ApiError:
    """Who may not is 403, what can't be any more 409."""
    status = HTTPStatus.FORBIDDEN if error.bar in (Bar.APPROVER, Bar.FOUR_EYES) else HTTPStatus.CONFLICT
    return ApiError(status, error.bar, str(error))


def _unknown() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", "There is no such approval. GET /api/approvals lists them.")
