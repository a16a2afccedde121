"""Lines of log files: the times that they carry, and what they share with the journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collect.filelines import essence, has_time, parse_line
from orchestrator.domain.hosts import LogFile
from orchestrator.domain.records import LogRecord

FILE = LogFile(path="/var/log/shop.log", unit="shop.service")
NEWEST = datetime(2026, 11, 25, 13, 0, 30, tzinfo=UTC)


def parse(text: str | bytes, *, newest: datetime = NEWEST, offset: float = 0.0, zone: int = 0) -> LogRecord:
    raw = text if isinstance(text, bytes) else text.encode()
    return parse_line(raw, file=FILE, host="web1", newest=newest, clock_offset=offset, zone_minutes=zone)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-25 13:00:00 ERROR x", 0, "13:00:00"),
        ("2026-11-25T13:00:00Z ERROR x", 60, "13:00:00"),
        ("2026-11-25 13:00:00.123 UTC [7] ERROR: x", 60, "13:00:00"),
        ("2026-11-25T14:00:00.123456+01:00 web1 shop[7]: ERROR x", 0, "13:00:00"),
        ("2026-11-25 07:30:00,5 -0530 ERROR x", 0, "13:00:00"),
        ("[2026-11-25 13:00:00] ERROR x", 0, "13:00:00"),
        ("2026/11/25 14:00:00 [error] 7#7: x", 60, "13:00:00"),
        ("2026-11-25 13:00:00 Zebra failed", 0, "13:00:00"),
        ("Nov 25 13:00:00 web1 shop[7]: ERROR x", 0, "13:00:00"),
        ("Nov 25 08:00:00 web1 shop: ERROR x", -300, "13:00:00"),
        ("[Wed Nov 25 13:00:00.123456 2026] [core:error] x", 0, "13:00:00"),
    ],
)
def test_a_time_in_any_of_the_common_forms_is_read(text: str, zone: int, expected: str) -> None:
    record = parse(text, zone=zone)

    assert (record.time.date(), record.time.time().isoformat()) == (NEWEST.date(), expected)
    assert has_time(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "ERROR x",
        "2026-13-45 13:00:00 ERROR x",
        "2026-11-25 25:00:00 ERROR x",
        "2026-11-25 13:00:00+99:99 ERROR x",
        "Foo 25 13:00:00 web1 shop: x",
        "Feb 30 13:00:00 web1 shop: x",
        "2026-11-25 14:00:00 ERROR from the future",
        "",
    ],
)
def test_a_line_without_a_time_that_can_be_is_as_old_as_the_file(text: str) -> None:
    assert parse(text).time == NEWEST


def test_the_hosts_clock_is_taken_off() -> None:
    assert parse("2026-11-25 13:01:00 ERROR x", offset=60.0).time == datetime(2026, 11, 25, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("newest", "text", "expected"),
    [
        ((2027, 1, 1, 0, 0, 10), "Dec 31 23:59:59 web1 a: x", (2026, 12, 31, 23, 59, 59)),
        ((2026, 12, 31, 23, 59, 58), "Jan  1 00:00:01 web1 a: x", (2026, 12, 31, 23, 59, 58)),
        ((2028, 3, 1, 0, 0, 0), "Feb 29 12:00:00 web1 a: x", (2028, 2, 29, 12, 0, 0)),
        ((2029, 1, 2, 0, 0, 0), "Feb 29 12:00:00 web1 a: x", (2028, 2, 29, 12, 0, 0)),
        ((2026, 11, 25, 13, 0, 0), "Nov 26 10:00:00 web1 a: x", (2026, 11, 25, 13, 0, 0)),
    ],
)
def test_a_time_without_a_year_is_the_newest_that_is_not_in_the_future(
    newest: tuple[int, ...], text: str, expected: tuple[int, ...]
) -> None:
    def at(when: tuple[int, ...]) -> datetime:
        year, month, day, hour, minute, second = when
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)

    assert parse(text, newest=at(newest)).time == at(expected)


def test_the_record_is_the_files_unit_and_gives_no_priority() -> None:
    record = parse(b"\xff\x00 ERROR \x1b[31mred\n")

    assert (record.unit, record.priority, record.source, record.cursor) == (FILE.unit, 6, FILE.path, None)
    assert record.message == "\ufffd  ERROR red"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_it_and_no_record_is_from_the_future(raw: bytes) -> None:
    assert parse(raw).time <= NEWEST


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2030, 1, 1)), st.integers(-720, 840))  # noqa: DTZ001
def test_what_a_syslog_writes_is_read_back_within_a_year(when: datetime, zone: int) -> None:
    newest = when.replace(tzinfo=UTC, microsecond=0)
    there = newest + timedelta(minutes=zone)

    assert parse(f"{there:%b %e %H:%M:%S} web1 shop: x", newest=newest, zone=zone).time == newest


@pytest.mark.parametrize(
    ("in_file", "in_journal"),
    [
        ("Nov 25 13:00:00 web1 shop[7]: ERROR db: connect failed: x", "ERROR db: connect failed: x"),
        ("Nov 25 13:00:00 web1 shop: a b: c", "a b: c"),
        ("2026-11-25T13:00:00.1+00:00 web1 shop[7]: ERROR: x", "ERROR: x"),
        ("2026-11-25 13:00:00,123 ERROR shop: x", "ERROR shop: x"),
        ("2026/11/25 13:00:00 [error] 7#7: x", "2026/11/25 13:00:00 [error] 7#7: x"),
        ("ERROR shop: x", "ERROR shop: x"),
    ],
)
def test_journal_and_file_share_the_essence_of_a_line(in_file: str, in_journal: str) -> None:
    assert essence(in_file) == essence(in_journal)


def test_different_lines_do_not() -> None:
    assert essence("connect failed: timeout") != essence("read failed: timeout")
