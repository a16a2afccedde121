"""Which records make a signal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from orchestrator.detect.severity import severity
from orchestrator.detect.signature import signature
from orchestrator.detect.subject import subject
from orchestrator.domain.actions import Action
from orchestrator.domain.incidents import Signal
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.speech import own_words


class Detector:
    """Says which records state an error, by PRIORITY, words, and the patterns that ask for milder ones."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._mild = tuple(
            pattern for action in actions for pattern in action.patterns if pattern.severity < Severity.ERROR
        )

    def detect(self, records: Iterable[LogRecord], now: datetime) -> tuple[Signal, ...]:
        """One signal a record that states an error, in order; `now` only gives the age.

        Left out: records of our own sessions, and what is milder than ERROR unless a pattern asks for it.
        """
        found = []
        for record in records:
            if record.own_session:
                continue
            worst = severity(record)
            if worst < Severity.ERROR and not self._asked_for(record, worst):
                continue
            name, template = signature(record.unit, record.message)
            found.append(
                Signal(
                    record=record,
                    signature=name,
                    template=template,
                    subject=subject(record, name),
                    severity=worst,
                    age=max(0.0, (now - record.time).total_seconds()),
                )
            )
        return tuple(found)

    def _asked_for(self, record: LogRecord, worst: Severity) -> bool:
        words = own_words(record.message)
        return any(pattern.severity <= worst and pattern.holds(words) for pattern in self._mild)
