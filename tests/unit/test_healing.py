"""The order of a healing, over in-memory rooms: what each ending of each room leads to, and what never happens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import settings
from orchestrator.catalog import Catalog
from orchestrator.decide.memory import MemoryChooser
from orchestrator.detect.detector import Detector
from orchestrator.domain import ids
from orchestrator.domain.actions import Action, Decision, Parameter, ParameterSource, Risk
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import IncidentState, Origin
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Facts, UnitFacts
from orchestrator.errors import BadReply, HostUnreachable, Interrupted, RecordError, StoreUnavailable
from orchestrator.healing import GATHER, Healing
from orchestrator.notify.alarm import StoreAlarm
from orchestrator.steps import AFTER_ACT, BUSY_PAUSE, PASSING, STORE_PAUSE, Rooms
from orchestrator.testing import FakeChooser, FakeExecutor, FakeFleet, FakeProbe, InlineEngine, MemoryStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
#: Seconds; no other pause of a healing takes as long.
SETTLE = 3
RESTART = Decision(action="restart_service", parameters={"service": "nginx"}, reason="it crashed", chooser="fake")


def action(**other: Any) -> Action:
    return replace(
        Action(
            id="restart_service",
            title="Restart a service",
            when="",
            not_when="",
            risk=Risk.LOW,
            reversible=False,
            task_timeout=30,
            run_timeout=60,
            settle_seconds=SETTLE,
            hold_seconds=30,
            parameters=(
                Parameter(name="service", type="str", required=True, description="", source=ParameterSource.UNIT),
            ),
            folder=Path("playbooks/restart_service"),
        ),
        **other,
    )


class RecordingExecutor(FakeExecutor):
    """Writes its runs into the store, as the real one does."""

    def __init__(self, store: MemoryStore, **endings: RunStatus) -> None:
        super().__init__(**endings)
        self.store = store

    def execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        known = self.store.signatures(job.incident_id) if signatures is None else signatures
        if self.store.claim(job, signatures=known) is not None:
            return super().execute(job)
        result = super().execute(job)
        self.store.finish(result, slot_shut=False)
        return result


class Told:
    """A notifier that remembers."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def tell(self, action: str, incident: object, sentence: str) -> None:
        self.sentences.append(f"{action}: {sentence}")

    def alarm(self, key: str, sentence: str) -> None:
        self.sentences.append(f"{key}: {sentence}")


@dataclass
class House:
    """A healing with its in-memory rooms, one host, and one incident in the store."""

    store: MemoryStore
    engine: InlineEngine
    executor: FakeExecutor
    probe: FakeProbe
    chooser: FakeChooser
    told: Told
    healing: Healing
    now: list[datetime]
    #: Seconds of every pause; when `ends` is true, the worker ends at the next one.
    waits: list[float]
    ends: list[bool]
    incident: str = ""

    @property
    def state(self) -> IncidentState:
        found = self.store.incident(self.incident)
        assert found is not None
        return found.state

    @property
    def reason(self) -> str:
        found = self.store.incident(self.incident)
        assert found is not None
        return found.reason

    @property
    def kinds(self) -> list[str]:
        return [job.kind.value for job in self.executor.jobs]

    def plan(self) -> House:
        self.engine.start("plan", self.incident, self.incident)
        return self


