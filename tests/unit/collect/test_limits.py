"""What one host may cost us: lines, bytes and records, all bounded."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collect.limits import (
    BURST_SECONDS,
    LINE_LIMIT,
    RECORDS_OF_HOST,
    RECORDS_OF_UNIT,
    UNITS_KEPT,
    Bucket,
    Lines,
    RecordLimit,
)
from orchestrator.domain.records import LogRecord


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def record(unit: str = "shop.service", *, failure: bool = False) -> LogRecord:
    return LogRecord(
        time=datetime(2026, 11, 25, tzinfo=UTC), host="web1", unit=unit, priority=3, message="x", unit_failure=failure
    )


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20)))
def test_however_bytes_arrive_the_lines_are_the_same(parts: list[bytes]) -> None:
    lines = Lines()

    found = [line for part in parts for line in lines.feed(part)]

    assert found == b"".join(parts).split(b"\n")[:-1]
    assert lines.cut == 0


def test_a_line_of_the_limit_is_kept_and_a_longer_one_is_dropped_and_counted_once() -> None:
    lines = Lines()
    fits = b"x" * LINE_LIMIT

    found = lines.feed(fits + b"\n") + lines.feed(fits + b"y\nnext\n")
    found += lines.feed(fits) + lines.feed(fits) + lines.feed(b"end\nlast\n")

    assert found == [fits, b"next", b"last"]
    assert lines.cut == 2


def test_an_endless_line_costs_no_more_than_the_limit() -> None:
    lines = Lines()

    for _ in range(100):
        assert lines.feed(b"x" * LINE_LIMIT) == []

    assert len(lines._rest) <= LINE_LIMIT
    assert lines.cut == 1


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    bucket = Bucket(rate=2.0, burst=3.0, now=clock)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 1000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_a_debt_is_waited_for() -> None:
    clock = Clock()
    bucket = Bucket(rate=10.0, burst=10.0, now=clock)

    assert bucket.spend(10) == 0.0
    assert bucket.spend(5) == 0.5
    clock.now += 0.5
    assert bucket.spend(0) == 0.0


def test_one_loud_unit_hides_no_other_one_and_no_failure() -> None:
    limit = RecordLimit(Clock())
    most = int(RECORDS_OF_UNIT * BURST_SECONDS)

    loud = limit.pick([record("loud.service")] * (most + 50))
    others = limit.pick([record("quiet.service"), record("loud.service"), record("loud.service", failure=True)])

    assert len(loud) == most
    assert [(one.unit, one.unit_failure) for one in others] == [("quiet.service", False), ("loud.service", True)]
    assert limit.dropped == 51


def test_units_that_are_invented_a_line_are_held_by_the_hosts_rate() -> None:
    limit = RecordLimit(Clock())
    most = int(RECORDS_OF_HOST * BURST_SECONDS)

    picked = limit.pick([record(f"u{number}.service") for number in range(most + 500)])

    assert len(picked) == most
    assert limit.dropped == 500
    assert len(limit._units) <= UNITS_KEPT


def test_after_a_while_a_loud_unit_is_heard_again() -> None:
    clock = Clock()
    limit = RecordLimit(clock)
    limit.pick([record()] * 1000)

    clock.now += 1.0

    assert len(limit.pick([record()] * 1000)) == int(RECORDS_OF_UNIT)
