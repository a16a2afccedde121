"""journalctl's commands, and its JSON lines as records: what can be forged names nothing."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collect import journal
from orchestrator.collect.journal import BY_FIELD, BY_TEXT, TOO_LONG
from orchestrator.collect.login import Login, Offset
from orchestrator.domain.records import LogRecord

LOGIN = Login(uid=1000, user="healer", source="198.18.0.1", clock=Offset(2.0))
WRITTEN = datetime(2026, 11, 25, 13, 0, tzinfo=UTC)
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"


def line(**fields: Any) -> bytes:
    entry = {
        "__CURSOR": "s=1;i=2",
        "__REALTIME_TIMESTAMP": str(int(WRITTEN.timestamp() * 1_000_000)),
        "MESSAGE": "ERROR: no stock",
        "PRIORITY": "3",
        "_PID": "42",
        "_UID": "0",
        "_SYSTEMD_UNIT": "shop.service",
    }
    return json.dumps({key: value for key, value in {**entry, **fields}.items() if value is not Ellipsis}).encode()


def parsed(**fields: Any) -> LogRecord:
    record = journal.parse(line(**fields), "web1", LOGIN)
    assert record is not None
    return record


def test_a_line_becomes_a_record_on_our_clock() -> None:
    assert parsed() == LogRecord(
        time=WRITTEN - timedelta(seconds=2),
        host="web1",
        unit="shop.service",
        priority=3,
        message="ERROR: no stock",
        cursor=parsed().cursor,
        source="journal",
    )
    assert parsed().cursor == "s=1;i=2"


@pytest.mark.parametrize(
    ("fields", "unit", "failure"),
    [
        pytest.param({"UNIT": "nginx.service", "_PID": "1", "MESSAGE_ID": FAILED}, "nginx.service", True, id="PID 1"),
        pytest.param(
            {"OBJECT_SYSTEMD_UNIT": "nginx.service", "_PID": "1"}, "nginx.service", False, id="PID 1 of an object"
        ),
        pytest.param({"UNIT": "nginx.service", "MESSAGE_ID": FAILED}, "shop.service", False, id="another process"),
        pytest.param(
            {"UNIT": "nginx.service", "_PID": "1", "_UID": "1000", "MESSAGE_ID": FAILED},
            "shop.service",
            False,
            id="PID 1 of a user",
        ),
        pytest.param(
            {"UNIT": "nginx.service", "_PID": ["1", "42"], "MESSAGE_ID": FAILED}, "shop.service", False, id="two PIDs"
        ),
        pytest.param(
            {
                "UNIT": ["nginx.service", "ssh.service"],
                "_PID": "1",
                "MESSAGE_ID": FAILED,
                "_SYSTEMD_UNIT": "init.scope",
            },
            "init.scope",
            True,
            id="UNIT twice",
        ),
        pytest.param({"SYSLOG_IDENTIFIER": "nginx", "_SYSTEMD_UNIT": ...}, "", False, id="an identifier is no unit"),
        pytest.param({"_SYSTEMD_UNIT": "a b; rm -rf /"}, "", False, id="no name of a unit"),
        pytest.param({"_SYSTEMD_UNIT": "x" * 300}, "", False, id="too long a name"),
        pytest.param({"_TRANSPORT": "kernel", "_SYSTEMD_UNIT": ..., "_PID": ...}, "kernel", False, id="the kernel"),
        pytest.param(
            {"MESSAGE_ID": FAILED.upper(), "_PID": "1", "UNIT": "a.service"}, "a.service", False, id="no such id"
        ),
        pytest.param(
            {"MESSAGE_ID": EXITED, "_PID": "1", "UNIT": "a.service", "PRIORITY": "7"},
            "a.service",
            False,
            id="a process that ended well",
        ),
        pytest.param(
            {"MESSAGE_ID": EXITED, "_PID": "1", "UNIT": "a.service", "PRIORITY": "5"},
            "a.service",
            True,
            id="a process that was killed",
        ),
    ],
)
def test_only_trusted_fields_name_a_unit_and_its_failure(fields: dict[str, Any], unit: str, failure: bool) -> None:
    record = parsed(**fields)

    assert (record.unit, record.unit_failure) == (unit, failure)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\x00more", "two lines and more"),
        ("\x1b[31mred\x1b[0m", "red"),
        (list("bytés".encode()), "bytés"),
        ([255, 69], "\ufffdE"),
        ([list(b"first"), list(b"second")], "first"),
        (["first", "second"], "first"),
        (None, TOO_LONG),
        (..., ""),
        ([], ""),
        ([None, "second"], ""),
        ([69, "x"], ""),
        ([69, 256], ""),
        ({"an": "object"}, ""),
        (7, ""),
    ],
)
def test_a_message_in_any_shape_is_one_harmless_line(message: Any, expected: str) -> None:
    assert parsed(MESSAGE=message).message == expected


@pytest.mark.parametrize(
    ("given", "expected"), [("0", 0), ("7", 7), ("8", 6), ("-1", 6), ("x", 6), ("", 6), (..., 6), (3, 6), (["3"], 6)]
)
def test_a_priority_that_is_none_is_the_one_of_output(given: Any, expected: int) -> None:
    assert parsed(PRIORITY=given).priority == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' * 20_000,
        line(__REALTIME_TIMESTAMP=...),
        line(__REALTIME_TIMESTAMP="soon"),
        line(__REALTIME_TIMESTAMP="-1"),
        line(__REALTIME_TIMESTAMP="\u0661"),
        line(__REALTIME_TIMESTAMP="9" * 18),
        line(__REALTIME_TIMESTAMP=["1", "2"]),
        line(__CURSOR=...),
        line(__CURSOR=7),
    ],
)
def test_what_is_no_record_is_passed_over(raw: bytes) -> None:
    assert journal.parse(raw, "web1", LOGIN) is None


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    journal.parse(raw, "web1", LOGIN)
    journal.cursor_of(raw)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["__REALTIME_TIMESTAMP", "MESSAGE", "PRIORITY", "_PID", "UNIT", "MESSAGE_ID", "_TRANSPORT"]),
        st.none()
        | st.text(max_size=30)
        | st.integers()
        | st.lists(st.integers(0, 300) | st.text(max_size=3), max_size=4),
    )
)
def test_no_fields_break_the_parser(fields: dict[str, Any]) -> None:
    record = journal.parse(line(**fields), "web1", LOGIN)

    assert record is None or (record.priority in range(8) and "\n" not in record.message)


@pytest.mark.parametrize(
    ("fields", "by_field", "by_text"),
    [
        ({"PRIORITY": "3"}, True, False),
        ({"PRIORITY": "4"}, True, False),
        ({"PRIORITY": "5", "_PID": "1", "MESSAGE_ID": FAILED}, True, False),
        ({"PRIORITY": "5"}, True, True),
        ({"PRIORITY": "6"}, True, True),
    ],
)
def test_a_record_that_both_queries_find_is_told_by_one(fields: dict[str, Any], by_field: bool, by_text: bool) -> None:
    raw = line(**fields)

    assert (journal.parse(raw, "web1", LOGIN, BY_FIELD) is not None) == by_field
    assert (journal.parse(raw, "web1", LOGIN, BY_TEXT) is not None) == by_text


def test_the_query_by_field_asks_for_priorities_and_for_what_pid_1_says() -> None:
    words = shlex.split(journal.build_command(BY_FIELD, since=1764000000.9))

    assert words[0] == "journalctl"
    assert "--since=@1764000000" in words, "rounded up it would lose what came within the second"
    first, second = words[words.index("PRIORITY=0") :], words[words.index("+") + 1 :]
    assert first[:6] == ["PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=3", "PRIORITY=4", "+"]
    assert second[:2] == ["_PID=1", "_UID=0"]
    assert f"MESSAGE_ID={FAILED}" in second
    assert "--follow" not in words


def test_a_cursor_is_quoted_wins_over_a_time_and_begins_with_its_own_record() -> None:
    words = shlex.split(journal.build_command(BY_TEXT, after="s=1;i=2 $(id)'", since=5.0, follow=True))

    assert "--cursor=s=1;i=2 $(id)'" in words
    assert not [word for word in words if word.startswith(("--since", "--after-cursor", "--lines"))]
    assert {"--follow", "--no-tail", "--case-sensitive=no"} <= set(words)


def test_a_place_that_is_a_time_begins_there() -> None:
    words = shlex.split(journal.build_command(BY_TEXT, after=journal.from_time(1764000000.9), since=5.0, follow=True))

    assert "--since=@1764000000" in words
    assert not [word for word in words if word.startswith("--cursor")]


def test_a_journalctl_that_can_not_search_has_a_grep_beside_it() -> None:
    command = journal.build_command(BY_TEXT, grep=False)

    assert "--grep" not in command
    assert "| grep -aEi --line-buffered " in command


def test_the_record_at_the_cursor_is_dropped_and_no_other() -> None:
    lines = [line(), line(__CURSOR="s=1;i=22"), line(__CURSOR="s=1;i=3", MESSAGE="about s=1;i=2"), b"words of s=1;i=2"]

    assert journal.beyond(lines, "s=1;i=2") == lines[1:]
    assert journal.beyond(lines, None) == lines


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Failed to seek to cursor: Invalid argument", True),
        ("Failed to open files: Permission denied", False),
        ("", False),
    ],
)
def test_a_complaint_about_the_cursor_is_told_from_others(words: str, expected: bool) -> None:
    assert journal.refused(words) == expected