def house(
    *,
    mode: Mode = Mode.AUTO,
    decision: Decision | Exception = RESTART,
    reversible: bool = False,
    age: float = 1,
    origin: Origin = Origin.LOG,
    endings: dict[str, RunStatus] | None = None,
) -> House:
    now, waits, ends = [NOON], list[float](), [False]

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return ends[0]

    store = MemoryStore(clock=lambda: now[0])
    host = Host(
        name="web1",
        groups=("lab",),
        connection=Connection(kind="ssh", address="192.0.2.1"),
        policy=HostPolicy(mode=mode),
    )
    facts = Facts(
        units={
            name: UnitFacts(
                asked=name,
                id="nginx.service",
                names=("nginx.service",),
                load_state="loaded",
                active_state="failed",
                sub_state="failed",
            )
            for name in ("nginx", "nginx.service")
        }
    )
    engine = InlineEngine()
    one = action(reversible=reversible)
    executor, probe, chooser = RecordingExecutor(store, **(endings or {})), FakeProbe(facts), FakeChooser(decision)
    told = Told()
    rooms = Rooms(
        settings=settings.load(environ={}),
        engine=engine,
        store=store,
        fleet=FakeFleet(host),
        catalog=Catalog(actions={one.id: one}),
        detector=Detector((one,)),
        chooser=chooser,
        probe=probe,
        executor=executor,
        notifier=told,
        alarm=StoreAlarm(told),
        now=lambda: now[0],
        wait=wait,
    )
    healing = Healing(rooms)
    engine.workflows = {
        "plan": healing.plan,
        "ask": healing.ask,
        "apply": healing.apply,
        "hold": healing.hold,
        "rollback": healing.rollback,
    }
    signals = rooms.detector.detect([failure(NOON - timedelta(seconds=age))], NOON)
    (incident,) = store.absorb("web1", "journal", signals, None, origin=origin)
    return House(store, engine, executor, probe, chooser, told, healing, now, waits, ends, incident)


def failure(at: datetime) -> LogRecord:
    return LogRecord(
        time=at,
        host="web1",
        unit="nginx.service",
        priority=4,
        message="nginx.service: Failed with result 'signal'.",
        unit_failure=True,
    )


def test_a_healing_checks_acts_once_settles_verifies_holds_and_is_healed() -> None:
    one = house().plan()

    assert one.state is IncidentState.HEALED
    assert one.kinds == ["check", "act", "verify"]
    assert one.waits.count(SETTLE) == 1
    assert one.engine.started[ids.hold_id(ids.IncidentId(one.incident))][3] == 30
    assert one.engine.started[ids.apply_id(ids.IncidentId(one.incident))][2] == "web1"
    assert one.told.sentences == []


def test_the_act_is_bound_to_a_digest() -> None:
    one = house().plan()

    assert {job.kind.value: bool(job.digest) for job in one.executor.jobs}["act"]


@pytest.mark.parametrize(
    ("endings", "state", "kinds"),
    [
        ({"check": RunStatus.SUCCEEDED}, IncidentState.ALREADY_WELL, ["check"]),
        ({"check": RunStatus.FAILED}, IncidentState.ESCALATED, ["check"]),
        ({"check": RunStatus.UNREACHABLE}, IncidentState.ESCALATED, ["check"]),
        ({"check": RunStatus.TIMED_OUT}, IncidentState.ESCALATED, ["check"]),
        ({"check": RunStatus.BUSY}, IncidentState.ESCALATED, ["check"]),
        ({"act": RunStatus.REFUSED}, IncidentState.ESCALATED, ["check", "act"]),
        ({"act": RunStatus.BUSY}, IncidentState.ESCALATED, ["check", "act"]),
        ({"act": RunStatus.UNKNOWN}, IncidentState.HEALED, ["check", "act", "verify"]),
        ({"act": RunStatus.UNREACHABLE}, IncidentState.HEALED, ["check", "act", "verify"]),
        ({"act": RunStatus.CANCELED}, IncidentState.ESCALATED, ["check", "act", "verify"]),
        ({"verify": RunStatus.SICK}, IncidentState.ESCALATED, ["check", "act", "verify"]),
        ({"verify": RunStatus.FAILED}, IncidentState.ESCALATED, ["check", "act", "verify"]),
        ({"verify": RunStatus.UNKNOWN}, IncidentState.ESCALATED, ["check", "act", "verify", "verify"]),
        ({"verify": RunStatus.UNREACHABLE}, IncidentState.ESCALATED, ["check", "act", "verify"]),
    ],
)
def test_each_ending_of_a_run_leads_to_one_state_and_nothing_is_repeated(
    endings: dict[str, RunStatus], state: IncidentState, kinds: list[str]
) -> None:
    one = house(endings=endings).plan()

    assert one.state is state, one.reason
    assert one.kinds == kinds
    assert (state is IncidentState.ESCALATED) == bool(one.told.sentences)


