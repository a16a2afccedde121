"""The protocols between rooms. Their in-memory twins are in orchestrator/testing.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from orchestrator.domain.access import Session, Token
from orchestrator.domain.actions import Action, Candidate, Decision
from orchestrator.domain.exchanges import Exchange, Usage
from orchestrator.domain.health import Trouble
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor, IncidentId, RunId, Signature
from orchestrator.domain.incidents import Incident, IncidentState, Origin, Signal
from orchestrator.domain.notices import Told
from orchestrator.domain.outbreaks import Outbreak
from orchestrator.domain.pages import (
    ApprovalFilter,
    EventFilter,
    IncidentFilter,
    OutbreakFilter,
    Page,
    RunFilter,
    Slice,
)
from orchestrator.domain.precedents import Precedents, Word
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Attempt, Facts, Verdict
from orchestrator.fleet_port import FleetStore
from orchestrator.outbreak_port import OutbreakStore


class Fleet(Protocol):
    """The inventory as Ansible resolves it. Raises InventoryError, naming host and variable."""

    def hosts(self) -> tuple[Host, ...]: ...
    def host(self, name: str) -> Host: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceState:
    """How one host is being read, for `doctor`, status and metrics."""

    host: str
    #: connected, connecting, polling, down, stopped.
    state: str
    #: One sentence; empty when all is well.
    reason: str = ""
    #: Host clock minus controller clock, seconds, measured at connect; None before.
    clock_offset: float | None = None
    last_record: datetime | None = None
    #: One sentence for each source that can't be read (an unreadable log file, no journal access).
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line of `healer doctor`."""

    name: str
    #: None: it could not be told, or is worth knowing and no fault.
    ok: bool | None
    text: str
    #: What to do; '' where all is well.
    fix: str = ""
    #: What `--fix` has done about it; '' for nothing.
    fixed: str = ""


class Sink(Protocol):
    """Takes records in order. Returns only after their incidents and the cursor are stored."""

    def __call__(self, host: Host, source: str, records: Sequence[LogRecord], cursor: Cursor | None) -> None: ...


class Collector(Protocol):
    """Follows journals and log files of hosts."""

    def start(self, hosts: Sequence[Host], sink: Sink, cursor: Callable[[str, str], Cursor | None]) -> None: ...
    def stop(self) -> None: ...
    def states(self) -> tuple[SourceState, ...]: ...
    def poll(self, host: Host, *, since: datetime) -> tuple[LogRecord, ...]:
        """One pass over journal and files, for `healer heal` and first looks."""
        ...


class Probe(Protocol):
    """Read-only questions to one host over collect's connection.

    Raises TemporaryError, HostKeyMismatch, HostAuthRefused.
    """

    def inspect(self, host: Host, units: Sequence[str], paths: Sequence[str]) -> Facts: ...
    def position(self, host: Host) -> Cursor:
        """The journal's end now: what comes after it comes after this call."""
        ...

    def since(self, host: Host, cursor: Cursor) -> tuple[LogRecord, ...]:
        """A fresh query, journal and files, of everything that states an error after the cursor."""
        ...

    def running(self, host: Host, run_id: RunId) -> bool:
        """Whether any process of the run (HEALING_RUN in its environment) is alive on the host."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What a chooser is shown."""

    incident_id: str
    host: str
    unit: str
    #: Bounded and newest last.
    records: tuple[LogRecord, ...]
    candidates: tuple[Candidate, ...]
    actions: tuple[Action, ...]
    #: Of the records, in their order; empty: not known, so nothing is remembered of it.
    signatures: tuple[Signature, ...] = ()


class Chooser(Protocol):
    """Picks one candidate. Anything odd is `escalate` with the reason, or TemporaryError / BadReply."""

    name: str

    def choose(self, case: Case) -> Decision: ...


