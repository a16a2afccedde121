"""What people read: a title, what happened, what to do next, where to look. What hosts wrote in it is inert."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from orchestrator.domain.notices import Level, Message, NoticeKind
from orchestrator.domain.records import Severity
from orchestrator.domain.speech import printable
from orchestrator.domain.verdicts import Approval
from orchestrator.notify.backlog import Batch, Notice, Tally

#: Characters of a title, of a sentence, of one line of a list; services cut what is longer, some refuse it.
TITLE, SENTENCE, LISTED = 120, 400, 140
#: Lines of a list; the page has the rest.
LINES = 8
#: Shows nothing, and no service reads a name or a link across it.
_SPLIT = "\N{WORD JOINER}"
#: What rings (@channel), links, or opens markup in some service; after each, a split.
_ACTIVE = re.compile(r"@|!(?=\[)|\](?=\()|:(?=//)|www(?=\.)|(?:mailto|tel)(?=:)", re.IGNORECASE)
_STAND_INS = str.maketrans({"<": "‹", ">": "›", "`": "'"})  # noqa: RUF001  # that is what they are for

_NOUNS = {
    NoticeKind.STORE: "words of the store",
    NoticeKind.APPROVAL: "questions",
    NoticeKind.STOPPED: "times healing was stopped or allowed",
    NoticeKind.ESCALATED: "incidents escalated",
    NoticeKind.LAPSED: "questions lapsed",
    NoticeKind.ANSWERED: "questions answered",
    NoticeKind.HEALED: "incidents healed",
}


def inert(text: str, width: int = SENTENCE) -> str:
    """Foreign text on one line: no control character, nothing that rings, links or formats, cut to `width`."""
    shown = printable(" ".join(text.split()))
    if len(shown) > width:
        shown = shown[: width - 1] + "…"
    return _ACTIVE.sub(lambda found: found[0] + _SPLIT, shown.translate(_STAND_INS))


class Wording:
    """Messages with links to `url`; `clean` takes secrets out of what hosts and people wrote."""

    def __init__(self, url: str, clean: Callable[[str], str]) -> None:
        self._url, self._clean = url.rstrip("/"), clean

    def of(self, batch: Batch, lines: Sequence[str], questions: Sequence[Approval]) -> Message:
        """One message. `lines`: what the host logged, for a single notice; `questions`: those that are open."""
        if batch.tallies:
            made = self._late(batch.tallies)
        elif batch.notices[0].kind is NoticeKind.APPROVAL:
            made = self._questions(questions)
        elif len(batch.notices) == 1:
            made = self._single(batch.notices[0], lines)
        else:
            made = self._several(batch.notices)
        if not batch.limited:
            return made
        note = "This waited, because the channel's messages of the hour were spent."
        return Message(title=made.title, body=f"{made.body}\n{note}", level=made.level)

    def alarm(self, key: str, sentence: str) -> Message:
        """Of healing-bot itself."""
        back = key.endswith(".back")
        title = "The store can be written again" if back else "Nothing can be recorded, so nothing acts"
        body = [self._foreign(sentence)]
        if not back:
            body.append("Next: healer doctor, on the machine that runs healer serve.")
        return self._message(title, body, Level.SUCCESS if back else Level.FAILURE)

    def test(self, channel: str, actor: str) -> Message:
        """To see that it arrives."""
        body = [f"{self._foreign(actor)} asked for it. Nothing is wrong.", f"Look: {self._url}/"]
        return self._message(f"A test of the channel {channel}", body, Level.INFO)

    def _single(self, notice: Notice, lines: Sequence[str]) -> Message:
        about = " on ".join(self._foreign(part, 60) for part in (notice.subject, notice.host) if part)
        title, next_step = {
            NoticeKind.ESCALATED: (f"A person must look: {about}", f"Next: healer incidents show {notice.incident_id}"),
            NoticeKind.LAPSED: (f"Nobody answered: {about}", f"Next: healer heal {self._foreign(notice.host, 60)}"),
            NoticeKind.ANSWERED: (f"A question was answered: {about}", ""),
            NoticeKind.HEALED: (f"Healed: {about}", ""),
            NoticeKind.STOPPED: ("All healing is stopped", 'Next: healer start --reason "..." once it may go on'),
        }[notice.kind]
        if notice.event == "switch.resumed":
            title, next_step = "Healing goes on", ""
        said = [f"It logged: {self._foreign(line, 200)}" for line in lines]
        body = [self._foreign(notice.text), next_step, self._link(notice), *said]
        return self._message(title, body, _level(notice))

    def _several(self, notices: Sequence[Notice]) -> Message:
        hosts = {notice.host for notice in notices} - {""}
        kind = notices[0].kind
        where = f" on {_count(len(hosts), 'host')}" if hosts else ""
        next_step = "Next: healer incidents list" if kind in (NoticeKind.ESCALATED, NoticeKind.LAPSED) else ""
        listed = [
            f"- {': '.join(self._foreign(part, LISTED) for part in (one.host, one.subject, one.text) if part)}"
            for one in notices[-LINES:]
        ]
        listed = [line if len(line) <= LISTED else f"{line[: LISTED - 1]}…" for line in listed]
        if len(notices) > LINES:
            listed.append(f"and {len(notices) - LINES} more")
        page = f"Look: {self._url}/incidents" if hosts else ""
        level = max((_level(one) for one in notices), key=list(Level).index)
        return self._message(f"{len(notices)} {_NOUNS[kind]}{where}", [next_step, page, *listed], level)

    def _questions(self, questions: Sequence[Approval]) -> Message:
        if len(questions) > 1:
            title = f"{len(questions)} questions wait for an answer"
            listed = [f"- {one.id}: {self._deed(one)}" for one in questions[-LINES:]]
            if len(questions) > LINES:
                listed.append(f"and {len(questions) - LINES} more")
            body = ["Next: healer approvals list", f"Look: {self._url}/approvals", *listed]
            return self._message(title, body, Level.WARNING)
        one = questions[0]
        body = [
            f"Because: {self._foreign(one.reason)}",
            f"Next: healer approvals show {one.id}",
            f'Then: healer approvals approve {one.id} --reason "..." (or deny)',
            f"Look: {self._url}/approvals/{one.id}",
            f"It lapses at {_moment(one.expires_at)}; nothing is done before somebody says yes.",
        ]
        return self._message(f"May I? {self._deed(one)}", body, Level.WARNING)

    def _late(self, tallies: Sequence[Tally]) -> Message:
        first, last = min(one.first.at for one in tallies), max(one.last.at for one in tallies)
        total = sum(one.count for one in tallies)
        body = ["Next: healer incidents list", f"Look: {self._url}/incidents"]
        for one in tallies:
            where = f" on {_count(len(one.hosts), 'host')}" if one.hosts else ""
            body.append(f"- {one.count} {_NOUNS[one.kind]}{where}")
        body.append(f"They are from {_moment(first)} to {_moment(last)}; this channel could not be told at the time.")
        return self._message(f"{_count(total, 'notice')} came late", body, Level.WARNING)

    def _deed(self, one: Approval) -> str:
        values = " ".join(f"{name}={value}" for name, value in one.parameters.items())
        return self._foreign(f"{one.action} {values}".strip(), 80) + f" on {self._foreign(one.host, 60)}"

    def _link(self, notice: Notice) -> str:
        page = f"incidents/{notice.incident_id}" if notice.incident_id else ""
        return f"Look: {self._url}/{page}"

    def _foreign(self, text: str, width: int = SENTENCE) -> str:
        return inert(self._clean(text), width)

    def _message(self, title: str, body: Sequence[str], level: Level) -> Message:
        cut = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
        return Message(title=f"healing-bot: {cut}", body="\n".join(line for line in body if line), level=level)


def _level(notice: Notice) -> Level:
    if notice.kind is NoticeKind.HEALED:
        return Level.SUCCESS
    if notice.kind is NoticeKind.ANSWERED or notice.event == "switch.resumed":
        return Level.INFO
    bad = notice.kind is NoticeKind.ESCALATED and (notice.severity is None or notice.severity >= Severity.ERROR)
    return Level.FAILURE if bad else Level.WARNING


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
