"""Maintenance windows: when each form is open, across clock changes too, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.windows import is_open, read_window

NIGHTS = "Mon..Fri 22:00-06:00 Europe/Berlin"
BERLIN = ZoneInfo("Europe/Berlin")
YEARS = datetime(2026, 1, 1, tzinfo=UTC)


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        # Monday to Friday evenings, and the mornings after: 2026-03-02 is a Monday.
        (NIGHTS, "2026-03-02T21:59:59", False),
        (NIGHTS, "2026-03-02T22:00:00", True),
        (NIGHTS, "2026-03-03T05:59:59", True),
        (NIGHTS, "2026-03-03T06:00:00", False),
        (NIGHTS, "2026-03-02T05:00:00", False),
        (NIGHTS, "2026-03-07T05:59:00", True),
        (NIGHTS, "2026-03-07T22:30:00", False),
        ("Sat,Sun 00:00-24:00 Europe/Berlin", "2026-03-07T00:00:00", True),
        ("Sat,Sun 00:00-24:00 Europe/Berlin", "2026-03-08T23:59:59", True),
        ("Sat,Sun 00:00-24:00 Europe/Berlin", "2026-03-09T00:00:00", False),
        ("fri..mon 10:00-11:00 Europe/Berlin", "2026-03-08T10:30:00", True),
        ("fri..mon 10:00-11:00 Europe/Berlin", "2026-03-10T10:30:00", False),
        ("3:00-4:00 Europe/Berlin", "2026-03-04T03:30:00", True),
        ("* 03:00-04:00 Europe/Berlin", "2026-03-04T04:00:00", False),
        # In winter 22:00 in Berlin is 21:00 UTC, in summer 20:00.
        ("22:00-23:00 UTC", "2026-03-02T23:00:00", True),
        ("22:00-23:00 UTC", "2026-07-01T23:30:00", False),
        # The clock skips from 2 to 3 on 2026-03-29: in at 01:59, out at 03:00.
        ("01:00-02:30 Europe/Berlin", "2026-03-29T01:59:59", True),
        ("01:00-02:30 Europe/Berlin", "2026-03-29T03:00:00", False),
        ("0 22 * * 1-5 for 8h Europe/Berlin", "2026-03-02T22:00:00", True),
        ("0 22 * * 1-5 for 8h Europe/Berlin", "2026-03-03T05:59:59.999999", True),
        ("0 22 * * 1-5 for 8h Europe/Berlin", "2026-03-03T06:00:00", False),
        ("0 22 * * mon-fri for 8h Europe/Berlin", "2026-03-08T23:00:00", False),
        ("0 9 * * 7 for 1h Europe/Berlin", "2026-03-08T09:30:00", True),
        ("*/30 2 * * * for 10m Europe/Berlin", "2026-03-08T02:39:59", True),
        ("*/30 2 * * * for 10m Europe/Berlin", "2026-03-08T02:40:00", False),
        ("0 4 1 * 1 for 1h Europe/Berlin", "2026-03-01T04:30:00", True),
        ("0 4 1 * 1 for 1h Europe/Berlin", "2026-03-09T04:30:00", True),
        ("0 4 1 * 1 for 1h Europe/Berlin", "2026-03-10T04:30:00", False),
        ("0 4 29 feb * for 1h Europe/Berlin", "2028-02-29T04:30:00", True),
        # Eight hours from 22:00 are eight hours, though the clock shows 07:00 after the night of the change.
        ("0 22 * * * for 8h Europe/Berlin", "2026-03-29T06:59:59", True),
        ("0 22 * * * for 8h Europe/Berlin", "2026-03-29T07:00:00", False),
        # A start that is skipped does not happen.
        ("30 2 * * * for 2h Europe/Berlin", "2026-03-29T03:30:00", False),
    ],
)
def test_a_window_is_open_when_its_zone_says_so(window: str, at: str, expected: bool) -> None:
    assert read_window(window).open(berlin(at)) is expected


def test_an_hour_that_comes_twice_is_twice_in_a_calendar_window_and_starts_a_cron_window_once() -> None:
    first, second = berlin("2026-10-25T02:30:00", 0), berlin("2026-10-25T02:30:00", 1)
    assert second - first == timedelta(hours=1)

    calendar, cron = read_window("02:00-03:00 Europe/Berlin"), read_window("30 2 * * * for 10m Europe/Berlin")

    assert (calendar.open(first), calendar.open(second)) == (True, True)
    assert (cron.open(first), cron.open(second)) == (True, False)


def test_any_open_window_suffices_and_none_is_closed() -> None:
    windows = [read_window("10:00-11:00 UTC"), read_window("12:00-13:00 UTC")]

    assert is_open(windows, datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    assert not is_open(windows, datetime(2026, 3, 1, 11, 30, tzinfo=UTC))
    assert not is_open((), datetime(2026, 3, 1, 12, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no window"),
        ("Mon..Fri 22:00-06:00", "is no window"),
        ("0 22 * * 1-5 Europe/Berlin", "is no window"),
        ("0 22 * * for 8h UTC", "is no window"),
        ("Mon..Fry 22:00-06:00 UTC", "'Mon..Fry' is no day"),
        ("Mon,, 22:00-06:00 UTC", "'' is no day"),
        ("25:00-06:00 UTC", "no clock shows"),
        ("22:60-06:00 UTC", "no clock shows"),
        ("22:00-24:01 UTC", "no clock shows"),
        ("22:00-22:00 UTC", "never opens: it ends when it begins"),
        ("22:00-06:00 Europe/Berln", "'Europe/Berln' is no time zone"),
        ("22:00-06:00 ../../etc/passwd", "is no time zone"),
        ("0 22 * * * for 0h UTC", "never opens: it lasts no time"),
        ("0 22 * * * for 25h UTC", "longer than a day"),
        ("0 0 30 2 * for 1h UTC", "never opens: no such month has a day 30"),
        ("0 0 31 4,6,9,11 * for 1h UTC", "never opens"),
        ("60 22 * * * for 1h UTC", "the minute '60' is none (from 0 to 59"),
        ("0 24 * * * for 1h UTC", "the hour '24' is none"),
        ("0 0 0 * * for 1h UTC", "the day of month '0' is none"),
        ("0 0 * 13 * for 1h UTC", "the month '13' is none"),
        ("0 0 * * 8 for 1h UTC", "the day of week '8' is none"),
        ("0 5-3 * * * for 1h UTC", "the hour '5-3' is none"),
        ("*/0 * * * * for 1h UTC", "the minute '*/0' is none"),
        ("@daily for 1h UTC", "is no window"),
        ("0 0 L * * for 1h UTC", "the day of month 'L' is none"),
    ],
)
def test_what_is_no_window_or_never_opens_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^has ") as caught:
        read_window(text)

    assert says in str(caught.value)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    one = number.map(str)
    # croniter takes `1-1` for `*`.
    span = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    return st.just("*") | st.lists(one | span, min_size=1, max_size=3).map(",".join)


#: Steps over days are left out: there the dialects differ, and ours is the stricter one.
EXPRESSIONS = st.tuples(
    field(0, 59) | st.integers(1, 59).map("*/{}".format),
    field(0, 23) | st.integers(1, 23).map("*/{}".format),
    field(1, 28),
    field(1, 12),
    field(0, 7),
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.integers(0, 2 * 365 * 24 * 60).map(lambda late: YEARS + timedelta(minutes=late)))
def test_starts_are_those_of_cron(expression: str, near: datetime) -> None:
    start = croniter(expression, near).get_next(datetime)
    before = croniter(expression, start).get_prev(datetime)
    window = read_window(f"{expression} for 1m UTC")

    assert window.open(start)
    assert window.open(start + timedelta(seconds=59))
    if before < start - timedelta(minutes=1):
        assert not window.open(start - timedelta(seconds=1))
