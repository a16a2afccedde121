"""One line of a log file -> a log record. Pure."""

from __future__ import annotations

import re
from calendar import isleap
from datetime import UTC, datetime, timedelta, timezone

from orchestrator.collect.wording import clean
from orchestrator.domain.hosts import LogFile
from orchestrator.domain.records import LogRecord

#: A file gives no priority: severity is what the text states.
_PRIORITY = 6
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: at for at, name in enumerate(_NAMES, start=1)}
_ISO = re.compile(
    r"\[?(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?\s?((?:Z|UTC|GMT)\b|[+-]\d\d:?\d\d)?\]?:?\s*"
)
_SYSLOG = re.compile(r"([A-Z][a-z]{2})\s+(\d{1,2}) (\d\d):(\d\d):(\d\d)\s+")
_APACHE = re.compile(r"\[[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{4})\]\s*")
#: `host program[pid]: ` of a syslog line, after its time.
_PREFIX = re.compile(r"\S+ [\w./@-]+(?:\[\d+\])?: ")


def parse_line(
    line: bytes, *, file: LogFile, host: str, newest: datetime, clock_offset: float, zone_minutes: int
) -> LogRecord:
    """A record of the file's unit.

    `newest` is when the file was last written, on our clock: a line without a time of its own is taken to be that
    old, so that what was read late does not look fresh. Times without a zone are in the host's, `zone_minutes`
    from UTC; `clock_offset` is host minus ours, in seconds.
    """
    text = line.decode("utf-8", "replace")
    written = _time(text, newest, timezone(timedelta(minutes=zone_minutes)))
    time = newest if written is None else min(newest, written - timedelta(seconds=clock_offset))
    return LogRecord(time=time, host=host, unit=file.unit, priority=_PRIORITY, message=clean(text), source=file.path)


def has_time(line: bytes) -> bool:
    """Whether the line carries a time of its own."""
    text = line.decode("utf-8", "replace")
    return any(pattern.match(text) for pattern in (_ISO, _SYSLOG, _APACHE))


def essence(message: str) -> str:
    """The text without time, host and program before it: what journal and file share of one line."""
    for pattern in (_ISO, _SYSLOG, _APACHE):
        match = pattern.match(message)
        if match is not None:
            message = message[match.end() :]
            # Host and program stand behind a time of syslog's; a logger's "ERROR shop: " is the line's own.
            host = _PREFIX.match(message) if pattern is _SYSLOG or match[0][10] == "T" else None
            return message[host.end() if host else 0 :].strip()
    return message.strip()


def _time(text: str, newest: datetime, zone: timezone) -> datetime | None:
    try:
        if match := _ISO.match(text):
            year, month, day, hour, minute, second = (int(match[at]) for at in range(1, 7))
            return datetime(year, month, day, hour, minute, second, tzinfo=_zone(match[7], zone)).astimezone(UTC)
        if match := _APACHE.match(text):
            month = _MONTHS[match[1].lower()]
            rest = (int(match[at]) for at in range(2, 6))
            return datetime(int(match[6]), month, *rest, tzinfo=zone).astimezone(UTC)  # type: ignore[arg-type, misc]
        if match := _SYSLOG.match(text):
            return _in_newest_year(match, newest, zone)
    except (ValueError, KeyError, OverflowError):
        # Digits that are no date.
        return None
    return None


def _in_newest_year(match: re.Match[str], newest: datetime, zone: timezone) -> datetime | None:
    """No year is given: the newest one that is not in the future, give or take a day."""
    month = _MONTHS[match[1].lower()]
    day, hour, minute, second = (int(match[at]) for at in range(2, 6))
    year = newest.astimezone(zone).year
    # The next one too: on the last evening of a year the host's clock may be in the new one already.
    for guess in (year + 1, year, year - 1):
        if day == 29 and month == 2 and not isleap(guess):
            continue
        found = datetime(guess, month, day, hour, minute, second, tzinfo=zone)
        if found <= newest + timedelta(days=1):
            return found.astimezone(UTC)
    return None


def _zone(text: str | None, zone: timezone) -> timezone:
    if text is None:
        return zone
    if text in ("Z", "UTC", "GMT"):
        return UTC
    digits = text.replace(":", "")
    minutes = int(digits[1:3]) * 60 + int(digits[3:5])
    return timezone(timedelta(minutes=-minutes if digits[0] == "-" else minutes))
