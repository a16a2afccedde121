"""The way to the sink: each line once, cursors with what they stand behind, and nothing after a failed store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.collect.delivery import Delivery
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import JOURNAL, LogRecord
from orchestrator.errors import StoreUnavailable
from tests.support.scripted_link import HOST

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def record(message: str = "ERROR x", *, source: str = JOURNAL, after: int = 0) -> LogRecord:
    time = NOON + timedelta(seconds=after)
    return LogRecord(time=time, host="web1", unit="shop.service", priority=3, message=message, source=source)


class Sink:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int, Cursor | None]] = []
        self.error: Exception | None = None

    def __call__(self, host: Host, source: str, records: Sequence[LogRecord], cursor: Cursor | None) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append((source, len(records), cursor))


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def delivery(sink: Sink) -> Delivery:
    return Delivery(HOST, sink)


def test_records_go_with_the_cursor_behind_them(delivery: Delivery, sink: Sink) -> None:
    delivery.deliver(JOURNAL, [record("ERROR a", after=5), record("ERROR b")], Cursor("c1"))

    assert sink.calls == [(JOURNAL, 2, "c1")]
    assert delivery.last_record == NOON + timedelta(seconds=5)


def test_without_records_a_cursor_moves_now_and_then_or_when_told_to(delivery: Delivery, sink: Sink) -> None:
    delivery.deliver(JOURNAL, [record()], Cursor("c1"))
    delivery.deliver(JOURNAL, [], Cursor("c2"))
    delivery.deliver(JOURNAL, [], None)
    delivery.deliver(JOURNAL, [], Cursor("c3"), now=True)

    assert sink.calls == [(JOURNAL, 1, "c1"), (JOURNAL, 0, "c3")]


def test_the_cursor_behind_an_echo_is_stored_so_that_it_is_not_told_after_a_reconnect(
    delivery: Delivery, sink: Sink
) -> None:
    delivery.deliver("/a.log", [record("ERROR first", source="/a.log")], Cursor("f0"))
    delivery.deliver(JOURNAL, [record()], Cursor("c1"))
    delivery.deliver("/a.log", [record(source="/a.log")], Cursor("f1"))

    assert sink.calls[1:] == [(JOURNAL, 1, "c1"), ("/a.log", 0, "f1")]


def test_after_a_restart_the_same_lines_are_told_again(delivery: Delivery, sink: Sink) -> None:
    delivery.deliver(JOURNAL, [record()], Cursor("c1"))
    delivery.restart()

    delivery.deliver("/a.log", [record(source="/a.log")], Cursor("f1"))

    assert sink.calls[-1] == ("/a.log", 1, "f1")


def test_what_the_store_refuses_is_raised_and_counts_as_not_read(delivery: Delivery, sink: Sink) -> None:
    sink.error = StoreUnavailable("the disk is full")

    with pytest.raises(StoreUnavailable):
        delivery.deliver(JOURNAL, [record()], Cursor("c1"))

    assert delivery.last_record is None


def test_a_flood_is_bounded_and_told(delivery: Delivery, sink: Sink) -> None:
    assert delivery.problems() == ()

    delivery.deliver(JOURNAL, [record(f"ERROR {number}") for number in range(1000)], Cursor("c1"))

    ((_, kept, cursor),) = sink.calls
    assert kept < 1000
    assert cursor == "c1"
    assert delivery.problems()[0].startswith(f"dropped {1000 - kept} lines of web1: ")
