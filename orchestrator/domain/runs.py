"""Runs: one ansible-runner execution inside a healing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import IncidentId, RunId

#: How the name of a run's artifacts ends once its folder was packed into one file.
PACKED = ".tar.gz"


class RunKind(StrEnum):
    """What a run is for."""

    #: The verify playbook before a person is asked: nobody is asked about what is well.
    LOOK = "look"
    #: The act playbook with `--check --diff` before a person is asked: what would change? It changes nothing.
    PLAN = "plan"
    #: The verify playbook before the act: is it sick at all?
    CHECK = "check"
    ACT = "act"
    VERIFY = "verify"
    ROLLBACK = "rollback"


class RunStatus(StrEnum):
    """How a run stands or ended."""

    RUNNING = "running"
    #: Exactly the intended hosts were processed; none failed, none unreachable.
    SUCCEEDED = "succeeded"
    #: A verify playbook said in its own words that the symptom is there.
    SICK = "sick"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    #: The time limit ended it: what the host did is unknown.
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    #: It was cut: no result exists.
    UNKNOWN = "unknown"
    #: It never started: another run holds the host.
    BUSY = "busy"
    #: Nothing was changed: the role's preflight said so ("refused: ..."), or the bytes differ from
    #: those that were judged. Not an attempt.
    REFUSED = "refused"


#: Runs that come before a question to a person, whose answer may take a day: no part of the time that a healing takes.
BEFORE_ASKING = frozenset({RunKind.LOOK, RunKind.PLAN})

#: After these the host may still be at work: its slot stays shut until a probe finds nothing.
UNSETTLED = frozenset({RunStatus.TIMED_OUT, RunStatus.CANCELED, RunStatus.UNKNOWN})


@dataclass(frozen=True, kw_only=True, slots=True)
class HostEnd:
    """How a run ended on one of its hosts."""

    status: RunStatus
    #: One sentence, as a run's.
    reason: str = ""
    #: False: the host may still be at work.
    settled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybookJob:
    """What is to be run: everything, nothing implied."""

    run_id: RunId
    incident_id: IncidentId
    kind: RunKind
    action: str
    playbook: Path
    roles: Path
    parameters: Mapping[str, str]
    hosts: tuple[Host, ...]
    #: Seconds.
    task_timeout: int
    run_timeout: int
    #: Digest that was judged or approved; other bytes are refused. Empty: not bound (look, check, verify).
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybookResult:
    """How it ended."""

    run_id: RunId
    status: RunStatus
    rc: int | None = None
    #: One sentence: the failed task and its message, or why it did not start.
    reason: str = ""
    #: A task changed something; never of a plan, whose tasks only say what they would change.
    changed: bool = False
    started: datetime | None = None
    ended: datetime | None = None
    #: Of each host, where there are several and the playbook came to its end; else they ended as the run did.
    ends: Mapping[str, HostEnd] = field(default_factory=dict)

    def on(self, host: str) -> PlaybookResult:
        """The result as that one host has it."""
        end = self.ends.get(host)
        return self if end is None else replace(self, status=end.status, reason=end.reason, ends={})


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run as it is recorded."""

    id: RunId
    incident_id: IncidentId
    kind: RunKind
    action: str
    parameters: Mapping[str, str]
    hosts: tuple[str, ...]
    status: RunStatus
    started: datetime
    ended: datetime | None = None
    rc: int | None = None
    reason: str = ""
    pid: int | None = None
    #: The supervisor's start time in clock ticks since boot (/proc/PID/stat field 22): pids come again.
    pid_start: int | None = None
    #: Unix time on the database's clock until which the supervisor vouches for the run; it renews that as it lives.
    lease_until: float | None = None
    #: Seconds until then when this was read; below 0: lapsed.
    lease_left: float | None = field(default=None, compare=False)
    #: The slot is shut although the run ended: a probe has yet to find the host idle.
    slot_shut: bool = False
    artifacts: Path | None = field(default=None)
    #: When retention removed what it left.
    artifacts_removed: datetime | None = None
    #: As of PlaybookResult; settled by now, where the host was found idle since.
    ends: Mapping[str, HostEnd] = field(default_factory=dict)

    def on(self, host: str) -> Run:
        """The run as that one host has it."""
        end = self.ends.get(host)
        if end is None:
            return replace(self, ends={})
        return replace(self, status=end.status, reason=end.reason, slot_shut=not end.settled, ends={})
