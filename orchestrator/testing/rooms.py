"""The other ports in memory: each is told what to answer and remembers what it was asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from orchestrator.domain.actions import ESCALATE, Action, Decision
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor, RunId, Signature
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import UNSETTLED, HostEnd, PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Facts
from orchestrator.errors import InventoryError
from orchestrator.ports import Case, Sink, SourceState


class FakeFleet:
    """Implements ports.Fleet over given hosts."""

    def __init__(self, *hosts: Host) -> None:
        self._hosts = {host.name: host for host in hosts}

    def hosts(self) -> tuple[Host, ...]:
        return tuple(self._hosts.values())

    def host(self, name: str) -> Host:
        if name not in self._hosts:
            near = ", ".join(get_close_matches(name, self._hosts, n=3)) or ", ".join(sorted(self._hosts))
            raise InventoryError(f"There is no host {name!r} in the inventory. Near: {near}.")
        return self._hosts[name]


class FakeChooser:
    """Implements ports.Chooser: always the same decision, or the error that is given instead."""

    name = "fake"

    def __init__(self, decision: Decision | Exception | None = None) -> None:
        self.decision = decision or Decision(action=ESCALATE, parameters={}, reason="fake", chooser="fake")
        self.asked: list[Case] = []

    def choose(self, case: Case) -> Decision:
        self.asked.append(case)
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


class FakeExecutor:
    """Implements ports.Executor: each kind of run ends as told, at most once by run id."""

    def __init__(self, **endings: RunStatus) -> None:
        #: RunKind value -> status; by default the check is sick and everything after it succeeds.
        self.endings: dict[RunKind, RunStatus] = {
            RunKind.LOOK: RunStatus.SICK,
            RunKind.PLAN: RunStatus.SUCCEEDED,
            RunKind.CHECK: RunStatus.SICK,
            RunKind.ACT: RunStatus.SUCCEEDED,
            RunKind.VERIFY: RunStatus.SUCCEEDED,
            RunKind.ROLLBACK: RunStatus.SUCCEEDED,
        } | {RunKind(kind): status for kind, status in endings.items()}
        #: How a second run of a kind ends, where that differs.
        self.then: dict[RunKind, RunStatus] = {}
        self.jobs: list[PlaybookJob] = []
        #: How a kind ends on one host, where that differs.
        self.on: dict[tuple[RunKind, str], RunStatus] = {}
        self.canceled: list[RunId] = []
        #: What every plan prints.
        self.printed = "TASK [Say it]\nchanged: [web1]"
        self._ended: dict[RunId, PlaybookResult] = {}

    def execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        if job.run_id not in self._ended:
            self.jobs.append(job)
            status = self.endings[job.kind]
            if len(job.hosts) == 1:
                status = self.on.get((job.kind, job.hosts[0].name), status)
            self.endings |= {job.kind: self.then.get(job.kind, self.endings[job.kind])}
            changed = job.kind in (RunKind.ACT, RunKind.ROLLBACK) and status is RunStatus.SUCCEEDED
            self._ended[job.run_id] = PlaybookResult(
                run_id=job.run_id, status=status, changed=changed, ends=self._ends(job, status)
            )
        return self._ended[job.run_id]

    def _ends(self, job: PlaybookJob, status: RunStatus) -> dict[str, HostEnd]:
        if len(job.hosts) == 1 or status in UNSETTLED:
            return {}
        told = {host.name: self.on.get((job.kind, host.name), status) for host in job.hosts}
        return {name: HostEnd(status=end, settled=end not in UNSETTLED) for name, end in told.items()}

    def cancel(self, run_id: RunId) -> None:
        self.canceled.append(run_id)

    def changes(self, run_id: RunId) -> str:
        return self.printed

    def parts(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> Mapping[str, str]:
        return {"role": "r" * 64, "parameters": json.dumps(dict(parameters))}

    def digest(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> str:
        seen = json.dumps([action.id, dict(parameters), [host.name for host in hosts]], sort_keys=True)
        return hashlib.sha256(seen.encode()).hexdigest()


class FakeProbe:
    """Implements ports.Probe: given facts and given records; `error` is raised by every question."""

    def __init__(self, facts: Facts | None = None, records: Sequence[LogRecord] = ()) -> None:
        self.facts = facts or Facts()
        self.records = tuple(records)
        self.alive: set[RunId] = set()
        self.error: Exception | None = None

    def inspect(self, host: Host, units: Sequence[str], paths: Sequence[str]) -> Facts:
        self._answer()
        return Facts(
            units={name: self.facts.units[name] for name in units if name in self.facts.units},
            paths={name: self.facts.paths[name] for name in paths if name in self.facts.paths},
        )

    def position(self, host: Host) -> Cursor:
        self._answer()
        return Cursor("now")

    def since(self, host: Host, cursor: Cursor) -> tuple[LogRecord, ...]:
        self._answer()
        return tuple(record for record in self.records if record.host == host.name)

    def running(self, host: Host, run_id: RunId) -> bool:
        self._answer()
        return run_id in self.alive

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error


class InlineEngine:
    """Implements ports.Engine: a workflow runs at once in `start`, or when `run` is called if `held`.

    Results of steps must be JSON, as with the real one. Delays pass without waiting; `delays` says what is left.
    """

    def __init__(self, workflows: Mapping[str, Callable[[str], None]] | None = None, *, held: bool = False) -> None:
        self.workflows = dict(workflows or {})
        self.started: dict[str, tuple[str, str, str | None, float]] = {}
        self.steps: list[str] = []
        self.delays: dict[str, float] = {}
        self._held = held
        self._in_step = 0
        self._waiting: list[str] = []

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        self.steps.append(name)
        self._in_step += 1
        try:
            return json.loads(json.dumps(function(*args)))
        finally:
            self._in_step -= 1

    def start(
        self, workflow: str, workflow_id: str, argument: str, *, host: str | None = None, delay: float = 0.0
    ) -> None:
        if self._in_step:
            raise RuntimeError(f"{workflow} is started inside a step; start it between steps")
        if workflow_id in self.started:
            return
        self.started[workflow_id] = (workflow, argument, host, delay)
        self._waiting.append(workflow_id)
        if not self._held:
            self.run()

    def alive(self, workflow_id: str) -> bool:
        return workflow_id in self._waiting

    def due(self, workflow_id: str) -> float | None:
        return self.delays.get(workflow_id)

    def delay(self, workflow_id: str, seconds: float) -> None:
        if workflow_id in self.delays:
            self.delays[workflow_id] = seconds

    def drain(self, seconds: float, hurry: threading.Event) -> tuple[str, ...]:
        self._held = True
        return ()

    def run(self) -> None:
        """Run what waits, and what that starts, until nothing waits."""
        while self._waiting:
            workflow, argument, _, _ = self.started[self._waiting.pop(0)]
            if workflow in self.workflows:
                self.workflows[workflow](argument)


class FakeCollector:
    """Implements ports.Collector: `feed` delivers records as if hosts had written them."""

    def __init__(self, *hosts: Host) -> None:
        self.records: dict[str, list[LogRecord]] = {}
        self._hosts = {host.name: host for host in hosts}
        self._sink: Sink | None = None

    def start(self, hosts: Sequence[Host], sink: Sink, cursor: Callable[[str, str], Cursor | None]) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._sink = sink

    def stop(self) -> None:
        self._sink = None

    def states(self) -> tuple[SourceState, ...]:
        state = "connected" if self._sink else "stopped"
        return tuple(SourceState(host=name, state=state, clock_offset=0.0) for name in self._hosts)

    def feed(self, *records: LogRecord, cursor: Cursor | None = None) -> None:
        """Deliver records of one host and source."""
        first = records[0]
        self.records.setdefault(first.host, []).extend(records)
        if self._sink is not None:
            self._sink(self._hosts[first.host], first.source, records, cursor)

    def poll(self, host: Host, *, since: datetime) -> tuple[LogRecord, ...]:
        found = (record for record in self.records.get(host.name, ()) if record.time >= since)
        return tuple(sorted(found, key=lambda record: record.time.astimezone(UTC)))
