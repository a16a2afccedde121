"""What ports.Store promises of memory, asked of the real store and of its in-memory twin alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.ids import Signature, run_id
from orchestrator.domain.incidents import FINAL, UNDER_WAY, IncidentState, Origin
from orchestrator.domain.precedents import Precedents, Standing, Word, chosen
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.ports import DEEDS_KEPT, NOT_ATTEMPTS, Store
from tests.contract.test_store_outbreaks import RESTART, acted
from tests.support.past import DIED, NGINX, NOW, healing
from tests.support.stores import KINDS, one_of

EXITED = Signature("e" * 16)


@pytest.fixture
def clock() -> Callable[[], datetime]:
    moments = (NOW + timedelta(milliseconds=number) for number in range(10**9))
    return lambda: next(moments)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path, clock)


def ends(store: Store, signature: Signature = DIED) -> list[bool]:
    return [deed.healed for deed in store.precedents(signature).deeds]


def word(signature: Signature = DIED, **changed: object) -> Word:
    said = Word(
        signature=signature,
        template="it died",
        standing=Standing.PINNED,
        action="restart_service",
        parameters=NGINX,
        actor="cli:ann",
        reason="we know it",
        at=NOW,
    )
    return replace(said, **changed)  # type: ignore[arg-type]  # each caller names a field


def test_a_deed_says_what_was_done_where_and_by_whose_choice_newest_first(store: Store) -> None:
    first = healing(store, host="web2")
    second = healing(store, parameters={"service": "redis"}, chooser="memory", end=IncidentState.ESCALATED)

    newest, oldest = store.precedents(DIED).deeds

    assert (newest.incident_id, oldest.incident_id) == (second, first)
    assert (newest.host, newest.chosen, newest.healed, newest.chooser) == (
        "web1",
        chosen("restart_service", {"service": "redis"}),
        False,
        "memory",
    )
    assert (oldest.host, oldest.chosen, oldest.healed, oldest.chooser) == (
        "web2",
        chosen("restart_service", NGINX),
        True,
        "embedded",
    )
    assert newest.shown == oldest.shown == {DIED}
    run = store.run(run_id(second, RunKind.ACT))
    assert run is not None
    assert newest.at == run.started


@pytest.mark.parametrize("end", sorted(UNDER_WAY))
def test_what_is_under_way_teaches_nothing_yet(store: Store, end: IncidentState) -> None:
    healing(store, end=end)

    assert ends(store) == []


@pytest.mark.parametrize("end", sorted(FINAL))
def test_whatever_an_act_ends_in_but_healed_is_a_failure(store: Store, end: IncidentState) -> None:
    healing(store, end=end)

    assert ends(store) == [end is IncidentState.HEALED]


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.RUNNING}))
def test_what_never_touched_a_host_is_no_deed(store: Store, status: RunStatus) -> None:
    healing(store, status=status)

    assert len(ends(store)) == (status not in NOT_ATTEMPTS)


@pytest.mark.parametrize("kind", sorted(set(RunKind) - {RunKind.ACT}))
def test_only_an_act_is_a_deed(store: Store, kind: RunKind) -> None:
    healing(store, kind=kind)

    assert ends(store) == []


@pytest.mark.parametrize(("origin", "count"), [(Origin.LOG, 1), (Origin.TRIGGER, 1), (Origin.INJECTED, 0)])
def test_an_injected_error_teaches_nothing(store: Store, origin: Origin, count: int) -> None:
    healing(store, origin=origin)

    assert len(ends(store)) == count


@pytest.mark.parametrize("end", [IncidentState.HEALED, IncidentState.ESCALATED])
def test_each_member_of_a_wave_teaches_by_its_own_end(store: Store, end: IncidentState) -> None:
    """Of three the first was acted on, the second refused, and the third left out."""
    signature = Signature("sig-1")
    _, members = acted(store)
    for incident in members:
        store.record_decision(incident, replace(RESTART, signatures=(signature,), chooser="memory"))
    assert ends(store, signature) == [], "they are under way"
    store.move(members[0], end, "so", expected=[IncidentState.HEALING])
    for incident in members[1:]:
        store.move(incident, IncidentState.ESCALATED, "so", expected=[IncidentState.HEALING])

    (deed,) = store.precedents(signature).deeds

    assert (deed.incident_id, deed.host, deed.healed, deed.chooser) == (
        members[0],
        "web1",
        end is IncidentState.HEALED,
        "memory",
    )
    assert [one.signature for one in store.remembered()] == [signature]


def test_every_line_that_the_chooser_was_shown_is_taught_and_no_later_one(store: Store) -> None:
    late = Signature("1" * 16)
    healing(store, shown=(DIED, EXITED), later=(late,))

    assert (ends(store, DIED), ends(store, EXITED), ends(store, late)) == ([True], [True], [])
    assert store.precedents(DIED).deeds[0].shown == {DIED, EXITED}


def test_a_decision_of_an_older_version_teaches_the_line_that_opened_it(store: Store) -> None:
    healing(store, shown=(), opened_by=EXITED, later=(DIED,))

    assert (ends(store, EXITED), ends(store, DIED)) == ([True], [])


def test_the_newest_deeds_are_enough(store: Store) -> None:
    healing(store, end=IncidentState.ESCALATED, host="first")
    for number in range(DEEDS_KEPT):
        healing(store, host=f"web{number}")

    assert ends(store) == [True] * DEEDS_KEPT


def test_a_word_is_kept_changed_and_withdrawn_each_with_a_line_of_the_ledger(store: Store) -> None:
    changed = word(standing=Standing.FORBIDDEN, action="", parameters={}, reason="never", actor="cli:bob")

    assert store.record_word(word()) is None
    assert store.precedents(DIED) == Precedents(signature=DIED, word=word())
    assert store.record_word(changed) == word()
    assert store.precedents(DIED).word == changed
    assert store.withdraw_word(DIED, actor="cli:eve", reason="over") == changed
    assert store.precedents(DIED).word is None
    assert store.withdraw_word(DIED, actor="cli:eve", reason="again") is None
    assert [(event.kind, event.actor) for event in store.events()] == [
        ("memory.pinned", "cli:ann"),
        ("memory.forbidden", "cli:bob"),
        ("memory.released", "cli:eve"),
    ]
    assert all(DIED in event.text for event in store.events())


def test_what_is_remembered_is_listed_the_latest_first(store: Store) -> None:
    assert store.remembered() == ()
    healing(store, shown=(EXITED,), opened_by=EXITED)
    healing(store, shown=(DIED,))
    healing(store, shown=(Signature("2" * 16),), opened_by=Signature("2" * 16), kind=RunKind.CHECK)
    spoken = Signature("3" * 16)
    store.record_word(word(spoken, at=NOW + timedelta(days=1)))

    assert [one.signature for one in store.remembered()] == [spoken, DIED, EXITED]
    assert [one.signature for one in store.remembered(2)] == [spoken, DIED]
    assert store.remembered()[1] == store.precedents(DIED)


def test_the_words_of_a_signature_are_those_of_an_incident_that_it_opened(store: Store) -> None:
    healing(store, shown=(DIED, EXITED))

    assert store.wording(DIED) == f"template {DIED}"
    assert store.wording(EXITED) == ""
    assert store.wording(Signature("9" * 16)) is None
