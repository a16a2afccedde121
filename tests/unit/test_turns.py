"""Healings over several hosts when the fleet is busy: who is let in, who waits, in which order, and after a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from orchestrator import settings
from orchestrator.catalog import Catalog
from orchestrator.detect.detector import Detector
from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Facts, Outcome, UnitFacts
from orchestrator.domain.windows import Window
from orchestrator.healing import Healing
from orchestrator.notify.alarm import StoreAlarm
from orchestrator.ports import Case
from orchestrator.steps import Rooms
from orchestrator.testing import FakeChooser, FakeExecutor, FakeFleet, FakeProbe, InlineEngine, MemoryStore
from orchestrator.turns import WAITS
from tests.unit.test_healing import NOON, RESTART, Told, action

SETTINGS = settings.load(environ={})
NGINX = UnitFacts(
    asked="nginx",
    id="nginx.service",
    names=("nginx.service",),
    load_state="loaded",
    active_state="failed",
    sub_state="failed",
)


class Executor(FakeExecutor):
    """Writes its runs into the store; `meanwhile` happens in the middle of a run of a kind on a host, once."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store
        self.meanwhile: dict[tuple[str, RunKind], Callable[[], object]] = {}

    def execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        claimed = self.store.claim(job, signatures=self.store.signatures(job.incident_id))
        if claimed in (RunStatus.REFUSED, RunStatus.BUSY):
            return PlaybookResult(run_id=job.run_id, status=claimed)
        if claimed is None:
            self.meanwhile.pop((job.hosts[0].name, job.kind), lambda: None)()
            self.store.finish(super().execute(job), slot_shut=False)
        return super().execute(job)

    def acted(self) -> list[str]:
        return [job.hosts[0].name for job in self.jobs if job.kind is RunKind.ACT]


class Chooser(FakeChooser):
    """Chooses by the group of the host."""

    def __init__(self, chosen: dict[str, Decision]) -> None:
        super().__init__()
        self.chosen = chosen

    def choose(self, case: Case) -> Decision:
        return self.chosen.get(case.host.rstrip("0123456789"), RESTART)


@dataclass
class Fleet:
    """Healings over hosts web1, web2 ... and db1, db2 ..., with in-memory rooms."""

    limits: dict[str, object]
    mode: Mode = Mode.AUTO
    #: Of all hosts of a group.
    windows: dict[str, tuple[Window, ...]] = field(default_factory=dict)
    #: What is chosen for the hosts of a group; RESTART where nothing is said.
    chosen: dict[str, Decision] = field(default_factory=dict)
    now: list[datetime] = field(default_factory=lambda: [NOON])

    def __post_init__(self) -> None:
        self.store = MemoryStore(clock=self.tick)
        self.executor = Executor(self.store)
        self.hosts = [
            Host(
                name=f"{group}{number}",
                groups=(group,),
                connection=Connection(kind="ssh", address="192.0.2.1"),
                policy=HostPolicy(mode=self.mode, windows=self.windows.get(group)),
            )
            for group in ("web", "db")
            for number in range(1, 5)
        ]
        self.incidents: dict[str, IncidentId] = {}
        self.restart()

    def tick(self) -> datetime:
        self.now[0] += timedelta(milliseconds=1)
        return self.now[0]

    def restart(self) -> None:
        """Nothing is left but the store."""
        told, one = Told(), action()
        self.engine = InlineEngine(held=True)
        rooms = Rooms(
            settings=replace(SETTINGS, outbreak_hosts=100, **self.limits),  # type: ignore[arg-type]  # limits by name
            engine=self.engine,
            store=self.store,
            fleet=FakeFleet(*self.hosts),
            catalog=Catalog(actions={one.id: one, "tidy": replace(one, id="tidy", parameters=())}),
            detector=Detector((one,)),
            chooser=Chooser(self.chosen),
            probe=FakeProbe(Facts(units={"nginx": NGINX, "nginx.service": NGINX})),
            executor=self.executor,
            notifier=told,
            alarm=StoreAlarm(told),
            now=lambda: self.now[0],
            wait=lambda seconds: False,
        )
        self.healing = healing = Healing(rooms)
        self.engine.workflows = {
            "plan": healing.plan,
            "ask": healing.ask,
            "apply": healing.apply,
            "hold": healing.hold,
            "rollback": healing.rollback,
        }

    def fail(self, *hosts: str) -> None:
        """The same error on each, and its plan; `apply` is left to the engine."""
        for host in hosts:
            error = LogRecord(
                time=self.now[0],
                host=host,
                unit="nginx.service",
                priority=4,
                message="nginx.service: Failed with result 'signal'.",
                unit_failure=True,
            )
            signals = Detector((action(),)).detect([error], self.now[0])
            (self.incidents[host],) = self.store.absorb(host, "journal", signals, None)
            self.healing.plan(self.incidents[host])

    def apply(self, host: str) -> IncidentState:
        """As if in a thread of its own: it may happen in the middle of another one's step."""
        within, self.engine._in_step = self.engine._in_step, 0
        self.healing.apply(self.incidents[host])
        self.engine._in_step = within
        return self.state(host)

    def state(self, host: str) -> IncidentState:
        found = self.store.incident(self.incidents[host])
        assert found is not None
        return found.state

    def outcome(self, host: str) -> Outcome:
        found = self.store.verdict(self.incidents[host])
        assert found is not None
        return found.outcome

    def turns(self) -> list[str]:
        """The sweep, and the hosts whose turn it says it is, by what it hands to the engine."""
        before = set(self.engine.started)
        self.healing.start_turns()
        started = [argument for name, (_, argument, _, _) in self.engine.started.items() if name not in before]
        return [host for one in started for host, incident in self.incidents.items() if incident == one]


