"""The one door for answers: what is approved is compared first, and what does nothing is recorded with who tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.answering import Desk
from orchestrator.catalog import Catalog
from orchestrator.domain import ids
from orchestrator.domain.hosts import HostPolicy, Mode
from orchestrator.domain.verdicts import Answer, Approval, Facts
from orchestrator.errors import AnswerRefused, ConfigError, HostUnreachable, InventoryError
from orchestrator.testing import FakeFleet
from tests.unit.test_healing import NOON, House, action, house


@dataclass
class Asked:
    """A question that was asked, and the desk at which it is answered."""

    house: House
    desk: Desk
    id: str

    @property
    def approval(self) -> Approval:
        found = self.house.store.approval(self.id)
        assert found is not None
        return found

    @property
    def ledger(self) -> list[tuple[str, str]]:
        return [(one.kind, one.actor) for one in self.house.store.events() if one.kind.startswith("approval.")]

    def answer(self, answer: Answer = Answer.APPROVED, who: str = "cli:bob") -> Approval:
        return self.desk.answer(self.id, answer, who, "looked")

    def policy(self, **values: Any) -> None:
        host = self.house.healing._host(self.house.incident)
        self.desk.fleet._hosts["web1"] = replace(host, policy=HostPolicy(**values))  # type: ignore[attr-defined]


def asked() -> Asked:
    one = house(mode=Mode.PROPOSE).plan()
    desk = Desk(
        store=one.store,
        fleet=FakeFleet(one.healing._host(one.incident)),
        catalog=Catalog(actions={"restart_service": action()}),
        readings=one.executor,
        probe=one.probe,
        now=lambda: one.now[0],
    )
    return Asked(one, desk, ids.approval_id(ids.IncidentId(one.incident)))


@pytest.mark.parametrize("answer", [Answer.APPROVED, Answer.DENIED])
def test_an_answer_is_taken_once_and_recorded_with_who_gave_it(answer: Answer) -> None:
    one = asked()

    assert one.answer(answer).answer is answer
    with pytest.raises(AnswerRefused, match=f"was {answer} already, by cli:bob") as refused:
        one.answer(Answer.APPROVED, "cli:eve")

    assert refused.value.bar == "answered"
    assert one.approval.answered_by == "cli:bob"
    assert one.ledger == [
        ("approval.asked", "healing-bot"),
        (f"approval.{answer}", "cli:bob"),
        ("approval.refused", "cli:eve"),
    ]


def changed_role(one: Asked) -> None:
    parts = one.house.executor.parts(action(), {"service": "nginx"}, ())
    one.house.executor.parts = lambda *_: {**parts, "role": "other"}  # type: ignore[method-assign]


def masked(one: Asked) -> None:
    units = one.house.probe.facts.units
    one.house.probe.facts = Facts(units={name: replace(unit, load_state="masked") for name, unit in units.items()})


@pytest.mark.parametrize(
    ("change", "said"),
    [(changed_role, "the role restart_service changed"), (masked, "nginx on web1 is masked now (before: loaded)")],
)
def test_what_changed_since_it_was_asked_is_void_and_is_not_approved(change: Any, said: str) -> None:
    one = asked()
    change(one)

    with pytest.raises(AnswerRefused) as refused:
        one.answer()
    with pytest.raises(AnswerRefused, match="is void"):
        one.answer()

    assert (refused.value.bar, said in str(refused.value)) == ("void", True)
    assert one.approval.answer is Answer.VOID
    assert said in one.approval.void_reason
    assert [kind for kind, _ in one.ledger] == ["approval.asked", "approval.void", "approval.refused"]
    assert one.house.kinds == ["look", "plan"]


def test_an_action_that_is_not_on_the_whitelist_any_more_is_not_approved() -> None:
    one = asked()

    with pytest.raises(AnswerRefused, match="restart_service was taken off the whitelist"):
        replace(one.desk, catalog=Catalog(actions={})).answer(one.id, Answer.APPROVED, "cli:bob", "looked")


def test_what_changed_can_still_be_denied() -> None:
    one = asked()
    changed_role(one)

    assert one.answer(Answer.DENIED).answer is Answer.DENIED


@pytest.mark.parametrize(
    ("policy", "who", "bar"),
    [
        ({"approvers": frozenset({"cli:ann"})}, "cli:bob", "approver"),
        ({"approvers": frozenset()}, "cli:bob", "approver"),
        ({"four_eyes": True}, "cli:ann", "four_eyes"),
    ],
)
def test_whoever_may_not_answer_changes_nothing(policy: dict[str, Any], who: str, bar: str) -> None:
    one = asked()
    one.house.store._approvals[one.id] = replace(one.approval, asked_by="api:ann")
    one.policy(**policy)

    with pytest.raises(AnswerRefused) as refused:
        one.answer(who=who)

    assert refused.value.bar == bar
    assert one.approval.answer is Answer.PENDING
    assert one.ledger[1:] == [("approval.refused", who)]


def test_after_its_expiry_nothing_is_taken() -> None:
    one = asked()
    one.house.now[0] = NOON + timedelta(days=2)

    with pytest.raises(AnswerRefused, match="has expired"):
        one.answer()

    assert one.approval.answer is Answer.PENDING


def test_a_host_that_cannot_be_compared_leaves_the_question_open() -> None:
    one = asked()
    one.house.probe.error = HostUnreachable("web1 is away")

    with pytest.raises(HostUnreachable):
        one.answer()

    assert one.approval.answer is Answer.PENDING
    one.house.probe.error = None
    assert one.answer().answer is Answer.APPROVED


def test_a_host_that_left_the_inventory_is_said() -> None:
    one = asked()

    with pytest.raises(InventoryError, match="no host 'web1'"):
        replace(one.desk, fleet=FakeFleet()).answer(one.id, Answer.APPROVED, "cli:bob", "looked")


def test_an_unknown_question_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="no approval apr-none"):
        asked().desk.answer("apr-none", Answer.DENIED, "cli:bob", "so")


def test_of_two_that_answer_at_once_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one = asked()
    digest = one.house.executor.digest

    def meanwhile(*arguments: Any) -> str:
        one.house.store.answer(one.id, Answer.DENIED, actor="cli:eve", reason="no", now=NOON)
        return digest(*arguments)

    monkeypatch.setattr(one.house.executor, "digest", meanwhile)

    with pytest.raises(AnswerRefused, match="was denied already, by cli:eve"):
        one.answer()
