"""What the answers of /api/v1 look like. Times are ISO 8601 in UTC; a link leads on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.domain.actions import Action, Risk
from orchestrator.domain.hosts import Host, Mode
from orchestrator.domain.incidents import Incident, IncidentState, Origin
from orchestrator.domain.runs import Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Outcome, Verdict
from orchestrator.ports import Event, SourceState

T = TypeVar("T")
ROOT = "/api/v1"
Example = Annotated[str, Field(examples=["inc-01kd7zj3w8f0c2xq"])]


class Shape(BaseModel):
    """Read from objects of the domain by their attributes."""

    model_config = ConfigDict(from_attributes=True)


class List(BaseModel, Generic[T]):
    """One page."""

    items: list[T]
    #: Where the next page is.
    next: str | None = Field(description="URL of the next page; null on the last one")


class IncidentShape(Shape):
    """One sick thing on one host."""

    id: Example
    host: str = Field(examples=["web1"])
    subject: str = Field(examples=["nginx.service"])
    severity: str = Field(examples=["ERROR"])
    state: IncidentState
    reason: str = Field(description="why it is in this state")
    template: str = Field(description="the line, with what varies masked out")
    signature: str
    origin: Origin
    first_seen: datetime
    last_seen: datetime
    count: int
    asked_by: str = Field(description="who asked for it; empty where a log line opened it")
    follows: str = Field(description="the incident whose healing it goes on with; empty: it stands alone")
    step: int
    link: str


class RecordShape(Shape):
    """One line of a host's log."""

    time: datetime
    host: str
    unit: str
    priority: int = Field(description="of syslog: 0 emergency to 7 debug")
    message: str
    source: str


class DecisionShape(Shape):
    """What was chosen."""

    action: str = Field(examples=["restart_service"], description="an action, `escalate` or `none`")
    parameters: dict[str, Any] = Field(examples=[{"service": "nginx.service"}])
    reason: str
    chooser: str = Field(examples=["embedded"])
    shown_digest: str
    confidence: float | None


class VerdictShape(Shape):
    """What policy says of it."""

    outcome: Outcome
    rule: str = Field(examples=["allowed"])
    reason: str
    digest: str


class RunShape(Shape):
    """One execution of a playbook."""

    id: str = Field(examples=["inc-01kd7zj3w8f0c2xq-act"])
    incident: str = Field(description="whose it is: an incident, or an outbreak for a run of a wave")
    kind: RunKind
    action: str
    parameters: dict[str, Any]
    hosts: list[str]
    status: RunStatus
    reason: str
    rc: int | None
    started: datetime
    ended: datetime | None
    link: str


class DetailsShape(Shape):
    """What a task was given, changed and printed; empty of what `no_log` hides."""

    arguments: list[tuple[str, str]] = Field(examples=[[["name", "nginx.service"], ["state", "restarted"]]])
    difference: str = Field(description="as `diff -u` prints it")
    output: str


class TaskShape(Shape):
    """How one task ended on one host."""

    name: str
    host: str
    outcome: str = Field(description="ok, changed, failed, ignored, unreachable or skipped")
    seconds: float
    message: str
    started: datetime | None
    details: DetailsShape


class RunEventShape(BaseModel):
    """One of Ansible's own events, as the run recorded it."""

    number: int
    event: str = Field(examples=["runner_on_ok"], description="empty where it is too large, or cut")
    created: str
    data: dict[str, Any]


class FileShape(Shape):
    """One file that a run left."""

    name: str
    size: int


class ApprovalShape(Shape):
    """A question to a person."""

    id: str = Field(examples=["apr-01kd7zj3w8f0c2xq"])
    incident: str
    host: str
    action: str
    parameters: dict[str, Any]
    digest: str = Field(description="SHA-256 of the very bytes that would run")
    rule: str
    reason: str
    asked_at: datetime
    expires_at: datetime
    answer: Answer
    answered_by: str
    answered_at: datetime | None
    answer_reason: str
    void_reason: str = Field(description="what changed since it was asked; empty where it is not void")
    parts: dict[str, str] = Field(
        description="what its answer is bound to: digests, and what matters of the host's state"
    )
    four_eyes: bool = Field(description="whoever asked for the healing may not approve it")
    changes: str = Field(description="what `--check --diff` says that it would change")
    asked_by: str = Field(description="who asked for the healing; empty where a log line opened it")
    link: str


class EventShape(Shape):
    """One line of the ledger."""

    seq: int
    at: datetime
    kind: str = Field(examples=["run.started"])
    incident_id: str
    host: str
    text: str
    actor: str
    data: dict[str, Any]


class IncidentWhole(BaseModel):
    """An incident with all that belongs to it."""

    incident: IncidentShape
    evidence: list[RecordShape]
    decision: DecisionShape | None
    verdict: VerdictShape | None
    approval: ApprovalShape | None
    runs: list[RunShape]
    links: dict[str, str]


class HealingShape(BaseModel):
    """An incident that something was chosen for, and how that went."""

    incident: IncidentShape
    decision: DecisionShape
    verdict: VerdictShape | None


