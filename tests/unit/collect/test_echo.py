"""The same line in the journal and in a file is one record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestrator.collect.echo import KEPT, WINDOW, Echoes
from orchestrator.domain.records import JOURNAL, LogRecord

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def record(
    source: str = JOURNAL, message: str = "ERROR x", *, after: float = 0.0, unit: str = "shop.service"
) -> LogRecord:
    time = NOON + timedelta(seconds=after)
    return LogRecord(time=time, host="web1", unit=unit, priority=6, message=message, source=source)


def test_the_second_source_of_a_line_tells_nothing_new_whichever_comes_first() -> None:
    for first, second in ((JOURNAL, "/a.log"), ("/a.log", JOURNAL)):
        echoes = Echoes()

        assert echoes.without([record(first)]) == [record(first)]
        assert echoes.without([record(second, after=3)]) == []


def test_a_line_that_one_source_repeats_counts_each_time() -> None:
    echoes = Echoes()

    assert len(echoes.without([record(), record(), record()])) == 3


def test_a_repeated_line_counts_as_often_as_the_louder_source_has_it() -> None:
    kept = Echoes().without([record(), record(), record("/a.log"), record("/a.log"), record("/a.log"), record()])

    assert [one.source for one in kept] == [JOURNAL, JOURNAL, "/a.log"]


def test_another_unit_another_text_and_another_time_are_not_the_same() -> None:
    echoes = Echoes()
    others = [
        record(),
        record("/a.log", unit="other.service"),
        record("/a.log", "ERROR y"),
        record("/a.log", after=WINDOW.total_seconds() + 1),
    ]

    assert echoes.without(others) == others


def test_a_unit_with_and_without_its_suffix_is_the_same() -> None:
    assert len(Echoes().without([record(), record("/a.log", unit="shop")])) == 1


def test_a_time_and_a_host_before_the_line_do_not_matter() -> None:
    lines = [record(message="ERROR: x"), record("/a.log", "Nov 25 12:00:00 web1 shop[7]: ERROR: x")]

    assert len(Echoes().without(lines)) == 1


def test_memory_is_bounded() -> None:
    echoes = Echoes()
    echoes.without([record()])

    echoes.without([record(message=f"ERROR {number}") for number in range(KEPT)])

    assert echoes.without([record("/a.log")]) == [record("/a.log")], "the oldest was forgotten"
