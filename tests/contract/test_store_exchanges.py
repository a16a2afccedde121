"""What ports.Store promises of exchanges with models, asked of the real store and of its in-memory twin alike."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.exchanges import Exchange, Usage
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.errors import RecordError
from orchestrator.ports import Store
from orchestrator.record.store import open_store
from tests.support.stores import KINDS, one_of

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
ASKED = Exchange(
    at=NOW,
    model="gemini-flash",
    prompt_version="1",
    shown='{"text": "nginx failed"}',
    reply='{"candidates": ["\u00e9 \u0000 \u2028"]}',
    tokens_in=1200,
    tokens_out=80,
    cost=0.25,
    seconds=1.5,
)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path)


def opened(store: Store) -> IncidentId:
    record = LogRecord(time=NOW, host="web1", unit="nginx.service", priority=3, message="failed")
    signal = Signal(
        record=record,
        signature=Signature("sig-1"),
        template="failed",
        subject=Subject(kind=SubjectKind.UNIT, name="nginx.service"),
        severity=Severity.ERROR,
        age=1.0,
    )
    return store.absorb("web1", "journal", [signal], None)[0]


def test_an_exchange_is_kept_whole_and_known_by_its_digests(store: Store) -> None:
    incident = opened(store)

    store.record_exchange(incident, ASKED)

    (kept,) = store.exchanges(incident)
    assert kept == ASKED
    assert kept.shown_digest == hashlib.sha256(ASKED.shown.encode()).hexdigest()
    assert kept.reply_digest == hashlib.sha256(ASKED.reply.encode()).hexdigest()
    line = store.events(incident_id=incident)[-1]
    assert (line.kind, line.host) == ("model.asked", "web1")
    assert line.text == "gemini-flash was asked: answered after 1.5 s"


def test_a_question_without_an_answer_is_kept_too(store: Store) -> None:
    incident = opened(store)
    late = replace(ASKED, reply="", tokens_in=None, tokens_out=None, cost=None, error="model_timeout")

    store.record_exchange(incident, late)

    (kept,) = store.exchanges(incident)
    assert kept == late
    assert kept.reply_digest == ""
    assert "model_timeout after 1.5 s" in store.events(incident_id=incident)[-1].text


def test_exchanges_are_listed_oldest_first_for_their_incident_alone(store: Store) -> None:
    incident = opened(store)
    for number in range(3):
        store.record_exchange(incident, replace(ASKED, model=f"m{number}"))

    assert [one.model for one in store.exchanges(incident)] == ["m0", "m1", "m2"]
    assert store.exchanges("another") == ()


def test_an_exchange_of_no_incident_is_refused(store: Store) -> None:
    with pytest.raises(RecordError):
        store.record_exchange("inc-none", ASKED)


def test_usage_is_summed_from_a_moment_on(store: Store) -> None:
    incident = opened(store)
    store.record_exchange(incident, replace(ASKED, at=NOW - timedelta(days=2)))
    store.record_exchange(incident, ASKED)
    store.record_exchange(
        incident, replace(ASKED, tokens_in=None, tokens_out=None, cost=None, error="model_busy", at=NOW)
    )
    store.record_exchange(incident, replace(ASKED, error="bad_reply", tokens_out=20, cost=0.5))

    assert store.model_usage(NOW) == Usage(calls=3, failed=2, tokens_in=2400, tokens_out=100, cost=0.75)
    assert store.model_usage(NOW + timedelta(days=1)) == Usage()


@pytest.mark.parametrize(
    "change",
    [
        ("shown", b"x"),
        ("shown", b""),
        ("reply", b""),
        ("reply_digest", "0" * 64),
    ],
)
def test_a_text_that_was_changed_since_is_not_shown_as_the_record(tmp_path: Path, change: tuple[str, Any]) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'healer.sqlite'}")
    incident = opened(store)
    store.record_exchange(incident, ASKED)
    with closing(sqlite3.connect(tmp_path / "healer.sqlite")) as other:
        other.execute(f"UPDATE exchange SET {change[0]} = ?", (change[1],))  # noqa: S608  # a column of the table above
        other.commit()

    with pytest.raises(RecordError, match="digest differs"):
        store.exchanges(incident)
    store.close()


def test_exchanges_go_with_their_incident(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'healer.sqlite'}", clock=lambda: NOW)
    incident = opened(store)
    store.record_exchange(incident, ASKED)
    store.move(incident, IncidentState.EXPIRED, "done with", expected=(IncidentState.OPEN,))

    assert store.prune_incidents([incident], NOW + timedelta(days=1)) == 1

    assert store.exchanges(incident) == ()
    assert store.model_usage(NOW) == Usage()
    store.close()
