"""One pass over a host's journal and log files: for polling, for first looks, and for "did it come back?"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.collect import files, journal
from orchestrator.collect.filelines import has_time
from orchestrator.collect.fileloop import open_loop, problem_of, read_on, records_of
from orchestrator.collect.files import Position
from orchestrator.collect.journal import CursorRefused, Query
from orchestrator.collect.link import Link
from orchestrator.collect.login import Login
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import LogRecord
from orchestrator.errors import HostAuthRefused, HostTimeout

#: Bytes of one query's answer; below link.ANSWER_LIMIT, so that what is longer is told from what is endless.
PASS_LIMIT = 4 * 1024 * 1024
_LIMIT = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one query gave."""

    records: tuple[LogRecord, ...]
    cursor: Cursor | None
    #: There is more behind the cursor.
    more: bool


def read_journal(
    link: Link, login: Login, query: Query, *, after: str | None = None, since: float | None = None
) -> Batch:
    """One query; `since` is on the host's clock. Raises HostAuthRefused (no access), HostUnreachable, HostTimeout."""
    require_journal(link, login)
    command = journal.build_command(query, after=after, since=since, grep=login.grep)
    # The shell ends with head's code; journalctl's own is printed last, as no record can be.
    script = f'{{ {command}; echo "code=$?"; }} 2>&1 | head -c {PASS_LIMIT}'
    answer = link.run(script, root=login.journal_root, timeout=_LIMIT)
    *lines, last = answer.out.rstrip(b"\n").split(b"\n")
    more = len(answer.out) >= PASS_LIMIT
    # --grep that finds nothing ends with 1, as grep does.
    if not more and last not in (b"code=0", b"code=1"):
        raise HostTimeout(f"{link.host.name}: journalctl did not answer: {last.decode('utf-8', 'replace')[:200]}")
    if not more and last == b"code=1" and not (query.by_text and all(line.startswith(b"{") for line in lines)):
        said = b" ".join(lines[:2]).decode("utf-8", "replace")[:300]
        kind = CursorRefused if journal.refused(said) else HostTimeout
        raise kind(f"{link.host.name}: journalctl failed: {said}")
    records = tuple(
        record
        for line in journal.beyond(lines, after)
        if (record := journal.parse(line, link.host.name, login, query)) is not None
    )
    cursors = [cursor for line in lines[-2:] if (cursor := journal.cursor_of(line)) is not None]
    return Batch(records=records, cursor=cursors[-1] if cursors else None, more=more)


def require_journal(link: Link, login: Login) -> None:
    """Raises HostAuthRefused where the journal can't be read: no answer is then no silence."""
    problem = journal_problem(link.host.name, login)
    if problem:
        raise HostAuthRefused(problem)


def journal_problem(host: str, login: Login) -> str:
    """Why the journal can't be read, as a sentence with the way out; '' where it can."""
    if not login.journalctl:
        return f"{host} has no journalctl: healing-bot needs systemd 247 or newer."
    if login.journal or login.journal_root:
        return ""
    return (
        f"{login.user} can't read the journal of {host}. Fix, on the host: usermod -aG systemd-journal {login.user} "
        "(or ansible_become with a sudo that asks for no password)."
    )


def read_files_since(link: Link, login: Login, positions: Mapping[str, Position]) -> list[LogRecord]:
    """What the log files got after the positions. Raises HostAuthRefused where such a file can't be read any more."""
    log_files = link.host.log_files
    if not log_files or not positions:
        return []
    records: list[LogRecord] = []
    loop, states = open_loop(link, login)
    try:
        for index, file in enumerate(log_files):
            position, state = positions.get(file.path), states[index]
            if position is None:
                continue
            if state.found and not state.readable:
                raise HostAuthRefused(problem_of(file, state, login))
            while True:
                lines, position, read = read_on(loop, index, position, state)
                if read is not None and read.skipped:
                    raise HostTimeout(
                        f"{link.host.name} wrote {read.skipped} bytes to {file.path}: too much to look through."
                    )
                records += records_of(lines, host=link.host, file=file, state=state, login=login)
                # A half line is no progress: it is not there yet.
                if read is None or position == read.old:
                    break
    finally:
        loop.close()
    return records


def read_file_tails(link: Link, login: Login, since: datetime) -> list[LogRecord]:
    """The newest part of each log file, as far as its lines carry a time of their own that is not before `since`."""
    if not link.host.log_files:
        return []
    records: list[LogRecord] = []
    loop, states = open_loop(link, login)
    try:
        for index, file in enumerate(link.host.log_files):
            state = states[index]
            start = Position(device=state.device, inode=state.inode, offset=max(0, state.size - files.CHUNK))
            lines, _, _ = read_on(loop, index, start, state)
            dated = [line for line in lines if has_time(line)]
            found = records_of(dated, host=link.host, file=file, state=state, login=login)
            records += [record for record in found if record.time >= since]
    finally:
        loop.close()
    return records


def mark(link: Link, login: Login, now: float) -> Cursor:
    """Where journal and files end now, as one opaque cursor; `now` is the host's time. Raises as read_journal."""
    require_journal(link, login)
    answer = link.run(journal.position_command(), root=login.journal_root, timeout=_LIMIT)
    end = journal.cursor_of(answer.out.strip())
    positions: dict[str, Cursor] = {}
    if link.host.log_files:
        loop, states = open_loop(link, login)
        loop.close()
        for index, file in enumerate(link.host.log_files):
            state = states[index]
            # Of a file that is not there yet everything will be new.
            position = files.plan(index, None, state)[1]
            if position is not None:
                positions[file.path] = position.cursor()
    return Cursor(json.dumps({"journal": end, "time": now, "files": positions}))


def read_since(link: Link, login: Login, cursor: Cursor) -> list[LogRecord]:
    """Everything that could state an error after a mark. Raises HostTimeout where it can't be read whole."""
    try:
        given = json.loads(cursor)
        end, time, positions = given["journal"], float(given["time"]), dict(given["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise HostTimeout(f"{link.host.name}: the mark in the journal can't be read: {cursor[:80]!r}.") from error
    found: list[LogRecord] = []
    for query in (journal.BY_FIELD, journal.BY_TEXT):
        batch = read_journal(link, login, query, after=end, since=time)
        if batch.more:
            raise HostTimeout(f"{link.host.name} wrote over {PASS_LIMIT} bytes of errors: too much to look through.")
        found += batch.records
    marked = {path: files.position_of(Cursor(str(one))) for path, one in positions.items()}
    found += read_files_since(link, login, {path: one for path, one in marked.items() if one is not None})
    return found
