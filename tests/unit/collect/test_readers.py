"""A reader of the journal: what it hands over, and how it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest

from orchestrator.collect.delivery import Delivery
from orchestrator.collect.journal import BY_FIELD, CursorRefused
from orchestrator.collect.limits import BYTES_AT_ONCE, LINE_LIMIT
from orchestrator.collect.login import Login
from orchestrator.collect.readers import JournalReader, TooFarBehind
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import LogRecord
from orchestrator.errors import HealingError, HostUnreachable
from tests.support.scripted_link import HOST, ScriptedLink, ScriptedStream

LOGIN = Login(uid=1000, user="healer", journal=True)


def entry(cursor: str, message: str = "ERROR", priority: str = "3") -> bytes:
    fields = {"__CURSOR": cursor, "__REALTIME_TIMESTAMP": "1764000000000000", "PRIORITY": priority, "MESSAGE": message}
    return json.dumps(fields).encode() + b"\n"


def read(
    *parts: bytes, after: str = "@1764000000"
) -> tuple[list[tuple[list[str], Cursor | None]], HealingError, JournalReader]:
    """What the sink got, how the reading ended, and the reader."""
    got: list[tuple[list[str], Cursor | None]] = []

    def sink(host: Host, source: str, records: Sequence[LogRecord], cursor: Cursor | None) -> None:
        got.append(([record.message for record in records], cursor))

    stopping = threading.Event()
    link = ScriptedLink(streams=[ScriptedStream(parts)])
    reader = JournalReader(link, LOGIN, BY_FIELD, Delivery(HOST, sink), stopping)
    reader.open(Cursor(after))
    with pytest.raises(HealingError) as caught:
        reader.run()
    return got, caught.value, reader


def test_each_arrival_is_handed_over_with_its_last_cursor() -> None:
    first, second = entry("c1", "ERROR a") + entry("c2", "ERROR b"), entry("c3", "ERROR c")

    got, error, _ = read(first[:50], first[50:] + second[:10], second[10:])

    assert got == [(["ERROR a", "ERROR b"], "c2"), (["ERROR c"], "c3")]
    assert type(error) is HostUnreachable
    assert str(error) == "web1: following the journal ended: the connection broke."


def test_the_record_at_the_cursor_is_left_out() -> None:
    got, _, _ = read(entry("c1", "ERROR a") + entry("c2", "ERROR b"), after="c1")

    assert got == [(["ERROR b"], "c2")]


def test_what_journalctl_says_last_is_the_reason_of_its_end() -> None:
    _, error, _ = read(b"Failed to open files: Permission denied\n")

    assert str(error) == "web1: following the journal ended: Failed to open files: Permission denied."


def test_a_refused_cursor_is_an_error_of_its_own() -> None:
    _, error, _ = read(b"Failed to seek to cursor: Invalid argument\n", after="c1")

    assert isinstance(error, CursorRefused)


def test_an_endless_line_is_counted_and_what_follows_is_read() -> None:
    got, _, reader = read(b"x" * (LINE_LIMIT + 1), b"x\n" + entry("c1"))

    assert got == [(["ERROR"], "c1")]
    assert reader.cut == 1


def test_a_flood_that_is_read_too_late_is_given_up() -> None:
    line = entry("c1", "ERROR " + "x" * 4000)

    _, error, _ = read(*[line * 16] * (2 * BYTES_AT_ONCE // (16 * len(line))))

    assert isinstance(error, TooFarBehind)


def test_the_script_ends_with_journalctl() -> None:
    link = ScriptedLink(streams=[ScriptedStream()])

    JournalReader(link, LOGIN, BY_FIELD, Delivery(HOST, lambda *_: None), threading.Event()).open(Cursor("c1"))

    assert link.scripts[0][0].endswith("</dev/null; exit")