@pytest.mark.parametrize("cut", [RunStatus.REFUSED, RunStatus.UNKNOWN])
@pytest.mark.parametrize("kind", ["check", "verify"])
def test_a_reading_that_was_cut_is_read_again_and_undoes_no_act(kind: str, cut: RunStatus) -> None:
    one = house(reversible=True)
    ending = one.executor.endings[RunKind(kind)]
    one.executor.endings[RunKind(kind)] = cut
    one.executor.then = {RunKind(kind): ending}

    one.plan()

    assert one.state is IncidentState.HEALED, one.reason
    assert [job.run_id for job in one.executor.jobs if job.kind == kind] == [
        f"{one.incident}-{kind}",
        f"{one.incident}-{kind}-2",
    ]


def test_a_reading_that_is_cut_twice_tells_a_person() -> None:
    one = house(endings={"check": RunStatus.REFUSED}).plan()

    assert one.kinds == ["check", "check"]
    assert one.state is IncidentState.ESCALATED


def test_what_can_be_undone_is_undone_when_it_did_not_help() -> None:
    one = house(reversible=True, endings={"verify": RunStatus.SICK}).plan()

    assert one.kinds == ["check", "act", "verify", "rollback"]
    assert one.state is IncidentState.ESCALATED
    assert "rolled back" in one.reason


def test_an_error_that_comes_back_within_the_hold_time_is_not_healed() -> None:
    one = house()
    one.probe.records = (failure(NOON + timedelta(seconds=5)),)

    one.plan()

    assert one.state is IncidentState.ESCALATED
    assert "came back" in one.reason


def test_silence_that_nobody_could_hear_is_not_healed() -> None:
    one = house()
    one.engine.workflows.pop("hold")
    one.plan()
    one.probe.error = HostUnreachable("web1 does not answer.")

    one.healing.hold(one.incident)

    assert one.state is IncidentState.ESCALATED
    assert "does not answer" in one.reason


@pytest.mark.parametrize("wrong", [BadReply("The model answered in prose."), ValueError("bug")])
def test_a_chooser_that_fails_means_no_action(wrong: Exception) -> None:
    one = house(decision=wrong).plan()

    assert one.state is IncidentState.ESCALATED
    assert one.kinds == []


def test_noise_is_left_alone_without_telling_anybody() -> None:
    noise = Decision(action="none", parameters={}, reason="harmless", chooser="fake")

    one = house(decision=noise).plan()

    assert one.state is IncidentState.NOISE
    assert (one.kinds, one.told.sentences) == ([], [])


def test_a_host_that_cant_be_inspected_is_not_touched() -> None:
    one = house()
    one.probe.error = HostUnreachable("web1 does not answer.")

    one.plan()

    assert one.state is IncidentState.ESCALATED
    assert one.reason == "nothing was done: web1 does not answer."
    assert one.kinds == []


def test_a_persons_trigger_of_any_age_is_acted_on() -> None:
    assert house(age=3600, origin=Origin.TRIGGER).plan().state is IncidentState.HEALED


@pytest.mark.parametrize(
    ("check", "state", "said"),
    [
        (RunStatus.SUCCEEDED, IncidentState.EXPIRED, "Nothing was done, and the check finds it well."),
        (RunStatus.SICK, IncidentState.ESCALATED, "Nothing was done, but the check says that it still stands"),
        (RunStatus.UNREACHABLE, IncidentState.EXPIRED, "Nothing was done, and the check can't tell (unreachable)."),
    ],
)
def test_an_error_too_old_to_act_on_is_looked_at_and_never_acted_on(
    check: RunStatus, state: IncidentState, said: str
) -> None:
    one = house(age=3600, endings={"check": check}).plan()

    assert one.state is state
    assert one.kinds == ["check"]
    assert one.reason.startswith("The error on web1 was 3600 s old when it was seen; healing_max_age_seconds is 300. ")
    assert said in one.reason
    assert len(one.told.sentences) == (state is IncidentState.ESCALATED)


def test_a_fresh_error_that_comes_while_an_old_one_is_looked_at_is_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house(age=3600)
    one.engine = engine = InlineEngine(one.engine.workflows, held=True)
    object.__setattr__(one.healing._rooms, "engine", engine)
    monkeypatch.setattr(one.healing, "_step", engine.step)
    one.healing.plan(one.incident)
    looked_at = one.state

    signals = one.healing._rooms.detector.detect([failure(NOON)], NOON)
    assert one.store.absorb("web1", "journal", signals, None, fresh_seconds=300) == ()
    engine.run()

    assert (looked_at, one.state) == (IncidentState.HEALING, IncidentState.HEALED)
    assert one.kinds == ["check", "act", "verify"]


