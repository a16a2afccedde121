"""What ports.Store promises of the whole fleet, asked of the real store and of its in-memory twin alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.actions import ESCALATE, Decision
from orchestrator.domain.fleet import FleetAttempt, Place
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import HostEnd, RunKind, RunStatus
from orchestrator.domain.verdicts import Facts, Outcome, Verdict
from orchestrator.fleet_port import BREAKER_RESET
from orchestrator.ports import Store
from tests.contract.test_store_contract import NOW, Clock, clock, ended, job, opened, store

__all__ = ["clock", "store"]

RESTART = Decision(action="restart_service", parameters={"service": "nginx.service"}, reason="", chooser="embedded")
LONG_AGO = NOW - timedelta(days=3)


def judged(store: Store, host: str = "web1", outcome: Outcome = Outcome.ALLOWED, digest: str = "d") -> IncidentId:
    """An incident that is healing, with that verdict."""
    incident = opened(store, host=host)
    store.record_decision(incident, RESTART)
    store.record_verdict(incident, Verdict(outcome=outcome, rule="r", reason="", digest=digest), Facts())
    move(store, incident, IncidentState.HEALING)
    return incident


def move(store: Store, incident: str, *states: IncidentState) -> None:
    for state in states:
        assert store.move(incident, state, "because", expected=[one for one in IncidentState if one is not state])


def acted(store: Store, incident: str, *hosts: str, status: RunStatus = RunStatus.SUCCEEDED) -> None:
    run = job(incident, *hosts)
    assert store.claim(run, signatures=frozenset()) is None
    store.finish(ended(run, status), slot_shut=False)


def test_places_are_what_is_healing_and_judged(store: Store) -> None:
    first, second, third = judged(store), judged(store, "web2", digest=""), judged(store, "web3", Outcome.WAITS)
    opened(store, host="web4")
    move(store, judged(store, "web5"), IncidentState.VERIFIED)

    place = Place(incident_id=first, host="web1", action="restart_service", outcome=Outcome.ALLOWED, admitted=True)
    assert store.places() == (
        place,
        replace(place, incident_id=second, host="web2", admitted=False),
        replace(place, incident_id=third, host="web3", outcome=Outcome.WAITS, admitted=False),
    )
    acted(store, first)
    assert store.places()[0] == replace(place, acted=True)


@pytest.mark.parametrize(
    ("kind", "held"), [(RunKind.ACT, True), (RunKind.ROLLBACK, True), (RunKind.CHECK, False), (RunKind.VERIFY, False)]
)
def test_hosts_are_held_by_what_changes_something(store: Store, kind: RunKind, held: bool) -> None:  # a row of a table
    run = job(opened(store), kind=kind)
    assert store.claim(run, signatures=frozenset()) is None
    assert store.held_hosts() == ({"web1"} if held else set())
    store.finish(ended(run, RunStatus.TIMED_OUT), slot_shut=True)
    assert store.held_hosts() == ({"web1"} if held else set())
    store.open_slot(run.run_id)
    assert store.held_hosts() == set()


def test_an_attempt_is_known_to_have_healed_once_its_incident_is_over(store: Store) -> None:
    first, second, third = judged(store), judged(store, "web2"), judged(store, "web3")
    for incident, host in ((first, "web1"), (second, "web2"), (third, "web3")):
        acted(store, incident, host)
    move(store, first, IncidentState.VERIFIED, IncidentState.HEALED)
    move(store, second, IncidentState.ESCALATED)
    move(store, third, IncidentState.VERIFIED)

    found = store.fleet_attempts(LONG_AGO, newest=0)

    assert [(one.host, one.action, one.healed) for one in found] == [
        ("web1", "restart_service", True),
        ("web2", "restart_service", False),
        ("web3", "restart_service", None),
    ]
    assert all(one.ended and one.at < one.ended for one in found)


@pytest.mark.parametrize("status", [RunStatus.REFUSED, RunStatus.BUSY])
def test_what_never_touched_the_host_is_no_attempt(store: Store, status: RunStatus) -> None:
    incident = judged(store)
    acted(store, incident, status=status)

    assert store.fleet_attempts(LONG_AGO, newest=9) == ()
    assert not store.places()[0].acted


def test_checks_and_verifies_are_no_attempts(store: Store) -> None:
    run = job(judged(store), kind=RunKind.VERIFY)
    assert store.claim(run, signatures=frozenset()) is None

    assert store.fleet_attempts(LONG_AGO, newest=9) == ()


def test_attempts_of_long_ago_are_told_as_far_as_the_newest_reach(store: Store, clock: Clock) -> None:
    for number in range(4):
        acted(store, judged(store, f"web{number}"), f"web{number}")
        clock.now += timedelta(hours=10)

    def told(hours: float, newest: int) -> list[str]:
        found: tuple[FleetAttempt, ...] = store.fleet_attempts(clock.now - timedelta(hours=hours), newest=newest)
        return [one.host for one in found]

    assert told(24, 0) == ["web2", "web3"]
    assert told(24, 1) == ["web2", "web3"]
    assert told(24, 3) == ["web1", "web2", "web3"]
    assert told(24, 9) == ["web0", "web1", "web2", "web3"]
    assert told(1, 1) == ["web3"]


def test_each_host_of_a_wave_is_an_attempt_with_its_own_member(store: Store) -> None:
    members = {}
    for host in ("web1", "web2", "web3"):
        members[host] = opened(store, host=host)
        store.move(members[host], IncidentState.PLANNING, "", expected=[IncidentState.OPEN])
        store.record_decision(members[host], RESTART)
    outbreak = store.outbreak_for(members["web1"], hosts=3, since=LONG_AGO)
    assert outbreak is not None
    for host, incident in members.items():
        assert store.join_outbreak(incident, RESTART) == outbreak.id, host
        store.record_verdict(
            incident, Verdict(outcome=Outcome.ALLOWED, rule="r", reason="", digest=f"d {host}"), Facts()
        )
        move(store, incident, IncidentState.HEALING)
        assert store.take_member(incident, 1)
    wave = job(outbreak.id, *members)
    assert store.claim(wave, signatures=frozenset()) is None
    assert [one.acted for one in store.places()] == [True] * 3
    ends = {
        "web1": HostEnd(status=RunStatus.SUCCEEDED),
        "web2": HostEnd(status=RunStatus.FAILED),
        "web3": HostEnd(status=RunStatus.REFUSED),
    }
    store.finish(replace(ended(wave, RunStatus.FAILED), ends=ends), slot_shut=False)
    move(store, members["web1"], IncidentState.VERIFIED, IncidentState.HEALED)
    move(store, members["web2"], IncidentState.ESCALATED)

    found = {one.host: one.healed for one in store.fleet_attempts(LONG_AGO, newest=0)}

    assert found == {"web1": True, "web2": False}
    assert [(one.host, one.acted) for one in store.places()] == [("web3", False)]


def test_hosts_are_sick_while_something_might_help_them(store: Store) -> None:
    states: dict[str, tuple[IncidentState, ...]] = {
        "planning": (IncidentState.PLANNING,),
        "asking": (IncidentState.PLANNING, IncidentState.PENDING_APPROVAL),
        "healing": (IncidentState.HEALING,),
        "verified": (IncidentState.HEALING, IncidentState.VERIFIED),
        "healed": (IncidentState.HEALING, IncidentState.VERIFIED, IncidentState.HEALED),
        "escalated": (IncidentState.ESCALATED,),
    }
    for host, way in states.items():
        incident = opened(store, host=host)
        store.record_decision(incident, RESTART)
        move(store, incident, *way)
    unhelped, undecided = opened(store, host="unhelped"), opened(store, host="undecided")
    store.record_decision(unhelped, replace(RESTART, action=ESCALATE, parameters={}))
    move(store, unhelped, IncidentState.ESCALATED)
    move(store, undecided, IncidentState.PLANNING)

    assert store.sick_hosts(NOW - timedelta(minutes=1)) == {"planning", "asking", "healing", "escalated"}
    assert store.sick_hosts(NOW + timedelta(minutes=1)) == {"planning", "asking", "healing"}


def test_a_breaker_counts_from_its_last_reset(store: Store, clock: Clock) -> None:
    assert store.breaker_resets() == {}
    store.append(BREAKER_RESET, text="", data={"action": ""})
    store.append(BREAKER_RESET, text="", data={"action": "restart_service"})
    last = store.append(BREAKER_RESET, text="", data={"action": ""}).at

    found = store.breaker_resets()

    assert found.keys() == {"", "restart_service"}
    assert found[""] == last > found["restart_service"]
