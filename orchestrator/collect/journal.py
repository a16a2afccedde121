"""journalctl: the commands, and one line of its JSON -> a log record. Pure.

Two queries, because journalctl can't say "these fields or that text": `by_field` takes priorities 0 to 4 and what
PID 1 says of failed units, through the journal's index; `by_text` takes whatever text could state an error, at any
priority: a service's "ERROR: ..." on stderr is filed as 6. Measured on 100,000 records: 0.01 s and 1.6 s of the
host's time, where a filter over journalctl's JSON takes 6 s.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any

from orchestrator.collect.login import Login
from orchestrator.collect.ownership import is_own
from orchestrator.collect.wording import WORTH, clean
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import JOURNAL, LogRecord, Severity
from orchestrator.errors import HostUnreachable

#: What PID 1 says of a unit that failed (systemd's sd-messages.h).
FAILURES = frozenset(
    {
        "be02cf6855d2428ba40df7e9d022f03d",  # UNIT_FAILED: a start job failed
        "d9b373ed55a64feb8242e02dbe79a49c",  # UNIT_FAILURE_RESULT: "Failed with result ..."
        "98e322203f7a4ed290d09fe03c09fe15",  # UNIT_PROCESS_EXIT: "Main process exited, code=killed ..."
        "641257651c1b4ec9a8624d7a40a9e1e7",  # SPAWN_FAILED: the program could not be executed
        "fe6faa94e7774663a0da52717891d8ef",  # UNIT_OUT_OF_MEMORY: the kernel killed a process of the unit
    }
)
_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
#: Fields that are asked for; cursor and time come always.
FIELDS = (
    *("MESSAGE", "PRIORITY", "MESSAGE_ID", "UNIT", "OBJECT_SYSTEMD_UNIT", "_TRANSPORT", "_PID", "_UID", "_COMM"),
    *("_SYSTEMD_UNIT", "_SYSTEMD_OWNER_UID", "_AUDIT_LOGINUID"),
)
#: journalctl prints `null` for a field over this many bytes, unless asked for all of it; a flood is not asked for.
TOO_LONG = "(a message over 4096 bytes; see journalctl on the host)"
_OPTIONS = f"--no-pager --quiet --output=json --output-fields={','.join(FIELDS)}"
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,256}")


class CursorRefused(HostUnreachable):
    """journalctl knows no such place: the journal was made anew, or the cursor is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One of the two ways to ask the journal; `source` is the name under which its cursor is stored."""

    source: str
    by_text: bool


#: How a place begins that is a time, and no cursor of journalctl.
_TIME = "@"

BY_FIELD = Query(source=JOURNAL, by_text=False)
BY_TEXT = Query(source=f"{JOURNAL}-text", by_text=True)


def build_command(
    query: Query,
    *,
    after: str | None = None,
    since: float | None = None,
    follow: bool = False,
    grep: bool = True,
) -> str:
    """The shell command. `after` is a cursor, or what `from_time` made; without one `since` is the host's own time, in
    seconds since 1970.

    `grep`: journalctl can search texts; else a grep beside it does, on its JSON lines.
    """
    if after and after.startswith(_TIME):
        since, after = float(after.removeprefix(_TIME)), None
    words = ["journalctl", _OPTIONS]
    # No --lines: with --follow it would begin with the last ten, and the cursor says where to begin.
    words += ["--follow", "--no-tail"] if follow else []
    # Not --after-cursor: where the cursor's own record does not match the query, it silently skips the first one that
    # does (tried, systemd 252). This begins with the cursor's record, which `beyond` drops.
    words += [f"--cursor={shlex.quote(after)}"] if after else []
    words += [f"--since=@{floor(since)}"] if since is not None and not after else []
    if not query.by_text:
        words += [f"PRIORITY={number}" for number in range(5)]
        words += ["+", "_PID=1", "_UID=0", *(f"MESSAGE_ID={one}" for one in sorted(FAILURES))]
        return f"{' '.join(words)} </dev/null"
    if grep:
        words += ["--case-sensitive=no", f"--grep={shlex.quote(WORTH)}"]
        return f"{' '.join(words)} </dev/null"
    # Texts that are no UTF-8 come as lists of numbers, which only we can read.
    pattern = r'"MESSAGE" ?: ?(\[|"[^"]*(err|fail|fatal|crit|panic|emerg|alert|severe|warn|exception|traceback|denied))'
    return f"{' '.join(words)} </dev/null | grep -aEi --line-buffered {shlex.quote(pattern)}"


def from_time(moment: float) -> Cursor:
    """Where to begin while no record gave a cursor: the host's own time, in seconds since 1970.

    Stored at first contact. A host that stated no error so far would else have no place to go on from, and what it
    logs while nobody listens would be lost.
    """
    return Cursor(f"{_TIME}{floor(moment)}")


def position_command() -> str:
    """Prints one record, whose cursor is the journal's end now."""
    return "journalctl --no-pager --quiet --output=json --output-fields=PRIORITY --lines=1 </dev/null"