@pytest.mark.parametrize(
    ("mode", "state"), [(Mode.OFF, IncidentState.ESCALATED), (Mode.PROPOSE, IncidentState.PENDING_APPROVAL)]
)
def test_without_leave_nothing_runs(mode: Mode, state: IncidentState) -> None:
    one = house(mode=mode).plan()

    assert one.state is state
    assert not {"act", "rollback"} & set(one.kinds)


def test_a_stopped_fleet_is_not_touched() -> None:
    one = house()
    one.store.stop(actor="op", reason="change freeze")

    one.plan()

    assert one.state is IncidentState.ESCALATED
    assert "stopped" in one.reason


def answered(answer: Answer) -> House:
    one = house(mode=Mode.PROPOSE).plan()
    approval = ids.approval_id(ids.IncidentId(one.incident))
    one.store.answer(approval, answer, actor="op", reason="looked", now=NOON)
    one.healing.start_apply(one.incident, "web1")
    one.healing.start_apply(one.incident, "web1")
    return one


def test_an_approval_given_twice_acts_once() -> None:
    one = answered(Answer.APPROVED)

    assert one.state is IncidentState.HEALED
    assert one.kinds == ["look", "plan", "check", "act", "verify"]


def test_a_denied_question_runs_nothing() -> None:
    one = answered(Answer.DENIED)

    assert one.state is IncidentState.ESCALATED
    assert one.kinds == ["look", "plan"]


def test_approval_does_not_lift_a_denial() -> None:
    one = house(mode=Mode.PROPOSE).plan()
    approval = ids.approval_id(ids.IncidentId(one.incident))
    one.store.answer(approval, Answer.APPROVED, actor="op", reason="looked", now=NOON)
    one.store.stop(actor="op", reason="change freeze")

    one.healing.apply(one.incident)

    assert one.state is IncidentState.ESCALATED
    assert one.kinds == ["look", "plan"]


def test_a_plan_that_runs_again_after_a_crash_changes_nothing() -> None:
    one = house().plan()
    before = len(one.store.events())

    one.healing.plan(one.incident)
    one.healing.apply(one.incident)

    assert one.kinds == ["check", "act", "verify"]
    assert len(one.store.events()) == before


class Failing:
    """A function of a room that raises what it is given, one after the other, and then does its work."""

    def __init__(self, works: Any, *errors: Exception) -> None:
        self.works, self.errors = works, list(errors)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.works(*arguments, **named)


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), RecordError("disk full")])
@pytest.mark.parametrize("method", ["record_decision", "record_verdict", "move", "decision", "append"])
def test_a_store_that_stalls_is_waited_for_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    one = house()
    monkeypatch.setattr(one.store, method, Failing(getattr(one.store, method), *[error] * 30))

    one.plan()

    assert one.state is IncidentState.HEALED
    assert one.kinds == ["check", "act", "verify"]
    assert [seconds for seconds in one.waits if seconds not in (GATHER, SETTLE)] == [STORE_PAUSE] * 30


def test_what_is_logged_within_moments_is_read_together() -> None:
    one = house()

    one.plan()

    assert one.waits[0] == GATHER
    assert one.engine.steps[0] == "begin"


def test_a_person_s_wish_is_not_kept_waiting() -> None:
    one = house(origin=Origin.TRIGGER)

    one.plan()

    assert GATHER not in one.waits


def test_a_host_that_is_away_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house()
    monkeypatch.setattr(one.probe, "inspect", Failing(one.probe.inspect, *[HostUnreachable("web1 reboots")] * 3))

    one.plan()

    assert one.state is IncidentState.HEALED
    assert [seconds for seconds in one.waits if seconds] == [GATHER, *PASSING, SETTLE]


def test_a_worker_that_ends_records_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house()
    inspect = one.probe.inspect

    def cut(*_: object) -> Facts:
        one.ends[0] = True
        raise HostUnreachable("the connection was closed")

    monkeypatch.setattr(one.probe, "inspect", cut)

    with pytest.raises(Interrupted):
        one.plan()

    assert one.state is IncidentState.PLANNING
    one.ends[0] = False
    monkeypatch.setattr(one.probe, "inspect", inspect)
    one.healing.plan(one.incident)
    assert one.kinds == ["check", "act", "verify"]


