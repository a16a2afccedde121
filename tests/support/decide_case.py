"""Incidents to decide about with the real whitelist, which the embedded chooser's knowledge is written for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from orchestrator import catalog as catalogue
from orchestrator.decide.candidates import candidates
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.domain.actions import Action, Decision
from orchestrator.domain.records import LogRecord
from orchestrator.ports import Case

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@cache
def actions() -> tuple[Action, ...]:
    return tuple(catalogue.load(ROOT / "playbooks", ROOT / "roles").actions.values())


def record(message: str, unit: str = "app.service", *, priority: int = 3) -> LogRecord:
    return LogRecord(time=NOW, host="web1", unit=unit, priority=priority, message=message)


def case(*messages: str, unit: str = "app.service", units: Collection[str] | None = None, priority: int = 3) -> Case:
    """An incident of `unit` with these lines, newest last, and what they offer; `units` are those of the host."""
    records = tuple(record(message, unit, priority=priority) for message in messages)
    return Case(
        incident_id="inc-1",
        host="web1",
        unit=unit,
        records=records,
        candidates=candidates(actions(), unit, records, units),
        actions=actions(),
    )


def choose(case: Case) -> Decision:
    return EmbeddedChooser().choose(case)
