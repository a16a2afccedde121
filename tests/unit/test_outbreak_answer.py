"""One answer to all that an outbreak asks: each by its own door, and one host first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from orchestrator.answering import Desk
from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import HostPolicy, Mode
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.errors import AnswerRefused, ConfigError, HostUnreachable, StoreUnavailable
from orchestrator.outbreak_answer import Said, answer_outbreak, questions
from orchestrator.testing import MemoryStore
from tests.contract.test_store_contract import NOW, signal
from tests.support.questions import question
from tests.unit.test_waves import Fleet, fleet

RESTART = Decision(action="restart_service", parameters={"service": "nginx"}, reason="it crashed", chooser="fake")
HOSTS = ("web1", "web2", "web3")


@dataclass
class Door:
    """Takes every answer, but for those on hosts that it has an error for."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(clock=lambda: NOW))
    errors: dict[str, Exception] = field(default_factory=dict)

    def answer(self, approval_id: str, answered: Answer, who: str, why: str) -> Approval:
        asked = self.store.approval(approval_id)
        assert asked is not None
        if asked.host in self.errors:
            raise self.errors[asked.host]
        done = self.store.answer(approval_id, answered, actor=who, reason=why, now=NOW)
        assert done is not None
        return done

    def say(self, outbreak: str, answered: Answer = Answer.APPROVED) -> list[tuple[str, bool]]:
        return [(one.approval.host, one.taken) for one in self.told(outbreak, answered)]

    def told(self, outbreak: str, answered: Answer = Answer.APPROVED) -> tuple[Said, ...]:
        return answer_outbreak(self, outbreak, answered, "cli:ann", "looks right")

    def move(self, incident: str, to: IncidentState) -> None:
        assert self.store.move(incident, to, "so", expected=list(IncidentState))

    @property
    def answers(self) -> dict[str, Answer]:
        return {one.host: one.answer for one in self.store.approvals()}


def ask(door: Door, host: str, decision: Decision = RESTART, *, name: str = "sig-1", minutes: int = 0) -> IncidentId:
    (incident,) = door.store.absorb(host, "journal", [signal(name=name)], None)
    door.store.record_decision(incident, decision)
    door.store.ask(question(incident, host, decision, NOW + timedelta(minutes=minutes)))
    door.move(incident, IncidentState.PENDING_APPROVAL)
    return incident


def asked(*hosts: str) -> tuple[Door, str, list[IncidentId]]:
    """An outbreak whose hosts are each asked about, none of them a member."""
    door = Door()
    found = [ask(door, host, minutes=number) for number, host in enumerate(hosts or HOSTS)]
    outbreak = door.store.outbreak_for(found[0], hosts=1, since=NOW - timedelta(minutes=2))
    assert outbreak is not None
    return door, outbreak.id, found


def test_one_host_is_approved_first_and_the_others_say_so() -> None:
    door, outbreak, _ = asked()

    told = door.told(outbreak)

    assert [(one.approval.host, one.taken) for one in told] == [("web1", True), ("web2", False), ("web3", False)]
    assert told[1].sentence == "web1 is tried first: approve again once it verified."
    assert door.answers == {"web1": Answer.APPROVED, "web2": Answer.PENDING, "web3": Answer.PENDING}


@pytest.mark.parametrize("state", [IncidentState.PENDING_APPROVAL, IncidentState.HEALING])
def test_nobody_else_is_approved_while_the_first_is_being_tried(state: IncidentState) -> None:
    door, outbreak, found = asked()
    door.say(outbreak)
    door.move(found[0], state)

    with pytest.raises(AnswerRefused, match=r"web1 is tried first and has not verified yet") as refused:
        door.told(outbreak)

    assert refused.value.bar == "canary"
    assert door.answers["web2"] is Answer.PENDING


@pytest.mark.parametrize("state", [IncidentState.VERIFIED, IncidentState.HEALED])
def test_all_others_are_approved_once_one_has_verified(state: IncidentState) -> None:
    door, outbreak, found = asked()
    door.say(outbreak)
    door.move(found[0], state)

    assert door.say(outbreak) == [("web2", True), ("web3", True)]
    assert set(door.answers.values()) == {Answer.APPROVED}


def test_where_the_first_did_not_heal_the_next_is_tried_alone() -> None:
    door, outbreak, found = asked()
    door.say(outbreak)
    door.move(found[0], IncidentState.ESCALATED)

    assert door.say(outbreak) == [("web2", True), ("web3", False)]


def test_a_host_that_policy_let_heal_is_a_canary_too() -> None:
    door, outbreak, _ = asked("web1", "web2")
    (allowed,) = door.store.absorb("web9", "journal", [signal()], None)
    door.store.record_decision(allowed, RESTART)
    door.move(allowed, IncidentState.HEALING)

    with pytest.raises(AnswerRefused, match="web9 is tried first"):
        door.told(outbreak)
    door.move(allowed, IncidentState.VERIFIED)

    assert door.say(outbreak) == [("web1", True), ("web2", True)]