def test_a_host_whose_slot_is_shut_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house()
    real, tries = one.executor.execute, [0]

    def execute(job: PlaybookJob, *_: object) -> PlaybookResult:
        tries[0] += 1
        if tries[0] <= 2:
            return PlaybookResult(run_id=job.run_id, status=RunStatus.BUSY)
        return real(job)

    monkeypatch.setattr(one.executor, "execute", execute)

    one.plan()

    assert one.state is IncidentState.HEALED
    assert one.waits.count(BUSY_PAUSE) == 2


def test_the_act_is_bound_to_the_bytes_that_were_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house()
    digests = iter(["judged", "changed since", "changed since"])
    monkeypatch.setattr(one.executor, "digest", lambda *_: next(digests))

    one.plan()

    assert [job.digest for job in one.executor.jobs if job.kind == "act"] == ["judged"]


def test_an_approval_that_was_not_carried_out_in_time_is_void() -> None:
    one = house(mode=Mode.PROPOSE).plan()
    approval = ids.approval_id(ids.IncidentId(one.incident))
    one.store.answer(approval, Answer.APPROVED, actor="op", reason="looked", now=NOON)
    one.now[0] = NOON + timedelta(days=2)

    one.healing.start_apply(one.incident, "web1")

    assert one.state is IncidentState.EXPIRED
    assert one.kinds == ["look", "plan"]


def test_without_a_position_in_the_journal_nothing_is_called_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house(reversible=True)
    monkeypatch.setattr(one.probe, "position", Failing(None, *[HostUnreachable("web1 is away")] * 9))

    one.plan()

    assert one.state is IncidentState.ESCALATED
    assert one.reason == (
        "restart_service ended as succeeded; it was not repeated, and whether it helped can't be told: web1 is away"
    )
    assert one.kinds == ["check", "act"]


def test_a_host_that_reboots_in_the_middle_of_an_act_is_looked_at_once_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = house(endings={"act": RunStatus.UNREACHABLE})
    away = [HostUnreachable("web1 reboots")] * len(AFTER_ACT)
    monkeypatch.setattr(one.probe, "position", Failing(one.probe.position, *away))

    one.plan()

    assert one.state is IncidentState.HEALED
    assert [seconds for seconds in one.waits if seconds] == [GATHER, SETTLE, *AFTER_ACT]


def test_a_store_that_stalls_while_a_host_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house()
    monkeypatch.setattr(one.probe, "position", Failing(one.probe.position, HostUnreachable("web1 is away")))
    position = one.healing._position

    def stalls_then(incident_id: str) -> str:
        monkeypatch.setattr(one.store, "run", Failing(one.store.run, StoreUnavailable("locked")))
        return position(incident_id)

    monkeypatch.setattr(one.healing, "_position", stalls_then)

    assert one.plan().state is IncidentState.HEALED


def another(one: House, *, unit: str = "nginx-worker.service", message: str = "worker: FATAL: gone") -> House:
    """One more incident on the host, of another subject."""
    record = LogRecord(time=NOON, host="web1", unit=unit, priority=2, message=message)
    signals = Detector(()).detect([record], NOON)
    (incident,) = one.store.absorb("web1", "journal", signals, None)
    return replace(one, incident=incident)


def test_the_same_deed_is_asked_for_once_whoever_complains() -> None:
    first = house(mode=Mode.PROPOSE).plan()
    second = another(first).plan()

    assert (first.state, second.state) == (IncidentState.PENDING_APPROVAL, IncidentState.JOINED)
    assert len(second.store.approvals()) == 1
    assert first.incident in second.reason
    assert any("worker" in record.message for record in first.store.evidence(first.incident))


