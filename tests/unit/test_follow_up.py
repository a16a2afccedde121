"""Next steps of a healing, over in-memory rooms: what opens one, what does not, and that a crash opens it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.catalog import Catalog
from orchestrator.decide.candidates import short_unit
from orchestrator.domain import ids
from orchestrator.domain.actions import STEPS_MAX, Action, Decision, FollowUp
from orchestrator.domain.hosts import Mode
from orchestrator.domain.incidents import Incident, IncidentState, Origin
from orchestrator.domain.precedents import Standing, Word
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Facts, UnitFacts
from orchestrator.errors import HostUnreachable, Interrupted
from orchestrator.steps import AFTER_ACT
from tests.unit.test_healing import NOON, House, action, failure, house

FREE = Decision(action="free_disk_space", parameters={}, reason="it is full", chooser="fake")
FOLLOW = FollowUp(action="restart_service", when="it died of it")
FULL = LogRecord(time=NOON, host="web1", unit="nginx.service", priority=3, message="write: No space left on device")


def dead(name: str, **other: object) -> UnitFacts:
    facts = UnitFacts(
        asked=name, id=name, names=(name,), load_state="loaded", active_state="failed", sub_state="failed", job=False
    )
    return replace(facts, **other)  # type: ignore[arg-type]  # each caller names a field


def broken(
    *units: UnitFacts,
    mode: Mode = Mode.AUTO,
    follow_up: FollowUp | None = FOLLOW,
    endings: dict[str, RunStatus] | None = None,
    origin: Origin = Origin.LOG,
    more: tuple[Action, ...] = (),
) -> House:
    """A full file system of which nginx died."""
    one = house(mode=mode, decision=FREE, endings=endings, origin=origin)
    free = action(id="free_disk_space", parameters=(), follow_up=follow_up)
    known = {each.id: each for each in (free, action(), *more)}
    one.healing._rooms = replace(one.healing._rooms, catalog=Catalog(actions=known))
    units = units or (dead("nginx.service"),)
    one.probe.facts = Facts(units={name: facts for facts in units for name in (facts.asked, short_unit(facts.asked))})
    return one


def line(one: House, record: LogRecord) -> None:
    """A line of the incident's own subject."""
    signals = one.healing._rooms.detector.detect([record], NOON)
    assert one.store.absorb("web1", "journal", signals, None) == ()


def steps(one: House) -> list[Incident]:
    """The incidents that go on with another, in the order in which they were opened."""
    return [each for each in reversed(one.store.incidents()) if each.follows]


def deeds(one: House) -> list[tuple[str, Mapping[str, str]]]:
    return [(job.action, job.parameters) for job in one.executor.jobs if job.kind is RunKind.ACT]


BOTH = [("free_disk_space", {}), ("restart_service", {"service": "nginx"})]


def test_what_died_of_it_is_restarted_in_a_step_of_its_own() -> None:
    one = broken()
    line(one, FULL)
    one.plan()

    (step,) = steps(one)
    assert (one.state, step.state) == (IncidentState.HEALED, IncidentState.HEALED)
    assert (step.follows, step.step, step.host, step.origin) == (one.incident, 2, "web1", Origin.LOG)
    assert str(step.subject) == "unit:nginx.service"
    assert deeds(one) == BOTH
    assert one.kinds == ["check", "act", "verify"] * 2
    decision, verdict = one.store.decision(step.id), one.store.verdict(step.id)
    assert decision is not None
    assert verdict is not None
    assert (decision.action, decision.parameters, decision.chooser) == (*BOTH[1], "follow_up")
    assert decision.reason == (
        f"step 2, after {one.incident}: free_disk_space healed it, and nginx.service, which speaks in its evidence, is "
        "still failed"
    )
    assert verdict.rule == "allowed"
    assert [record.message for record in one.store.evidence(step.id)] == [
        failure(NOON).message,
        FULL.message,
    ]
    assert len(one.chooser.asked) == 1
    assert [event.kind for event in one.store.events(incident_id=one.incident)][-1] == "incident.followed"
    assert one.told.sentences == []


@pytest.mark.parametrize(
    "facts",
    [
        {"active_state": "active"},
        # Somebody stopped it.
        {"active_state": "inactive"},
        # systemd starts it again by itself.
        {"active_state": "activating"},
        {"active_state": ""},
        {"load_state": "not-found"},
        {"load_state": "masked"},
        # It runs at its time, and does its work once.
        {"job": True},
    ],
)
def test_what_is_not_dead_is_left_alone(facts: dict[str, object]) -> None:
    one = broken(dead("nginx.service", **facts)).plan()

    assert (one.state, steps(one), deeds(one)) == (IncidentState.HEALED, [], BOTH[:1])


