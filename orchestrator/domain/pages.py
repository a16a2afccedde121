"""How lists are asked for: which rows, in which order, from where on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import OutbreakState
from orchestrator.domain.records import Severity
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One part of a list. Rows that come meanwhile move nothing: `after` is a place, not a number."""

    limit: int = 50
    #: `Slice.next` of the part before; '': from the beginning.
    after: str = ""
    oldest_first: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice(Generic[T]):
    """What a page holds."""

    items: tuple[T, ...]
    #: Where the next page begins; None: this is the last one.
    next: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Between:
    """Rows of a span of time; None: open to that side."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentFilter(Between):
    """Times are those of the first line."""

    host: str | None = None
    states: Sequence[IncidentState] = ()
    #: The mildest.
    severity: Severity | None = None
    #: Part of the subject's name or of the template, whatever its case.
    text: str | None = None
    injected: bool = True
    #: One of those that were seen on it.
    signature: Signature | None = None
    #: In which it has, or had, a place.
    outbreak_id: str | None = None
    #: Of the decision.
    action: str | None = None
    chooser: str | None = None
    #: True: with a decision that acts; False: with one that does not.
    acts: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFilter(Between):
    """Times are those of the start."""

    host: str | None = None
    incident_id: str | None = None
    kinds: Sequence[RunKind] = ()
    statuses: Sequence[RunStatus] = ()
    action: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalFilter(Between):
    """Times are those of the question."""

    host: str | None = None
    answers: Sequence[Answer] = ()
    #: One of those that were seen on its incident.
    signature: Signature | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutbreakFilter(Between):
    """Times are those of the opening."""

    #: Of a member.
    host: str | None = None
    states: Sequence[OutbreakState] = ()
    action: str | None = None
    signature: Signature | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFilter(Between):
    """Lines of the ledger."""

    host: str | None = None
    incident_id: str | None = None
    #: The kind itself, or its first word: `run` for run.started and run.ended.
    kind: str | None = None
    actor: str | None = None
    #: True: what people and clients did; False: what healing-bot did by itself.
    people: bool | None = None
