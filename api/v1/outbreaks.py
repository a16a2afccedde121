"""The same error on several hosts, decided once and healed in waves: GET to see it, POST to answer what it asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from api.described import BODY, CONFLICT, MISSING
from api.outbreaks import Seat, Wave, stands, tell
from api.roles import Caller, needs
from api.routes.approvals import Answered, refused
from api.state import ApiState, State
from api.v1 import shapes
from api.v1.queries import ActionName, HostName, Paged, SignatureName, Span, listed, missing
from api.v1.shapes import ROOT, List
from orchestrator.domain.access import Identity, Role
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import MemberEnd, Outbreak, OutbreakState
from orchestrator.domain.pages import OutbreakFilter
from orchestrator.domain.verdicts import Answer
from orchestrator.errors import AnswerRefused
from orchestrator.outbreak_answer import Said

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])


class OutbreakShape(BaseModel):
    """The same error on several hosts."""

    id: str = Field(examples=["ob-01kd7zj3w8f0c2xq"])
    signature: str
    template: str = Field(description="the line, with what varies masked out")
    action: str = Field(description="what was decided for all; empty until the first host joins")
    parameters: dict[str, Any]
    state: OutbreakState
    wave: int = Field(description="the wave under way or the last one; 0 before the first")
    reason: str = Field(description="why it is in this state; where it stopped and why")
    opened_at: datetime
    ended_at: datetime | None
    link: str


class MemberShape(BaseModel):
    """One host of an outbreak, and how it left."""

    incident: str
    host: str
    wave: int = Field(description="0: in none")
    standing: str = Field(
        description="`waits for a wave`, `its wave goes on`, `verified`, `well`, `failed` or `left`",
        examples=["verified"],
    )
    ending: MemberEnd | None
    reason: str
    state: IncidentState = Field(description="of its incident now")
    decision: shapes.DecisionShape
    verdict: shapes.VerdictShape | None
    link: str


class WaveShape(BaseModel):
    """Hosts that were healed together."""

    number: int
    canary: bool = Field(description="nobody had verified before, so it is one host")
    members: list[MemberShape]
    runs: list[shapes.RunShape] = Field(description="oldest first")


class OutbreakWhole(BaseModel):
    """An outbreak with everybody whom its error struck."""

    outbreak: OutbreakShape
    waves: list[WaveShape] = Field(description="in their order, the canary first")
    outside: list[MemberShape] = Field(description="members that wait for a wave, or left before one")
    others: list[shapes.IncidentShape] = Field(
        description="incidents of the same error that are no members: each was healed, asked about or refused by itself"
    )
    questions: list[shapes.ApprovalShape] = Field(description="what people are asked about this error, host by host")
    links: dict[str, str]


class SaidShape(BaseModel):
    """What became of one question."""

    approval: shapes.ApprovalShape
    taken: bool
    reason: str = Field(description="why the answer was not taken; empty where it was")


class SaidShapes(BaseModel):
    """Of each question, the oldest first."""

    items: list[SaidShape]


def _wanted(
    span: Span,
    host: HostName = None,
    state: Annotated[list[OutbreakState], Query()] = [],  # noqa: B006  # FastAPI copies it
    action: ActionName = None,
    signature: SignatureName = None,
) -> OutbreakFilter:
    return OutbreakFilter(
        since=span.since, until=span.until, host=host, states=state, action=action, signature=signature
    )


@router.get("/outbreaks")
def outbreaks(
    request: Request, state: State, page: Paged, wanted: Annotated[OutbreakFilter, Depends(_wanted)]
) -> List[OutbreakShape]:
    """What struck several hosts at once."""
    return listed(request, lambda: state.store.page_outbreaks(wanted, page), _outbreak)


@router.get("/outbreaks/{outbreak_id}", responses=MISSING)
def outbreak(outbreak_id: str, state: State) -> OutbreakWhole:
    """Its waves, and each host's end, decision and verdict."""
    found = state.store.outbreak(outbreak_id)
    if found is None:
        raise missing("outbreak", f"{ROOT}/outbreaks")
    story = tell(state.store, found, state.settings.outbreak_window_seconds)
    return OutbreakWhole(
        outbreak=_outbreak(found),
        waves=[_wave(one) for one in story.waves],
        outside=[_member(one) for one in story.outside],
        others=[shapes.incident(one) for one in story.others],
        questions=[shapes.approval(one) for one in story.questions],
        links={
            "events": f"{ROOT}/audit?incident={found.id}&sort=oldest",
            "incidents": f"{ROOT}/incidents?outbreak={found.id}",
            "memory": f"{ROOT}/memory/{found.signature}",
            "runs": f"{ROOT}/runs?incident={found.id}",
        },
    )


@router.post(
    "/outbreaks/{outbreak_id}",
    dependencies=[needs(Role.APPROVER)],
    responses={**MISSING, **CONFLICT, **BODY},
    tags=["ask"],
)
def answer(outbreak_id: str, answered: Answered, state: State, caller: Caller) -> SaidShapes:
    """Answer all that is asked about it. Approved is one host first; once one verified, all the others.

    409 where nothing waits for an answer, and while the first host is being tried (`canary`).
    """
    told = answered_all(outbreak_id, answered, state, caller)
    return SaidShapes(items=[_said(state, one) for one in told])


def answered_all(outbreak_id: str, answered: Answered, state: ApiState, caller: Identity) -> Sequence[Said]:
    """What became of each question. Raises ApiError: 404, 409."""
    if state.store.outbreak(outbreak_id) is None:
        raise missing("outbreak", f"{ROOT}/outbreaks")
    try:
        return state.answer_outbreak(outbreak_id, Answer(answered.answer), caller.actor, answered.reason)
    except AnswerRefused as error:
        raise refused(error) from error


def _said(state: ApiState, one: Said) -> SaidShape:
    now = state.store.approval(one.approval.id) or one.approval
    return SaidShape(approval=shapes.approval(now), taken=one.taken, reason=one.sentence)


def _outbreak(one: Outbreak) -> OutbreakShape:
    same = ("id", "signature", "template", "action", "state", "wave", "reason", "opened_at", "ended_at")
    return OutbreakShape(
        **{name: getattr(one, name) for name in same},
        parameters=dict(one.parameters),
        link=f"{ROOT}/outbreaks/{one.id}",
    )


def _wave(one: Wave) -> WaveShape:
    return WaveShape(
        number=one.number,
        canary=one.canary,
        members=[_member(seat) for seat in one.seats],
        runs=[shapes.run(run) for run in one.runs],
    )


def _member(one: Seat) -> MemberShape:
    return MemberShape(
        incident=one.incident.id,
        host=one.member.host,
        wave=one.member.wave,
        standing=stands(one.member),
        ending=one.member.ending,
        reason=one.member.reason,
        state=one.incident.state,
        decision=shapes.DecisionShape.model_validate(one.decision),
        verdict=shapes.verdict(one.verdict),
        link=f"{ROOT}/incidents/{one.incident.id}",
    )
