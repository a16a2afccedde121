"""Who is told of what, and how far that has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.hosts import Secret
from orchestrator.domain.records import Severity
from orchestrator.domain.windows import Window


class NoticeKind(StrEnum):
    """What a channel may be told of. The most urgent first."""

    #: The store can't be written, so nothing acts; and that it can be again.
    STORE = "store"
    #: A question to a person.
    APPROVAL = "approval"
    #: All healing was stopped, or allowed again.
    STOPPED = "stopped"
    #: A person must look.
    ESCALATED = "escalated"
    #: Nobody answered a question in time.
    LAPSED = "lapsed"
    #: Who answered a question, and how.
    ANSWERED = "answered"
    HEALED = "healed"


#: What wakes a person at once: it is not held back for company, and has a part of the hour's messages for itself.
URGENT = frozenset({NoticeKind.STORE, NoticeKind.APPROVAL, NoticeKind.STOPPED})
#: What a channel is told of unless it says otherwise.
USUAL = frozenset(NoticeKind) - {NoticeKind.ANSWERED, NoticeKind.HEALED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One `[[notify]]` table of the config file: a place where people are told."""

    name: str
    #: Apprise's URL of it; None: the environment variable `url_env` is not set here.
    url: Secret | None
    url_env: str = ""
    events: frozenset[NoticeKind] = USUAL
    #: Incidents that are milder than this are not told.
    severity: Severity = Severity.WARNING
    #: Hosts of one of these groups alone; empty: all.
    groups: frozenset[str] = frozenset()
    #: Messages within an hour at most.
    per_hour: int = 30
    #: How long notices of a kind are gathered before they are told as one message.
    window_seconds: float = 30.0

    #: While one is open, only what is urgent is told, and incidents of `quiet_severity` or worse.
    quiet: tuple[Window, ...] = ()
    quiet_severity: Severity = Severity.CRITICAL

    @property
    def service(self) -> str:
        """The URL's scheme, such as `slack`: all of it that may be shown."""
        return (self.url or "").partition("://")[0]


class Level(StrEnum):
    """How a message is coloured, where a service has colours."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """Plain text for a person: what hosts wrote in it can neither ring, link nor format."""

    title: str
    body: str
    level: Level


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one try to tell went."""

    ok: bool
    #: One sentence without any secret; '' where it went well.
    problem: str = ""
    #: Seconds that the service asks us to wait; 0: it does not say.
    wait: float = 0.0
    #: It was not found out: the process that tells people was too slow, or died. Says nothing of the channel.
    unsure: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """How far a channel has come, so that a crash loses no notice."""

    channel: str
    #: By kind: the ledger's line up to which everything was told.
    through: Mapping[str, int]
    #: When messages were sent within the last hour.
    sent: tuple[datetime, ...] = ()
    messages: int = 0
    failures: int = 0
    #: Why the last try failed; '' where it did not.
    problem: str = ""
    #: Of the last try.
    at: datetime | None = field(default=None)
