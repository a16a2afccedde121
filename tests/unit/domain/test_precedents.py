"""What a row of healings teaches: nothing but what healed since the last failure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.precedents import Deed, Precedents, Standing, Word, chosen

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
#: Deeds by a letter; a small letter failed.
WHAT = {
    "A": ("restart_service", {"service": "nginx"}),
    "B": ("restart_service", {"service": "redis"}),
    "C": ("clear_cache", {}),
}


def precedents(newest_first: str) -> Precedents:
    return Precedents(
        signature=Signature("5" * 16),
        deeds=tuple(
            Deed(
                incident_id=IncidentId(f"inc-{number}"),
                host="web1",
                action=WHAT[letter.upper()][0],
                parameters=WHAT[letter.upper()][1],
                healed=letter.isupper(),
                chooser="embedded",
                at=NOW,
                shown=frozenset({Signature("5" * 16)}),
            )
            for number, letter in enumerate(newest_first)
        ),
    )


def learned(newest_first: str) -> dict[str, int]:
    names = {chosen(*what): letter for letter, what in WHAT.items()}
    return {names[what]: count for what, count in precedents(newest_first).learned().items()}


@pytest.mark.parametrize(
    ("newest_first", "counts"),
    [
        ("", {}),
        ("AAA", {"A": 3}),
        ("a", {}),
        ("aAAA", {}),
        ("AaAA", {"A": 1}),
        ("ABA", {"A": 2, "B": 1}),
        # What failed for this error, whatever it was, forgets all.
        ("AAbAA", {"A": 2}),
        ("bAAA", {}),
    ],
)
def test_only_what_healed_since_the_last_failure_counts(newest_first: str, counts: dict[str, int]) -> None:
    assert learned(newest_first) == counts


@given(st.text("ABCabc", max_size=12))
@example("AAa")
def test_counts_are_those_of_a_history_that_is_told_forwards(newest_first: str) -> None:
    """The same in the order of time: each healing adds one, each failure empties the slate."""
    slate: dict[str, int] = {}
    for letter in reversed(newest_first):
        slate = slate | {letter: slate.get(letter, 0) + 1} if letter.isupper() else {}

    assert learned(newest_first) == slate


@given(st.text("ABCabc", max_size=12), st.sampled_from("ABC"))
def test_one_more_failure_leaves_nothing_and_one_more_healing_one_more(older: str, letter: str) -> None:
    assert learned(letter.lower() + older) == {}
    assert learned(letter + older) == learned(older) | {letter: learned(older).get(letter, 0) + 1}


@pytest.mark.parametrize(
    ("standing", "action", "forbids"),
    [
        (Standing.FORBIDDEN, "clear_cache", True),
        (Standing.FORBIDDEN, "", True),
        (Standing.FORBIDDEN, "restart_service", False),
        (Standing.PINNED, "clear_cache", False),
    ],
)
def test_a_word_forbids_what_it_names_or_all(standing: Standing, action: str, forbids: bool) -> None:
    word = Word(
        signature=Signature("5" * 16),
        template="",
        standing=standing,
        action=action,
        parameters={},
        actor="ann",
        reason="so",
        at=NOW,
    )

    assert word.forbids("clear_cache") is forbids
    assert (word.pinned is None) is (standing is Standing.FORBIDDEN)
