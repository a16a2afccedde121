"""Incidents: one sick thing on one host, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.records import LogRecord, Severity


class SubjectKind(StrEnum):
    """What kind of thing is sick."""

    UNIT = "unit"
    PATH = "path"
    SIGNATURE = "signature"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The sick thing: a unit, else a path or file system, else the signature itself."""

    kind: SubjectKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """What detect says of one record that states an error."""

    record: LogRecord
    signature: Signature
    #: The masked text: what all records of the signature share.
    template: str
    subject: Subject
    severity: Severity
    #: Seconds from when the host wrote it until it was detected, on the controller's clock.
    age: float


class IncidentState(StrEnum):
    """Where an incident stands. The last six are ends, but `escalated` and `noise` still absorb repeats."""

    #: Stored; its plan workflow starts next.
    OPEN = "open"
    #: Deciding, inspecting, judging.
    PLANNING = "planning"
    #: Waits for a person's approval.
    PENDING_APPROVAL = "pending_approval"
    #: In its host's queue, or checking, acting, verifying.
    HEALING = "healing"
    #: The verify playbook passed; the hold time runs.
    VERIFIED = "verified"
    #: Verified, and silent for the hold time.
    HEALED = "healed"
    #: The check found it well before anything was done.
    ALREADY_WELL = "already_well"
    #: The chooser calls it noise; nothing to do.
    NOISE = "noise"
    #: A person was told; repeats only raise its count.
    ESCALATED = "escalated"
    #: The same trouble as another incident, which goes on with its evidence.
    JOINED = "joined"
    #: Ended without an answer (approval lapsed, evidence too old) or closed by a person.
    EXPIRED = "expired"


#: Its healing goes on: every signal of the subject joins as evidence. A subject has one such incident at most.
UNDER_WAY = frozenset(
    {
        IncidentState.OPEN,
        IncidentState.PLANNING,
        IncidentState.PENDING_APPROVAL,
        IncidentState.HEALING,
        IncidentState.VERIFIED,
    }
)

#: It was answered: repeats of what it has seen only raise its count. Other words are other trouble, and open another
#: incident, else an error that nothing helps would hide that the service died meanwhile.
SETTLED = frozenset({IncidentState.ESCALATED, IncidentState.NOISE})

#: A settled incident that has seen so many signatures takes whatever else its subject says, but for PID 1's word that
#: the unit failed: a program that words each line anew must not open an incident a line.
WORDINGS_MAX = 20

#: Incidents that one host may open within an hour: a hostile one could invent a sick thing a line. PID 1's word that a
#: unit failed always opens one; whoever can forge that is root already.
OPENED_MAX = 60
FLOOD = Subject(kind=SubjectKind.SIGNATURE, name="flood")
FLOOD_REASON = (
    f"opened {OPENED_MAX} incidents within an hour: whatever else it logs is counted here and not acted on, but for "
    "units that systemd itself calls failed. A person must look at the host."
)

#: States in which a signal may join instead of opening another incident.
ABSORBING = UNDER_WAY | SETTLED

#: States in which nothing of the healing is under way any more.
FINAL = frozenset(
    {
        IncidentState.HEALED,
        IncidentState.ALREADY_WELL,
        IncidentState.NOISE,
        IncidentState.ESCALATED,
        IncidentState.JOINED,
        IncidentState.EXPIRED,
    }
)

#: States that nothing leaves and no signal joins: only such an incident is ever pruned.
CLOSED = FINAL - SETTLED


class Origin(StrEnum):
    """Why an incident exists."""

    LOG = "log"
    #: A person (CLI) or a client (REST) asked for it.
    TRIGGER = "trigger"
    #: Test injection: left out of statistics unless asked.
    INJECTED = "injected"


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """One sick thing on one host."""

    id: IncidentId
    host: str
    subject: Subject
    #: The signature that opened it.
    signature: Signature
    template: str
    severity: Severity
    state: IncidentState
    origin: Origin
    first_seen: datetime
    last_seen: datetime
    #: How many records joined.
    count: int
    #: Age of its youngest record when that was detected, in seconds, on the host's corrected clock.
    age_at_detection: float
    #: One sentence: why it is in this state.
    reason: str = ""
    #: Who asked for it; '' where a log line opened it.
    asked_by: str = ""
    #: The incident whose healing this one goes on with, as its step number `step`; '' and 1: it stands alone.
    follows: str = ""
    step: int = 1


def hides(state: IncidentState | str, age: float, signal: Signal, fresh_seconds: float) -> bool:
    """Whether an incident would hide an error that may be acted on: it was escalated when it was too old for that."""
    return state == IncidentState.ESCALATED and age > fresh_seconds >= signal.age
