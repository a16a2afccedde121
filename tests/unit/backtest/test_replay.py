"""Recorded incidents through another catalogue, chooser and policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator import catalog
from orchestrator.backtest.replay import Change, Difference, counted, replay
from orchestrator.decide.candidates import candidates
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.detect.detector import Detector
from orchestrator.domain.actions import ESCALATE, NONE, Decision
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.records import LogRecord
from orchestrator.domain.verdicts import Facts, Outcome, UnitFacts, Verdict
from orchestrator.record.store import SqlStore, open_store
from orchestrator.testing import FakeFleet
from tests.support.decide_case import ROOT

WHITELIST = catalog.load(ROOT / "playbooks", ROOT / "roles")
ACTIONS = tuple(WHITELIST.actions.values())
LINE = "nginx.service: Main process exited, code=killed, status=9/KILL"
SINCE = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = open_store(f"sqlite:///{tmp_path / 'healer.sqlite'}")
    yield made
    made.close()


def host(mode: Mode = Mode.AUTO) -> Host:
    policy = HostPolicy(mode=mode)
    return Host(name="web1", groups=(), connection=Connection(kind="ssh", address="web1"), policy=policy)


def recorded(store: SqlStore, action: str = "restart_service", *, there: bool = True, healed: bool = True) -> str:
    now = datetime.now(UTC)
    record = LogRecord(time=now, host="web1", unit="nginx.service", priority=3, message=LINE, unit_failure=True)
    (incident,) = store.absorb("web1", "journal", Detector(ACTIONS).detect((record,), now), None)
    names = ["nginx.service"] if there else []
    offered = candidates(ACTIONS, "nginx.service", (record,), names)
    acts = action not in (ESCALATE, NONE)
    decision = Decision(
        action=action,
        parameters={"service": "nginx"} if acts else {},
        reason="so",
        chooser="embedded",
        offered=offered,
    )
    store.record_decision(incident, decision)
    unit = UnitFacts(
        asked="nginx",
        id="nginx.service",
        names=("nginx.service",),
        load_state="loaded",
        active_state="failed",
        sub_state="failed",
    )
    outcome = Outcome.ALLOWED if acts else Outcome.DENIED
    verdict = Verdict(outcome=outcome, rule="allowed" if acts else "no_action", reason="so")
    store.record_verdict(incident, verdict, Facts(units={"nginx": unit} if acts else {}))
    end = IncidentState.HEALED if healed else IncidentState.ESCALATED
    assert store.move(incident, end, "so", expected=list(IncidentState))
    return incident


def again(store: SqlStore, known: catalog.Catalog = WHITELIST, mode: Mode = Mode.AUTO) -> list[Difference]:
    return list(replay(store, SINCE, catalog=known, chooser=EmbeddedChooser(), fleet=FakeFleet(host(mode))))


def test_the_same_parts_decide_the_same(store: SqlStore) -> None:
    incident = recorded(store)
    events = store.newest()

    (one,) = again(store)

    assert (one.incident.id, one.change, one.healed) == (incident, Change.SAME, True)
    assert (dict(one.now.parameters), one.now_verdict.outcome) == ({"service": "nginx"}, Outcome.ALLOWED)
    assert store.newest() == events


def test_what_was_offered_comes_back_as_it_was(store: SqlStore) -> None:
    incident = recorded(store)

    decision = store.decision(incident)

    assert decision is not None
    assert decision.offered is not None
    assert ("restart_service", {"service": ("nginx",)}) in [(one.action, dict(one.values)) for one in decision.offered]
    facts = store.facts(incident)
    assert facts is not None
    assert facts.units["nginx"].load_state == "loaded"
    assert store.facts("inc-none") is None


def test_a_catalogue_without_the_action_no_longer_acts(store: SqlStore) -> None:
    recorded(store)
    left = {name: action for name, action in WHITELIST.actions.items() if name != "restart_service"}

    (one,) = again(store, replace(WHITELIST, actions=left))

    assert (one.change, one.now.acts, one.healed) == (Change.NO_LONGER_ACTS, False, True)


def test_what_was_escalated_and_now_acts_is_told_and_would_look_first(store: SqlStore) -> None:
    recorded(store, ESCALATE, healed=False)

    (one,) = again(store)

    assert (one.change, one.now.action, one.healed) == (Change.NEWLY_ACTS, "restart_service", False)
    assert (one.now_verdict.outcome, one.now_verdict.rule) == (Outcome.UNKNOWN, "facts")


def test_noise_and_escalation_are_told_apart(store: SqlStore) -> None:
    recorded(store, NONE, there=False)

    (one,) = again(store)

    assert (one.change, one.now.action) == (Change.TOLD, ESCALATE)


def test_another_policy_judges_otherwise(store: SqlStore) -> None:
    recorded(store)

    (one,) = again(store, mode=Mode.PROPOSE)

    assert one.change is Change.JUDGED
    assert one.now_verdict.outcome is Outcome.NEEDS_APPROVAL


def test_a_host_that_the_inventory_does_not_have_is_no_error(store: SqlStore) -> None:
    recorded(store)

    (one,) = replay(store, SINCE, catalog=WHITELIST, chooser=EmbeddedChooser(), fleet=FakeFleet())

    assert (one.now_verdict.outcome, one.now_verdict.rule) == (Outcome.UNKNOWN, "host")


def test_only_the_span_is_replayed_and_changes_are_counted(store: SqlStore) -> None:
    recorded(store)
    future = datetime.now(UTC) + timedelta(hours=1)

    assert list(replay(store, future, catalog=WHITELIST, chooser=EmbeddedChooser(), fleet=FakeFleet(host()))) == []
    summary = counted(again(store, mode=Mode.PROPOSE))
    assert (summary[Change.JUDGED], summary[Change.SAME]) == ((1, 1), (0, 0))
