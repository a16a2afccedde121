"""What the database says becomes a sentence that says whether to wait, make room, or ask a person."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import exc

from orchestrator.errors import HealingError, RecordError, StoreUnavailable
from orchestrator.record.database import translate
from orchestrator.record.rows import clean
from orchestrator.record.schema import Moment


@pytest.mark.parametrize(
    ("said", "kind", "sentence"),
    [
        ("database is locked", StoreUnavailable, "held by another process"),
        ("database table is locked: event", StoreUnavailable, "held by another process"),
        ("unable to open database file", StoreUnavailable, "can't be opened"),
        ("some day a new sentence", StoreUnavailable, "does not answer"),
        ("database or disk is full", RecordError, "Free space"),
        ("disk I/O error", RecordError, "Free space"),
        ("attempt to write a readonly database", RecordError, "make it writable"),
        ("database disk image is malformed", RecordError, "restore a backup"),
        ("file is not a database", RecordError, "restore a backup"),
    ],
)
def test_each_error_says_what_to_do(said: str, kind: type[HealingError], sentence: str) -> None:
    error = translate(exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError(said)), "/x/healer.sqlite")

    assert type(error) is kind
    assert sentence in str(error)
    assert "/x/healer.sqlite" in str(error)
    assert "SELECT" not in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exc.TimeoutError("pool"), StoreUnavailable),
        (exc.IntegrityError("", {}, sqlite3.IntegrityError("UNIQUE constraint failed")), RecordError),
        (exc.DataError("", {}, sqlite3.DataError("odd")), RecordError),
        (exc.InvalidRequestError("a bug of ours"), RecordError),
    ],
)
def test_other_errors_stop_or_wait(error: Exception, kind: type[HealingError]) -> None:
    assert type(translate(error, "x")) is kind


def test_times_are_text_that_sorts_and_comes_back() -> None:
    moment = Moment()
    times = [
        datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC),
        datetime(2026, 1, 31, 8, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 1, 31, 10, 0, 0, 2, tzinfo=timezone(timedelta(hours=2))),
    ]

    texts = [str(moment.process_bind_param(time, None)) for time in times]

    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {27}
    assert [moment.process_result_value(text, None) for text in texts] == times
    with pytest.raises(ValueError, match="no zone"):
        moment.process_bind_param(datetime(2026, 1, 31), None)  # noqa: DTZ001  # what is refused


def test_what_no_database_takes_is_replaced() -> None:
    assert clean("a\0b\ud800c") == "a\N{REPLACEMENT CHARACTER}b?c"
    assert clean("äöü") == "äöü"
