"""POST: a healing, an answer, the kill switch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from api.described import BODY, CONFLICT, MISSING
from api.errors import ApiError
from api.requests import Level, Service, Text, host_of, timestamp
from api.roles import Caller, needs
from api.routes import approvals
from api.routes.heal import settled
from api.state import ApiState, State
from api.v1 import reads, shapes
from api.v1.queries import missing
from api.v1.shapes import ROOT
from orchestrator import closing, policies
from orchestrator.domain import ids
from orchestrator.domain.access import Identity, Role
from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.records import Severity
from orchestrator.errors import ConfigError

router = APIRouter(prefix=ROOT, responses=BODY, tags=["ask"])

#: Seconds after which a request that was never answered may be taken for lost.
LOST = timedelta(seconds=60)
#: Seconds that a client may wait at most.
WAIT_MAX = 60


class Heal(BaseModel):
    """An error that a client saw, or just a host that is to be looked at."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"host": "web1"},
                {"host": "web1", "service": "nginx", "message": "nginx.service: Failed with result 'signal'."},
            ]
        },
    )

    host: str | None = Field(default=None, description="may be left out where the inventory has one host")
    service: Service | None = None
    message: Text | None = None
    level: Level = Field(default=Severity.ERROR, validate_default=True)
    timestamp: Annotated[
        datetime | None, BeforeValidator(lambda value: None if value is None else timestamp(value))
    ] = None

    @model_validator(mode="after")
    def _whole(self) -> Heal:
        if (self.service is None) != (self.message is None):
            raise ValueError("service and message belong together; without both of them the host is looked at")
        return self


class Reason(BaseModel):
    """Why; recorded with the token's name."""

    model_config = ConfigDict(extra="forbid")

    reason: Text


class Breaker(Reason):
    """Which breaker is to count anew."""

    action: str = Field(default="", max_length=64, description="empty: the fleet's, and with it every action's")


Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="asking again with the same key and body asks for nothing new, for two days",
    ),
]
Wait = Annotated[int, Query(ge=0, le=WAIT_MAX, description="seconds to wait for the end")]


@router.post(
    "/heal",
    dependencies=[needs(Role.OPERATOR)],
    status_code=HTTPStatus.ACCEPTED,
    responses={**CONFLICT, 200: {"model": shapes.Asked, "description": "It has ended within `wait`"}},
)
async def heal(
    asked: Heal, state: State, caller: Caller, response: Response, wait: Wait = 0, key: Key = None
) -> shapes.Asked:
    """The trigger: the whole pipeline, with verdict and verify. 202 with a location; 200 where it has ended."""
    host = await run_in_threadpool(host_of, state.fleet, asked.host)
    link = await run_in_threadpool(_once, state, caller, key, asked, lambda: _trigger(state, caller, host, asked))
    response.headers["location"] = link
    name = link.rpartition("/")[2]
    if not link.startswith(f"{ROOT}/incidents/"):
        return shapes.Asked(incident=None, link=link)
    incident = await settled(state, name, wait)
    if incident.state in FINAL:
        response.status_code = HTTPStatus.OK
    pending = incident.state is IncidentState.PENDING_APPROVAL
    return shapes.Asked(
        incident=shapes.incident(incident), approval=ids.approval_id(incident.id) if pending else None, link=link
    )


def _trigger(state: ApiState, caller: Identity, host: str, asked: Heal) -> str:
    if asked.service is None or asked.message is None:
        return f"{ROOT}/looks/{state.look(host, caller.actor)}"
    incident_id = state.trigger(
        host=host,
        service=asked.service,
        message=asked.message,
        level=asked.level,
        timestamp=asked.timestamp,
        actor=caller.actor,
    )
    return f"{ROOT}/incidents/{incident_id}"


def _once(state: ApiState, caller: Identity, key: str | None, asked: Heal, ask: Callable[[], str]) -> str:
    """The link that it was answered with, whether now or before. Raises ApiError 409."""
    if key is None:
        return ask()
    digest = hashlib.sha256(asked.model_dump_json().encode()).hexdigest()
    known = state.store.keyed(caller.actor, key, digest, stale=datetime.now(UTC) - LOST)
    if known.digest != digest:
        raise ApiError(
            HTTPStatus.CONFLICT, "key_used", "This Idempotency-Key was used for another request. Nothing was done."
        )
    if not known.first and not known.answer:
        raise ApiError(
            HTTPStatus.CONFLICT, "under_way", "The request of this Idempotency-Key is under way. Ask again in a moment."
        )
    if known.answer:
        return known.answer
    link = ask()
    state.store.answer_keyed(caller.actor, key, link)
    return link


@router.post("/approvals/{approval_id}", dependencies=[needs(Role.APPROVER)], responses={**MISSING, **CONFLICT})
def answer(approval_id: str, answered: approvals.Answered, state: State, caller: Caller) -> shapes.ApprovalShape:
    """Approve or deny. Carried out within a second; 409 where it was answered before, has lapsed, or is void."""
    return shapes.approval(approvals.answered_by(approval_id, answered, state, caller))


@router.post("/incidents/{incident_id}/close", dependencies=[needs(Role.OPERATOR)], responses={**MISSING, **CONFLICT})
def close(incident_id: str, why: Reason, state: State, caller: Caller) -> shapes.IncidentWhole:
    """Be done with an escalated incident, so that the next error opens a new one. 409 where it is none."""
    closed(state, incident_id, caller, why.reason)
    return reads.incident(incident_id, state)


def closed(state: ApiState, incident_id: str, caller: Identity, reason: str) -> None:
    """Raises ApiError: 404, 409."""
    if state.store.incident(incident_id) is None:
        raise missing("incident", f"{ROOT}/incidents")
    try:
        closing.close(state.store, incident_id, actor=caller.actor, reason=reason)
    except ConfigError as error:
        raise ApiError(HTTPStatus.CONFLICT, "not_settled", str(error)) from error


@router.post("/breaker/reset", dependencies=[needs(Role.ADMIN)])
def reset_breaker(asked: Breaker, state: State, caller: Caller) -> shapes.EventShape:
    """Have a breaker count anew from now on: what failed before is forgotten by it, and by nothing else."""
    if asked.action and asked.action not in {one.id for one in state.actions}:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid",
            f"action: there is no such action. Known: {', '.join(one.id for one in state.actions)}. Nothing was done.",
            field="action",
        )
    return shapes.event(policies.reset_breaker(state.store, asked.action, actor=caller.actor, reason=asked.reason))


@router.post("/stop", dependencies=[needs(Role.OPERATOR)])
def stop(why: Reason, state: State, caller: Caller) -> shapes.StatusShape:
    """The kill switch: ends what runs, and nothing acts, on any host, until it is lifted. Collecting goes on."""
    state.store.stop(actor=caller.actor, reason=why.reason)
    state.cancel()
    return reads.status(state)


@router.post("/start", dependencies=[needs(Role.ADMIN)])
def start(why: Reason, state: State, caller: Caller) -> shapes.StatusShape:
    """Lift the kill switch. What was refused meanwhile stays escalated."""
    state.store.resume(actor=caller.actor, reason=why.reason)
    return reads.status(state)