def refused(words: str) -> bool:
    """Whether journalctl's complaint is about the cursor."""
    return "to cursor" in words


def cursor_of(line: bytes) -> Cursor | None:
    """The cursor of any line of JSON; None for what is none."""
    entry = _entry(line)
    cursor = entry.get("__CURSOR") if entry else None
    return Cursor(cursor) if isinstance(cursor, str) else None


def beyond(lines: Sequence[bytes], after: str | None) -> list[bytes]:
    """The lines of a query without the record at the cursor that it began with."""
    if after is None:
        return list(lines)
    # The needle first: parsing every line of JSON twice would cost as much again.
    needle = after.encode()
    return [line for line in lines if needle not in line or cursor_of(line) != after]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def parse(line: bytes, host: str, login: Login, query: Query = BY_FIELD) -> LogRecord | None:
    """One line of journalctl's JSON as a record; None for what is no record, or is the other query's."""
    entry = _entry(line)
    if entry is None:
        return None
    # Trusted fields come once, as strings; whoever writes a record can give any other field twice, or as bytes.
    fields = {key: value for key, value in entry.items() if isinstance(value, str)}
    time = _time(fields.get("__REALTIME_TIMESTAMP"), login.clock_offset)
    if time is None or "__CURSOR" not in fields:
        return None
    priority = _priority(fields.get("PRIORITY"))
    speaks = fields.get("_PID") == "1" and fields.get("_UID") == "0"
    failure = _is_failure(fields, priority) if speaks else False
    if query.by_text and (failure or Severity.of_priority(priority) >= Severity.WARNING):
        return None
    message = clean(_text(entry.get("MESSAGE", "")))
    unit = _unit(fields, speaks=speaks)
    trusted = {key: value for key, value in fields.items() if key.startswith("_")}
    return LogRecord(
        time=time,
        host=host,
        unit=unit,
        priority=priority,
        message=message,
        cursor=Cursor(fields["__CURSOR"]),
        source=JOURNAL,
        unit_failure=failure,
        own_session=is_own(trusted, message, unit, login),
    )


def _is_failure(fields: Mapping[str, str], priority: int) -> bool:
    identity = fields.get("MESSAGE_ID", "").replace("-", "")
    # A process that ended well is told under the same id, at debug.
    return identity in FAILURES and (identity != _EXIT or priority < 6)


def _unit(fields: Mapping[str, str], *, speaks: bool) -> str:
    """From what can't be forged: anybody may set UNIT in a record of his own."""
    if fields.get("_TRANSPORT") == "kernel":
        return "kernel"
    named = (fields.get("UNIT") or fields.get("OBJECT_SYSTEMD_UNIT") or "") if speaks else ""
    unit = named or fields.get("_SYSTEMD_UNIT", "")
    return unit if _UNIT_NAME.fullmatch(unit) else ""


def _priority(text: str | None) -> int:
    return int(text) if text in ("0", "1", "2", "3", "4", "5", "6", "7") else 6


def _time(text: str | None, offset: float) -> datetime | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 17:
        return None
    return datetime.fromtimestamp(int(text) / 1_000_000, UTC) - timedelta(seconds=offset)


def _text(value: Any) -> str:
    """MESSAGE is a string, a list of bytes, a list of such, or null where it is too long."""
    if isinstance(value, str):
        return value
    if value is None:
        return TOO_LONG
    if not isinstance(value, list) or not value:
        return ""
    # Given twice: the first counts.
    first = value if isinstance(value[0], int) else value[0]
    if isinstance(first, list) and all(isinstance(one, int) and 0 <= one < 256 for one in first):
        return bytes(first).decode("utf-8", "replace")
    return first if isinstance(first, str) else ""
