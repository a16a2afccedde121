"""What ports.Store promises of the next step of a healing, asked of the real store and of its in-memory twin alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import IncidentId, Signature, following_id, run_id
from orchestrator.domain.incidents import Incident, IncidentState, Origin, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookResult, RunKind, RunStatus
from orchestrator.ports import Store
from tests.support.past import DIED, NOW, healing, job_of
from tests.support.stores import KINDS, one_of

LINE = LogRecord(time=NOW, host="web1", unit="redis.service", priority=3, message="no space")
CHOSEN = Decision(action="restart_service", parameters={"service": "redis"}, reason="it died", chooser="follow_up")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path)


def step(parent: IncidentId, **changed: object) -> Incident:
    made = Incident(
        id=following_id(parent, "redis.service"),
        host="web1",
        subject=Subject(kind=SubjectKind.UNIT, name="redis.service"),
        signature=Signature("f" * 16),
        template="it is failed",
        severity=Severity.CRITICAL,
        state=IncidentState.OPEN,
        origin=Origin.TRIGGER,
        first_seen=NOW,
        last_seen=NOW + timedelta(seconds=1),
        count=1,
        age_at_detection=0.0,
        reason="it is failed",
        asked_by="ann",
        follows=parent,
        step=2,
    )
    return replace(made, **changed)  # type: ignore[arg-type]  # each caller names a field


def test_a_step_comes_with_its_decision_and_evidence_and_a_line_for_each(store: Store) -> None:
    parent = healing(store)
    before = store.newest()
    following = step(parent)

    assert store.open_step(following, CHOSEN, (LINE,))

    assert store.incident(following.id) == following
    assert store.incidents(states=[IncidentState.OPEN]) == (following,)
    assert store.decision(following.id) == CHOSEN
    assert store.evidence(following.id) == (LINE,)
    assert store.signatures(following.id) == {following.signature}
    assert [(event.kind, event.incident_id) for event in store.events(after=before)] == [
        ("incident.followed", parent),
        ("incident.opened", following.id),
        ("decision.made", following.id),
    ]


def test_the_same_step_again_changes_nothing(store: Store) -> None:
    following = step(healing(store))
    assert store.open_step(following, CHOSEN, (LINE,))
    store.move(following.id, IncidentState.PLANNING, "so", expected=[IncidentState.OPEN])
    before = store.newest()

    assert store.open_step(following, replace(CHOSEN, reason="other"), ())

    assert (store.newest(), store.decision(following.id)) == (before, CHOSEN)
    found = store.incident(following.id)
    assert found is not None
    assert found.state is IncidentState.PLANNING


def test_a_subject_that_is_being_healed_gets_no_step(store: Store) -> None:
    parent = healing(store)
    under_way = healing(store, end=IncidentState.OPEN)
    before = store.newest()
    following = step(parent, subject=Subject(kind=SubjectKind.UNIT, name="nginx.service"))

    assert not store.open_step(following, CHOSEN, (LINE,))

    assert (store.incident(following.id), store.decision(following.id), store.newest()) == (None, None, before)
    assert [one.id for one in store.incidents(states=[IncidentState.OPEN])] == [under_way]


def test_memory_learns_nothing_of_a_step(store: Store) -> None:
    """What follows is the catalogue's choice: it says nothing of what healed the first one's error."""
    following = step(healing(store), signature=DIED)
    assert store.open_step(following, CHOSEN, (LINE,))
    job = job_of(following.id, RunKind.ACT, "web1", CHOSEN.parameters)
    store.claim(job, signatures=frozenset())
    store.finish(PlaybookResult(run_id=job.run_id, status=RunStatus.SUCCEEDED), slot_shut=False)
    store.move(following.id, IncidentState.HEALED, "so", expected=[IncidentState.OPEN])

    assert [deed.incident_id for deed in store.precedents(DIED).deeds] == [following.follows]
    assert store.run(run_id(following.id, RunKind.ACT)) is not None


def test_ids_of_steps_are_their_incidents_time_and_differ_by_unit() -> None:
    parent = IncidentId("inc-019a0000000012345678")

    one, two = following_id(parent, "a.service"), following_id(parent, "b.service")

    assert (one[:16], len(one)) == (parent[:16], len(parent))
    assert len({one, two, parent}) == 3
    assert following_id(parent, "a.service") == one
    assert following_id(IncidentId(one), "a.service") not in (one, parent)
