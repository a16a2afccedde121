"""Healings that are over, for a store to remember."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import IncidentId, Signature, run_id
from orchestrator.domain.incidents import IncidentState, Origin, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.ports import Store

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
DIED = Signature("d" * 16)
NGINX = {"service": "nginx"}


def healing(
    store: Store,
    *,
    end: IncidentState = IncidentState.HEALED,
    status: RunStatus = RunStatus.SUCCEEDED,
    kind: RunKind = RunKind.ACT,
    shown: tuple[Signature, ...] = (DIED,),
    opened_by: Signature = DIED,
    message: str = "line",
    later: tuple[Signature, ...] = (),
    origin: Origin = Origin.LOG,
    host: str = "web1",
    parameters: Mapping[str, str] = NGINX,
    chooser: str = "embedded",
) -> IncidentId:
    """An incident that was opened, decided, acted upon and ended."""

    def signal(name: Signature) -> Signal:
        record = LogRecord(time=NOW, host=host, unit="nginx.service", priority=3, message=message)
        return Signal(
            record=record,
            signature=name,
            template=f"template {name}",
            subject=Subject(kind=SubjectKind.UNIT, name="nginx.service"),
            severity=Severity.ERROR,
            age=0,
        )

    before = [one for one in dict.fromkeys((opened_by, *shown))]
    (incident,) = store.absorb(host, "journal", [signal(one) for one in before], None, origin=origin)
    store.record_decision(
        incident,
        Decision(action="restart_service", parameters=parameters, reason="so", chooser=chooser, signatures=shown),
    )
    store.absorb(host, "journal", [signal(one) for one in later], None, origin=origin)
    job = job_of(incident, kind, host, parameters)
    assert store.claim(job, signatures=store.signatures(incident)) is None
    store.finish(PlaybookResult(run_id=job.run_id, status=status), slot_shut=False)
    if end is not IncidentState.OPEN:
        assert store.move(incident, end, "so", expected=[IncidentState.OPEN])
    return incident


def job_of(incident: IncidentId, kind: RunKind, host: str, parameters: Mapping[str, str]) -> PlaybookJob:
    """A run of restart_service."""
    return PlaybookJob(
        run_id=run_id(incident, kind),
        incident_id=incident,
        kind=kind,
        action="restart_service",
        playbook=Path("act.yml"),
        roles=Path("roles"),
        parameters=parameters,
        hosts=(Host(name=host, groups=(), connection=Connection(kind="ssh", address=host)),),
        task_timeout=30,
        run_timeout=60,
    )
