"""A model that is away, seen from a healing: tried again a little, then decided without it; nobody is called for it."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.decide.breaker import Breaker
from orchestrator.decide.fallback import FallbackChooser
from orchestrator.domain.incidents import IncidentState
from orchestrator.errors import BadReply, ModelTimeout
from orchestrator.healing import Healing
from orchestrator.steps import PASSING
from orchestrator.testing import FakeChooser
from tests.unit.test_healing import RESTART, House, house


def away(error: Exception, *, failures: int) -> tuple[House, FakeChooser]:
    """A house whose model only ever fails, with another chooser behind it."""
    one, model = house(), FakeChooser(error)
    second = FakeChooser(replace(RESTART, chooser="embedded"))
    second.name = "embedded"
    chooser = FallbackChooser(model, second, Breaker(failures=failures, seconds=300, clock=lambda: 0.0))
    healing = Healing(replace(one.healing._rooms, chooser=chooser))
    one.engine.workflows = {name: getattr(healing, name, call) for name, call in one.engine.workflows.items()}
    return one, model


def test_the_first_incident_of_an_outage_is_healed_all_the_same() -> None:
    one, model = away(ModelTimeout("Late."), failures=3)

    one.plan()

    assert one.state is IncidentState.HEALED, one.reason
    assert len(model.asked) == 3
    assert [seconds for seconds in one.waits if seconds in PASSING] == list(PASSING[:2])
    decision = one.store.decision(one.incident)
    assert decision is not None
    assert decision.chooser == "embedded"
    assert decision.reason.endswith("because fake failed 3 times in a row (the last time: Late).")
    assert one.told.sentences == []


def test_a_limit_beyond_the_tries_of_a_step_tells_a_person() -> None:
    one, model = away(ModelTimeout("Late."), failures=5)

    one.plan()

    assert one.state is IncidentState.ESCALATED
    assert one.reason == "nothing was done: Late."
    assert len(model.asked) == len(PASSING) + 1


def test_an_odd_reply_tells_a_person_at_once() -> None:
    one, model = away(BadReply("Odd. A person must look."), failures=1)

    one.plan()

    assert one.state is IncidentState.ESCALATED
    assert len(model.asked) == 1
    assert one.kinds == []
