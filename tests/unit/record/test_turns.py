"""Writers of one process take turns."""

from __future__ import annotations

import threading

from orchestrator.record.database import Turns


def in_line(turns: Turns, name: str, order: list[str], *, last: bool = False) -> threading.Thread:
    """A thread that waits for its turn by the time this returns."""

    def wait() -> None:
        assert turns.take(20, last=last)
        order.append(name)
        turns.give()

    waiting = sum(map(len, turns._lines))
    thread = threading.Thread(target=wait)
    thread.start()
    while sum(map(len, turns._lines)) == waiting:
        pass
    return thread


def test_a_turn_is_given_in_the_order_of_asking_and_those_who_feed_come_last() -> None:
    turns, order = Turns(), list[str]()
    assert turns.take(0)
    threads = [in_line(turns, f"feed {n}", order, last=True) for n in range(2)]
    threads += [in_line(turns, f"step {n}", order) for n in range(3)]

    turns.give()
    for thread in threads:
        thread.join()

    assert order == ["step 0", "step 1", "step 2", "feed 0", "feed 1"]
    assert turns.take(0), "it is free again"


def test_whoever_gave_up_is_not_waited_for() -> None:
    turns = Turns()
    assert turns.take(0)
    assert not turns.take(0.01)
    assert not turns.take(0.01, last=True)
    turns.give()
    assert turns.take(0)
