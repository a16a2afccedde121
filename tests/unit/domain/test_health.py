"""Health: what a trouble costs, and that the number moves as people would expect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.health import WEEK, WHOLE, Trouble, health
from orchestrator.domain.incidents import IncidentState

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)

troubles = st.builds(
    Trouble,
    host=st.just("web1"),
    subject=st.just("nginx.service"),
    state=st.sampled_from(IncidentState),
    last_seen=st.timedeltas(timedelta(days=-1), timedelta(days=30)).map(lambda back: NOW - back),
)


def trouble(state: IncidentState, days: float = 0.0) -> Trouble:
    return Trouble(host="web1", subject="nginx.service", state=state, last_seen=NOW - timedelta(days=days))


@pytest.mark.parametrize(
    ("found", "score"),
    [
        ([], 100),
        ([trouble(IncidentState.ESCALATED, days=30)], 60),
        ([trouble(IncidentState.HEALING)], 80),
        ([trouble(IncidentState.HEALED)], 90),
        ([trouble(IncidentState.HEALED, days=3.5)], 95),
        ([trouble(IncidentState.HEALED, days=7)], 100),
        ([trouble(IncidentState.EXPIRED)], 85),
        ([trouble(IncidentState.ALREADY_WELL)], 95),
        ([trouble(IncidentState.NOISE), trouble(IncidentState.JOINED)], 100),
        ([trouble(IncidentState.ESCALATED)] * 3, 0),
        ([trouble(IncidentState.ESCALATED), trouble(IncidentState.HEALED)], 50),
    ],
)
def test_what_a_trouble_costs(found: list[Trouble], score: int) -> None:
    assert health(found, NOW).score == score


@given(st.lists(troubles, max_size=8), troubles)
def test_more_trouble_never_raises_it(found: list[Trouble], more: Trouble) -> None:
    assert health([*found, more], NOW).score <= health(found, NOW).score


@given(st.lists(troubles, max_size=8), st.timedeltas(timedelta(0), 2 * WEEK))
def test_waiting_never_lowers_it(found: list[Trouble], later: timedelta) -> None:
    assert health(found, NOW + later).score >= health(found, NOW).score


@given(st.lists(troubles, max_size=8))
def test_it_is_what_the_losses_leave(found: list[Trouble]) -> None:
    made = health(found, NOW)

    assert 0 <= made.score <= WHOLE
    points = [loss for loss, _ in made.losses]
    assert points == sorted(points, reverse=True)
    assert made.score == max(0, round(WHOLE - sum(points)))
