"""What a question to a person is kept with, in the real store and in its twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import IncidentId, Signature, run_id
from orchestrator.domain.incidents import IncidentState, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.ports import Store
from tests.support.stores import KINDS, one_of

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture
def now() -> list[datetime]:
    return [NOW]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, now: list[datetime]) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path, lambda: now[0])


def opened(store: Store, asked_by: str = "") -> IncidentId:
    signal = Signal(
        record=LogRecord(time=NOW, host="web1", unit="nginx.service", priority=3, message="failed"),
        signature=Signature("sig-1"),
        template="failed",
        subject=Subject(kind=SubjectKind.UNIT, name="nginx.service"),
        severity=Severity.ERROR,
        age=1.0,
    )
    return store.absorb("web1", "trigger", [signal], None, asked_by=asked_by)[0]


def question(incident: str) -> Approval:
    return Approval(
        id="apr-1",
        incident_id=incident,
        host="web1",
        action="restart_service",
        parameters={"service": "nginx.service"},
        digest="d" * 64,
        rule="propose",
        reason="it crashed",
        asked_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        asked_by="api:ann",
        four_eyes=True,
        parts={"role": "r" * 64, "path:/opt/x:mode": "0644"},
        changes="TASK [Say it]\nchanged: [web1] => \u201equoted\u201c",
    )


def test_who_asked_for_a_healing_is_kept_with_its_incident(store: Store) -> None:
    asked = store.incident(opened(store, "api:ann"))
    assert asked is not None
    assert asked.asked_by == "api:ann"
    # Whoever reports the same again asked for nothing: it was under way.
    store.absorb("web1", "trigger", [replace(signal_of(store), age=2.0)], None, asked_by="api:bob")
    assert store.incidents()[0].asked_by == "api:ann"


def signal_of(store: Store) -> Signal:
    """One more of what is under way."""
    (incident,) = store.incidents()
    return Signal(
        record=store.evidence(incident.id)[0],
        signature=incident.signature,
        template=incident.template,
        subject=incident.subject,
        severity=incident.severity,
        age=1.0,
    )


def test_a_question_comes_back_as_it_was_asked(store: Store) -> None:
    asked = question(opened(store))
    store.ask(asked)

    assert store.approval("apr-1") == asked


def test_the_wait_for_an_answer_is_no_part_of_the_time_that_a_healing_takes(store: Store, now: list[datetime]) -> None:
    incident = opened(store)

    def runs(kind: RunKind) -> None:
        job = PlaybookJob(
            run_id=run_id(incident, kind),
            incident_id=incident,
            kind=kind,
            action="restart_service",
            playbook=Path("act.yml"),
            roles=Path("roles"),
            parameters={},
            hosts=(Host(name="web1", groups=(), connection=Connection(kind="ssh", address="web1")),),
            task_timeout=30,
            run_timeout=60,
        )
        assert store.claim(job, signatures=frozenset()) is None
        now[0] += timedelta(seconds=2)
        store.finish(PlaybookResult(run_id=job.run_id, status=RunStatus.SUCCEEDED, ended=now[0]), slot_shut=False)

    for kind in (RunKind.LOOK, RunKind.PLAN):
        runs(kind)
    now[0] += timedelta(hours=20)
    for kind in (RunKind.CHECK, RunKind.ACT, RunKind.VERIFY):
        runs(kind)
    store.move(incident, IncidentState.HEALED, "so", expected=[IncidentState.OPEN])

    assert store.healing_seconds() == (6.0,)
    assert store.statistics().total_attempts == 1


@pytest.mark.parametrize("first", [None, Answer.APPROVED])
def test_a_question_becomes_void_once_and_who_approved_stays(store: Store, first: Answer | None) -> None:
    incident = opened(store)
    store.ask(question(incident))
    if first is not None:
        store.answer("apr-1", first, actor="cli:bob", reason="looked", now=NOW)

    done = store.void("apr-1", "Since it was asked, the role x changed.", actor="cli:eve", now=NOW)
    again = store.void("apr-1", "Something else.", actor="cli:eve", now=NOW)

    assert done is not None
    assert again is None
    assert (done.answer, done.void_reason) == (Answer.VOID, "Since it was asked, the role x changed.")
    assert done.answered_by == ("cli:bob" if first else "")
    assert store.approval("apr-1") == done
    assert store.answer("apr-1", Answer.APPROVED, actor="cli:bob", reason="so", now=NOW) is None
    told = store.events(incident_id=incident)[-1]
    assert (told.kind, told.actor) == ("approval.void", "cli:eve")


@pytest.mark.parametrize("over", [Answer.DENIED, Answer.EXPIRED])
def test_what_is_over_does_not_become_void(store: Store, over: Answer) -> None:
    store.ask(question(opened(store)))
    store.answer("apr-1", over, actor="cli:bob", reason="so", now=NOW)

    assert store.void("apr-1", "Since then.", actor="cli:eve", now=NOW) is None
    assert store.void("apr-none", "Since then.", actor="cli:eve", now=NOW) is None
    found = store.approval("apr-1")
    assert found is not None
    assert found.answer is over


def test_nobody_answers_void(store: Store) -> None:
    store.ask(question(opened(store)))

    with pytest.raises(ValueError, match="not an answer"):
        store.answer("apr-1", Answer.VOID, actor="cli:bob", reason="", now=NOW)
