"""Domain objects as the JSON of the answers: names of the original description, times as ISO 8601 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.domain.incidents import Incident, IncidentState
from orchestrator.domain.plain import plain
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import Run, RunKind

__all__ = ["WELL", "actions", "error", "level", "plain", "verification"]

#: Ends in which the thing is well.
WELL = frozenset({IncidentState.HEALED, IncidentState.ALREADY_WELL})


def level(record: LogRecord, incident: Incident) -> Severity:
    """A record's level: its priority, but what made an incident counts as that, ERROR at most.

    (A unit's own "ERROR: ..." on stderr is filed by the journal as information.)
    """
    return max(Severity.of_priority(record.priority), min(incident.severity, Severity.ERROR))


def error(incident: Incident, evidence: Sequence[LogRecord]) -> dict[str, Any]:
    """What was wrong, as history shows it."""
    return {
        "incident": incident.id,
        "host": incident.host,
        "service": incident.subject.name,
        "message": evidence[-1].message if evidence else incident.template,
        "level": incident.severity.name,
        "count": incident.count,
    }


def actions(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What was done: acts and rollbacks, oldest first."""
    return [
        {
            "action": run.action,
            "kind": run.kind.value,
            "parameters": plain(run.parameters),
            "status": run.status.value,
            "reason": run.reason,
            "started": run.started.isoformat(),
            "seconds": (run.ended - run.started).total_seconds() if run.ended else None,
            "run": run.id,
        }
        for run in reversed(runs)
        if run.kind in (RunKind.ACT, RunKind.ROLLBACK)
    ]


def verification(incident: Incident, runs: Sequence[Run]) -> dict[str, Any]:
    """How it was verified; empty where nothing was. A check that found it well is its own verification."""
    well = incident.state is IncidentState.ALREADY_WELL
    kinds = (RunKind.VERIFY, *((RunKind.CHECK, RunKind.LOOK) if well else ()))
    found = next((run for run in runs if run.kind in kinds), None)
    if found is None:
        return {}
    return {
        "run": found.id,
        "status": found.status.value,
        "reason": found.reason,
        "healthy": incident.state in WELL or incident.state is IncidentState.VERIFIED,
        #: True: the error also stayed away for the hold time.
        "held": incident.state is IncidentState.HEALED,
    }
