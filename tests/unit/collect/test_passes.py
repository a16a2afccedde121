"""One pass over a journal: what is no whole answer is no silence."""

from __future__ import annotations

import json

import pytest

from orchestrator.collect import passes
from orchestrator.collect.journal import BY_FIELD, BY_TEXT, CursorRefused
from orchestrator.collect.login import Login
from orchestrator.collect.passes import journal_problem, mark, read_journal, read_since
from orchestrator.domain.ids import Cursor
from orchestrator.errors import HealingError, HostAuthRefused, HostTimeout
from tests.support.scripted_link import ScriptedLink

LOGIN = Login(uid=1000, user="healer", journal=True)


def entry(number: int, priority: str = "3") -> bytes:
    fields = {
        "__CURSOR": f"c{number}",
        "__REALTIME_TIMESTAMP": "1764000000000000",
        "PRIORITY": priority,
        "MESSAGE": "ERROR",
    }
    return json.dumps(fields).encode() + b"\n"


def link(answer: bytes) -> ScriptedLink:
    return ScriptedLink(answers=lambda script: answer)


def test_records_come_with_the_cursor_of_the_last() -> None:
    batch = read_journal(link(entry(1) + entry(2) + b"code=0\n"), LOGIN, BY_FIELD)

    assert [record.cursor for record in batch.records] == ["c1", "c2"]
    assert (batch.cursor, batch.more) == ("c2", False)


def test_the_record_at_the_cursor_is_not_told_again() -> None:
    batch = read_journal(link(entry(1) + entry(2) + b"code=0\n"), LOGIN, BY_FIELD, after="c1")

    assert [record.cursor for record in batch.records] == ["c2"]


def test_nothing_found_is_silence() -> None:
    assert read_journal(link(b"code=0\n"), LOGIN, BY_FIELD).records == ()
    assert read_journal(link(b"code=1\n"), LOGIN, BY_TEXT).records == ()


@pytest.mark.parametrize(
    ("answer", "query", "kind"),
    [
        (b"", BY_FIELD, HostTimeout),
        (entry(1), BY_FIELD, HostTimeout),
        (b"code=1\n", BY_FIELD, HostTimeout),
        (b"code=127\n", BY_FIELD, HostTimeout),
        (b"Failed to open files: Permission denied\ncode=1\n", BY_TEXT, HostTimeout),
        (b"Failed to seek to cursor: Invalid argument\ncode=1\n", BY_FIELD, CursorRefused),
    ],
)
def test_a_journalctl_that_failed_is_no_silence(answer: bytes, query: object, kind: type[HealingError]) -> None:
    with pytest.raises(kind):
        read_journal(link(answer), LOGIN, query)  # type: ignore[arg-type]


def test_a_complaint_beside_records_does_not_hide_them() -> None:
    answer = b"Journal file x is truncated, ignoring file.\n" + entry(1) + b"code=0\n"

    assert len(read_journal(link(answer), LOGIN, BY_FIELD).records) == 1


def test_an_answer_that_fills_the_limit_has_more_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "PASS_LIMIT", 1000)
    answer = (entry(1) * 10)[:1000]

    assert read_journal(link(answer), LOGIN, BY_FIELD).more
    with pytest.raises(HostTimeout, match="too much to look through"):
        read_since(link(answer), LOGIN, Cursor('{"journal": null, "time": 1, "files": {}}'))


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (LOGIN, ""),
        (Login(uid=1000, user="healer", sudo=True), ""),
        (
            Login(uid=1000, user="healer", sudo=False),
            "healer can't read the journal of web1. Fix, on the host: usermod",
        ),
        (Login(uid=0, user="root", journal=True, journalctl=False), "web1 has no journalctl"),
    ],
)
def test_a_journal_that_can_not_be_read_has_one_sentence_and_no_silence(login: Login, words: str) -> None:
    problem = journal_problem("web1", login)

    assert problem.startswith(words)
    assert bool(problem) == bool(words)
    if words:
        with pytest.raises(HostAuthRefused):
            read_journal(link(b"code=0\n"), login, BY_FIELD)


def test_a_mark_holds_the_journals_end_and_the_hosts_time() -> None:
    assert json.loads(mark(link(entry(9)), LOGIN, 1764000000.5)) == {"journal": "c9", "time": 1764000000.5, "files": {}}
    assert json.loads(mark(link(b""), LOGIN, 1.0))["journal"] is None


@pytest.mark.parametrize("cursor", ["", "7", "{}", "[]", '{"journal": null, "time": "x", "files": {}}'])
def test_a_mark_that_is_none_is_no_silence(cursor: str) -> None:
    with pytest.raises(HostTimeout, match="can't be read"):
        read_since(link(b"code=0\n"), LOGIN, Cursor(cursor))