class Executor(Protocol):
    """Runs playbooks. A failed or timed-out playbook is a value."""

    def execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        """Start at most once by run id, wait for the end. Called again for the same id: adopt and wait.

        `signatures`: what it counts as an attempt for; None: all that its incident has shown so far.
        """
        ...

    def cancel(self, run_id: RunId) -> None: ...
    def changes(self, run_id: RunId) -> str:
        """What a plan that ended said it would change, for a person: bounded, without the hosts' secrets; '' where its
        record is not there."""
        ...

    def digest(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> str:
        """SHA-256 over action folder, role tree, parameters, host list and generated inventory."""
        ...

    def parts(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> Mapping[str, str]:
        """The same by part: playbook, role, parameters, policy, hosts and inventory, each with its own digest."""
        ...


class Engine(Protocol):
    """The durable engine: only workers launch it."""

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        """Run once and remember the result; after a crash the remembered result is used."""
        ...

    def start(
        self, workflow: str, workflow_id: str, argument: str, *, host: str | None = None, delay: float = 0.0
    ) -> None:
        """Enqueue by id: the same id again is the same workflow. Between steps alone.

        `host` takes that host's only slot of the workflow's queue; `delay` seconds pass first, without holding a
        thread. Raises StoreUnavailable; RuntimeError inside of a step, which runs again after a crash.
        """
        ...

    def alive(self, workflow_id: str) -> bool:
        """Whether it waits, runs, or will be recovered. Raises StoreUnavailable."""
        ...

    def due(self, workflow_id: str) -> float | None:
        """Seconds until a delayed workflow may begin; None: it is not delayed. Raises StoreUnavailable."""
        ...

    def delay(self, workflow_id: str, seconds: float) -> None:
        """Let a delayed workflow begin so many seconds from now instead; nothing where it is not delayed."""
        ...

    def drain(self, seconds: float, hurry: threading.Event) -> tuple[str, ...]:
        """Begin no workflow any more and wait for those that run: their ids that still do after `seconds`, or once
        `hurry` is set. What is enqueued meanwhile begins at the next launch.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of the ledger: append-only, written before anything acts."""

    seq: int
    at: datetime
    #: Stable key such as incident.opened, decision.made, verdict.given, run.started, incident.healed.
    kind: str
    incident_id: str
    host: str
    #: One sentence for a person.
    text: str
    #: `healing-bot`, or who answered, stopped, triggered.
    actor: str = "healing-bot"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """What history and metrics count; attempts are act runs."""

    total_attempts: int
    successful: int
    failed: int
    pending: int

    @property
    def success_rate(self) -> float:
        """Percent of ended attempts that healed, one decimal; 0 before the first."""
        ended = self.successful + self.failed
        return round(100 * self.successful / ended, 1) if ended else 0.0


#: Records kept for an incident beside the first one: enough to see a period, and a flood fills no disk.
EVIDENCE_KEPT = 200
#: Signatures kept for an incident; a hostile host could invent one a line.
SIGNATURES_KEPT = 1000
#: Deeds of one signature that are looked at, the newest.
DEEDS_KEPT = 100
#: Act runs that ended so never touched the host.
NOT_ATTEMPTS = frozenset({RunStatus.REFUSED, RunStatus.BUSY})
#: Runs that change something: none is claimed while all healing is stopped.
ACTING = frozenset({RunKind.ACT, RunKind.ROLLBACK})


class Store(OutbreakStore, FleetStore, Protocol):
    """What is remembered. Raises StoreUnavailable; RecordError where acting must not go on."""

    # incidents ---------------------------------------------------------------------------------
    def absorb(
        self,
        host: str,
        source: str,
        signals: Sequence[Signal],
        cursor: Cursor | None,
        *,
        origin: Origin = Origin.LOG,
        fresh_seconds: float = 0.0,
        asked_by: str = "",
    ) -> tuple[IncidentId, ...]:
        """One transaction: join or open incidents, keep evidence, move the cursor.

        A signal joins the incident of its subject that knows its signature, else the one that is under way; a
        settled one takes other words only when it has seen WORDINGS_MAX of them. What joined an incident of another
        subject goes there again, by subject and signature, while that is under way. A host that opened OPENED_MAX
        incidents within an hour opens one more, `flood`, which is escalated at once and takes the rest.
        `fresh_seconds`: the age up to which an error may be acted on; a signal that young joins none that was
        escalated when it was older than that. `asked_by`: who asked for what this opens; '': log lines alone.

        Returns the ids of incidents that were opened by this call.
        """
        ...

    def cursor(self, host: str, source: str) -> Cursor | None: ...
    def incident(self, incident_id: str) -> Incident | None: ...
    def incidents(
        self,
        *,
        host: str | None = None,
        states: Sequence[IncidentState] = (),
        limit: int = 100,
        injected: bool = True,
    ) -> tuple[Incident, ...]:
        """Newest first."""
        ...

    def evidence(self, incident_id: str, limit: int = 50) -> tuple[LogRecord, ...]:
        """Oldest first; the newest `limit`."""
        ...

    def signatures(self, incident_id: str) -> frozenset[Signature]: ...
    def move(
        self,
        incident_id: str,
        to: IncidentState,
        reason: str,
        *,
        expected: Sequence[IncidentState],
        actor: str = "healing-bot",
    ) -> bool:
        """Compare and set, with its event; False where the incident is in no expected state."""
        ...

    def join(self, incident_id: str, into: str, reason: str) -> bool:
        """An incident under way becomes `joined`, and `into` goes on with its count, signatures and evidence.

        False, and nothing is changed, where the one is not under way or the other does not absorb.
        """
        ...

    def open_step(self, incident: Incident, decision: Decision, evidence: Sequence[LogRecord]) -> bool:
        """The next step of a healing with its decision, in one transaction; the same id again changes nothing.

        False, and nothing is written, where another incident of its subject is under way.
        """
        ...

    def expire_quiet(self, before: datetime) -> int:
        """Escalated and noise incidents last seen before `before` become expired; how many."""
        ...

    # decisions, verdicts, approvals -------------------------------------------------------------
    def record_decision(self, incident_id: str, decision: Decision) -> None: ...
    def decision(self, incident_id: str) -> Decision | None: ...
    def record_verdict(self, incident_id: str, verdict: Verdict, facts: Facts) -> None: ...
    def verdict(self, incident_id: str) -> Verdict | None: ...
    def facts(self, incident_id: str) -> Facts | None:
        """What the verdict rests on; None: it was not judged."""
        ...

    def ask(self, approval: Approval) -> None: ...
    def approval(self, approval_id: str) -> Approval | None: ...
    def approvals(self, answers: Sequence[Answer] = (), limit: int = 100) -> tuple[Approval, ...]: ...
    def answer(self, approval_id: str, answer: Answer, *, actor: str, reason: str, now: datetime) -> Approval | None:
        """Compare and set from pending; None where it was answered or has lapsed."""
        ...

    def void(self, approval_id: str, why: str, *, actor: str, now: datetime) -> Approval | None:
        """Compare and set from pending or approved: what it was asked for is not there any more, as the sentence says.

        Who approved it stays recorded. None where it was denied, has expired or is void. `actor`: who found it so.
        """
        ...

    # memory -------------------------------------------------------------------------------------
    def precedents(self, signature: Signature) -> Precedents:
        """What was done where a line of it was shown to the chooser, and what a person says of it.

        Derived from recorded incidents: first steps that acted and are over; injected ones teach nothing.
        """
        ...

    def remembered(self, limit: int = 100) -> tuple[Precedents, ...]:
        """Of every signature that something was done about or a person spoke of.

        First comes the one that an incident had last, or that somebody spoke of last.
        """
        ...

    def wording(self, signature: Signature) -> str | None:
        """Its masked text, '' where it never was an incident's first line; None: no incident has had it."""
        ...

    def record_word(self, word: Word) -> Word | None:
        """In place of the former one, which is returned."""
        ...

    def withdraw_word(self, signature: Signature, *, actor: str, reason: str) -> Word | None:
        """The word that stood; None: there was none, and nothing is written."""
        ...

    # exchanges with models -----------------------------------------------------------------------
    def record_exchange(self, incident_id: str, exchange: Exchange) -> None: ...
    def exchanges(self, incident_id: str) -> tuple[Exchange, ...]:
        """Oldest first. Raises RecordError where a text is not the one that was recorded."""
        ...

    def model_usage(self, since: datetime) -> Usage: ...

    # runs ---------------------------------------------------------------------------------------
    def claim(self, job: PlaybookJob, *, signatures: frozenset[Signature]) -> RunStatus | None:
        """The run row and one row a host, all or none.

        None: it is ours to start; RUNNING: it was started before (it may have ended since); BUSY: another run
        or a wave holds a host, and no row was written. REFUSED: an act or a rollback while all healing is stopped, read
        in the same transaction; its row is ended with the sentence of `stopped` as its reason, and holds no host.
        """
        ...

    def started(self, run_id: RunId, pid: int, pid_start: int, *, lease_seconds: float) -> bool:
        """The supervisor lives: its pid and start time, by which it is known again, and its first lease.

        False, and nothing is written, where the run is over by now: its process may not begin.
        """
        ...

    def finish(self, result: PlaybookResult, *, slot_shut: bool) -> Run:
        """First writer wins; returns the row that stands. A shut slot holds the hosts whose own end is not settled."""
        ...

    def open_slot(self, run_id: RunId) -> None: ...
    def run(self, run_id: str) -> Run | None: ...
    def runs(
        self,
        *,
        incident_id: str | None = None,
        host: str | None = None,
        kinds: Sequence[RunKind] = (),
        limit: int = 100,
    ) -> tuple[Run, ...]:
        """Newest first. Of an incident with those of its wave, as its host has them."""
        ...

    def shut_runs(self) -> tuple[Run, ...]:
        """All that hold their hosts: they are running, or their slot is shut. Oldest first, without limit."""
        ...

    def artifacts_due(self) -> dict[str, bool]:
        """Every run's id, and whether it must have artifacts: its process began, it is over, and retention has not
        removed them."""
        ...

    def attempts(self, host: str, since: datetime) -> tuple[Attempt, ...]: ...

    # access --------------------------------------------------------------------------------------
    def add_token(self, token: Token) -> bool:
        """False, and nothing is written, where another one of that name is not revoked."""
        ...

    def token(self, token_id: str) -> Token | None: ...
    def tokens(self) -> tuple[Token, ...]:
        """Newest first, whether good or not."""
        ...

    def revoke_token(self, token_id: str, *, actor: str, reason: str) -> bool:
        """False where there is none, or it was revoked before."""
        ...

    def token_used(self, token_id: str, at: datetime) -> None: ...

    # channels to people --------------------------------------------------------------------------
    def told(self, channel: str) -> Told | None:
        """How far a channel has come; None: it was never recorded."""
        ...

    def record_told(self, told: Told) -> None: ...

    # ledger, switch, statistics -----------------------------------------------------------------
    def append(
        self,
        kind: str,
        *,
        incident_id: str = "",
        host: str = "",
        text: str,
        actor: str = "healing-bot",
        data: Mapping[str, Any] | None = None,
    ) -> Event: ...
    def events(self, *, after: int = 0, incident_id: str | None = None, limit: int = 500) -> tuple[Event, ...]: ...
    def newest(self) -> int:
        """The ledger's last sequence number; 0 before the first line."""
        ...

    def stop(self, *, actor: str, reason: str) -> None: ...
    def resume(self, *, actor: str, reason: str) -> None: ...
    def stopped(self) -> str | None:
        """Who stopped everything and why, as a sentence; None while healing is allowed."""
        ...

    def statistics(self, *, injected: bool = False) -> Statistics: ...
    def healing_seconds(self, *, injected: bool = False) -> tuple[float, ...]:
        """For each ended healing that acted: seconds from its first run's start to its last run's end, without the
        runs before a question to a person, and so without the wait for the answer."""
        ...

    def beat(self, worker: str) -> None: ...
    def worker_seen(self) -> datetime | None:
        """When a `healer serve` last beat."""
        ...


class BadCursor(ValueError):
    """A page that begins at no place that a list could have given."""


class Reader(Protocol):
    """Lists of the store by page. Raises StoreUnavailable, RecordError; BadCursor for a page's `after`."""

    def page_incidents(self, wanted: IncidentFilter, page: Page) -> Slice[Incident]: ...
    def page_decisions(
        self, wanted: IncidentFilter, page: Page
    ) -> Slice[tuple[Incident, Decision, Verdict | None]]: ...
    def page_runs(self, wanted: RunFilter, page: Page) -> Slice[Run]: ...
    def page_approvals(self, wanted: ApprovalFilter, page: Page) -> Slice[Approval]: ...
    def page_outbreaks(self, wanted: OutbreakFilter, page: Page) -> Slice[Outbreak]: ...
    def page_remembered(self, page: Page) -> Slice[Precedents]:
        """As `remembered`. A page may hold fewer than its limit, and others follow."""
        ...

    def page_events(self, wanted: EventFilter, page: Page) -> Slice[Event]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A healing that acted and is over."""

    incident_id: str
    action: str
    host: str
    subject: str
    state: IncidentState
    started: datetime
    #: From the act's start to the end of the incident's last run.
    seconds: float


class Charts(Protocol):
    """What is counted for people; injected errors are left out. Raises StoreUnavailable, RecordError."""

    def acts_by_day(self, since: datetime) -> tuple[tuple[str, str, IncidentState, int], ...]: ...
    def acts_by_host(self) -> tuple[tuple[str, str, IncidentState, int], ...]: ...
    def standing(self) -> dict[IncidentState, int]: ...
    def ended_acts(self, since: datetime) -> tuple[Ended, ...]: ...
    def common_templates(self, since: datetime, limit: int = 10) -> tuple[tuple[str, int], ...]: ...
    def troubles(self, since: datetime, host: str | None = None) -> tuple[Trouble, ...]: ...


class ApiStore(Store, Reader, Charts, Protocol):
    """What the API asks of the store."""

    def keyed(self, actor: str, key: str, digest: str, *, stale: datetime) -> KeyedRequest:
        """What is known of a request that its client named with a key; the first of that key is recorded by this.

        One that was not answered and is older than `stale` counts as the first again: its worker died.
        """
        ...

    def open_session(self, session: Session) -> None:
        """Forgets those that have expired."""
        ...

    def session(self, digest: str) -> Session | None: ...
    def close_session(self, digest: str) -> None: ...
    def answer_keyed(self, actor: str, key: str, answer: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedRequest:
    """A request that its client can repeat without harm."""

    #: Nobody asked with this key before.
    first: bool
    #: SHA-256 of what was asked then.
    digest: str
    #: What it was answered with; '': it is still under way.
    answer: str
