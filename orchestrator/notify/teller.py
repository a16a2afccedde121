"""Tells one channel what stands in the ledger: nothing is lost by a crash, and a dead receiver delays itself alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from orchestrator.domain import ids
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import FLOOD, IncidentState
from orchestrator.domain.notices import Channel, Message, NoticeKind, Outcome, Told
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.errors import InventoryError
from orchestrator.notify.backlog import Backlog, Batch, Notice, allowed, recent, wanted
from orchestrator.notify.notifier import LogNotifier
from orchestrator.notify.wording import Wording
from orchestrator.ports import Event, Fleet, Store

log = logging.getLogger("healing.notify")

#: Seconds until the first and, doubled each time, the last try again; what a receiver asks for counts up to this too.
FIRST_PAUSE, LAST_PAUSE = 5.0, 300.0
#: Seconds after which the same trouble is logged and recorded again.
REMIND = 60.0
#: Lines of the ledger that are read at once, and after how many the place is noted though nothing was told.
READ_AT_ONCE, NOTE_EVERY = 500, 1000

_KINDS = {
    "incident.escalated": NoticeKind.ESCALATED,
    "next_step.left": NoticeKind.ESCALATED,
    "incident.healed": NoticeKind.HEALED,
    "approval.asked": NoticeKind.APPROVAL,
    "approval.approved": NoticeKind.ANSWERED,
    "approval.denied": NoticeKind.ANSWERED,
    "switch.stopped": NoticeKind.STOPPED,
    "switch.resumed": NoticeKind.STOPPED,
}


class Send(Protocol):
    """Tries once to deliver a message. Never raises."""

    def __call__(self, channel: Channel, message: Message) -> Outcome: ...


class Teller:
    """One channel's thread of work: `turn` is called again and again."""

    def __init__(
        self,
        channel: Channel,
        store: Store,
        fleet: Fleet,
        send: Send,
        wording: Wording,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """`now` is the time of day, `clock` a steady one."""
        self._channel, self._store, self._fleet = channel, store, fleet
        self._send, self._wording, self._now, self._clock = send, wording, now, clock
        self._backlog = Backlog(channel)
        self._alarms: deque[tuple[str, str]] = deque(maxlen=1)
        self._told = Told(channel=channel.name, through={})
        self._begun = self._unsaved = False
        self._read = self._noted = 0
        self._tries, self._again, self._said = 0, 0.0, float("-inf")

    @property
    def held(self) -> tuple[str, int]:
        """The channel's name, and how many notices wait for it."""
        return self._channel.name, self._backlog.held

    def alarm(self, key: str, sentence: str) -> None:
        """Of healing-bot itself: told without the store, which may be what is broken. The newest alone counts."""
        if NoticeKind.STORE in self._channel.events:
            self._alarms.append((key, sentence))

    def turn(self) -> None:
        """Read on, and tell what is due: one message at most. Raises StoreUnavailable, RecordError."""
        self._tell_alarm()
        if not self._begun:
            self._begin()
        self._read_on()
        if self._unsaved or self._read - self._noted >= NOTE_EVERY:
            self._note()
        batch = self._backlog.due(self._clock(), self._now()) if self._clock() >= self._again else None
        if batch is None:
            return
        if allowed(self._channel, self._told.sent, self._now(), urgent=batch.urgent):
            self._tell(batch)
        else:
            self._backlog.limited()

    def _begin(self) -> None:
        """Where it was left; a new channel begins at the ledger's end."""
        newest, found = self._store.newest(), self._store.told(self._channel.name)
        known = found.through if found else {}
        # A kind that was never noted is new; a line that is not there yet is of a store that was put back.
        through = {kind.value: min(known.get(kind.value, newest), newest) for kind in NoticeKind}
        if found:
            self._told = replace(
                self._told,
                sent=(*recent(found.sent, self._now()), *self._told.sent),
                messages=found.messages + self._told.messages,
                failures=found.failures + self._told.failures,
            )
        self._told = replace(self._told, through=through)
        self._store.record_told(self._told)
        self._read = self._noted = min(through.values())
        self._begun = True

    def _note(self) -> None:
        """Record how far it has come; a store that can't be written is asked again in the next turn."""
        self._unsaved = True
        if not self._begun:
            return
        through = {kind: max(seq, self._told.through[kind]) for kind, seq in self._backlog.through(self._read).items()}
        self._told = replace(self._told, through=through)
        self._store.record_told(self._told)
        self._noted, self._unsaved = self._read, False

    def _read_on(self) -> None:
        while not self._backlog.full:
            events = self._store.events(after=self._read, limit=READ_AT_ONCE)
            for event in events:
                kind = _kind(event)
                if kind is not None and event.seq > self._told.through[kind.value]:
                    self._take(event, kind)
                self._read = event.seq
            self._backlog.age(self._now(), self._open)
            if len(events) < READ_AT_ONCE:
                return
        self._backlog.age(self._now(), self._open)

    def _take(self, event: Event, kind: NoticeKind) -> None:
        incident = self._store.incident(event.incident_id) if event.incident_id else None
        opened = event.kind == "incident.opened"
        notice = Notice(
            seq=event.seq,
            at=event.at,
            kind=kind,
            event=event.kind,
            text=incident.reason if opened and incident else event.text,
            incident_id=event.incident_id,
            host=event.host,
            subject=incident.subject.name if incident else "",
            severity=incident.severity if incident else None,
            arrived=self._clock(),
        )
        if wanted(self._channel, notice, self._groups(event.host)):
            self._backlog.add(notice)

    def _groups(self, host: str) -> frozenset[str] | None:
        try:
            return frozenset(self._fleet.host(host).groups) if host else None
        except InventoryError:
            return None

    def _open(self, notice: Notice) -> bool:
        return self._question(notice) is not None

    def _question(self, notice: Notice) -> Approval | None:
        """The question that a notice is about, while it can be answered."""
        found = self._store.approval(ids.approval_id(IncidentId(notice.incident_id)))
        return found if found and found.answer is Answer.PENDING and found.expires_at > self._now() else None

    def _tell(self, batch: Batch) -> None:
        kind = batch.notices[0].kind if batch.notices else None
        questions = [one for one in map(self._question, batch.notices) if one] if kind is NoticeKind.APPROVAL else []
        if kind is NoticeKind.APPROVAL and not questions:
            # All of them were answered meanwhile: nobody needs to be asked.
            self._done(batch)
            return
        single = batch.notices[0] if len(batch.notices) == 1 and kind is NoticeKind.ESCALATED else None
        lines = [one.message for one in self._store.evidence(single.incident_id, 1)] if single else []
        if self._try(self._wording.of(batch, lines, questions)):
            self._done(batch)

    def _done(self, batch: Batch) -> None:
        self._backlog.told(batch)
        self._note()

    def _tell_alarm(self) -> None:
        """Before the store is asked for anything."""
        if not self._alarms or self._clock() < self._again:
            return
        alarm = self._alarms[0]
        if not allowed(self._channel, self._told.sent, self._now(), urgent=True):
            return
        if self._try(self._wording.alarm(*alarm)):
            self._unsaved = True
            if self._alarms[0] == alarm:
                self._alarms.clear()

    def _try(self, message: Message) -> bool:
        outcome, told, now = self._send(self._channel, message), self._told, self._now()
        if outcome.ok:
            if self._tries:
                log.warning("notify.back %s can be told again", self._channel.name)
            self._tries, self._said = 0, float("-inf")
            sent = (*recent(told.sent, now), now)
            self._told = replace(told, sent=sent, messages=told.messages + 1, problem="", at=now)
            return True
        pause = min(max(FIRST_PAUSE * 2 ** min(self._tries, 10), outcome.wait), LAST_PAUSE)
        self._tries, self._again = self._tries + 1, self._clock() + pause
        self._told = replace(told, failures=told.failures + 1, problem=outcome.problem, at=now)
        if self._clock() - self._said >= REMIND:
            self._said = self._clock()
            log.warning(
                "notify.failed %s could not be told (%d tries): %s Nothing is lost; it is tried again.",
                self._channel.name,
                self._tries,
                outcome.problem,
                extra={"action": "notify.failed", "channel": self._channel.name},
            )
            self._unsaved = True
        return False


class Tellers(LogNotifier):
    """The log of `healer serve`, and the channels: those read the ledger by themselves, but for alarms."""

    def __init__(self, tellers: tuple[Teller, ...]) -> None:
        self.tellers = tellers

    def alarm(self, key: str, sentence: str) -> None:
        """To all channels that hear of the store."""
        super().alarm(key, sentence)
        for teller in self.tellers:
            teller.alarm(key, sentence)


def _kind(event: Event) -> NoticeKind | None:
    if event.kind == "incident.expired" and event.data.get("from") == IncidentState.PENDING_APPROVAL.value:
        return NoticeKind.LAPSED
    if event.kind == "incident.opened" and event.data.get("subject") == str(FLOOD):
        # Escalated from the start, so it never moves there.
        return NoticeKind.ESCALATED
    return _KINDS.get(event.kind)
