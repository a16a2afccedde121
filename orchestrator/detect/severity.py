"""How bad a record is: the worse of what its PRIORITY says and what its own words state."""

from __future__ import annotations

from orchestrator.domain.levels import stated
from orchestrator.domain.records import LogRecord, Severity


def severity(record: LogRecord) -> Severity:
    """PRIORITY or the stated level, whichever is worse; a unit failure that PID 1 tells counts as ERROR."""
    worst = max(Severity.of_priority(record.priority), stated(record.message))
    return max(worst, Severity.ERROR) if record.unit_failure else worst
