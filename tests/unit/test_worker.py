"""The worker over in-memory rooms: what it starts, carries out, reads again, and tells of."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator import settings
from orchestrator.catalog import Catalog
from orchestrator.detect.detector import Detector
from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Connection, Host, HostPolicy, LogFile
from orchestrator.domain.incidents import OPENED_MAX, IncidentState, Origin
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome, Verdict
from orchestrator.errors import HostUnreachable, InventoryError, StoreUnavailable, TemporaryError
from orchestrator.healing import Healing
from orchestrator.notify.alarm import StoreAlarm
from orchestrator.steps import Rooms
from orchestrator.testing import (
    FakeChooser,
    FakeCollector,
    FakeExecutor,
    FakeFleet,
    FakeProbe,
    InlineEngine,
    MemoryStore,
)
from orchestrator.worker import HANGS, ROUNDS_TO_LOST, Worker

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def host(name: str = "web1", **other: Any) -> Host:
    connection = Connection(kind=other.pop("kind", "ssh"), address="192.0.2.1")
    return Host(name=name, groups=("all",), connection=connection, policy=HostPolicy(), **other)


@dataclass
class Desk:
    """A worker that is started by nobody: its rounds are called."""

    store: MemoryStore
    engine: InlineEngine
    collector: FakeCollector
    fleet: FakeFleet
    worker: Worker
    healing: Healing
    told: list[str]
    now: list[datetime]
    settled: list[str] = field(default_factory=list)
    #: What the inventory says when it is asked whether it changed.
    changed: list[bool | Exception] = field(default_factory=list)

    def feed(self, *records: LogRecord) -> None:
        self.collector.feed(*records)

    def states(self) -> list[str]:
        return [str(one.state) for one in reversed(self.store.incidents(limit=1000))]


class Notifier:
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def tell(self, action: str, incident: object, sentence: str) -> None:
        self.sentences.append(f"{action}: {sentence}")

    def alarm(self, key: str, sentence: str) -> None:
        self.sentences.append(f"{key}: {sentence}")


def desk(*hosts: Host, held: bool = True) -> Desk:
    now, told = [NOON], Notifier()
    store, engine = MemoryStore(clock=lambda: now[0]), InlineEngine(held=held)
    hosts = hosts or (host(),)
    fleet, collector = FakeFleet(*hosts), FakeCollector(*hosts)
    rooms = Rooms(
        settings=settings.load(environ={}),
        engine=engine,
        store=store,
        fleet=fleet,
        catalog=Catalog(actions={}),
        detector=Detector(()),
        chooser=FakeChooser(),
        probe=FakeProbe(),
        executor=FakeExecutor(),
        notifier=told,
        alarm=StoreAlarm(told),
        now=lambda: now[0],
        wait=lambda seconds: False,
    )
    healing = Healing(rooms)
    settled: list[str] = []
    changed: list[bool | Exception] = []

    def refresh() -> bool:
        answer = changed.pop(0) if changed else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def settle(run_id: str) -> bool:
        settled.append(run_id)
        return True

    worker = Worker(
        rooms,
        collector,
        healing,
        settle=settle,
        launch=lambda: None,
        close=lambda: None,
        refresh=refresh,
        ended=threading.Event(),
    )
    engine.workflows = {"plan": healing.plan, "look": worker.look}
    collector.start(hosts, worker._take, store.cursor)
    return Desk(store, engine, collector, fleet, worker, healing, told.sentences, now, settled, changed)


def error(message: str = "FATAL: gone", *, unit: str = "app.service", name: str = "web1", **other: Any) -> LogRecord:
    return LogRecord(time=NOON, host=name, unit=unit, priority=2, message=message, **other)


def test_an_error_is_planned_in_its_host_s_turn() -> None:
    one = desk()

    one.feed(error(), error("FATAL: more"))

    (incident,) = one.store.incidents()
    assert one.engine.started[incident.id] == ("plan", incident.id, "web1", 0.0)
    assert incident.count == 2


def test_an_incident_that_a_crash_left_without_a_plan_is_found_by_the_sweep() -> None:
    one = desk()
    signals = Detector(()).detect([error()], NOON)
    (incident,) = one.store.absorb("web1", "journal", signals, None)

    one.worker.sweep()
    one.worker.sweep()

    assert list(one.engine.started) == [incident]


def test_a_flood_is_told_once_and_planned_never() -> None:
    one = desk()

    for number in range(OPENED_MAX + 20):
        one.feed(error(unit=f"u{number}.service"))

    assert len(one.engine.started) == OPENED_MAX
    assert [sentence.split(":")[0] for sentence in one.told] == ["incident.escalated"]


def question(one: Desk, answer: Answer, *, expires: timedelta = timedelta(hours=1)) -> str:
    signals = Detector(()).detect([error()], NOON)
    (incident,) = one.store.absorb("web1", "journal", signals, None)
    one.store.move(incident, IncidentState.PENDING_APPROVAL, "asks", expected=[IncidentState.OPEN])
    approval = Approval(
        id=ids.approval_id(incident),
        incident_id=incident,
        host="web1",
        action="restart_service",
        parameters={},
        digest="d",
        rule="propose",
        reason="why",
        asked_at=NOON,
        expires_at=NOON + expires,
    )
    one.store.ask(approval)
    if answer is Answer.VOID:
        one.store.void(approval.id, "Since it was asked, the role x changed.", actor="op", now=NOON)
    elif answer is not Answer.PENDING:
        one.store.answer(approval.id, answer, actor="op", reason="looked", now=NOON)
    return incident


def test_an_approved_question_is_carried_out_once() -> None:
    one = desk()
    incident = question(one, Answer.APPROVED)

    one.worker.sweep()
    one.worker.sweep()

    assert one.engine.started == {f"{incident}-apply": ("apply", incident, "web1", 0.0)}


@pytest.mark.parametrize(
    ("answer", "after", "state", "says"),
    [
        (Answer.DENIED, 0, "escalated", "denied by op: looked"),
        (Answer.VOID, 0, "expired", "is void. Since it was asked, the role x changed."),
        (Answer.PENDING, 59, "pending_approval", "asks"),
        (Answer.PENDING, 61, "expired", "nobody answered"),
    ],
)
def test_a_question_ends_by_its_answer_or_its_time(answer: Answer, after: int, state: str, says: str) -> None:
    one = desk()
    incident = question(one, answer)
    one.now[0] = NOON + timedelta(minutes=after)

    one.worker.sweep()

    found = one.store.incident(incident)
    assert found is not None
    assert (str(found.state), says in found.reason) == (state, True)
    assert one.engine.started == {}


@pytest.mark.parametrize("state", [IncidentState.PLANNING, IncidentState.HEALING, IncidentState.VERIFIED])
@pytest.mark.parametrize("alive", ["", "-ask", "-apply", "-hold", "-rollback"])
def test_an_incident_is_given_up_only_when_no_workflow_of_it_is_alive(state: IncidentState, alive: str) -> None:
    one = desk()
    signals = Detector(()).detect([error()], NOON)
    (incident,) = one.store.absorb("web1", "journal", signals, None)
    one.store.move(incident, state, "so", expected=[IncidentState.OPEN])
    one.engine.start("plan", f"{incident}{alive}", incident)

    for _ in range(3 * ROUNDS_TO_LOST):
        one.worker.round()
    assert one.states() == [str(state)]

    one.engine.run()
    one.store.move(incident, state, "so", expected=list(IncidentState))
    for _ in range(ROUNDS_TO_LOST):
        one.worker.round()
    assert one.states() == [str(state)]
    for _ in range(ROUNDS_TO_LOST):
        one.worker.round()

    assert one.states() == ["escalated"]
    assert "ended in the middle" in one.store.incidents()[0].reason


def test_an_incident_that_waits_for_a_wave_is_not_lost() -> None:
    one = desk(*(host(f"web{number}") for number in range(3)))
    signals = Detector(()).detect([error()], NOON)
    found = [one.store.absorb(f"web{number}", "journal", signals, None)[0] for number in range(3)]
    for incident in found:
        one.store.move(incident, IncidentState.PLANNING, "", expected=(IncidentState.OPEN,))
    outbreak = one.store.outbreak_for(found[0], hosts=3, since=NOON - timedelta(minutes=1))
    assert outbreak is not None
    deed = Decision(action="restart_service", parameters={}, reason="", chooser="fake")
    for incident in found:
        assert one.store.join_outbreak(incident, deed)
        one.store.move(incident, IncidentState.HEALING, "", expected=(IncidentState.PLANNING,))
    for _ in range(3):
        one.worker._find_lost()
    assert one.states() == ["healing"] * 3
    # Once it is over, nobody goes on with whoever was forgotten.
    one.store.stop_outbreak(outbreak.id, "stopped")
    for _ in range(3):
        one.worker._find_lost()
    assert one.states() == ["escalated"] * 3


def test_an_incident_that_waits_for_its_turn_is_not_lost() -> None:
    one = desk()
    (incident,) = one.store.absorb("web1", "journal", Detector(()).detect([error()], NOON), None)
    deed = Decision(action="restart_service", parameters={}, reason="", chooser="fake")
    one.store.record_decision(incident, deed)
    one.store.record_verdict(incident, Verdict(outcome=Outcome.WAITS, rule="busy", reason=""), Facts())
    one.store.move(incident, IncidentState.HEALING, "", expected=(IncidentState.OPEN,))
    for _ in range(3):
        one.worker._find_lost()
    assert one.states() == ["healing"]
    # The sweep goes on with it.
    one.worker.sweep()
    assert ids.apply_id(incident) in one.engine.started


def test_a_changed_inventory_moves_what_is_followed() -> None:
    one = desk()
    one.fleet._hosts["web2"] = host("web2")
    one.changed[:] = [True]

    one.worker.round()

    assert [state.host for state in one.collector.states()] == ["web1", "web2"]
    assert [found.name for found in one.worker.hosts] == ["web1", "web2"]


@pytest.mark.parametrize("policy_alone", [True, False])
def test_a_change_of_policy_alone_interrupts_nobody(monkeypatch: pytest.MonkeyPatch, *, policy_alone: bool) -> None:
    one = desk()
    stopped: list[str] = []
    monkeypatch.setattr(one.collector, "stop", lambda: stopped.append("stopped"))
    changed = host() if policy_alone else host(log_files=(LogFile(path="/var/log/x", unit="x.service"),))
    one.fleet._hosts["web1"] = replace(changed, variables={"healing_mode": "off"})
    one.changed[:] = [True]

    one.worker.round()

    assert stopped == ([] if policy_alone else ["stopped"])
    assert one.worker.hosts[0].variables == {"healing_mode": "off"}


def test_a_round_outlives_whatever_its_parts_raise(caplog: pytest.LogCaptureFixture) -> None:
    one = desk()
    rounds: list[Exception] = [StoreUnavailable("locked"), OSError("no room"), InventoryError("no yaml")]
    ended = threading.Event()

    def part() -> None:
        if not rounds:
            ended.set()
            one.worker._ended.set()
            return
        raise rounds.pop(0)

    thread = threading.Thread(target=one.worker._every, args=(0.001, part), daemon=True)
    thread.start()

    assert ended.wait(10)
    thread.join(10)
    assert all(words in caplog.text + "".join(one.told) for words in ("locked", "no room", "no yaml"))


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), InventoryError("locked")])
def test_trouble_that_lasts_is_told_once(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    one = desk()
    calls: list[int] = []

    def part() -> None:
        calls.append(1)
        if len(calls) == 50:
            one.worker._ended.set()
        raise error

    one.worker._every(0.0001, part)

    assert (caplog.text + "".join(one.told)).count("locked") == 1


def test_what_a_look_opens_is_begun_by_the_sweep() -> None:
    one = desk()
    one.collector.records["web1"] = [error()]

    one.worker.look(json.dumps({"host": "web1", "actor": "cli:op", "seq": 7}))

    (incident,) = one.store.incidents()
    assert one.store.events()[-1].kind == "look.ended"
    assert incident.id not in one.engine.started
    one.worker.sweep()
    assert incident.id in one.engine.started


def test_a_look_counts_no_record_twice_and_names_what_is_open() -> None:
    one = desk(held=False)
    one.feed(error())

    one.worker.look(json.dumps({"host": "web1", "actor": "cli:op", "seq": 7}))

    (incident,) = one.store.incidents()
    ended = one.store.events()[-1]
    assert incident.count == 1
    assert (ended.kind, ended.actor, ended.data) == ("look.ended", "cli:op", {"incidents": [incident.id], "asked": 7})


@pytest.mark.parametrize("failure", [HostUnreachable("web1 is away"), None])
def test_a_look_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, failure: Exception | None) -> None:
    one = desk(held=False)
    name = "web1" if failure else "nobody"
    if failure:
        monkeypatch.setattr(one.collector, "poll", raising(failure))

    one.worker.look(json.dumps({"host": name, "actor": "cli:op", "seq": 7}))

    ended = one.store.events()[-1]
    assert ended.kind == "look.ended"
    assert ("web1 is away" if failure else "nobody") in ended.text


def raising(failure: Exception) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> Any:
        raise failure

    return raises


def trigger(one: Desk, message: str = "it is down", **other: Any) -> str:
    given: dict[str, Any] = {
        "host": "web1",
        "service": "app",
        "message": message,
        "level": Severity.ERROR,
        "timestamp": None,
        "actor": "api",
        **other,
    }
    return one.worker.trigger(**given)


def test_a_trigger_opens_an_incident_of_its_unit_without_delay() -> None:
    one = desk()

    incident = trigger(one)

    found = one.store.incident(incident)
    assert found is not None
    assert (found.subject.name, found.origin) == ("app.service", Origin.TRIGGER)
    assert one.engine.started == {incident: ("plan", incident, "web1", 0.0)}


def test_asking_again_closes_what_was_settled_and_joins_what_is_under_way() -> None:
    one = desk()
    first = trigger(one)
    assert trigger(one, "other words") == first
    one.store.move(first, IncidentState.ESCALATED, "so", expected=[IncidentState.OPEN])

    second = trigger(one)

    assert second != first
    assert one.states() == ["expired", "open"]


@pytest.mark.parametrize("kind", ["ssh", "local"])
def test_an_injected_error_acts_on_the_lab_and_the_controller_alone(kind: str) -> None:
    one = desk(host(kind=kind))

    if kind == "ssh":
        with pytest.raises(InventoryError, match="group `lab`"):
            trigger(one, injected=True)
        assert one.store.incidents() == ()
    else:
        found = one.store.incident(trigger(one, injected=True))
        assert found is not None
        assert found.origin is Origin.INJECTED


def test_a_trigger_for_an_unknown_host_opens_nothing() -> None:
    one = desk()

    with pytest.raises(InventoryError):
        trigger(one, host="nobody")

    assert one.store.incidents() == ()


def verified(one: Desk, seconds: float = 30) -> str:
    one.feed(error())
    (incident,) = one.store.incidents()
    one.store.append("hold.started", incident_id=incident.id, text="so", data={"cursor": "c", "seconds": seconds})
    assert one.store.move(incident.id, IncidentState.VERIFIED, "so", expected=[IncidentState.OPEN])
    return ids.hold_id(incident.id)


@pytest.mark.parametrize("moved", [600.0, -600.0])
def test_a_hold_lasts_as_long_though_the_clock_is_set(monkeypatch: pytest.MonkeyPatch, moved: float) -> None:
    one = desk()
    hold = verified(one)
    one.worker.sweep()
    clock = time.time
    monkeypatch.setattr("time.time", lambda: clock() + moved)
    # As the engine sees it: its timer is a time of the clock.
    one.engine.delays[hold] = 20 - moved

    one.worker.sweep()

    assert one.engine.delays[hold] == pytest.approx(20, abs=1)
    one.worker.sweep()
    assert one.engine.delays[hold] == pytest.approx(20, abs=1)


@pytest.mark.parametrize(("left", "then"), [(630.0, 30.0), (12.0, 12.0)])
def test_no_hold_outlasts_its_length_though_the_clock_was_set_back_meanwhile(left: float, then: float) -> None:
    one = desk()
    hold = verified(one, seconds=30)
    one.engine.delays[hold] = left

    one.worker.start()
    one.worker.stop()

    assert one.engine.delays[hold] == then


def test_a_worker_that_ends_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk()
    one.feed(error())
    (incident,) = one.store.incidents()
    monkeypatch.setattr(one.engine, "drain", lambda seconds, hurry: (ids.apply_id(incident.id), "look-7"))
    before = set(one.engine.started)

    assert one.worker.drain(60, threading.Event()) == (ids.apply_id(incident.id), "look-7")

    one.worker.sweep()
    one.worker.round()
    with pytest.raises(TemporaryError, match="begins no healing"):
        one.worker.trigger(
            host="web1", service="app", message="down", level=Severity.ERROR, timestamp=None, actor="somebody"
        )
    assert set(one.engine.started) == before
    assert one.collector.states()[0].state == "stopped"
    (line,) = [event for event in one.store.events() if event.kind == "healing.interrupted"]
    assert (line.incident_id, line.host) == (incident.id, "web1")
    assert line.text.startswith("healer serve ended while this was open: ")


def test_a_worker_that_does_not_sweep_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk()
    one.worker.sweep()
    assert one.worker.alive
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + HANGS + 1)
    assert not one.worker.alive
    one.worker.sweep()
    assert one.worker.alive


@pytest.mark.parametrize(
    ("workflow", "incident"),
    [("inc-1", "inc-1"), ("inc-1-apply", "inc-1"), ("inc-1-hold", "inc-1"), ("inc-1-rollback", "inc-1")],
)
def test_a_workflow_names_its_incident(workflow: str, incident: str) -> None:
    assert ids.incident_of(workflow) == incident