def busy(limits: dict[str, object], first: str, *others: str) -> Fleet:
    """While the first host is being acted on, the others ask in turn."""
    fleet = Fleet(limits)
    fleet.fail(first, *others)
    fleet.executor.meanwhile[first, RunKind.ACT] = lambda: [fleet.apply(host) for host in others]
    fleet.apply(first)
    return fleet


def test_who_finds_the_fleet_busy_waits_and_is_let_in_when_it_is_its_turn() -> None:
    fleet = busy({"fleet_hosts_max": 1}, "web1", "db1")

    assert (fleet.state("db1"), fleet.outcome("db1")) == (IncidentState.HEALING, Outcome.WAITS)
    assert fleet.executor.acted() == ["web1"]
    assert [event.kind for event in fleet.store.events(incident_id=fleet.incidents["db1"])].count(WAITS) == 1

    assert fleet.turns() == ["db1"]
    fleet.engine.run()
    assert fleet.executor.acted() == ["web1", "db1"]
    assert fleet.state("db1") is IncidentState.HEALED


def test_a_turn_is_started_once_and_each_one_has_a_workflow_of_its_own() -> None:
    fleet = busy({"fleet_hosts_max": 1}, "web1", "db1")
    incident = fleet.incidents["db1"]

    assert fleet.turns() == ["db1"]
    assert fleet.turns() == []
    assert fleet.healing.apply_id(incident) == ids.apply_id(incident, 2) == f"{incident}-apply2"
    assert ids.incident_of(f"{incident}-apply2") == incident


def test_after_a_restart_it_is_still_in_line() -> None:
    fleet = busy({"fleet_hosts_max": 1}, "web1", "db1")

    fleet.restart()

    assert fleet.turns() == ["db1"]
    fleet.engine.run()
    assert fleet.executor.acted() == ["web1", "db1"]


def test_the_oldest_goes_first_and_nobody_is_passed_over() -> None:
    fleet = busy({"fleet_hosts_max": 1}, "web1", "db2", "web3", "db1")

    assert fleet.turns() == ["db2"]
    # A newcomer, judged while the oldest has yet to take its place, does not push ahead.
    fleet.fail("web4")
    fleet.apply("web4")
    assert fleet.outcome("web4") is Outcome.WAITS
    while fleet.turns() or fleet.engine._waiting:
        fleet.engine.run()
    assert fleet.executor.acted() == ["web1", "db2", "web3", "db1", "web4"]


def test_nested_healings_never_exceed_the_fleet_or_a_group() -> None:
    fleet = Fleet({"fleet_hosts_max": 3, "fleet_group_percent": 50, "fleet_sick_percent": 100})
    order = ["web1", "web2", "web3", "db1", "db2"]
    fleet.fail(*order)
    fleet.executor.meanwhile["web1", RunKind.CHECK] = lambda: fleet.apply("web2")
    fleet.executor.meanwhile["db1", RunKind.CHECK] = lambda: fleet.apply("db2")
    fleet.executor.meanwhile["web2", RunKind.CHECK] = lambda: [fleet.apply("web3"), fleet.apply("db1")]
    fleet.apply("web1")

    # web1 and web2 are half of their group; with db1 the fleet has its three.
    assert [fleet.outcome(host) for host in order] == [
        Outcome.ALLOWED,
        Outcome.ALLOWED,
        Outcome.WAITS,
        Outcome.ALLOWED,
        Outcome.WAITS,
    ]
    assert fleet.turns() == ["web3", "db2"]


def test_who_waits_for_its_group_keeps_no_other_group_waiting() -> None:
    fleet = Fleet({"fleet_hosts_max": 2, "fleet_group_percent": 25})
    fleet.fail("web1", "web2", "db1")
    fleet.executor.meanwhile["web1", RunKind.CHECK] = lambda: [fleet.apply("web2"), fleet.apply("db1")]
    fleet.apply("web1")

    assert fleet.executor.acted() == ["db1", "web1"]
    assert fleet.outcome("web2") is Outcome.WAITS


