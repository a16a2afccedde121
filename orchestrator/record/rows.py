"""Rows to domain objects and back: pure, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.domain.actions import Candidate, Decision
from orchestrator.domain.ids import Cursor, IncidentId, RunId, Signature
from orchestrator.domain.incidents import Incident, IncidentState, Origin, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import HostEnd, Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Attempt, Facts, Outcome, PathFacts, UnitFacts, Verdict
from orchestrator.ports import Event

#: Column name to value; SQLAlchemy types its keys more widely than str.
Row = Mapping[Any, Any]


def clean(text: str) -> str:
    """Text that every database takes: no NUL, no half of a character pair. A host may write either."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def incident(row: Row) -> Incident:
    """One row of `incident`."""
    return Incident(
        id=IncidentId(row["id"]),
        host=row["host"],
        subject=Subject(kind=SubjectKind(row["subject_kind"]), name=row["subject_name"]),
        signature=Signature(row["signature"]),
        template=row["template"],
        severity=Severity(row["severity"]),
        state=IncidentState(row["state"]),
        origin=Origin(row["origin"]),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        count=row["count"],
        age_at_detection=row["age_at_detection"],
        reason=row["reason"],
        asked_by=row["asked_by"],
        follows=row["follows"],
        step=row["step"],
    )


def of_incident(found: Incident) -> dict[str, Any]:
    """The row of an incident."""
    own = {name: getattr(found, name) for name in Incident.__slots__ if name != "subject"}
    return {
        **{name: clean(value) if isinstance(value, str) else value for name, value in own.items()},
        "subject_kind": found.subject.kind.value,
        "subject_name": clean(found.subject.name),
        "severity": int(found.severity),
        "state": found.state.value,
        "origin": found.origin.value,
    }


def record(row: Row) -> LogRecord:
    """One row of `evidence`."""
    fields = {name: row[name] for name in LogRecord.__slots__}
    fields["cursor"] = None if row["cursor"] is None else Cursor(row["cursor"])
    return LogRecord(**fields)


def evidence(incident_id: str, found: LogRecord) -> dict[str, Any]:
    """The row of a record."""
    values = {"incident_id": incident_id, **asdict(found)}
    return {name: clean(value) if isinstance(value, str) else value for name, value in values.items()}


def decision(row: Row) -> Decision:
    """One row of `decision`."""
    return Decision(
        action=row["action"],
        parameters=row["parameters"],
        reason=row["reason"],
        chooser=row["chooser"],
        shown_digest=row["shown_digest"],
        confidence=row["confidence"],
        signatures=tuple(Signature(name) for name in row["signatures"] or ()),
        offered=_offered(row["offered"]),
    )


def _offered(value: Any) -> tuple[Candidate, ...] | None:
    if value is None:
        return None
    return tuple(
        Candidate(action=action, values={name: tuple(found) for name, found in values.items()})
        for action, values in value
    )


def of_decision(found: Decision) -> dict[str, Any]:
    """The row of a decision, without its incident."""
    return {
        **asdict(found),
        "parameters": dict(found.parameters),
        "reason": clean(found.reason),
        "signatures": list(found.signatures),
        "offered": None
        if found.offered is None
        else [[one.action, {name: list(values) for name, values in one.values.items()}] for one in found.offered],
    }


def verdict(row: Row) -> Verdict:
    """One row of `verdict`."""
    return Verdict(outcome=Outcome(row["outcome"]), rule=row["rule"], reason=row["reason"], digest=row["digest"])


def facts(found: Facts) -> dict[str, Any]:
    """Facts as JSON."""
    return {
        "units": {name: asdict(unit) for name, unit in found.units.items()},
        "paths": {name: asdict(path) for name, path in found.paths.items()},
    }


def facts_of(value: Mapping[str, Any]) -> Facts:
    """JSON as facts."""
    return Facts(
        units={
            name: UnitFacts(**{**unit, "names": tuple(unit["names"]), "required_by": tuple(unit["required_by"])})
            for name, unit in value["units"].items()
        },
        paths={name: PathFacts(**path) for name, path in value["paths"].items()},
    )


def approval(row: Row) -> Approval:
    """One row of `approval`."""
    return Approval(**{**{name: row[name] for name in Approval.__slots__}, "answer": Answer(row["answer"])})


def run(row: Row, ends: Mapping[str, HostEnd] | None = None) -> Run:
    """One row of `run`, and how it ended on each of its hosts where there are several."""
    return Run(
        id=RunId(row["id"]),
        incident_id=IncidentId(row["incident_id"]),
        kind=RunKind(row["kind"]),
        action=row["action"],
        parameters=row["parameters"],
        hosts=tuple(row["hosts"]),
        status=RunStatus(row["status"]),
        started=row["started"],
        ended=row["ended"],
        rc=row["rc"],
        reason=row["reason"],
        pid=row["pid"],
        pid_start=row["pid_start"],
        lease_until=row["lease_until"],
        lease_left=None if row["lease_until"] is None else row["lease_until"] - row["database_now"],
        slot_shut=row["slot_shut"],
        artifacts_removed=row["artifacts_removed"],
        ends=ends or {},
    )


def host_end(row: Row) -> HostEnd:
    """One row of `run_host`."""
    return HostEnd(status=RunStatus(row["status"]), reason=row["reason"], settled=not row["held"])


def attempt(host: str, row: Row) -> Attempt:
    """One act run on one of its hosts."""
    return Attempt(
        host=host,
        action=row["action"],
        parameters=row["parameters"],
        signatures=frozenset(Signature(name) for name in row["signatures"]),
        at=row["started"],
    )


def event(row: Row) -> Event:
    """One row of `event`."""
    return Event(**{name: row[name] for name in Event.__slots__})