@pytest.mark.parametrize("why", ["other error", "other deed", "long ago"])
def test_what_verified_of_something_else_proves_nothing(why: str) -> None:
    door, outbreak, _ = asked()
    door.store._clock = (lambda: NOW - timedelta(days=1)) if why == "long ago" else (lambda: NOW)
    (other,) = door.store.absorb("web9", "journal", [signal(name="sig-2" if why == "other error" else "sig-1")], None)
    decision = replace(RESTART, parameters={"service": "php"}) if why == "other deed" else RESTART
    door.store.record_decision(other, decision)
    door.move(other, IncidentState.HEALED)

    assert door.say(outbreak)[1:] == [("web2", False), ("web3", False)]


def test_all_are_denied_at_once() -> None:
    door, outbreak, _ = asked()

    assert door.say(outbreak, Answer.DENIED) == [(host, True) for host in HOSTS]
    assert set(door.answers.values()) == {Answer.DENIED}
    (line,) = [one for one in door.store.events() if one.kind == "outbreak.answered"]
    assert (line.actor, line.incident_id) == ("cli:ann", outbreak)
    assert line.text == "denied by cli:ann for web1, web2, web3, 3 asked: looks right"


def test_what_one_host_refuses_is_said_and_the_next_one_is_first() -> None:
    door, outbreak, _ = asked()
    door.errors = {"web1": AnswerRefused("cli:ann may not.", bar="approver"), "web2": HostUnreachable("web2 is away.")}

    told = door.told(outbreak)

    assert [(one.approval.host, one.taken, one.sentence) for one in told[:2]] == [
        ("web1", False, "cli:ann may not."),
        ("web2", False, str(door.errors["web2"])),
    ]
    assert told[2].taken


def test_a_store_that_does_not_answer_is_no_refusal() -> None:
    door, outbreak, _ = asked()
    door.errors = {"web1": StoreUnavailable("held")}

    with pytest.raises(StoreUnavailable):
        door.told(outbreak)


def test_only_what_is_asked_about_its_error_and_its_deed_is_answered() -> None:
    door, outbreak, found = asked("web1", "web2")
    ask(door, "web3", name="sig-2")
    ask(door, "web4", replace(RESTART, action="clear_cache"))
    known = door.store.outbreak(outbreak)
    assert known is not None

    assert [one.incident_id for one in questions(door.store, known)] == found
    door.say(outbreak, Answer.DENIED)

    assert (door.answers["web3"], door.answers["web4"]) == (Answer.PENDING, Answer.PENDING)


def test_where_nothing_waits_it_says_so() -> None:
    door, outbreak, _ = asked()
    door.say(outbreak, Answer.DENIED)

    with pytest.raises(AnswerRefused, match=r"Nothing about .* waits for an answer"):
        door.told(outbreak)
    with pytest.raises(ConfigError, match="There is no outbreak ob-x"):
        door.told("ob-x")


def proposing(count: int = 4) -> tuple[Fleet, Desk]:
    """Hosts that all wrote the same error, and all ask first; and the desk at which they are answered."""
    names = [f"web{number}" for number in range(1, count + 1)]
    one = fleet(count, policies=dict.fromkeys(names, HostPolicy(mode=Mode.PROPOSE))).planned()
    assert set(one.states.values()) == {"pending_approval"}
    return one, Desk.within(one.healing._rooms)


def carried_out(one: Fleet) -> list[str]:
    """As the worker's sweep does: whoever was approved is healed. Where each host's incident stands then."""
    for incident in one.store.incidents(states=(IncidentState.PENDING_APPROVAL,)):
        asked = one.store.approval(ids.approval_id(incident.id))
        if asked is not None and asked.answer is Answer.APPROVED:
            one.healing.start_apply(incident.id, incident.host)
    one.engine.run()
    return [one.states[f"web{number}"] for number in range(1, 5)]


def test_a_fleet_that_asks_first_is_healed_with_two_answers_and_one_host_first() -> None:
    one, desk = proposing()

    answer_outbreak(desk, one.outbreak.id, Answer.APPROVED, "cli:ann", "looks right")
    assert carried_out(one) == ["healed", "pending_approval", "pending_approval", "pending_approval"]
    answer_outbreak(desk, one.outbreak.id, Answer.APPROVED, "cli:ann", "it helped web1")

    assert carried_out(one) == ["healed"] * 4
    assert one.ran(RunKind.ACT)[0] == ["web1"]
    assert sorted(one.ran(RunKind.ACT)) == [["web1"], ["web2"], ["web3"], ["web4"]]


def test_a_host_that_the_deed_did_not_help_lets_no_other_but_one_be_tried() -> None:
    one, desk = proposing()
    one.executor.endings[RunKind.VERIFY] = RunStatus.SICK

    answer_outbreak(desk, one.outbreak.id, Answer.APPROVED, "cli:ann", "looks right")
    carried_out(one)
    told = answer_outbreak(desk, one.outbreak.id, Answer.APPROVED, "cli:ann", "once more")

    assert [(said.approval.host, said.taken) for said in told] == [("web2", True), ("web3", False), ("web4", False)]
