"""Outbreaks over in-memory rooms: who is healed in which wave, what stops them, and what a crash changes: nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from orchestrator import settings
from orchestrator.catalog import Catalog
from orchestrator.detect.detector import Detector
from orchestrator.domain import ids
from orchestrator.domain.actions import ESCALATE, Candidate, Decision
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import Cursor, Signature
from orchestrator.domain.incidents import Incident, IncidentState, Origin
from orchestrator.domain.outbreaks import MemberEnd, Outbreak, OutbreakState, wave_size
from orchestrator.domain.precedents import Standing, Word
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Facts, Outcome, UnitFacts, Verdict
from orchestrator.errors import HostUnreachable, InventoryError
from orchestrator.healing import Healing
from orchestrator.notify.alarm import StoreAlarm
from orchestrator.outbreak import DECIDE_TRIES, fits
from orchestrator.steps import Rooms
from orchestrator.testing import FakeChooser, FakeExecutor, FakeFleet, FakeProbe, InlineEngine, MemoryStore
from orchestrator.waves import LOST, TAKE_TRIES, Waves
from tests.support.limits import WIDE
from tests.unit.test_healing import NOON, RESTART, Told, action

#: What a healing and its outbreak write in transactions of their own.
WRITES = (
    *("move", "join", "record_decision", "record_verdict", "append"),
    *("outbreak_for", "join_outbreak", "take_member", "end_member", "end_outbreak", "stop_outbreak"),
)


class Crash(BaseException):
    """The worker died here; the step is run again."""


class Shaky:
    """A store that dies at one of its transactions, right before it or right after."""

    def __init__(self, store: MemoryStore, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after
        self.died = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return functools.partial(self._write, found) if name in WRITES else found

    def _write(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._left -= 1
        dies = self._left == 0
        if dies and not self._after:
            self.died = True
            raise Crash
        answer = function(*arguments, **named)
        if dies:
            self.died = True
            raise Crash
        return answer


class Engine(InlineEngine):
    """Runs a step again that died, and each step `times` times."""

    times = 1

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        for _ in range(self.times - 1):
            super().step(name, function, *args)
        try:
            return super().step(name, function, *args)
        except Crash:
            return super().step(name, function, *args)


class Executor(FakeExecutor):
    """Writes its runs into the store, as the real one does."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store
        self.signatures: list[frozenset[Signature] | None] = []
        #: Called before a job is begun.
        self.before: Callable[[PlaybookJob], object] = lambda job: None

    def execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        self.before(job)
        known = signatures or self.store.signatures(job.incident_id)
        claim = self.store.claim(job, signatures=known)
        if claim is RunStatus.BUSY:
            return PlaybookResult(run_id=job.run_id, status=RunStatus.BUSY)
        run = self.store.run(job.run_id)
        assert run is not None
        if claim is not None and run.ended:
            return PlaybookResult(run_id=job.run_id, status=run.status, reason=run.reason, ends=run.ends)
        self.signatures.append(signatures)
        result = super().execute(job)
        shut = result.status is RunStatus.TIMED_OUT or any(not end.settled for end in result.ends.values())
        run = self.store.finish(result, slot_shut=shut)
        return replace(result, ends=run.ends)


