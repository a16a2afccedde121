"""Maintenance windows: when a host may be acted on without a person. Pure; every time is aware.

Two forms, each with its time zone. Calendar form, by the clock on the wall there: `Mon..Fri 22:00-06:00 Europe/Berlin`;
an hour that the clock skips is not in it, one that comes twice is in it twice. Cron form, which lasts so long from each
start: `0 22 * * 1-5 for 8h Europe/Berlin`; a start that the clock skips does not happen, one that comes twice counts
the first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

#: What a refusal shows as accepted.
ACCEPTED = (
    "calendar form, such as `Mon..Fri 22:00-06:00 Europe/Berlin`, or cron form with its duration (1m to 24h), such as "
    "`0 22 * * 1-5 for 8h Europe/Berlin`; the zone is always given"
)

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = 24 * 60

_CALENDAR = re.compile(r"(?:(\S+) +)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2}) +(\S+)", re.ASCII)
_CRON = re.compile(r"((?:\S+ +){5})for +(\d{1,5})(m|h) +(\S+)", re.ASCII)
_PART = re.compile(r"(\*|\w+(?:-\w+)?)(?:/(\d{1,4}))?", re.ASCII)

#: The longest month of that number: February has a 29th now and then.
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weekly:
    """Calendar form: on these days from one minute of the day to another, which may be the next morning's."""

    text: str
    zone: ZoneInfo
    #: 0 is Monday: the day on which it opens.
    days: frozenset[int]
    #: Minutes since midnight on the wall; an end at or before the beginning is the next day's.
    begin: int
    end: int

    def open(self, now: datetime) -> bool:
        """Whether it is open at that moment."""
        local = now.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurring:
    """Cron form: from each of its starts for one duration."""

    text: str
    zone: ZoneInfo
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    #: 0 is Sunday, as in cron.
    weekdays: frozenset[int]
    #: Both fields of days are restricted, so either suffices, as in cron.
    either: bool
    duration: timedelta

    def open(self, now: datetime) -> bool:
        """Whether it began less than its duration ago."""
        last = now.replace(second=0, microsecond=0)
        spans = (timedelta(minutes=back) for back in range(int(self.duration.total_seconds()) // 60 + 1))
        return any(now - (last - span) < self.duration and self._begins(last - span) for span in spans)

    def _begins(self, moment: datetime) -> bool:
        local = moment.astimezone(self.zone)
        if local.minute not in self.minutes or local.hour not in self.hours or local.fold:
            return False
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return local.month in self.months and ((day or weekday) if self.either else (day and weekday))


Window = Weekly | Recurring


def read_window(text: str) -> Window:
    """The window that a text describes. Raises ValueError: what is wrong with it, as the end of a sentence."""
    if found := _CRON.fullmatch(text.strip()):
        return _recurring(text.strip(), found)
    if found := _CALENDAR.fullmatch(text.strip()):
        return _weekly(text.strip(), found)
    raise ValueError(f"has {text!r}, which is no window")


def is_open(windows: Iterable[Window], now: datetime) -> bool:
    """Whether any of them is open at that moment."""
    return any(window.open(now) for window in windows)


def _weekly(text: str, found: re.Match[str]) -> Weekly:
    days, *clock, zone = found.groups()
    begin_hour, begin_minute, end_hour, end_minute = (int(part) for part in clock)
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if begin_minute > 59 or end_minute > 59 or begin >= _DAY or end > _DAY:
        raise ValueError(f"has {text!r}, with a time that no clock shows (00:00 to 24:00)")
    if begin == end:
        raise ValueError(f"has {text!r}, which never opens: it ends when it begins (00:00-24:00 is the whole day)")
    return Weekly(text=text, zone=_zone(text, zone), days=_weekdays(text, days or "*"), begin=begin, end=end)


def _weekdays(text: str, given: str) -> frozenset[int]:
    if given == "*":
        return frozenset(range(7))
    days: set[int] = set()
    for part in given.split(","):
        first, dots, last = part.partition("..")
        if first.lower() not in _DAYS or (dots and last.lower() not in _DAYS):
            raise ValueError(f"has {text!r}, where {part!r} is no day (Mon, Tue, Wed, Thu, Fri, Sat, Sun, Mon..Fri)")
        begin = _DAYS.index(first.lower())
        length = (_DAYS.index(last.lower()) - begin) % 7 if dots else 0
        days |= {(begin + step) % 7 for step in range(length + 1)}
    return frozenset(days)


def _recurring(text: str, found: re.Match[str]) -> Recurring:
    minutes, hours, days, months, weekdays = found[1].split()
    duration = timedelta(minutes=int(found[2]) * (60 if found[3] == "h" else 1))
    if not timedelta(0) < duration <= timedelta(days=1):
        never = "which never opens: it lasts no time" if not duration else "which lasts longer than a day"
        raise ValueError(f"has {text!r}, {never}")
    window = Recurring(
        text=text,
        zone=_zone(text, found[4]),
        minutes=_field(text, "minute", minutes, range(60)),
        hours=_field(text, "hour", hours, range(24)),
        days=_field(text, "day of month", days, range(1, 32)),
        months=_field(text, "month", months, range(1, 13), _MONTHS),
        weekdays=frozenset(
            day % 7 for day in _field(text, "day of week", weekdays, range(8), ("sun", *_DAYS[:6])) if day < 8
        ),
        either=not (days.startswith("*") or weekdays.startswith("*")),
        duration=duration,
    )
    if not window.either and not any(min(window.days) <= _LONGEST[month - 1] for month in window.months):
        raise ValueError(f"has {text!r}, which never opens: no such month has a day {min(window.days)}")
    return window


def _field(text: str, name: str, given: str, allowed: range, names: tuple[str, ...] = ()) -> frozenset[int]:
    """The values of one field of cron: `*`, `5`, `1-5`, `*/15`, `mon-fri`, with commas between them."""
    values: set[int] = set()
    for part in given.split(","):
        found = _PART.fullmatch(part)
        first, _, last = (found[1] if found else "").partition("-")
        low, high = (allowed[0], allowed[-1]) if first == "*" else (_number(first, allowed, names),) * 2
        if last:
            high = _number(last, allowed, names)
        elif found and found[2] and first != "*":
            high = allowed[-1]
        step = int(found[2]) if found and found[2] else 1
        if low is None or high is None or low > high or not 0 < step <= allowed[-1]:
            raise ValueError(
                f"has {text!r}, where the {name} {part!r} is none (from {allowed[0]} to {allowed[-1]}, as in crontab)"
            )
        values |= set(range(low, high + 1, step))
    return frozenset(values)


def _number(given: str, allowed: range, names: tuple[str, ...]) -> int | None:
    if given.lower() in names:
        return names.index(given.lower()) + allowed[0]
    return int(given) if given.isdigit() and len(given) <= 2 and int(given) in allowed else None


def _zone(text: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"has {text!r}, where {name!r} is no time zone (such as UTC or Europe/Berlin)") from None