def test_a_host_that_says_nothing_of_the_unit_gets_no_step() -> None:
    one = broken(dead("redis.service")).plan()

    assert (one.state, steps(one)) == (IncidentState.HEALED, [])


def test_an_action_that_names_nothing_ends_its_healing() -> None:
    one = broken(follow_up=None).plan()

    assert (one.state, steps(one)) == (IncidentState.HEALED, [])


def test_what_was_well_already_may_have_killed_it_all_the_same() -> None:
    """Another incident's healing made the room: this one's service is still dead."""
    one = broken()
    one.executor.endings[RunKind.CHECK] = RunStatus.SUCCEEDED
    one.executor.then[RunKind.CHECK] = RunStatus.SICK
    one.plan()

    (step,) = steps(one)
    assert (one.state, step.state) == (IncidentState.ALREADY_WELL, IncidentState.HEALED)
    assert deeds(one) == BOTH[1:]
    decision = one.store.decision(step.id)
    assert decision is not None
    assert "free_disk_space had nothing left to do" in decision.reason


@pytest.mark.parametrize(
    "endings",
    [
        {"check": RunStatus.FAILED},
        {"act": RunStatus.REFUSED},
        {"act": RunStatus.CANCELED},
        {"verify": RunStatus.SICK},
        {"verify": RunStatus.UNREACHABLE},
    ],
)
def test_nothing_goes_on_with_what_was_not_healed(endings: dict[str, RunStatus]) -> None:
    one = broken(endings=endings).plan()

    assert (one.state, steps(one)) == (IncidentState.ESCALATED, [])


def test_an_error_that_comes_back_has_no_next_step() -> None:
    one = broken()
    line(one, FULL)
    one.probe.records = (FULL,)
    one.plan()

    assert (one.state, steps(one)) == (IncidentState.ESCALATED, [])


def test_a_step_is_judged_and_asked_for_by_itself() -> None:
    one = broken(mode=Mode.PROPOSE).plan()

    def approve(incident: str) -> None:
        approval = ids.approval_id(ids.IncidentId(incident))
        assert one.store.answer(approval, Answer.APPROVED, actor="ann", reason="so", now=one.now[0]) is not None
        one.healing.start_apply(incident, "web1")

    assert one.state is IncidentState.PENDING_APPROVAL
    approve(one.incident)
    (step,) = steps(one)
    assert (one.state, step.state, deeds(one)) == (IncidentState.HEALED, IncidentState.PENDING_APPROVAL, BOTH[:1])
    approve(step.id)
    assert (steps(one)[0].state, deeds(one)) == (IncidentState.HEALED, BOTH)


def test_a_step_counts_its_own_attempts() -> None:
    """The first one's act was of the same lines a moment ago: neither its count nor its cooldown is the step's."""
    one = broken().plan()

    first, second = one.store.attempts("web1", NOON - timedelta(days=1))
    assert first.signatures.isdisjoint(second.signatures)


def test_a_step_that_does_not_help_is_escalated_and_ends_there() -> None:
    one = broken()
    one.executor.then[RunKind.VERIFY] = RunStatus.SICK
    one.plan()

    (step,) = steps(one)
    assert (one.state, step.state) == (IncidentState.HEALED, IncidentState.ESCALATED)
    assert len(one.told.sentences) == 1


def test_the_first_error_coming_back_fails_the_step_too(monkeypatch: pytest.MonkeyPatch) -> None:
    one = broken()
    line(one, FULL)
    listen = one.healing._listen

    def comes_back(incident_id: str) -> str:
        one.probe.records = () if incident_id == one.incident else (FULL,)
        return listen(incident_id)

    monkeypatch.setattr(one.healing, "_listen", comes_back)
    one.plan()

    (step,) = steps(one)
    assert (one.state, step.state) == (IncidentState.HEALED, IncidentState.ESCALATED)
    assert "came back" in step.reason


def test_of_several_dead_units_one_is_mended_and_a_person_is_told_of_the_others() -> None:
    one = broken(dead("nginx.service"), dead("redis.service"))
    other = replace(FULL, unit="redis.service", time=NOON + timedelta(seconds=1))
    one.store._evidence[one.incident].append(other)
    one.plan()

    assert [str(step.subject) for step in steps(one)] == ["unit:nginx.service"], "PID 1 called that one failed"
    assert one.told.sentences == [
        "next_step.left: redis.service failed too: one step mends one unit. Look at the others."
    ]


@pytest.mark.parametrize("unit", ["cron.service", "session-4.scope", "", "user@1000.service", "-x.service"])
def test_who_only_carries_words_of_others_is_no_unit_that_died(unit: str) -> None:
    one = broken(dead(unit))
    one.store._evidence[one.incident] = [replace(FULL, unit=unit)]
    one.plan()

    assert (one.state, steps(one)) == (IncidentState.HEALED, [])