class Probe(FakeProbe):
    """One that some hosts do not answer."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.away: set[str] = set()
        self.away_at_position: set[str] = set()

    def inspect(self, host: Host, units: Sequence[str], paths: Sequence[str]) -> Facts:
        if host.name in self.away:
            raise HostUnreachable(f"{host.name} does not answer.")
        return super().inspect(host, units, paths)

    def position(self, host: Host) -> Cursor:
        if host.name in self.away_at_position:
            raise HostUnreachable(f"{host.name} does not answer.")
        return super().position(host)


@dataclass
class Fleet:
    """Hosts web1, web2 ... that all wrote the same error."""

    store: MemoryStore
    engine: Engine
    executor: Executor
    probe: Probe
    chooser: FakeChooser
    told: Told
    healing: Healing
    waves: Waves
    detector: Detector
    waits: list[float]

    def fail(self, *names: str, origin: Origin = Origin.LOG) -> None:
        """The error on these hosts, and their plans."""
        for name in names:
            for incident in self.store.absorb(
                name, "journal", self.detector.detect([failure(name)], NOON), None, origin=origin
            ):
                self.engine.start("plan", incident, incident, host=name)

    def planned(self) -> Fleet:
        """Nobody is in a wave yet."""
        self.engine.run()
        return self

    def heal(self, rounds: int = 20) -> Fleet:
        """Whatever is due, until nothing is, or for so many waves."""
        for _ in range(rounds):
            self.engine.run()
            if not self.store.outbreaks(states=(OutbreakState.HEALING,)):
                break
            self.waves.sweep()
        self.engine.run()
        return self

    def incident(self, host: str) -> Incident:
        return self.store.incidents(host=host)[0]

    @property
    def states(self) -> dict[str, str]:
        return {one.host: str(one.state) for one in reversed(self.store.incidents(limit=1000))}

    @property
    def outbreak(self) -> Outbreak:
        return self.store.outbreaks()[0]

    def ran(self, kind: RunKind) -> list[list[str]]:
        return [[host.name for host in job.hosts] for job in self.executor.jobs if job.kind is kind]

    def ends(self) -> dict[str, MemberEnd | None]:
        return {one.host: one.ending for one in self.store.members(self.outbreak.id)}


def failure(name: str) -> LogRecord:
    return LogRecord(
        time=NOON - timedelta(seconds=1),
        host=name,
        unit="nginx.service",
        priority=4,
        message="nginx.service: Failed with result 'signal'.",
        unit_failure=True,
    )


def fleet(
    count: int = 7,
    *,
    reversible: bool = False,
    policies: dict[str, HostPolicy] | None = None,
    shaky: Callable[[MemoryStore], Any] = lambda store: store,
    times: int = 1,
    decision: Decision = RESTART,
    limits: dict[str, int] | None = None,
) -> Fleet:
    names, auto, waits = [f"web{number}" for number in range(1, count + 3)], HostPolicy(mode=Mode.AUTO), list[float]()
    hosts = [
        Host(
            name=name,
            groups=(),
            connection=Connection(kind="ssh", address="192.0.2.1"),
            policy=(policies or {}).get(name, auto),
        )
        for name in names
    ]
    moment = [NOON]

    def clock() -> datetime:
        moment[0] += timedelta(milliseconds=1)
        return moment[0]

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    raw, engine, told, one = MemoryStore(clock=clock), Engine(held=True), Told(), action(reversible=reversible)
    engine.times = times
    facts = UnitFacts(
        asked="nginx",
        id="nginx.service",
        names=("nginx.service",),
        load_state="loaded",
        active_state="failed",
        sub_state="failed",
    )
    detector, probe = Detector((one,)), Probe(Facts(units={"nginx": facts, "nginx.service": facts}))
    executor, chooser = Executor(raw), FakeChooser(decision)
    rooms = Rooms(
        settings=replace(settings.load(environ={}), **(limits or WIDE)),  # type: ignore[arg-type]  # whole numbers
        engine=engine,
        store=shaky(raw),
        fleet=FakeFleet(*hosts),
        catalog=Catalog(actions={one.id: one}),
        detector=detector,
        chooser=chooser,
        probe=probe,
        executor=executor,
        notifier=told,
        alarm=StoreAlarm(told),
        now=lambda: moment[0],
        wait=wait,
    )
    healing = Healing(rooms)
    waves = Waves(rooms, healing)
    engine.workflows = {
        "plan": healing.plan,
        "ask": healing.ask,
        "apply": healing.apply,
        "hold": healing.hold,
        "rollback": healing.rollback,
        "wave": waves.wave,
    }
    made = Fleet(raw, engine, executor, probe, chooser, told, healing, waves, detector, waits)
    made.fail(*names[:count])
    return made


def test_one_canary_then_growing_waves_each_one_run() -> None:
    one = fleet(7).heal()

    assert set(one.states.values()) == {"healed"}
    waves = [["web1"], ["web2", "web3"], ["web4", "web5", "web6", "web7"]]
    assert one.ran(RunKind.CHECK) == one.ran(RunKind.ACT) == one.ran(RunKind.VERIFY) == waves
    assert (one.outbreak.state, one.outbreak.wave) == (OutbreakState.HEALED, 3)
    assert one.outbreak.reason == "7 of 7 members were acted on and verified"
    kinds = [event.kind for event in one.store.events() if event.kind.startswith("outbreak.")]
    assert kinds == ["outbreak.opened", *["outbreak.joined"] * 7, *["outbreak.wave"] * 3, "outbreak.healed"]
    assert one.store.statistics().successful == 7
    assert [len(one.store.attempts(f"web{number}", NOON)) for number in range(1, 8)] == [1] * 7
    assert all(one.executor.signatures)


def test_a_wave_is_no_larger_than_the_fleet_lets_at_once() -> None:
    one = fleet(7, limits=WIDE | {"fleet_hosts_max": 2}).heal()

    assert set(one.states.values()) == {"healed"}
    assert one.ran(RunKind.ACT) == [["web1"], ["web2", "web3"], ["web4", "web5"], ["web6", "web7"]]


def test_members_that_policy_let_wait_when_they_were_planned_are_in_no_line_but_their_waves() -> None:
    one = fleet(5, limits=WIDE | {"fleet_hosts_max": 1}).planned()
    incident = one.incident("web1").id
    for host in ("web1", "web2", "web3"):
        found = one.incident(host).id
        verdict = one.store.verdict(found)
        assert verdict is not None
        one.store.record_verdict(found, replace(verdict, outcome=Outcome.WAITS), Facts())
    assert one.store.membership(incident) is not None
    one.healing.start_turns()
    one.engine.run()
    assert not one.executor.jobs
    assert not one.store.places() or all(place.outcome is not Outcome.WAITS for place in one.store.places())
    assert set(one.heal().states.values()) == {"healed"}
    assert one.ran(RunKind.ACT) == [[f"web{number}"] for number in range(1, 6)]


def test_it_is_decided_once() -> None:
    one = fleet(4).heal()
    assert [case.host for case in one.chooser.asked] == ["web1"]
    reasons = [one.store.decision(one.incident(host).id) for host in ("web1", "web4")]
    assert [found.reason for found in reasons if found] == [
        "it crashed",
        f"decided once for outbreak {one.outbreak.id}: it crashed",
    ]


def test_no_action_is_decided_once_too_and_the_outbreak_is_over() -> None:
    one = fleet(4, decision=Decision(action=ESCALATE, parameters={}, reason="unclear", chooser="fake")).heal()
    assert set(one.states.values()) == {"escalated"}
    assert len(one.chooser.asked) == 1
    assert one.outbreak.state is OutbreakState.OVER
    assert not one.executor.jobs


def test_what_memory_of_another_host_says_is_not_taken_where_it_does_not_fit() -> None:
    one = fleet(3)
    one.chooser.decision = replace(RESTART, parameters={"service": "mysql"})
    one.heal()
    assert [case.host for case in one.chooser.asked] == ["web1", "web2", "web3"]


def test_a_persons_word_binds_a_host_whose_own_lines_it_is_about() -> None:
    one = fleet(4)
    more = replace(failure("web3"), message="nginx.service: Main process exited, code=killed, status=9/KILL")
    signals = one.detector.detect([more], NOON)
    one.store.absorb("web3", "journal", signals, None)
    one.store.record_word(
        Word(
            signature=signals[0].signature,
            template="",
            standing=Standing.FORBIDDEN,
            action="restart_service",
            parameters={},
            actor="cli:ann",
            reason="it hides a leak",
            at=NOON,
        )
    )

    one.heal()

    assert one.states == {"web1": "healed", "web2": "healed", "web3": "escalated", "web4": "healed"}
    assert one.incident("web3").reason.endswith("which cli:ann forbade for this error: it hides a leak")
    assert "web3" not in {name for wave in one.ran(RunKind.ACT) for name in wave}


def test_two_hosts_are_two_healings() -> None:
    one = fleet(2).heal()
    assert one.store.outbreaks() == ()
    assert one.ran(RunKind.ACT) == [["web1"], ["web2"]]
    assert set(one.states.values()) == {"healed"}


def test_what_a_person_asked_for_stands_alone() -> None:
    one = fleet(3)
    one.fail("web4", origin=Origin.TRIGGER)
    one.heal()
    assert one.store.membership(one.incident("web4").id) is None
    assert one.states["web4"] == "healed"


def test_a_canary_that_does_not_verify_stops_it() -> None:
    one = fleet(5)
    one.executor.on[RunKind.VERIFY, "web1"] = RunStatus.SICK
    one.heal()

    assert set(one.states.values()) == {"escalated"}
    assert one.ran(RunKind.ACT) == [["web1"]]
    assert (one.outbreak.state, one.outbreak.reason) == (OutbreakState.STOPPED, "wave 1: web1 did not verify")
    assert one.ends() == {"web1": MemberEnd.FAILED} | {f"web{number}": MemberEnd.LEFT for number in range(2, 6)}
    left = f"nothing was done: outbreak {one.outbreak.id} was stopped: wave 1: web1 did not verify"
    assert one.incident("web5").reason == left
    assert one.incident("web1").reason.startswith("restart_service ended as succeeded and did not heal it")
    # Whoever comes next is told, and not tried.
    one.fail("web6")
    one.heal()
    assert one.states["web6"] == "escalated"
    assert one.outbreak.id in one.incident("web6").reason
    assert len(one.ran(RunKind.ACT)) == 1


@pytest.mark.parametrize("reversible", [True, False])
def test_a_later_wave_stops_it_and_its_well_members_go_on(*, reversible: bool) -> None:
    one = fleet(7, reversible=reversible)
    one.executor.on[RunKind.VERIFY, "web3"] = RunStatus.SICK
    one.heal()

    assert one.ran(RunKind.ACT) == [["web1"], ["web2", "web3"]]
    assert {name for name, state in one.states.items() if state == "healed"} == {"web1", "web2"}
    assert one.outbreak.reason == "wave 2: web3 did not verify"
    assert one.ran(RunKind.ROLLBACK) == ([["web3"]] if reversible else [])
    assert one.store.statistics().failed == 1
    runs = [run.kind for run in one.store.runs(incident_id=one.incident("web3").id)]
    assert set(runs) == {RunKind.CHECK, RunKind.ACT, RunKind.VERIFY} | ({RunKind.ROLLBACK} if reversible else set())


@pytest.mark.parametrize(
    ("kind", "status", "state", "said", "stops"),
    [
        (RunKind.CHECK, RunStatus.SUCCEEDED, "already_well", "the check found it well", False),
        (RunKind.CHECK, RunStatus.UNREACHABLE, "escalated", "the check can't tell", False),
        (RunKind.ACT, RunStatus.REFUSED, "escalated", "nothing was changed", True),
        (RunKind.ACT, RunStatus.FAILED, "healed", "verified", False),
        (RunKind.VERIFY, RunStatus.UNREACHABLE, "escalated", "can't be told", True),
    ],
)
def test_each_ending_on_one_host_of_a_wave(
    kind: RunKind, status: RunStatus, state: str, said: str, *, stops: bool
) -> None:
    one = fleet(7)
    one.executor.on[kind, "web2"] = status
    one.heal()
    assert one.states["web2"] == state
    assert said in one.incident("web2").reason
    assert one.states["web3"] == "healed"
    assert (one.outbreak.state is OutbreakState.STOPPED) is stops
    assert (one.states["web7"] == "healed") is not stops


def test_a_canary_that_is_well_proves_nothing_so_another_goes_first() -> None:
    one = fleet(4)
    one.executor.on[RunKind.CHECK, "web1"] = RunStatus.SUCCEEDED
    one.heal()
    assert one.ran(RunKind.ACT) == [["web2"], ["web3", "web4"]]
    assert one.states["web1"] == "already_well"


def test_a_host_that_may_still_be_at_work_is_not_verified_and_the_others_are() -> None:
    one = fleet(3)
    one.executor.on[RunKind.ACT, "web2"] = RunStatus.TIMED_OUT
    one.heal()
    assert one.ran(RunKind.VERIFY) == [["web1"], ["web3"]]
    assert one.states == {"web1": "healed", "web2": "escalated", "web3": "healed"}
    assert "it still held the host's slot" in one.incident("web2").reason
    assert one.outbreak.state is OutbreakState.STOPPED


def test_a_host_that_does_not_come_back_after_the_act_is_not_called_well() -> None:
    one = fleet(3)
    one.executor.before = lambda job: one.probe.away_at_position.add("web2")
    one.heal()
    assert one.ran(RunKind.VERIFY) == [["web1"], ["web3"]]
    assert "web2 does not answer" in one.incident("web2").reason
    assert one.outbreak.state is OutbreakState.STOPPED


def test_a_new_member_joins_a_later_wave() -> None:
    one = fleet(3).heal(rounds=1)
    assert one.ran(RunKind.ACT) == [["web1"]]
    one.fail("web4")
    one.heal()
    assert one.ran(RunKind.ACT) == [["web1"], ["web2", "web3"], ["web4"]]
    assert set(one.states.values()) == {"healed"}


def test_one_that_comes_after_it_healed_stands_alone() -> None:
    one = fleet(3).heal()
    one.fail("web4")
    one.heal()
    assert len(one.store.outbreaks()) == 1
    assert one.states["web4"] == "healed"
    assert one.store.membership(one.incident("web4").id) is None


def test_a_member_that_policy_refuses_is_escalated_by_itself() -> None:
    one = fleet(4, policies={"web2": HostPolicy(mode=Mode.OFF)}).heal()
    assert one.states == {"web1": "healed", "web2": "escalated", "web3": "healed", "web4": "healed"}
    assert "refused by rule mode" in one.incident("web2").reason
    assert "web2" not in one.ends()


def test_a_member_that_policy_refuses_by_the_time_of_its_wave_leaves() -> None:
    one = fleet(4).heal(rounds=1)
    one.healing._rooms.fleet._hosts["web2"] = replace(  # type: ignore[attr-defined]
        one.healing._rooms.fleet.host("web2"), policy=HostPolicy(mode=Mode.OFF)
    )
    one.heal()
    assert one.ran(RunKind.ACT) == [["web1"], ["web3", "web4"]]
    assert one.ends()["web2"] is MemberEnd.LEFT
    assert "right before acting" in one.incident("web2").reason
    assert one.outbreak.state is OutbreakState.HEALED


def test_who_needs_an_approval_is_asked_one_by_one() -> None:
    one = fleet(4, policies={"web2": HostPolicy(mode=Mode.PROPOSE)}).heal()
    assert one.states["web2"] == "pending_approval"
    assert one.ran(RunKind.ACT) == [["web1"], ["web3", "web4"]]


def test_hosts_of_other_policy_have_a_wave_of_their_own() -> None:
    other = HostPolicy(mode=Mode.AUTO, protected_services=frozenset({"db.service"}))
    one = fleet(4, policies={"web3": other}).heal()
    assert one.ran(RunKind.ACT) == [["web1"], ["web2", "web4"], ["web3"]]


def test_who_policy_lets_wait_comes_in_a_later_wave_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    one = fleet(5)
    judged = Waves._verdict

    def one_at_a_time(waves: Waves, incident_id: str, *rest: Any, **named: Any) -> Verdict:
        """A fleet in which one host may be healed at a time."""
        verdict = judged(waves, incident_id, *rest, **named)
        if any(member.held for member in one.store.members(one.outbreak.id)):
            return replace(verdict, outcome=cast("Outcome", "later"), rule="fleet")
        return verdict

    monkeypatch.setattr(Waves, "_verdict", one_at_a_time)
    one.heal()
    assert one.ran(RunKind.ACT) == [[f"web{number}"] for number in range(1, 6)]
    assert set(one.states.values()) == {"healed"}


def test_a_host_that_another_healing_holds_is_taken_later() -> None:
    one = fleet(3)
    one.engine.run()
    held: list[str] = []

    def before(job: PlaybookJob) -> None:
        if not held:
            # Another healing's run on web2 begins while the canary is checked, and ends while wave 2 acts.
            held.append("inc-other-act")
            other = replace(
                job,
                run_id=ids.RunId(held[0]),
                incident_id=ids.IncidentId("inc-other"),
                hosts=(one.healing._rooms.fleet.host("web2"),),
            )
            assert one.store.claim(other, signatures=frozenset()) is None
        elif job.kind is RunKind.VERIFY and "web3" in [host.name for host in job.hosts]:
            one.store.finish(PlaybookResult(run_id=ids.RunId(held[0]), status=RunStatus.SUCCEEDED), slot_shut=False)

    one.executor.before = before
    one.heal()
    assert one.ran(RunKind.ACT) == [["web1"], ["web3"], ["web2"]]
    assert set(one.states.values()) == {"healed"}


def test_a_healing_of_its_own_waits_until_no_wave_holds_its_host() -> None:
    one = fleet(3)
    one.engine.run()
    outbreak = one.outbreak.id
    first = one.store.members(outbreak)[0].incident_id
    assert one.store.take_member(first, 1)
    told: list[float] = []

    def wait(seconds: float) -> bool:
        told.append(seconds)
        one.store.end_member(first, MemberEnd.VERIFIED, "")
        return False

    object.__setattr__(one.healing._rooms, "wait", wait)
    one.healing._let_wave_pass("web1")
    one.healing._let_wave_pass("web2")
    assert len(told) == 1


def test_a_rollback_that_can_not_begin_does_not_say_that_nothing_was_done() -> None:
    one = fleet(3, reversible=True)
    one.executor.on[RunKind.VERIFY, "web2"] = RunStatus.SICK

    def before(job: PlaybookJob) -> None:
        if job.kind is RunKind.ROLLBACK:
            raise InventoryError("web2 is gone.")

    one.executor.before = before
    one.heal()
    assert one.incident("web2").reason.startswith("restart_service ended as succeeded; it was not repeated")


def test_nothing_acts_on_a_member_but_its_wave() -> None:
    one = fleet(3).planned()
    one.healing.start_apply(one.incident("web2").id, "web2")
    one.engine.run()
    assert not one.executor.jobs
    assert set(one.heal().states.values()) == {"healed"}
    assert one.ran(RunKind.ACT) == [["web1"], ["web2", "web3"]]


def test_a_host_that_can_not_be_asked_is_left_out_and_does_not_hold_up_the_others() -> None:
    one = fleet(4).planned()
    one.probe.away = {"web1", "web3"}
    one.heal()
    assert one.ran(RunKind.ACT) == [["web2"], ["web4"]]
    assert one.states["web1"] == one.states["web3"] == "escalated"
    assert one.incident("web1").reason == "nothing was done: web1 does not answer."
    assert one.outbreak.state is OutbreakState.HEALED


def test_the_kill_switch_between_waves_stops_it() -> None:
    one = fleet(4).heal(rounds=1)
    one.store.stop(actor="ann", reason="no")
    one.heal()
    assert one.ran(RunKind.ACT) == [["web1"]]
    assert one.states == {"web1": "healed"} | dict.fromkeys(("web2", "web3", "web4"), "escalated")
    assert "all healing is stopped: ann" in one.outbreak.reason


def test_the_kill_switch_in_the_middle_of_a_wave_refuses_its_act() -> None:
    one = fleet(4)
    one.executor.before = lambda job: (
        one.store.stop(actor="ann", reason="no") if job.kind is RunKind.ACT and len(job.hosts) == 2 else None
    )
    one.heal()
    assert one.ran(RunKind.ACT) == [["web1"]]
    assert "nothing was changed: ann stopped" in one.incident("web2").reason
    assert one.states["web4"] == "escalated"
    assert one.store.statistics().total_attempts == 1


def test_an_error_that_comes_back_on_a_host_of_an_earlier_wave_stops_it() -> None:
    one = fleet(4).heal(rounds=1)
    incident = one.incident("web1")
    one.store._incidents[incident.id] = replace(incident, state=IncidentState.ESCALATED)
    one.heal()
    assert one.outbreak.reason == "web1 verified, but the error came back"
    assert one.ran(RunKind.ACT) == [["web1"]]


def test_bytes_that_changed_since_they_were_judged_are_not_run() -> None:
    one = fleet(3)
    asked = one.executor.digest
    one.executor.before = lambda job: setattr(
        one.executor,
        "digest",
        lambda deed, parameters, hosts: asked(deed, parameters, hosts) + "x" * ("web1" in [h.name for h in hosts]),
    )
    one.heal()
    assert "changed since it was judged" in one.incident("web1").reason
    assert one.ran(RunKind.ACT) == [["web2"], ["web3"]]


def test_nobody_is_waited_for_without_end() -> None:
    one = fleet(3).planned()
    web1 = one.healing._rooms.fleet.host("web1")
    job = PlaybookJob(
        run_id=ids.RunId("inc-x-act"),
        incident_id=ids.IncidentId("inc-x"),
        kind=RunKind.CHECK,
        action="restart_service",
        playbook=action().folder,
        roles=action().folder,
        parameters={},
        hosts=(web1, replace(web1, name="web2"), replace(web1, name="web3")),
        task_timeout=1,
        run_timeout=1,
    )
    assert one.store.claim(job, signatures=frozenset()) is None
    one.heal(rounds=1)
    assert one.outbreak.reason == "nobody of those who wait could be taken into a wave for an hour"
    assert set(one.states.values()) == {"escalated"}
    assert len(one.waits) >= TAKE_TRIES


def test_a_bug_stops_it_and_tells_of_whoever_was_in_the_wave(monkeypatch: pytest.MonkeyPatch) -> None:
    one = fleet(3)

    def broken(*_: object) -> None:
        raise ValueError("oops")

    monkeypatch.setattr(Waves, "_verify", broken)
    one.heal()
    assert set(one.states.values()) == {"escalated"}
    assert (
        "internal error in verify" not in one.incident("web1").reason or "can't be told" in one.incident("web1").reason
    )
    assert "oops" in one.incident("web1").reason
    assert one.outbreak.state is OutbreakState.STOPPED
    assert all(one.ends().values())


def test_a_wave_that_is_gone_is_told_of() -> None:
    one = fleet(3)
    one.engine.run()
    one.engine.workflows["wave"] = lambda name: None
    for _ in range(LOST + 3):
        one.waves.sweep()
        one.engine.run()
    assert one.outbreak.state is OutbreakState.STOPPED
    assert set(one.states.values()) == {"escalated"}


def test_the_first_decision_is_waited_for_and_not_without_end() -> None:
    one = fleet(3)
    first, second, _ = (incident.id for incident in reversed(one.store.incidents()))
    one.store.move(first, IncidentState.PLANNING, "", expected=(IncidentState.OPEN,))
    since = NOON - timedelta(minutes=2)
    assert one.store.outbreak_for(first, hosts=3, since=since)
    one.engine.start("plan", second, second)
    one.waits.clear()
    assert one.healing._first_decision(first, second) is None
    assert len(one.waits) == DECIDE_TRIES
    one.store.move(first, IncidentState.ESCALATED, "", expected=(IncidentState.PLANNING,))
    one.waits.clear()
    assert one.healing._first_decision(first, second) is None
    assert not one.waits


def told_of(one: Fleet) -> tuple[object, ...]:
    """What a crash must not change."""
    return (
        one.states,
        one.ends(),
        one.outbreak.state,
        [(job.kind, [host.name for host in job.hosts]) for job in one.executor.jobs],
        sorted(one.engine.started),
    )


@pytest.mark.parametrize("sick", ["", "web1", "web3"])
def test_every_step_may_run_twice(sick: str) -> None:
    def healed(times: int) -> Fleet:
        one = fleet(4, times=times, reversible=True)
        if sick:
            one.executor.on[RunKind.VERIFY, sick] = RunStatus.SICK
        return one.heal()

    once, twice = healed(1), healed(2)
    assert told_of(twice)[:4] == told_of(once)[:4]


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_transaction_changes_nothing(*, after: bool) -> None:
    def healed(at: int) -> tuple[Fleet, Shaky]:
        made: list[Shaky] = []

        def shaky(store: MemoryStore) -> Any:
            made.append(Shaky(store, at, after=after))
            return made[0]

        one = fleet(4, shaky=shaky, reversible=True)
        one.executor.on[RunKind.VERIFY, "web3"] = RunStatus.SICK
        return one.heal(), made[0]

    wanted, _ = healed(0)
    at = 1
    while True:
        one, store = healed(at)
        if not store.died:
            break
        assert told_of(one)[:4] == told_of(wanted)[:4], at
        at += 1
    assert at > 45


@pytest.mark.parametrize(
    ("verified", "most", "size"), [(0, 10, 1), (1, 10, 2), (2, 10, 4), (5, 10, 10), (3, 2, 2), (0, 1, 1)]
)
def test_waves_grow_as_they_verify(verified: int, most: int, size: int) -> None:
    assert wave_size(verified, most) == size


OFFERED = (
    Candidate(action="restart_service", values={"service": ("nginx", "php")}),
    Candidate(action="other", values={}),
)


@pytest.mark.parametrize(
    ("deed", "parameters", "fit"),
    [
        ("restart_service", {"service": "php"}, True),
        ("restart_service", {"service": "mysql"}, False),
        ("restart_service", {"unit": "php"}, False),
        ("other", {}, True),
        ("third", {}, False),
        (ESCALATE, {}, True),
    ],
)
def test_a_decision_fits_where_the_evidence_offers_it(deed: str, parameters: dict[str, str], *, fit: bool) -> None:
    assert fits(Decision(action=deed, parameters=parameters, reason="", chooser=""), OFFERED) is fit
