"""When a service that fails is asked, by tables and by any sequence; and who decides meanwhile."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.breaker import Breaker
from orchestrator.decide.fallback import FallbackChooser
from orchestrator.domain.actions import Decision
from orchestrator.errors import BadReply, HealingError, ModelBusy, ModelTimeout, ModelUnavailable, StoreUnavailable
from orchestrator.ports import Case
from orchestrator.testing import FakeChooser
from tests.support.gemini_case import case


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


#: What happens, in order: `+` answered, `-` failed, a number of seconds that pass, `y` or `n`: may one ask now?
@pytest.mark.parametrize(
    "story",
    [
        "y y y",
        "- - y",
        "- - - n",
        "- - + - - y",
        "- - - 9 n",
        "- - - 10 y n",
        "- - - 10 y + y y",
        "- - - 10 y - n 9 n 1 y n",
        "- - - 10 y 9 n 1 y n",
        "- - - 5 - 9 n 1 y",
        "- - - + y",
        "- - - 1000 y n 10 y n",
    ],
)
def test_a_breaker_of_three_failures_and_ten_seconds(story: str) -> None:
    clock = Clock()
    breaker = Breaker(failures=3, seconds=10, clock=clock)

    for number, what in enumerate(story.split()):
        if what == "+":
            breaker.answered()
        elif what == "-":
            breaker.failed()
        elif what in "yn":
            assert breaker.admits() is (what == "y"), f"step {number} of {story}"
        else:
            clock.now += float(what)


STEPS = st.lists(st.sampled_from(["ask and fail", "ask and answer", "ask and vanish", "wait"]), max_size=60)


@given(limit=st.integers(1, 5), seconds=st.floats(1, 100), steps=STEPS, waits=st.lists(st.floats(0, 200), min_size=60))
def test_whatever_happens_a_failing_service_is_asked_seldom_and_an_answer_ends_it(
    limit: int, seconds: float, steps: list[str], waits: list[float]
) -> None:
    clock = Clock()
    breaker = Breaker(failures=limit, seconds=seconds, clock=clock)
    in_a_row, asked_at = 0, clock.now
    for step, wait in zip(steps, waits, strict=False):
        if step == "wait":
            clock.now += wait
            continue
        admitted = breaker.admits()
        if in_a_row < limit:
            assert admitted
        else:
            assert admitted == (clock.now >= asked_at + seconds)
        if not admitted:
            continue
        asked_at = clock.now
        if step == "ask and fail":
            breaker.failed()
            in_a_row += 1
        elif step == "ask and answer":
            breaker.answered()
            in_a_row = 0
        assert breaker.failures == in_a_row
        assert breaker.is_open == (in_a_row >= limit)


class Model(FakeChooser):
    """Fails with the next error of its list; answers once that is empty."""

    name = "gemini"

    def __init__(self, *errors: Exception) -> None:
        super().__init__(Decision(action="none", parameters={}, reason="quiet.", chooser="gemini"))
        self.errors = list(errors)

    def choose(self, case: Case) -> Decision:
        decision = super().choose(case)
        if self.errors:
            raise self.errors.pop(0)
        return decision


EMBEDDED = Decision(action="escalate", parameters={}, reason="Unknown.", chooser="embedded", shown_digest="e" * 64)


def chooser_of(model: Model, clock: Clock) -> FallbackChooser:
    other = FakeChooser(EMBEDDED)
    other.name = "embedded"
    return FallbackChooser(model, other, Breaker(failures=3, seconds=300, clock=clock))


def test_the_third_failure_in_a_row_is_decided_by_the_other_which_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = Model(ModelTimeout("Late."), ModelUnavailable("Refused."), ModelBusy("Gemini is busy (503: Oops)."))
    chooser = chooser_of(model, Clock())
    for _ in range(2):
        with pytest.raises((ModelTimeout, ModelUnavailable)):
            chooser.choose(case())

    with caplog.at_level(logging.WARNING):
        decision = chooser.choose(case())

    assert (decision.action, decision.chooser, decision.shown_digest) == ("escalate", "embedded", "e" * 64)
    assert decision.reason == (
        "Unknown. Chosen by embedded, because gemini failed 3 times in a row "
        "(the last time: Gemini is busy (503: Oops))."
    )
    assert "embedded decides for now" in caplog.text


def test_while_it_is_open_the_model_is_not_asked_and_one_probe_ends_it() -> None:
    model, clock = Model(*[ModelTimeout("Late.")] * 4), Clock()
    chooser = chooser_of(model, clock)
    for _ in range(2):
        with pytest.raises(ModelTimeout):
            chooser.choose(case())

    assert chooser.choose(case()).chooser == "embedded"
    assert (chooser.choose(case()).chooser, len(model.asked)) == ("embedded", 3)
    clock.now += 300
    failed_probe = chooser.choose(case())
    assert (failed_probe.chooser, len(model.asked)) == ("embedded", 4)
    assert "failed 4 times in a row" in failed_probe.reason
    clock.now += 299
    assert (chooser.choose(case()).chooser, len(model.asked)) == ("embedded", 4)
    clock.now += 1
    assert (chooser.choose(case()).chooser, len(model.asked)) == ("gemini", 5)
    assert chooser.choose(case()).reason == "quiet."


@pytest.mark.parametrize("error", [BadReply("Odd. A person must look."), StoreUnavailable("The disk is full.")])
def test_what_is_no_silence_of_the_service_never_changes_who_decides(error: HealingError) -> None:
    model = Model(*[error] * 20)
    chooser = chooser_of(model, Clock())

    for _ in range(20):
        with pytest.raises(type(error)):
            chooser.choose(case())

    assert len(model.asked) == 20


def test_a_bad_reply_is_an_answer() -> None:
    late, bad = ModelTimeout("Late."), BadReply("Odd.")
    model = Model(late, late, bad, late, late, late)
    chooser = chooser_of(model, Clock())

    for expected in (ModelTimeout, ModelTimeout, BadReply, ModelTimeout, ModelTimeout):
        with pytest.raises(expected):
            chooser.choose(case())
    assert chooser.choose(case()).chooser == "embedded"
