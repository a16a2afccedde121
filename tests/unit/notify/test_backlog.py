"""What waits, for how long, and what fits into an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.hosts import Secret
from orchestrator.domain.notices import URGENT, USUAL, Channel, NoticeKind
from orchestrator.domain.records import Severity
from orchestrator.domain.windows import read_window
from orchestrator.notify.backlog import KEPT, LATE, Backlog, Batch, Notice, allowed, recent, wanted

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


def channel(**changed: Any) -> Channel:
    return Channel(**{"name": "ops", "url": Secret("x://y"), **changed})


def notice(seq: int = 1, **changed: Any) -> Notice:
    values: dict[str, Any] = {
        "seq": seq,
        "at": NOW,
        "kind": NoticeKind.ESCALATED,
        "event": "incident.escalated",
        "text": "refused",
        "host": f"web{seq}",
        "severity": Severity.ERROR,
    }
    return Notice(**{**values, **changed})


def never(_: Notice) -> bool:
    return False


@pytest.mark.parametrize(
    ("settings_", "changed", "groups", "told"),
    [
        ({}, {}, {"web"}, True),
        ({}, {"kind": NoticeKind.HEALED}, {"web"}, False),
        ({"events": {NoticeKind.HEALED}}, {"kind": NoticeKind.HEALED}, {"web"}, True),
        ({"severity": Severity.ERROR}, {}, {"web"}, True),
        ({"severity": Severity.CRITICAL}, {}, {"web"}, False),
        ({"severity": Severity.CRITICAL}, {"severity": None}, {"web"}, True),
        ({"groups": {"db"}}, {}, {"web"}, False),
        ({"groups": {"db", "web"}}, {}, {"web", "all"}, True),
        ({"groups": {"db"}}, {}, set(), False),
        # A host that is in no inventory any more, and what is of no host: rather told than not.
        ({"groups": {"db"}}, {}, None, True),
    ],
)
def test_who_is_told_of_what(settings_: dict[str, Any], changed: Any, groups: set[str] | None, told: bool) -> None:
    known = None if groups is None else frozenset(groups)

    assert wanted(channel(**settings_), notice(**changed), known) is told


@pytest.mark.parametrize(
    ("per_hour", "sent", "usual", "urgent"),
    [
        (30, 0, True, True),
        (30, 22, True, True),
        (30, 23, False, True),
        (30, 29, False, True),
        (30, 30, False, False),
        (2, 0, True, True),
        (2, 1, False, True),
        (2, 2, False, False),
    ],
)
def test_a_part_of_the_hour_is_kept_for_what_is_urgent(per_hour: int, sent: int, usual: bool, urgent: bool) -> None:
    moments = [NOW - timedelta(minutes=1)] * sent

    assert allowed(channel(per_hour=per_hour), moments, NOW, urgent=False) is usual
    assert allowed(channel(per_hour=per_hour), moments, NOW, urgent=True) is urgent


@pytest.mark.parametrize(("minutes", "counts"), [(0, True), (59, True), (60, False), (-59, True), (-60, False)])
def test_an_hour_is_an_hour_whichever_way_the_clock_was_set(minutes: int, counts: bool) -> None:
    assert bool(recent([NOW - timedelta(minutes=minutes)], NOW)) is counts


@pytest.mark.parametrize(
    ("kind", "window", "wait"),
    [
        (NoticeKind.ESCALATED, 30.0, 30.0),
        (NoticeKind.HEALED, 0.0, 0.0),
        (NoticeKind.APPROVAL, 30.0, 5.0),
        (NoticeKind.APPROVAL, 2.0, 2.0),
        (NoticeKind.STOPPED, 30.0, 5.0),
    ],
)
def test_a_window_opens_with_the_first_of_a_kind(kind: NoticeKind, window: float, wait: float) -> None:
    backlog = Backlog(channel(window_seconds=window))
    backlog.add(notice(1, kind=kind, arrived=100.0))
    backlog.add(notice(2, kind=kind, arrived=100.0 + wait / 2))

    assert backlog.due(100.0 + wait - 0.01, NOW) is None or wait == 0
    batch = backlog.due(100.0 + wait, NOW)
    assert batch is not None
    assert [one.seq for one in batch.notices] == [1, 2]


def test_the_most_urgent_is_told_first_and_each_kind_alone() -> None:
    backlog = Backlog(channel())
    kinds = (NoticeKind.HEALED, NoticeKind.ESCALATED, NoticeKind.APPROVAL, NoticeKind.ESCALATED)
    for seq, kind in enumerate(kinds, 1):
        backlog.add(notice(seq, kind=kind))
    told = []
    while batch := backlog.due(100.0, NOW):
        told.append([one.seq for one in batch.notices])
        backlog.told(batch)

    assert told == [[3], [2, 4], [1]]


def test_what_comes_while_a_message_is_under_way_waits_for_the_next() -> None:
    backlog = Backlog(channel())
    backlog.add(notice(1))
    batch = backlog.due(100.0, NOW)
    assert batch is not None
    backlog.add(notice(2, arrived=100.0))
    backlog.told(batch)

    assert backlog.due(129.0, NOW) is None
    assert backlog.through(9) == {kind: 1 if kind == NoticeKind.ESCALATED else 9 for kind in NoticeKind}


def test_what_is_an_hour_old_is_counted_and_told_before_all() -> None:
    backlog = Backlog(channel())
    for seq in range(1, 8):
        backlog.add(notice(seq, at=NOW - LATE - timedelta(seconds=8 - seq), host=f"web{seq % 3}"))
    backlog.add(notice(8))
    backlog.add(notice(9, kind=NoticeKind.HEALED, at=NOW - 2 * LATE))
    backlog.age(NOW, never)
    batch = backlog.due(0.0, NOW)

    assert batch is not None
    assert [(one.kind, one.count, sorted(one.hosts)) for one in batch.tallies] == [
        (NoticeKind.ESCALATED, 7, ["web0", "web1", "web2"]),
        (NoticeKind.HEALED, 1, ["web9"]),
    ]
    assert backlog.through(9)["escalated"] == 0
    backlog.told(batch)
    assert backlog.through(9)["escalated"] == 7


def test_an_open_question_is_never_only_counted() -> None:
    backlog = Backlog(channel())
    for seq in (1, 2, 3):
        backlog.add(notice(seq, kind=NoticeKind.APPROVAL, at=NOW - 2 * LATE))
    backlog.age(NOW, lambda one: one.seq == 2)
    batch = backlog.due(0.0, NOW)

    assert batch is not None
    assert [one.count for one in batch.tallies] == [1]
    backlog.told(batch)
    following = backlog.due(100.0, NOW)
    assert following is not None
    assert [one.seq for one in following.notices] == [2, 3]


def test_it_takes_so_much_and_no_more_until_that_is_told_or_late() -> None:
    backlog = Backlog(channel())
    for seq in range(KEPT):
        assert not backlog.full
        backlog.add(notice(seq))
    assert backlog.full
    backlog.age(NOW + 2 * LATE, never)
    assert not backlog.full
    assert backlog.held == KEPT
    batch = backlog.due(0.0, NOW)
    assert batch is not None
    backlog.told(batch)
    assert backlog.held == 0


def _count(told: dict[NoticeKind, int], batch: Batch) -> None:
    for one in batch.notices:
        told[one.kind] += 1
    for tally in batch.tallies:
        told[tally.kind] += tally.count


Step = tuple[str, int, NoticeKind]


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "pass", "tell", "fail", "crash"]),
            st.integers(0, 4000),
            st.sampled_from(list(NoticeKind)),
        ),
        max_size=60,
    )
)
def test_whatever_happens_each_notice_is_told_or_still_to_be_told(steps: list[Step]) -> None:
    """Against a ledger that is read again from where it was left: nothing is lost, nothing twice."""
    ledger: list[Notice] = []
    backlog, through = Backlog(channel()), dict.fromkeys(map(str, NoticeKind), 0)
    told: dict[NoticeKind, int] = dict.fromkeys(NoticeKind, 0)
    now, steady, read = NOW, 0.0, 0
    for what, number, kind in steps:
        if what == "add":
            ledger.append(notice(len(ledger) + 1, kind=kind, at=now))
        elif what == "pass":
            now, steady = now + timedelta(seconds=number), steady + number
        elif what == "crash":
            backlog, read = Backlog(channel()), min(through.values())
        for one in ledger[read:]:
            if one.seq > through[one.kind]:
                backlog.add(notice(one.seq, kind=one.kind, at=one.at, arrived=steady))
        read = len(ledger)
        backlog.age(now, never)
        batch = backlog.due(steady, NOW)
        if what == "tell" and batch:
            _count(told, batch)
            backlog.told(batch)
            through = {key: max(seq, through[key]) for key, seq in backlog.through(read).items()}
    while batch := backlog.due(steady + 10_000, NOW):
        _count(told, batch)
        backlog.told(batch)

    assert told == {kind: sum(one.kind is kind for one in ledger) for kind in NoticeKind}


def test_what_is_usual_holds_all_that_is_urgent() -> None:
    assert URGENT < USUAL


NIGHT = read_window("22:00-06:00 UTC")


def test_in_quiet_hours_what_is_bad_enough_takes_along_what_waited_of_its_kind() -> None:
    backlog, night = Backlog(channel(quiet=(NIGHT,), window_seconds=0)), NOW.replace(hour=23)
    healed = notice(1, kind=NoticeKind.HEALED, at=night)
    backlog.add(healed)
    backlog.add(notice(2, at=night))
    assert backlog.due(100.0, night) is None
    backlog.age(night + 3 * LATE, never)
    assert backlog.due(100.0, night + 3 * LATE) is None
    backlog.add(notice(3, at=night, severity=Severity.CRITICAL))
    batch = backlog.due(100.0, night)
    assert batch is not None
    assert [one.seq for one in batch.notices] == [2, 3]
    backlog.told(batch)
    assert backlog.due(100.0, night) is None
    morning = backlog.due(100.0, NOW)
    assert morning is not None
    assert morning.notices == (healed,)


@pytest.mark.parametrize("kind", sorted(URGENT))
def test_what_is_urgent_knows_no_quiet_hours(kind: NoticeKind) -> None:
    backlog = Backlog(channel(quiet=(NIGHT,)))
    backlog.add(notice(kind=kind, severity=Severity.WARNING))

    assert backlog.due(100.0, NOW.replace(hour=23)) is not None


def test_a_full_night_makes_room_by_numbers_that_are_told_in_the_morning() -> None:
    backlog, night = Backlog(channel(quiet=(NIGHT,))), NOW.replace(hour=22)
    for seq in range(KEPT):
        backlog.add(notice(seq, at=night))
    backlog.age(night + 2 * LATE, never)
    assert not backlog.full
    assert backlog.due(100.0, night + 2 * LATE) is None
    batch = backlog.due(100.0, NOW)
    assert batch is not None
    assert [one.count for one in batch.tallies] == [KEPT]
