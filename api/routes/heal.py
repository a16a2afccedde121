"""POST /api/auto-healer/heal: the whole pipeline for an error that a client saw."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from api import shapes
from api.described import BODY, CONFLICT
from api.errors import ApiError
from api.requests import Report, host_of
from api.roles import Caller, needs
from api.state import ApiState, State
from orchestrator.domain import ids
from orchestrator.domain.access import Role
from orchestrator.domain.incidents import FINAL, Incident, IncidentState

router = APIRouter(dependencies=[needs(Role.OPERATOR)])


@router.post(
    "/api/auto-healer/heal",
    responses={**CONFLICT, **BODY, 202: {"description": "It waits for a person"}},
)
async def heal(report: Report, state: State, caller: Caller, response: Response) -> dict[str, Any]:
    """200 with the end, 202 while it waits for a person; past the limit 200 `verifying` with a link."""
    host = await run_in_threadpool(host_of, state.fleet, report.host)
    incident_id = await run_in_threadpool(
        lambda: state.trigger(
            host=host,
            service=report.service,
            message=report.message,
            level=report.level,
            timestamp=report.timestamp,
            actor=caller.actor,
        )
    )
    incident = await settled(state, incident_id, state.heal_wait_seconds)
    if incident.state is IncidentState.PENDING_APPROVAL:
        response.status_code = HTTPStatus.ACCEPTED
    return {"status": "success", "healing_result": await run_in_threadpool(result, state, incident)}


async def settled(state: ApiState, incident_id: str, seconds: float) -> Incident:
    """The incident once it has ended or asks a person, else as it stands after so many seconds. Holds no thread.

    Raises ApiError 409 where it is gone.
    """
    deadline = time.monotonic() + seconds
    while True:
        incident = await run_in_threadpool(state.store.incident, incident_id)
        if incident is None:
            raise ApiError(
                HTTPStatus.CONFLICT,
                "changed",
                "The incident ended while this was asked. Ask again if it is still sick.",
            )
        ended = incident.state in FINAL or incident.state is IncidentState.PENDING_APPROVAL
        if ended or time.monotonic() >= deadline:
            return incident
        await asyncio.sleep(state.heal_look_seconds)


def result(state: ApiState, incident: Incident) -> dict[str, Any]:
    """`healing_result`: how it stands, what was done, how it was verified, by which rule and why."""
    runs = state.store.runs(incident_id=incident.id)
    verdict = state.store.verdict(incident.id)
    ended = incident.state in FINAL or incident.state is IncidentState.PENDING_APPROVAL
    answer: dict[str, Any] = {
        "status": incident.state.value if ended else "verifying",
        "actions": shapes.actions(runs),
        "verification": shapes.verification(incident, runs),
        "outcome": verdict.outcome.value if verdict else "denied" if ended else "",
        "rule": verdict.rule if verdict else "error" if ended else "",
        "reason": incident.reason,
        "host": incident.host,
        "incident": incident.id,
        "link": f"/api/incidents/{incident.id}",
    }
    if incident.state is IncidentState.PENDING_APPROVAL:
        answer["approval"] = ids.approval_id(incident.id)
    return answer