def test_a_deed_that_is_being_done_is_joined_not_refused_by_its_own_cooldown() -> None:
    first = house(mode=Mode.PROPOSE).plan()
    first.store.move(first.incident, IncidentState.HEALING, "acts", expected=[IncidentState.PENDING_APPROVAL])
    job = PlaybookJob(
        run_id=ids.run_id(ids.IncidentId(first.incident), RunKind.ACT),
        incident_id=ids.IncidentId(first.incident),
        kind=RunKind.ACT,
        action="restart_service",
        playbook=Path("act.yml"),
        roles=Path("roles"),
        parameters={"service": "nginx"},
        hosts=(Host(name="web1", groups=(), connection=Connection(kind="ssh", address="192.0.2.1")),),
        task_timeout=1,
        run_timeout=1,
        digest="",
    )
    first.store.claim(job, signatures=first.store.signatures(first.incident))

    second = another(first).plan()

    assert second.state is IncidentState.JOINED
    assert second.told.sentences == first.told.sentences[:1]


def test_an_older_deed_that_is_over_takes_nothing() -> None:
    first = house().plan()
    second = another(first).plan()

    assert first.state is IncidentState.HEALED
    assert second.state is not IncidentState.JOINED


def test_new_words_for_what_nothing_helps_join_it_and_nobody_is_told_twice() -> None:
    escalate = Decision(action="escalate", parameters={}, reason="a certificate expired", chooser="fake")
    first = house(decision=escalate).plan()
    second = another(first, unit="nginx.service", message="nginx: FATAL: other words").plan()

    assert (first.state, second.state) == (IncidentState.ESCALATED, IncidentState.JOINED)
    assert len(first.told.sentences) == 1


def test_a_crash_after_an_error_that_nothing_helps_is_healed() -> None:
    escalate = Decision(action="escalate", parameters={}, reason="a certificate expired", chooser="fake")
    first = house(decision=escalate).plan()
    first.chooser.decision = RESTART
    second = another(first, unit="nginx.service", message="nginx: FATAL: other words").plan()

    assert (first.state, second.state) == (IncidentState.ESCALATED, IncidentState.HEALED)


def test_a_person_s_own_wish_joins_nothing() -> None:
    first = house(mode=Mode.PROPOSE).plan()
    record = LogRecord(time=NOON, host="web1", unit="other.service", priority=2, message="FATAL: gone")
    signals = Detector(()).detect([record], NOON)
    (incident,) = first.store.absorb("web1", "trigger", signals, None, origin=Origin.TRIGGER)

    wish = replace(first, incident=incident).plan()

    assert wish.state is IncidentState.PENDING_APPROVAL


def remembering(one: House, times: int) -> None:
    """Put memory before the house's chooser, and let it heal the same error so many times."""
    rooms = replace(one.healing._rooms, chooser=MemoryChooser(one.chooser, one.store.precedents, healed_times=3))
    one.healing._rooms = rooms
    for _ in range(times):
        again(one)


def again(one: House) -> Decision:
    """The same error once more, a day later."""
    one.now[0] += timedelta(days=2)
    signals = one.healing._rooms.detector.detect([failure(one.now[0])], one.now[0])
    (one.incident,) = one.store.absorb("web1", "journal", signals, None)
    one.plan()
    decision = one.store.decision(one.incident)
    assert decision is not None
    return decision


def test_a_decision_that_healed_three_times_is_made_from_memory_until_it_fails() -> None:
    one = house().plan()
    remembering(one, 2)
    asked = len(one.chooser.asked)

    remembered = again(one)
    assert (remembered.chooser, remembered.action, remembered.parameters) == ("memory", *_deed(RESTART))
    assert remembered.reason.startswith("chosen from memory: 3 of 3 healed, the last one on web1")
    assert again(one).reason.startswith("chosen from memory: 4 of 4 healed")
    assert (one.state, len(one.chooser.asked)) == (IncidentState.HEALED, asked)

    one.executor.endings[RunKind.VERIFY] = RunStatus.SICK
    assert (again(one).chooser, one.state) == ("memory", IncidentState.ESCALATED)
    one.executor.endings[RunKind.VERIFY] = RunStatus.SUCCEEDED
    one.now[0] += timedelta(days=2)
    one.store.expire_quiet(one.now[0])
    assert again(one).chooser == "fake"


def test_a_decision_tells_the_lines_that_were_shown() -> None:
    one = house().plan()

    decision = one.store.decision(one.incident)

    assert decision is not None
    assert decision.signatures == tuple(one.store.signatures(one.incident))


def _deed(decision: Decision) -> tuple[str, Any]:
    return decision.action, decision.parameters