def test_a_unit_that_a_line_merely_names_is_not_touched() -> None:
    one = broken(dead("nginx.service", active_state="active"), dead("redis.service"))
    line(one, replace(FULL, message="redis.service: no space left, restart redis.service"))
    one.plan()

    assert steps(one) == []


def test_what_a_person_forbade_is_no_step() -> None:
    one = broken()
    found = one.store.incident(one.incident)
    assert found is not None
    one.store.record_word(
        Word(
            signature=found.signature,
            template="",
            standing=Standing.FORBIDDEN,
            action="restart_service",
            parameters={},
            actor="ann",
            reason="so",
            at=NOON,
        )
    )
    one.plan()

    assert (one.state, steps(one)) == (IncidentState.HEALED, [])
    assert one.told.sentences == [
        "next_step.left: nginx.service is failed, and a person forbade restart_service for it. Look at it."
    ]


def test_a_healing_has_no_more_steps_than_the_most() -> None:
    """The catalogue refuses such a chain; nothing rests on that alone."""
    chain = [
        action(id=f"step_{number}", follow_up=FollowUp(action=f"step_{number + 1}", when="")) for number in range(6)
    ]
    one = broken(follow_up=FollowUp(action="step_0", when=""), more=(*chain, action(id="step_6"))).plan()

    assert [job.action for job in one.executor.jobs if job.kind is RunKind.ACT] == [
        "free_disk_space",
        "step_0",
        "step_1",
    ]
    assert [step.step for step in steps(one)] == [2, 3]
    assert len(steps(one)) + 1 == STEPS_MAX
    assert steps(one)[1].follows == steps(one)[0].id


def test_a_host_that_is_away_is_asked_again_and_then_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one = broken()
    inspect = one.probe.inspect

    def away(*asked: object) -> Facts:
        if one.state is IncidentState.HEALED:
            raise HostUnreachable("web1 is away")
        return inspect(*asked)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(one.probe, "inspect", away)
    one.plan()

    assert (one.state, steps(one)) == (IncidentState.HEALED, [])
    (told,) = one.told.sentences
    assert told == "next_step.left: whether a unit died of it can't be told: web1 is away"
    assert [seconds for seconds in one.waits if seconds][-len(AFTER_ACT) :] == list(AFTER_ACT)


# crashes -----------------------------------------------------------------------------------------


def test_a_step_is_opened_once_however_often_it_is_asked_for() -> None:
    one = broken().plan()
    events = one.store.newest()

    again = [one.healing._next_step(one.incident) for _ in range(3)]
    for _ in range(3):
        one.healing.hold(one.incident)

    assert again == [[steps(one)[0].id, "web1"]] * 3
    assert (one.store.newest(), deeds(one)) == (events, BOTH)


@pytest.mark.parametrize("instant", ["before", "after"])
def test_a_crash_around_the_opening_loses_no_step_and_doubles_none(
    monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    one, opened = broken(), []
    open_step = one.store.open_step

    def dies(*arguments: object) -> bool:
        done = instant == "after" and open_step(*arguments)  # type: ignore[arg-type]  # passed on as they came
        opened.append(done)
        monkeypatch.setattr(one.store, "open_step", open_step)
        raise Interrupted

    monkeypatch.setattr(one.store, "open_step", dies)
    with pytest.raises(Interrupted):
        one.plan()
    assert (len(opened), len(steps(one))) == (1, int(instant == "after"))

    # The next worker runs the workflow that was cut again.
    one.healing.hold(one.incident)

    (step,) = steps(one)
    assert (step.state, deeds(one)) == (IncidentState.HEALED, BOTH)


def test_a_step_whose_plan_was_never_begun_is_there_to_be_swept_up() -> None:
    one = broken()
    one.engine.workflows.pop("hold")
    one.plan()
    one.healing._listen(one.incident)

    following, host = one.healing._next_step(one.incident)

    found = one.store.incident(following)
    assert found is not None
    assert (found.state, host) == (IncidentState.OPEN, "web1")
    one.engine.start("plan", following, following, host=host)
    assert (steps(one)[0].state, len(one.chooser.asked)) == (IncidentState.VERIFIED, 1)


def test_its_own_lines_may_have_opened_an_incident_already() -> None:
    one = broken()
    one.engine.workflows.pop("hold")
    one.plan()
    one.healing._listen(one.incident)
    late = failure(NOON + timedelta(seconds=9))
    signals = one.healing._rooms.detector.detect([late], NOON)
    (other,) = one.store.absorb("web1", "journal", signals, None)

    assert one.healing._next_step(one.incident) == []
    assert (steps(one), one.store.incident(other) is not None) == ([], True)