class RunWhole(BaseModel):
    """A run, a part of its tasks, and which files it left."""

    run: RunShape
    tasks: list[TaskShape]
    next: str | None = Field(description="where the tasks go on")
    files: list[FileShape]
    files_left_out: int
    links: dict[str, str]


class HostShape(BaseModel):
    """One host of the inventory."""

    name: str
    groups: list[str]
    mode: Mode
    reading: str = Field(
        description="connected, connecting, polling, down, stopped; empty: not read", examples=["connected"]
    )
    problems: list[str] = Field(description="what can't be read there, one sentence each")
    under_way: int = Field(description="incidents that are neither healed, escalated nor over")
    escalated: int = Field(description="incidents that wait for a person")
    link: str
    links: dict[str, str]


class ActionShape(BaseModel):
    """One row of the whitelist."""

    id: str
    title: str
    when: str
    not_when: str
    risk: Risk
    reversible: bool
    parameters: list[str]
    task_timeout: int
    run_timeout: int
    link: str


class StatusShape(BaseModel):
    """Whether it works."""

    monitoring: bool
    stopped: str | None = Field(description="who stopped all healing, and why; null while it is allowed")
    hosts: int


class Asked(BaseModel):
    """What became of a trigger."""

    incident: IncidentShape | None = Field(description="null where a host was to be looked at")
    approval: str | None = Field(default=None, description="the question that waits for an answer")
    link: str


class LookShape(BaseModel):
    """One pass over a host."""

    host: str
    ended: bool
    text: str
    incidents: list[str] = Field(description="those that are open there now")


def incident(one: Incident) -> IncidentShape:
    """As /api/v1 shows it."""
    return IncidentShape(
        id=one.id,
        host=one.host,
        subject=one.subject.name,
        severity=one.severity.name,
        state=one.state,
        reason=one.reason,
        template=one.template,
        signature=one.signature,
        origin=one.origin,
        first_seen=one.first_seen,
        last_seen=one.last_seen,
        count=one.count,
        asked_by=one.asked_by,
        follows=one.follows,
        step=one.step,
        link=f"{ROOT}/incidents/{one.id}",
    )


def verdict(one: Verdict | None) -> VerdictShape | None:
    """As /api/v1 shows it; None where nobody judged yet."""
    return VerdictShape.model_validate(one) if one else None


def run(one: Run) -> RunShape:
    """As /api/v1 shows it."""
    return RunShape(
        id=one.id,
        incident=one.incident_id,
        kind=one.kind,
        action=one.action,
        parameters=dict(one.parameters),
        hosts=list(one.hosts),
        status=one.status,
        reason=one.reason,
        rc=one.rc,
        started=one.started,
        ended=one.ended,
        link=f"{ROOT}/runs/{one.id}",
    )


def run_event(number: int, event: Mapping[str, Any]) -> RunEventShape:
    """As /api/v1 shows it."""
    data = event.get("event_data")
    return RunEventShape(
        number=number,
        event=str(event.get("event", "")),
        created=str(event.get("created", "")),
        data=data if isinstance(data, dict) else {},
    )


def approval(one: Approval) -> ApprovalShape:
    """As /api/v1 shows it."""
    names = ("id", "host", "action", "digest", "rule", "reason", "asked_at", "expires_at")
    answered = (
        "answer",
        "answered_by",
        "answered_at",
        "answer_reason",
        "void_reason",
        "changes",
        "asked_by",
        "four_eyes",
    )
    return ApprovalShape(
        **{name: getattr(one, name) for name in (*names, *answered)},
        incident=one.incident_id,
        parameters=dict(one.parameters),
        parts=dict(one.parts),
        link=f"{ROOT}/approvals/{one.id}",
    )


def event(one: Event) -> EventShape:
    """As /api/v1 shows it."""
    return EventShape.model_validate(one)


def host(one: Host, reading: SourceState | None, under_way: int, escalated: int) -> HostShape:
    """As /api/v1 shows it."""
    problems = [*([reading.reason] if reading and reading.reason else []), *(reading.problems if reading else ())]
    return HostShape(
        name=one.name,
        groups=list(one.groups),
        mode=one.policy.mode,
        reading=reading.state if reading else "",
        problems=problems,
        under_way=under_way,
        escalated=escalated,
        link=f"{ROOT}/hosts/{one.name}",
        links={
            "policy": f"{ROOT}/hosts/{one.name}/policy",
            "health": f"{ROOT}/health?host={one.name}",
            "incidents": f"{ROOT}/incidents?host={one.name}",
            "outbreaks": f"{ROOT}/outbreaks?host={one.name}",
            "runs": f"{ROOT}/runs?host={one.name}",
        },
    )


def action(one: Action) -> ActionShape:
    """As /api/v1 shows it."""
    names = ("id", "title", "when", "not_when", "risk", "reversible", "task_timeout", "run_timeout")
    return ActionShape(
        **{name: getattr(one, name) for name in names},
        parameters=[parameter.name for parameter in one.parameters],
        link=f"{ROOT}/actions/{one.id}",
    )
