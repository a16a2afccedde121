"""The store's alarm: one word each way."""

from __future__ import annotations

from orchestrator.notify.alarm import QUIET, StoreAlarm


class Told:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.sentences: list[str] = []

    def tell(self, action: str, incident: object, sentence: str) -> None:
        raise AssertionError("no incident is concerned")

    def alarm(self, key: str, sentence: str) -> None:
        self.keys.append(key)
        self.sentences.append(sentence)


def alarm() -> tuple[StoreAlarm, Told, list[float]]:
    told, now = Told(), [100.0]
    return StoreAlarm(told, lambda: now[0]), told, now


def test_many_failures_are_one_alarm_that_names_the_cause_and_what_follows() -> None:
    one, told, now = alarm()
    for _ in range(100):
        one.failed("The disk is full.")
        now[0] += 2

    assert told.sentences == [
        "Nothing acts for now, because it could not be recorded: The disk is full. Healings wait, and go on by "
        "themselves."
    ]


def test_small_writes_that_pass_meanwhile_end_nothing() -> None:
    one, told, now = alarm()
    for _ in range(10):
        one.failed("The disk is full.")
        now[0] += QUIET - 0.1
        one.wrote()

    assert told.keys == ["store.down"]


def test_it_ends_once_and_may_come_again() -> None:
    one, told, now = alarm()
    one.failed("full")
    now[0] += QUIET
    one.wrote()
    one.wrote()
    one.failed("locked")

    assert told.keys == ["store.down", "store.back", "store.down"]


def test_without_a_failure_nothing_is_told() -> None:
    one, told, _ = alarm()
    one.wrote()

    assert told.keys == []
