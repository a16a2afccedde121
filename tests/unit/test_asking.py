"""How a person is asked: about what is sick alone, with what would change, in the host's slot; else not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain import ids
from orchestrator.domain.hosts import Mode
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts
from orchestrator.errors import HostUnreachable
from tests.unit.test_healing import NOON, Failing, House, house


def question(one: House) -> Approval | None:
    return one.store.approval(ids.approval_id(ids.IncidentId(one.incident)))


def test_a_person_is_asked_with_what_would_change_in_the_hosts_slot() -> None:
    one = house(mode=Mode.PROPOSE)
    one.executor.printed = "TASK [Say it]\nchanged: [web1] => would restart nginx.service"

    one.plan()

    asked = question(one)
    assert one.state is IncidentState.PENDING_APPROVAL
    assert asked is not None
    assert asked.changes == one.executor.printed
    assert asked.digest == one.executor.jobs[-1].digest != ""
    assert [(job.kind, job.run_id) for job in one.executor.jobs] == [
        ("look", f"{one.incident}-look"),
        ("plan", f"{one.incident}-plan"),
    ]
    assert one.engine.started[f"{one.incident}-ask"] == ("ask", one.incident, "web1", 0.0)
    assert len([said for said in one.told.sentences if said.startswith("approval.asked")]) == 1


def test_no_secret_that_a_plan_printed_is_kept() -> None:
    one = house(mode=Mode.PROPOSE)
    one.executor.printed = "TASK [Write it]\nchanged: [web1]\n+password=hunter2secret\n+colour=blue"

    one.plan()

    asked = question(one)
    assert asked is not None
    assert "hunter2" not in asked.changes
    assert asked.changes.endswith("\n+colour=blue")


@pytest.mark.parametrize(
    ("endings", "state", "said", "ran"),
    [
        ({"look": RunStatus.SUCCEEDED}, "already_well", "the check found it well", ["look"]),
        ({"look": RunStatus.FAILED}, "escalated", "the check can't tell (failed)", ["look"]),
        ({"look": RunStatus.UNREACHABLE}, "escalated", "the check can't tell (unreachable)", ["look"]),
        ({"plan": RunStatus.REFUSED}, "escalated", "the action refuses it", ["look", "plan", "plan"]),
        ({"plan": RunStatus.FAILED}, "escalated", "what would change can't be shown", ["look", "plan"]),
        ({"plan": RunStatus.TIMED_OUT}, "escalated", "its plan ended as timed_out", ["look", "plan"]),
        ({"plan": RunStatus.UNREACHABLE}, "escalated", "what would change can't be shown", ["look", "plan"]),
        # What was cut says nothing of the host, so it is begun anew once.
        ({"plan": RunStatus.UNKNOWN}, "escalated", "what would change can't be shown", ["look", "plan", "plan"]),
    ],
)
def test_what_cannot_be_shown_is_not_asked_about(
    endings: dict[str, RunStatus], state: str, said: str, ran: list[str]
) -> None:
    one = house(mode=Mode.PROPOSE, endings=endings).plan()

    assert str(one.state) == state
    assert said in one.reason
    assert one.reason.endswith("Nobody was asked and nothing was done.")
    assert one.kinds == ran
    assert question(one) is None


def test_a_plan_without_a_record_is_not_asked_about() -> None:
    one = house(mode=Mode.PROPOSE)
    one.executor.printed = ""

    assert one.plan().state is IncidentState.ESCALATED
    assert question(one) is None


def test_who_asked_for_it_is_part_of_the_question() -> None:
    one = house(mode=Mode.PROPOSE)
    one.store._incidents[one.incident] = replace(one.store._incidents[one.incident], asked_by="api:ann")

    one.plan()

    asked = question(one)
    assert asked is not None
    assert asked.asked_by == "api:ann"


def test_policy_is_asked_again_once_the_slot_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    one = house(mode=Mode.PROPOSE)
    hand_over = one.healing._hand_over

    def stopped_meanwhile(incident_id: str) -> list[str]:
        monkeypatch.setattr(one.healing, "_hand_over", hand_over)
        one.engine._held = True
        handed = hand_over(incident_id)
        one.store.stop(actor="op", reason="change freeze")
        return handed

    monkeypatch.setattr(one.healing, "_hand_over", stopped_meanwhile)
    one.plan()
    one.engine.run()

    assert one.state is IncidentState.ESCALATED
    assert "refused by rule stopped" in one.reason
    assert one.kinds == []


def test_a_host_that_is_away_is_asked_again_and_then_told() -> None:
    one = house(mode=Mode.PROPOSE)
    inspect = one.probe.inspect
    one.probe.inspect = Failing(inspect, HostUnreachable("web1 reboots"))  # type: ignore[method-assign]

    assert one.plan().state is IncidentState.PENDING_APPROVAL


def test_a_question_that_is_prepared_again_after_a_crash_is_asked_once() -> None:
    one = house(mode=Mode.PROPOSE).plan()
    before = len(one.store.events())

    one.now[0] = NOON + timedelta(minutes=1)
    one.healing._ask(one.incident, {}, "other changes")
    one.healing.ask(one.incident)

    asked = question(one)
    assert asked is not None
    assert (asked.asked_at, asked.changes) == (NOON, one.executor.printed)
    assert one.kinds == ["look", "plan"]
    assert len(one.store.events()) == before


def approved(one: House) -> str:
    name = ids.approval_id(ids.IncidentId(one.incident))
    assert one.store.answer(name, Answer.APPROVED, actor="op", reason="looked", now=NOON)
    return name


def masked(one: House) -> None:
    units = one.probe.facts.units
    one.probe.facts = Facts(units={name: replace(unit, load_state="masked") for name, unit in units.items()})


def changed_role(one: House) -> None:
    one.executor.parts = lambda *_: {"role": "other"}  # type: ignore[method-assign]


def changed_bytes(one: House) -> None:
    one.executor.digest = lambda *_: "other"  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed_role, "the role restart_service changed"),
        (changed_bytes, "playbook, role, parameters or host variables changed"),
        (masked, "nginx on web1 is masked now (before: loaded)"),
    ],
)
def test_what_changed_after_it_was_approved_is_void_right_before_acting(
    change: Callable[[House], None], said: str
) -> None:
    one = house(mode=Mode.PROPOSE).plan()
    name = approved(one)
    change(one)

    one.healing.start_apply(one.incident, "web1")

    asked = one.store.approval(name)
    assert asked is not None
    assert (asked.answer, asked.answered_by) == (Answer.VOID, "op")
    assert said in asked.void_reason
    assert one.state is IncidentState.EXPIRED
    assert one.reason.startswith(f"{name} is void. Since it was asked, ")
    assert one.kinds == ["look", "plan"]


def test_a_crash_between_void_and_its_end_changes_nothing() -> None:
    one = house(mode=Mode.PROPOSE).plan()
    name = approved(one)
    one.store.void(name, "Since it was asked, the role restart_service changed.", actor="healing-bot", now=NOON)

    one.healing.start_apply(one.incident, "web1")

    assert one.state is IncidentState.EXPIRED
    assert "the role restart_service changed" in one.reason
    assert one.kinds == ["look", "plan"]


def test_what_the_trouble_moves_meanwhile_does_not_void_it() -> None:
    one = house(mode=Mode.PROPOSE).plan()
    approved(one)
    units = one.probe.facts.units
    one.probe.facts = Facts(units={name: replace(unit, active_state="activating") for name, unit in units.items()})

    one.healing.start_apply(one.incident, "web1")

    assert one.state is IncidentState.HEALED
