"""GET: the same error on several hosts, decided once and healed in waves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from api.described import MISSING
from api.outbreaks import Seat, Wave, stands, tell
from api.roles import needs
from api.state import State
from api.v1 import shapes
from api.v1.queries import ActionName, HostName, Paged, SignatureName, Span, listed, missing
from api.v1.shapes import ROOT, List
from orchestrator.domain.access import Role
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import MemberEnd, Outbreak, OutbreakState
from orchestrator.domain.pages import OutbreakFilter

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
        verdict=shapes.VerdictShape.model_validate(one.verdict) if one.verdict else None,
        link=f"{ROOT}/incidents/{one.incident.id}",
    )
