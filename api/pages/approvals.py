"""Questions to a person: what would change, and yes or no with a reason."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.errors import ApiError
from api.outbreaks import outbreak_of
from api.pages.incidents import following, paged
from api.pages.site import form, gone, page
from api.roles import Caller, needs
from api.routes.approvals import Answered, answered_by
from api.state import ApiState, State
from orchestrator.domain.access import Role
from orchestrator.domain.pages import ApprovalFilter
from orchestrator.domain.verdicts import Answer

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])


@router.get("/approvals")
def approvals(request: Request, state: State, all: bool = False) -> HTMLResponse:  # a word of the URL
    """Open ones first, newest first."""
    wanted = ApprovalFilter(answers=() if all else (Answer.PENDING,))
    found = state.store.page_approvals(wanted, paged(request))
    return page(
        request,
        "approvals.html",
        stopped=state.store.stopped(),
        approvals=found.items,
        sick={one.id: state.store.incident(one.incident_id) for one in found.items},
        next=following(request, found.next),
        everything=all,
    )


@router.get("/approvals/{approval_id}")
def approval(request: Request, approval_id: str, state: State) -> HTMLResponse:
    """One question, with the lines behind it."""
    return _shown(request, approval_id, state, "", HTTPStatus.OK)


def _shown(request: Request, approval_id: str, state: ApiState, problem: str, status: HTTPStatus) -> HTMLResponse:
    found = state.store.approval(approval_id)
    if found is None:
        raise gone("question")
    incident = state.store.incident(found.incident_id)
    return page(
        request,
        "approval.html",
        outbreak=outbreak_of(state.store, incident) if incident else "",
        status=status,
        stopped=state.store.stopped(),
        approval=found,
        decision=state.store.decision(found.incident_id),
        evidence=state.store.evidence(found.incident_id, 20),
        problem=problem,
    )


@router.post("/approvals/{approval_id}", dependencies=[needs(Role.APPROVER)])
async def answer(request: Request, approval_id: str, state: State, caller: Caller) -> Response:
    """Said once; what can't be answered any more says why."""
    given = await form(request)
    try:
        answered = Answered.model_validate({"answer": given.get("answer", ""), "reason": given.get("reason", "")})
    except ValidationError:
        problem = "Say why in a few words, then approve or deny. Nothing was done."
        return await run_in_threadpool(_shown, request, approval_id, state, problem, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        await run_in_threadpool(answered_by, approval_id, answered, state, caller)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        stands = await run_in_threadpool(state.store.approval, approval_id)
        # The same again by the same person is a button that was pressed twice.
        if stands is None or (stands.answer, stands.answered_by) != (answered.answer, caller.actor):
            return await run_in_threadpool(_shown, request, approval_id, state, error.message, HTTPStatus(error.status))
    return RedirectResponse(f"/approvals/{approval_id}", HTTPStatus.SEE_OTHER)