def test_an_approved_one_waits_too_and_goes_with_its_approval() -> None:
    fleet = Fleet({"fleet_hosts_max": 1}, mode=Mode.PROPOSE)
    fleet.fail("web1", "db1")
    fleet.engine.run()
    for host in ("web1", "db1"):
        asked = ids.approval_id(fleet.incidents[host])
        assert fleet.store.answer(asked, Answer.APPROVED, actor="ops", reason="yes", now=fleet.now[0])
    fleet.executor.meanwhile["web1", RunKind.ACT] = lambda: fleet.apply("db1")
    fleet.apply("web1")
    assert (fleet.state("db1"), fleet.outcome("db1")) == (IncidentState.HEALING, Outcome.WAITS)

    assert fleet.turns() == ["db1"]
    fleet.engine.run()
    assert fleet.executor.acted() == ["web1", "db1"]


def test_who_is_refused_when_its_turn_comes_is_escalated() -> None:
    fleet = busy({"fleet_hosts_max": 1}, "web1", "db1")
    fleet.store.stop(actor="ops", reason="storm")

    assert fleet.turns() == ["db1"]
    fleet.engine.run()
    assert fleet.state("db1") is IncidentState.ESCALATED
    assert fleet.executor.acted() == ["web1"]


def test_a_host_that_may_still_be_at_work_takes_up_a_place() -> None:
    fleet = Fleet({"fleet_hosts_max": 1})
    fleet.fail("web1", "db1")
    fleet.executor.endings[RunKind.ACT] = RunStatus.TIMED_OUT
    finish = fleet.store.finish
    fleet.store.finish = lambda result, *, slot_shut: finish(  # type: ignore[method-assign]
        result, slot_shut=result.status is RunStatus.TIMED_OUT
    )
    fleet.apply("web1")
    fleet.apply("db1")
    assert fleet.outcome("db1") is Outcome.WAITS
    assert fleet.turns() == []

    fleet.store.open_slot(ids.run_id(fleet.incidents["web1"], RunKind.ACT))
    assert fleet.turns() == ["db1"]


@pytest.mark.parametrize("limit", ["budget_host_per_day", "budget_action_per_day", "budget_fleet_per_day"])
def test_a_spent_budget_escalates(limit: str) -> None:
    fleet = Fleet({limit: 1})
    fleet.fail("web1")
    fleet.apply("web1")
    fleet.engine.run()
    assert fleet.state("web1") is IncidentState.HEALED
    fleet.now[0] += timedelta(hours=1)

    fleet.fail("web1")

    assert fleet.state("web1") is IncidentState.ESCALATED
    assert fleet.executor.acted() == ["web1"]


def test_who_was_let_in_spends_the_budget_before_it_acts() -> None:
    fleet = Fleet({"budget_fleet_per_day": 1})
    fleet.fail("web1", "db1")
    fleet.executor.meanwhile["web1", RunKind.CHECK] = lambda: fleet.apply("db1")
    fleet.apply("web1")

    assert fleet.executor.acted() == ["web1"]
    assert fleet.state("db1") is IncidentState.ESCALATED


def test_a_group_that_is_sick_at_once_is_left_to_a_person() -> None:
    fleet = Fleet({"fleet_sick_percent": 50})
    fleet.fail("web1", "web2", "web3", "db1")

    assert [fleet.state(host) for host in ("web1", "web2", "web3", "db1")] == [
        IncidentState.HEALING,
        IncidentState.HEALING,
        IncidentState.ESCALATED,
        IncidentState.ESCALATED,
    ]
    # Those that were let through at first are judged again right before acting.
    fleet.apply("web1")
    assert fleet.state("web1") is IncidentState.ESCALATED
    assert fleet.executor.acted() == []


def test_when_most_fails_nothing_is_tried_but_one_probe_after_the_cool_down() -> None:
    fleet = Fleet({"breaker_least_attempts": 2, "fleet_sick_percent": 100})
    fleet.executor.endings[RunKind.VERIFY] = RunStatus.SICK
    for host in ("web1", "db1"):
        fleet.fail(host)
        fleet.apply(host)
        assert fleet.state(host) is IncidentState.ESCALATED
    fleet.fail("web2")
    assert fleet.state("web2") is IncidentState.ESCALATED
    assert fleet.executor.acted() == ["web1", "db1"]

    fleet.restart()
    fleet.now[0] += timedelta(minutes=31)
    fleet.executor.endings[RunKind.VERIFY] = RunStatus.SUCCEEDED
    fleet.fail("web3", "db3")
    fleet.executor.meanwhile["web3", RunKind.CHECK] = lambda: fleet.apply("db3")
    fleet.apply("web3")
    assert (fleet.state("web3"), fleet.outcome("db3")) == (IncidentState.VERIFIED, Outcome.WAITS)
    # The probe is proven only when its hold is over.
    assert fleet.turns() == []
    fleet.healing.hold(fleet.incidents["web3"])
    assert fleet.turns() == ["db3"]
