"""Telling a person: one line with a stable key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import Incident, IncidentState, Origin, Subject, SubjectKind
from orchestrator.domain.records import Severity
from orchestrator.notify.notifier import LogNotifier


def test_the_line_has_the_key_the_ids_and_the_sentence(caplog: pytest.LogCaptureFixture) -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    incident = Incident(
        id=IncidentId("inc-1"),
        host="web1",
        subject=Subject(kind=SubjectKind.UNIT, name="nginx.service"),
        signature=Signature("s"),
        template="t",
        severity=Severity.ERROR,
        state=IncidentState.ESCALATED,
        origin=Origin.LOG,
        first_seen=now,
        last_seen=now,
        count=1,
        age_at_detection=0.0,
    )

    LogNotifier().tell("incident.escalated", incident, "a person must look")

    (line,) = caplog.records
    assert line.getMessage() == "incident.escalated inc-1 on web1 (nginx.service): a person must look"
    assert (line.__dict__["action"], line.__dict__["incident"], line.levelname) == (
        "incident.escalated",
        "inc-1",
        "WARNING",
    )
