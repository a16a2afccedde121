"""Who may go on with a run, and whose lease has lapsed: by a steady clock that the test turns."""

from __future__ import annotations

import threading

import pytest

from orchestrator.act.lease import Lapses, Renewal
from orchestrator.errors import StoreUnavailable
from orchestrator.settings import KILLING
from tests.support.waiting import wait_for

LEASE, EVERY = 60.0, 5.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Answers what it is told, and says that it was asked."""

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer
        self.asked = threading.Event()

    def renew(self) -> bool:
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begun(store: Store, clock: Clock) -> Renewal:
    renewal = Renewal(store.renew, LEASE, EVERY, clock)
    renewal.begin()
    return renewal


def test_nobody_is_asked_before_the_first_renewal_is_due(clock: Clock) -> None:
    store = Store(answer=True)
    renewal = begun(store, clock)
    clock.now += EVERY - 0.1

    assert renewal.lost() == ""
    assert threading.active_count() == 1
    assert not store.asked.is_set()


def test_a_lease_that_is_renewed_lasts(clock: Clock) -> None:
    store = Store(answer=True)
    renewal = begun(store, clock)
    clock.now += EVERY + 0.1
    assert renewal.lost() == ""
    assert store.asked.wait(10)
    # Renewed at +5.1 s: it lasts until 60 s after that, and its playbook may go on until KILLING before.
    clock.now += LEASE - KILLING - 0.1

    wait_for(lambda: renewal.lost() == "", "the sentence")


def test_a_lease_that_can_not_be_renewed_is_lost_in_time_to_end_the_playbook(clock: Clock) -> None:
    store = Store(answer=StoreUnavailable("The store is locked."))
    renewal = begun(store, clock)
    clock.now += LEASE - KILLING - 0.1
    assert renewal.lost() == ""
    assert store.asked.wait(10)
    clock.now += 0.2

    wait_for(lambda: renewal.lost() == "its lease can't be renewed (The store is locked.)", "the sentence")


def test_a_store_that_never_answers_is_as_bad(clock: Clock) -> None:
    stalled = threading.Event()
    renewal = Renewal(lambda: stalled.wait(30), LEASE, EVERY, clock)
    renewal.begin()
    clock.now += EVERY + 0.1
    assert renewal.lost() == ""
    clock.now += LEASE
    assert renewal.lost() == "its lease can't be renewed (the store gives no answer)"
    stalled.set()


def test_a_run_that_is_over_for_everybody_else_ends_at_once(clock: Clock) -> None:
    renewal = begun(Store(answer=False), clock)
    clock.now += EVERY + 0.1
    renewal.lost()

    wait_for(lambda: renewal.lost() == "somebody else has ended the run in the store", "the sentence")


def test_a_lease_lapses_when_nobody_renews_it_for_its_whole_time(clock: Clock) -> None:
    lapses = Lapses(LEASE, clock)
    assert not lapses.lapsed("run", 500.0)
    clock.now += LEASE + 0.1
    assert lapses.lapsed("run", 500.0)


def test_a_renewal_starts_the_time_again(clock: Clock) -> None:
    lapses = Lapses(LEASE, clock)
    assert not lapses.lapsed("run", 500.0)
    clock.now += LEASE + 0.1
    assert not lapses.lapsed("run", 505.0)
    clock.now += LEASE - 0.1
    assert not lapses.lapsed("run", 505.0)


@pytest.mark.parametrize("until_", [0.0, -600.0, 9e9], ids=["long ago", "set back", "in the future"])
def test_what_the_database_says_of_the_time_proves_nothing(clock: Clock, until_: float) -> None:
    lapses = Lapses(LEASE, clock)
    assert not lapses.lapsed("run", until_)
    clock.now += LEASE - 0.1
    assert not lapses.lapsed("run", until_)


def test_a_run_without_a_process_has_no_lease_to_lapse(clock: Clock) -> None:
    lapses = Lapses(LEASE, clock)
    assert not lapses.lapsed("run", None)
    clock.now += 10 * LEASE
    assert not lapses.lapsed("run", None)


def test_a_run_of_that_name_that_was_over_starts_anew(clock: Clock) -> None:
    lapses = Lapses(LEASE, clock)
    lapses.lapsed("run", 500.0)
    clock.now += LEASE + 0.1
    lapses.forget("run")
    assert not lapses.lapsed("run", 500.0)
