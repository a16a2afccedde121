"""What waits to be told on one channel, and what of it is told next. Pure: times come from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.domain.notices import URGENT, Channel, NoticeKind
from orchestrator.domain.records import Severity
from orchestrator.domain.windows import is_open

#: Notices that wait on a channel at most; the ledger keeps what follows.
KEPT = 500
#: What has waited for longer is told as a number.
LATE = timedelta(hours=1)
HOUR = timedelta(hours=1)
#: Seconds that what is urgent is held for company.
URGENT_WINDOW = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One line of the ledger that a channel is to be told."""

    seq: int
    at: datetime
    kind: NoticeKind
    #: The line's own kind, such as incident.escalated.
    event: str
    text: str
    incident_id: str = ""
    host: str = ""
    #: The sick thing; '' where no incident is concerned.
    subject: str = ""
    severity: Severity | None = None
    #: When it was read, in seconds of a steady clock.
    arrived: float = 0.0


@dataclass(slots=True)
class Tally:
    """How much of a kind was too late to be told one by one."""

    kind: NoticeKind
    first: Notice
    last: Notice
    count: int = 0
    hosts: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One message: notices of a kind, or tallies."""

    notices: tuple[Notice, ...] = ()
    tallies: tuple[Tally, ...] = ()
    #: It waited because the hour's messages were spent.
    limited: bool = False

    @property
    def urgent(self) -> bool:
        """Whether it may use the part of the hour's messages that is kept back."""
        return bool(self.notices) and self.notices[0].kind in URGENT


def wanted(channel: Channel, notice: Notice, groups: frozenset[str] | None) -> bool:
    """Whether the channel is told; `groups` of the notice's host, None: of no known host. In doubt it is."""
    if notice.kind not in channel.events:
        return False
    if notice.severity is not None and notice.severity < channel.severity:
        return False
    return not channel.groups or groups is None or not channel.groups.isdisjoint(groups)


def recent(sent: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """Those within the last hour; a clock that was set back far forgets the rest."""
    return tuple(moment for moment in sent if abs(now - moment) < HOUR)


def allowed(channel: Channel, sent: Sequence[datetime], now: datetime, *, urgent: bool) -> bool:
    """Whether one more message fits into the hour; a quarter of them is kept for what is urgent."""
    kept = 0 if urgent else max(1, channel.per_hour // 4)
    return len(recent(sent, now)) < channel.per_hour - kept


class Backlog:
    """Of one channel, in the order of the ledger within each kind."""

    def __init__(self, channel: Channel) -> None:
        self._window = channel.window_seconds
        self._quiet, self._loud = channel.quiet, channel.quiet_severity
        self._waiting: dict[NoticeKind, list[Notice]] = {kind: [] for kind in NoticeKind}
        self._late: dict[NoticeKind, Tally] = {}
        self._limited = False

    @property
    def held(self) -> int:
        """How many notices wait."""
        return sum(map(len, self._waiting.values())) + sum(one.count for one in self._late.values())

    @property
    def full(self) -> bool:
        """No more is taken before something was told or is late."""
        return sum(map(len, self._waiting.values())) >= KEPT

    def add(self, notice: Notice) -> None:
        """The next line of the ledger."""
        self._waiting[notice.kind].append(notice)

    def age(self, now: datetime, still_open: Callable[[Notice], bool]) -> None:
        """Put what is too old into tallies, up to the first of its kind that is not; open questions stay, and what
        quiet hours hold back as long as there is room."""
        if is_open(self._quiet, now) and not self.full:
            return
        for kind, waiting in self._waiting.items():
            while waiting and now - waiting[0].at > LATE:
                if kind is NoticeKind.APPROVAL and still_open(waiting[0]):
                    break
                notice = waiting.pop(0)
                tally = self._late.setdefault(kind, Tally(kind, notice, notice))
                tally.last, tally.count = notice, tally.count + 1
                tally.hosts |= {notice.host} - {""}

    def due(self, steady: float, now: datetime) -> Batch | None:
        """What is told next: what is late before all, then the most urgent kind whose window is over. In quiet hours
        what is bad enough takes along what waited of its kind."""
        quiet = is_open(self._quiet, now)
        if self._late and not quiet:
            return Batch(tallies=tuple(self._late.values()), limited=self._limited)
        for kind, waiting in self._waiting.items():
            window = min(self._window, URGENT_WINDOW) if kind in URGENT else self._window
            if quiet and kind not in URGENT and not any(map(self._is_loud, waiting)):
                continue
            if waiting and steady - waiting[0].arrived >= window:
                return Batch(notices=tuple(waiting), limited=self._limited)
        return None

    def _is_loud(self, notice: Notice) -> bool:
        return notice.severity is None or notice.severity >= self._loud

    def limited(self) -> None:
        """What was due had to wait for the hour."""
        self._limited = True

    def told(self, batch: Batch) -> None:
        """It needs no telling any more."""
        self._limited = False
        for tally in batch.tallies:
            self._late.pop(tally.kind, None)
        if batch.notices:
            last = batch.notices[-1].seq
            kind = batch.notices[0].kind
            self._waiting[kind] = [notice for notice in self._waiting[kind] if notice.seq > last]

    def through(self, read: int) -> Mapping[str, int]:
        """By kind, the line up to which everything was told, where the ledger was read up to `read`."""
        firsts = {kind: waiting[0].seq for kind, waiting in self._waiting.items() if waiting}
        firsts |= {kind: tally.first.seq for kind, tally in self._late.items()}
        return {kind.value: firsts[kind] - 1 if kind in firsts else read for kind in NoticeKind}
