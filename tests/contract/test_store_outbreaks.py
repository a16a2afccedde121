"""What ports.Store promises of outbreaks, asked of the real store and of its in-memory twin alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState, Origin
from orchestrator.domain.outbreaks import Member, MemberEnd, OutbreakState
from orchestrator.domain.runs import HostEnd, PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Facts, Outcome, Verdict
from orchestrator.ports import Store
from orchestrator.record.store import SqlStore, open_store
from tests.contract.test_store_contract import NOW, Clock, job, signal
from tests.support.stores import KINDS, one_of

SINCE = NOW - timedelta(minutes=2)
RESTART = Decision(action="restart_service", parameters={"service": "nginx"}, reason="it crashed", chooser="fake")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path, clock)


def sick(store: Store, *hosts: str, origin: Origin = Origin.LOG, name: str = "sig-1") -> tuple[IncidentId, ...]:
    """An incident of the same signature on each host, being planned."""
    found = tuple(store.absorb(host, "journal", [signal(name=name)], None, origin=origin)[0] for host in hosts)
    for incident in found:
        assert store.move(incident, IncidentState.PLANNING, "", expected=(IncidentState.OPEN,))
    return found


def healing(store: Store, *hosts: str) -> tuple[str, tuple[IncidentId, ...]]:
    """An outbreak whose members wait for a wave."""
    found = sick(store, *hosts)
    outbreak = store.outbreak_for(found[0], hosts=len(hosts), since=SINCE)
    assert outbreak is not None
    for incident in found:
        assert store.join_outbreak(incident, RESTART) == outbreak.id
        store.move(incident, IncidentState.HEALING, "", expected=(IncidentState.PLANNING,))
    return outbreak.id, found


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.events() if event.kind.startswith("outbreak.")]


def member(store: Store, incident: str) -> Member:
    found = store.membership(incident)
    assert found is not None
    return found


def test_so_many_hosts_of_a_signature_make_one_outbreak(store: Store) -> None:
    first, second = sick(store, "web1", "web2")
    assert store.outbreak_for(first, hosts=3, since=SINCE) is None
    (third,) = sick(store, "web3")
    made = store.outbreak_for(second, hosts=3, since=SINCE)
    assert made is not None
    assert (made.id, ids.decider_of(made.id)) == (ids.outbreak_id(second), second)
    assert (made.state, made.signature, made.action, made.wave) == (OutbreakState.HEALING, "sig-1", "", 0)
    assert store.outbreak_for(third, hosts=3, since=SINCE) == made == store.outbreak_for(first, hosts=9, since=SINCE)
    assert store.outbreak(made.id) == made
    assert store.outbreaks() == (made,) == store.outbreaks(states=(OutbreakState.HEALING,))
    assert store.outbreaks(states=(OutbreakState.STOPPED,)) == ()
    assert kinds(store) == ["outbreak.opened"]


@pytest.mark.parametrize("why", ["same host", "long ago", "other error", "asked for by a person", "noise"])
def test_what_does_not_count_as_a_sick_host(store: Store, why: str) -> None:
    (first,) = sick(store, "web1")
    (second,) = sick(store, "web2", origin=Origin.TRIGGER if why == "asked for by a person" else Origin.LOG)
    if why == "same host":
        store.absorb("web2", "journal", [signal(unit="other.service")], None)
    else:
        (third,) = sick(store, "web3", name="sig-2" if why == "other error" else "sig-1")
        if why == "noise":
            store.move(third, IncidentState.NOISE, "", expected=(IncidentState.PLANNING,))
    since = NOW + timedelta(hours=1) if why == "long ago" else SINCE
    assert store.outbreak_for(first, hosts=3, since=since) is None
    assert store.outbreak_for("inc-none", hosts=1, since=SINCE) is None
    assert second


def test_members_join_with_the_one_decision_once_a_host(store: Store) -> None:
    found = sick(store, "web1", "web2", "web3")
    outbreak = store.outbreak_for(found[0], hosts=3, since=SINCE)
    assert outbreak is not None
    assert store.join_outbreak(found[1], RESTART) == outbreak.id
    assert store.join_outbreak(found[1], RESTART) == outbreak.id
    assert store.join_outbreak(found[0], replace(RESTART, parameters={"service": "other"})) == ""
    assert store.join_outbreak(found[0], replace(RESTART, reason="other words", chooser="other")) == outbreak.id
    (again,) = store.absorb("web2", "journal", [signal(unit="php.service")], None)
    store.move(again, IncidentState.PLANNING, "", expected=(IncidentState.OPEN,))
    assert store.join_outbreak(again, RESTART) == ""
    store.move(found[2], IncidentState.ESCALATED, "", expected=(IncidentState.PLANNING,))
    assert store.join_outbreak(found[2], RESTART) == ""
    now = store.outbreak(outbreak.id)
    assert now is not None
    assert (now.action, dict(now.parameters)) == ("restart_service", {"service": "nginx"})
    assert [one.incident_id for one in store.members(outbreak.id)] == [found[0], found[1]]
    assert all(one.waits and not one.held for one in store.members(outbreak.id))
    assert store.membership(found[2]) is None
    assert kinds(store) == ["outbreak.opened", "outbreak.joined", "outbreak.joined"]


def test_a_wave_holds_its_hosts_against_everything_but_itself(store: Store) -> None:
    outbreak, (first, second, _) = healing(store, "web1", "web2", "web3")
    assert store.take_member(first, 1)
    assert store.take_member(first, 1)
    assert not store.take_member(first, 2)
    now = store.outbreak(outbreak)
    assert now is not None
    assert now.wave == 1
    assert member(store, first).held
    assert [store.in_wave(host) for host in ("web1", "web2")] == [True, False]
    assert store.claim(job("inc-other", "web2", "web1"), signatures=frozenset()) is RunStatus.BUSY
    assert store.claim(job(outbreak, "web1"), signatures=frozenset()) is None
    store.end_member(first, MemberEnd.VERIFIED, "verified")
    store.end_member(first, MemberEnd.FAILED, "the first stands")
    assert (member(store, first).ending, member(store, first).reason) == (MemberEnd.VERIFIED, "verified")
    assert not store.in_wave("web1")
    assert not store.take_member(first, 2)
    assert store.take_member(second, 2)


def held_by_a_wave(store: Store) -> Callable[[], object]:
    """web1 is in a wave of another error; the answer ends that."""
    ours = [store.absorb(host, "journal", [signal(name="sig-2", unit="php")], None)[0] for host in ("web1", "web4")]
    for incident in ours:
        store.move(incident, IncidentState.PLANNING, "", expected=(IncidentState.OPEN,))
    assert store.outbreak_for(ours[0], hosts=2, since=SINCE)
    assert store.join_outbreak(ours[0], RESTART)
    store.move(ours[0], IncidentState.HEALING, "", expected=(IncidentState.PLANNING,))
    assert store.take_member(ours[0], 1)
    return lambda: store.end_member(ours[0], MemberEnd.VERIFIED, "")


def held_by_a_run(store: Store, why: str) -> Callable[[], object]:
    """Another healing of web1 has begun to run, and maybe runs, or was cut; the answer ends that."""
    (other,) = store.absorb("web1", "journal", [signal(name="sig-2", unit="php")], None)
    store.move(other, IncidentState.PLANNING, "", expected=(IncidentState.OPEN,))
    store.move(other, IncidentState.HEALING, "", expected=(IncidentState.PLANNING,))
    run = job(other, "web1", kind=RunKind.CHECK)
    store.claim(run, signatures=frozenset())
    if why != "a run":
        status = RunStatus.UNKNOWN if why == "a cut run" else RunStatus.SUCCEEDED
        store.finish(PlaybookResult(run_id=run.run_id, status=status), slot_shut=why == "a cut run")

    def free() -> None:
        store.finish(PlaybookResult(run_id=run.run_id, status=RunStatus.SUCCEEDED), slot_shut=False)
        store.open_slot(run.run_id)
        store.move(other, IncidentState.VERIFIED, "", expected=(IncidentState.HEALING,))

    return free


@pytest.mark.parametrize("why", ["a run", "a cut run", "a healing that has begun", "another wave"])
def test_a_host_that_is_held_is_not_taken(store: Store, why: str) -> None:
    _, (first, *_) = healing(store, "web1", "web2", "web3")
    free = held_by_a_wave(store) if why == "another wave" else held_by_a_run(store, why)
    assert not store.take_member(first, 1)
    assert member(store, first).waits
    free()
    assert store.take_member(first, 1)


def test_only_an_incident_that_is_healing_is_taken(store: Store) -> None:
    _, (first, *_) = healing(store, "web1", "web2", "web3")
    store.move(first, IncidentState.EXPIRED, "closed", expected=(IncidentState.HEALING,))
    assert not store.take_member(first, 1)
    assert not store.take_member("inc-none", 1)


def test_it_ends_once_nobody_waits_or_may_still_join(store: Store) -> None:
    outbreak, found = healing(store, "web1", "web2", "web3")
    (late,) = sick(store, "web4")
    for incident in found:
        assert not store.end_outbreak(outbreak)
        store.end_member(incident, MemberEnd.VERIFIED if incident == found[0] else MemberEnd.WELL, "")
    assert not store.end_outbreak(outbreak)
    store.move(late, IncidentState.ESCALATED, "", expected=(IncidentState.PLANNING,))
    assert store.end_outbreak(outbreak)
    assert store.end_outbreak(outbreak)
    now = store.outbreak(outbreak)
    assert now is not None
    assert (now.state, now.reason) == (OutbreakState.HEALED, "1 of 3 members were acted on and verified")
    assert now.ended_at is not None
    # A new one stands alone: those of the outbreak count no more.
    (after,) = sick(store, "web5")
    assert store.outbreak_for(after, hosts=3, since=SINCE) is None
    assert store.join_outbreak(after, RESTART) == ""
    assert kinds(store)[-1] == "outbreak.healed"
    assert not store.stop_outbreak(outbreak, "late")


def test_one_that_nobody_was_acted_on_in_is_over_and_not_healed(store: Store) -> None:
    outbreak, found = healing(store, "web1", "web2")
    for incident in found:
        store.end_member(incident, MemberEnd.LEFT, "")
    assert store.end_outbreak(outbreak)
    now = store.outbreak(outbreak)
    assert now is not None
    assert now.state is OutbreakState.OVER


def test_who_comes_after_a_stop_is_told_of_it_for_a_while(store: Store) -> None:
    outbreak, (first, *_) = healing(store, "web1", "web2", "web3")
    assert store.stop_outbreak(outbreak, "web1 did not verify")
    assert not store.stop_outbreak(outbreak, "again")
    assert not store.take_member(first, 1)
    (late,) = sick(store, "web4")
    found = store.outbreak_for(late, hosts=3, since=SINCE)
    assert found is not None
    assert (found.id, found.state, found.reason) == (outbreak, OutbreakState.STOPPED, "web1 did not verify")
    assert store.join_outbreak(late, RESTART) == ""
    assert store.outbreak_for(late, hosts=3, since=NOW + timedelta(hours=1)) is None


def test_who_waits_for_a_wave_is_in_no_line_of_the_fleet(store: Store) -> None:
    _, (first, second, _) = healing(store, "web1", "web2", "web3")
    for incident in (first, second):
        store.record_decision(incident, RESTART)
        store.record_verdict(incident, Verdict(outcome=Outcome.WAITS, rule="busy", reason="busy"), Facts())
    assert store.places() == ()
    assert store.take_member(first, 1)
    assert [one.incident_id for one in store.places()] == [first]


def wave(outbreak: str, kind: RunKind, *hosts: str) -> PlaybookJob:
    return replace(job(outbreak, *hosts, kind=kind), run_id=ids.run_id(ids.wave_id(outbreak, 1), kind))


def acted(store: Store) -> tuple[str, tuple[IncidentId, ...]]:
    """A wave of two that was checked and acted on: web1 well, web2 refused."""
    outbreak, found = healing(store, "web1", "web2", "web3")
    assert all(store.take_member(one, 1) for one in found[:2])
    for kind in (RunKind.CHECK, RunKind.ACT):
        run = wave(outbreak, kind, "web1", "web2")
        assert store.claim(run, signatures=frozenset({Signature("sig-1")})) is None
        ends = {"web1": HostEnd(status=RunStatus.SUCCEEDED), "web2": HostEnd(status=RunStatus.REFUSED, reason="masked")}
        status = RunStatus.FAILED
        store.finish(PlaybookResult(run_id=run.run_id, status=status, ends=ends), slot_shut=False)
    return outbreak, found


def test_the_runs_of_a_wave_are_those_of_its_members(store: Store) -> None:
    outbreak, (first, second, third) = acted(store)
    theirs = [ids.run_id(ids.wave_id(outbreak, 1), kind) for kind in (RunKind.ACT, RunKind.CHECK)]
    assert [run.id for run in store.runs(incident_id=first)] == theirs
    assert [run.id for run in store.runs(incident_id=second)] == theirs
    assert {run.status for run in store.runs(incident_id=first)} == {RunStatus.SUCCEEDED}
    assert {(run.status, run.reason) for run in store.runs(incident_id=second)} == {(RunStatus.REFUSED, "masked")}
    assert [run.id for run in store.runs(incident_id=outbreak)] == theirs
    assert store.runs(incident_id=third) == ()


def test_statistics_count_each_member_that_was_acted_on(store: Store) -> None:
    _, (first, *_) = acted(store)
    assert (store.statistics().total_attempts, store.statistics().pending) == (1, 1)
    store.move(first, IncidentState.VERIFIED, "", expected=(IncidentState.HEALING,))
    store.move(first, IncidentState.HEALED, "", expected=(IncidentState.VERIFIED,))
    assert (store.statistics().total_attempts, store.statistics().successful) == (1, 1)
    assert len(store.healing_seconds()) == 1
    assert [len(store.attempts(host, NOW)) for host in ("web1", "web2")] == [1, 0]


def test_retention_takes_an_outbreak_with_the_last_of_its_members(tmp_path: Path, clock: Clock) -> None:
    store: SqlStore = open_store(f"sqlite:///{tmp_path / 'healer.sqlite'}", clock=clock)
    outbreak, found = acted(store)
    for incident in found:
        store.move(incident, IncidentState.HEALED, "", expected=(IncidentState.HEALING,))
    later = NOW + timedelta(days=400)
    assert store.old_incidents(later, 10) == ()
    for incident in found:
        store.end_member(incident, MemberEnd.VERIFIED, "")
    store.end_outbreak(outbreak)
    before = store.statistics()
    clock.now = NOW + timedelta(days=800)
    assert len(store.old_incidents(later, 10)) == 3
    assert store.prune_incidents(found[:1], later) == 1
    assert store.outbreak(outbreak) is not None
    assert store.prune_incidents(found, later) == 2
    assert store.outbreak(outbreak) is None
    assert store.runs(limit=10) == ()
    assert store.statistics() == before
    store.close()
