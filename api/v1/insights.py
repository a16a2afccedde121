"""GET: why things are as they are: a host's policy with its sources, health with its parts, what a model was asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.described import MISSING
from api.roles import needs
from api.scores import Scored, scores
from api.state import State
from api.v1 import shapes
from api.v1.queries import HostName, host_named, missing, policy_now
from api.v1.shapes import ROOT, List
from orchestrator import policies
from orchestrator.domain.access import Role
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.health import Health
from orchestrator.domain.hosts import Mode
from orchestrator.domain.incidents import IncidentState

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])

#: Losses of one score that are listed, the dearest.
LOSSES = 20


class ValueShape(shapes.Shape):
    """One value that holds, and where it was set."""

    name: str = Field(examples=["healing_mode"])
    value: Any = Field(examples=["auto"])
    where: str = Field(
        description="`default`, `the record`, or file and line", examples=["inventory/group_vars/all.yml, line 3"]
    )


class PolicyShape(BaseModel):
    """Every value that a verdict about a host may rest on."""

    host: str
    values: list[ValueShape]


class HostPolicyShape(BaseModel):
    """A host's mode, and where the rest of its policy is."""

    host: str
    mode: Mode
    link: str


class PoliciesShape(BaseModel):
    """What spans hosts, and where each host's own policy is."""

    values: list[ValueShape]
    hosts: list[HostPolicyShape]


class LossShape(shapes.Shape):
    """What one trouble costs now."""

    points: float
    host: str
    subject: str
    state: IncidentState
    last_seen: datetime


class ScoreShape(BaseModel):
    """How well one host or one service is: 100, less what its troubles cost, and 0 at least."""

    name: str
    score: int = Field(ge=0, le=100)
    losses: list[LossShape] = Field(description=f"the dearest first, {LOSSES} at most")
    losses_left_out: int
    points_left_out: float


class HealthShape(BaseModel):
    """The least well first; docs/dashboard.md has the prices."""

    at: datetime
    hosts: list[ScoreShape]
    services: list[ScoreShape] = Field(description="what was in trouble within a week")


class ExchangeShape(shapes.Shape):
    """One request to a model, however it ended."""

    at: datetime
    model: str
    prompt_version: str
    shown: dict[str, Any] = Field(description="everything that the model was shown: `system`, `text`, `schema`")
    shown_digest: str = Field(description="SHA-256; the decision that came of it has the same")
    reply: str = Field(description="as it came, never interpreted; empty where none came")
    reply_digest: str
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None = Field(description="in the currency of the prices in the settings")
    seconds: float
    error: str = Field(description="stable code of the error that it ended with; empty: it was answered")


@router.get("/policy")
def policy_of_fleet(state: State) -> PoliciesShape:
    """Budgets, limits and breakers that span hosts, with the line that set each; and each host's mode."""
    hosts = sorted(state.fleet.hosts(), key=lambda one: one.name)
    values = policies.values_of_fleet(state.settings) + policy_now(state)
    return PoliciesShape(
        values=[ValueShape.model_validate(one) for one in values],
        hosts=[
            HostPolicyShape(host=one.name, mode=one.policy.mode, link=f"{ROOT}/hosts/{one.name}/policy")
            for one in hosts
        ],
    )


@router.get("/hosts/{name}/policy", responses=MISSING)
def policy(name: str, state: State) -> PolicyShape:
    """What holds for a host, and the file and line that set it, as `healer policy show` prints it."""
    values = policies.values_of(host_named(state, name), state.settings) + policy_now(state)
    return PolicyShape(host=name, values=[ValueShape.model_validate(one) for one in values])


@router.get("/health")
def health(
    state: State,
    host: HostName = None,
    service: Annotated[str | None, Query(max_length=255, description="what was sick, such as nginx.service")] = None,
) -> HealthShape:
    """The health score of each host and each service, with what it was made of; the same as on the Statistics page.

    Where hosts or services are named, only those.
    """
    now = datetime.now(UTC)
    found, whole = scores(state, now), host is None and service is None
    return HealthShape(
        at=now, hosts=_scores(found.hosts, host, whole=whole), services=_scores(found.services, service, whole=whole)
    )


def _scores(found: Scored, name: str | None, *, whole: bool) -> list[ScoreShape]:
    return [_score(one, made) for one, made in found if whole or name == one]


def _score(name: str, made: Health) -> ScoreShape:
    shown, rest = made.losses[:LOSSES], made.losses[LOSSES:]
    return ScoreShape(
        name=name,
        score=made.score,
        losses=[
            LossShape(
                points=round(points, 2), host=one.host, subject=one.subject, state=one.state, last_seen=one.last_seen
            )
            for points, one in shown
        ],
        losses_left_out=len(rest),
        points_left_out=round(sum(points for points, _ in rest), 2),
    )


@router.get("/incidents/{incident_id}/exchange", responses=MISSING)
def exchange(incident_id: str, state: State) -> List[ExchangeShape]:
    """What a model was shown for it and what it answered, whole, each request in order."""
    if state.store.incident(incident_id) is None:
        raise missing("incident", f"{ROOT}/incidents")
    return List(items=[_exchange(one) for one in state.store.exchanges(incident_id)], next=None)


def _exchange(one: Exchange) -> ExchangeShape:
    same = ("at", "model", "prompt_version", "shown_digest", "reply", "reply_digest", "tokens_in", "tokens_out")
    return ExchangeShape(
        **{name: getattr(one, name) for name in (*same, "cost", "seconds", "error")}, shown=json.loads(one.shown)
    )
