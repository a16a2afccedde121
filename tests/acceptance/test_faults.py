"""Break three real hosts in every way that the lab knows, in turn; then look at the hosts, and as an auditor.

What became of a host is asked of the host itself, by plain commands. The table of all is printed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lab.faults import faults
from orchestrator.domain.actions import ESCALATE, Decision
from orchestrator.domain.ids import approval_id
from orchestrator.domain.incidents import FINAL, Incident, IncidentState
from orchestrator.domain.runs import Run, RunKind
from orchestrator.record.store import SqlStore, open_store
from tests.acceptance.conftest import PATIENCE, Healer, wait_for
from tests.support.broken import BROKEN

#: Looks at a host, a second apart: cron's minute, and some.
LOOKS = 75
HEALED, ESCALATED = IncidentState.HEALED, IncidentState.ESCALATED


@dataclass(frozen=True)
class Case:
    """One fault on one host, and how it must end."""

    fault: str
    host: str
    action: str
    end: IncidentState
    #: What became of each kind of run.
    runs: Mapping[str, str]
    #: What its next step does; '': it has none.
    then: str = ""


def healed(fault: str, host: str, action: str) -> Case:
    return Case(fault, host, action, HEALED, {"check": "sick", "act": "succeeded", "verify": "succeeded"})


def refused(fault: str, host: str, action: str) -> Case:
    return Case(fault, host, action, ESCALATED, {"check": "sick", "act": "refused"})


def told(fault: str, host: str) -> Case:
    return Case(fault, host, ESCALATE, ESCALATED, {})


#: What is run before a person is asked.
ASKED = {"look": "sick", "plan": "succeeded"}
#: In turn on each host; what web3 is to do is proposed, and approved here.
CASES = [
    healed("nginx-killed", "web1", "restart_service"),
    refused("nginx-broken", "web1", "restart_service"),
    healed("socket-limit", "web1", "restart_service"),
    healed("config-stale", "web1", "reload_config"),
    refused("config-broken", "web1", "reload_config"),
    healed("zombies-ignored", "web1", "kill_zombie_process"),
    healed("log-unwritable", "web1", "fix_permissions"),
    told("cert-expired", "web1"),
    told("injected-log", "web1"),
    healed("resolver-hung", "web2", "restart_network"),
    healed("resolver-dead", "web2", "restart_network"),
    healed("disk-full-rotated", "web2", "free_disk_space"),
    Case(
        "disk-full-fatal",
        "web2",
        "free_disk_space",
        HEALED,
        {"check": "sick", "act": "succeeded", "verify": "succeeded"},
        "restart_service",
    ),
    # After it one more file system stays full on that host.
    refused("disk-full-live", "web2", "free_disk_space"),
    healed("lists-torn", "web2", "clear_cache"),
    healed("log-overgrown", "web2", "rotate_logs"),
    Case(
        "start-limit-lasting",
        "web2",
        "restart_service",
        ESCALATED,
        {"check": "sick", "act": "succeeded", "verify": "sick"},
    ),
    healed("cron-noexec", "web3", "fix_permissions"),
    healed("unit-noexec", "web3", "fix_permissions"),
    healed("rotation-failed", "web3", "rotate_logs"),
    healed("start-limit", "web1", "restart_service"),
    healed("unit-file-changed", "web3", "reload_config"),
    healed("update-failed", "web3", "clear_cache"),
    healed("zombies-missed", "web3", "kill_zombie_process"),
]


@dataclass(frozen=True)
class Ended:
    """What became of a case."""

    incident: Incident
    decision: Decision
    seconds: float
    #: Of the incident, and of all that the fault led to.
    runs: tuple[Run, ...]
    acts: tuple[Run, ...]
    #: What the host itself says: whether the command of the case succeeded, and its output.
    stands: bool
    said: str


class Host:
    """One host while it is broken in turn."""

    def __init__(self, name: str, healer: Healer, store: SqlStore) -> None:
        self._name, self._healer, self._store = name, healer, store

    def go_through(self, case: Case) -> Ended:
        """Break it, wait until all that this led to has ended, look at the host, and clear up behind it."""
        former = {one.id for one in self._store.incidents(host=self._name, limit=1000)}
        self._healer.lab.break_(case.fault, self._name)
        # A cron job's error is held for as long as its period, a minute.
        what = f"{case.fault} on {self._name} has ended"
        mine, decision = wait_for(lambda: self._ended(case, former), what, 2 * PATIENCE)

        broken = BROKEN[case.fault]
        look = (case.end is ESCALATED and broken.untouched) or broken.well
        # A job shows at its next time that it is well.
        for _ in range(LOOKS):
            looked = self._healer.lab.execute(self._name, look, check=False)
            if looked.returncode == 0:
                break
            time.sleep(1)
        if case.end is ESCALATED and broken.remedy:
            self._healer.lab.execute(self._name, broken.remedy)
        return Ended(
            mine,
            decision,
            (self._store.events(incident_id=mine.id)[-1].at - mine.first_seen).total_seconds(),
            self._store.runs(incident_id=mine.id),
            tuple(
                run
                for run in self._store.runs(host=self._name, kinds=[RunKind.ACT], limit=1000)
                if run.incident_id not in former
            ),
            looked.returncode == 0,
            looked.stdout + looked.stderr,
        )

    def _ended(self, case: Case, former: Collection[str]) -> tuple[Incident, Decision] | None:
        """The incident that got the action of the case, once this and all others that came of it have ended."""
        new = [one for one in self._store.incidents(host=self._name) if one.id not in former]
        for one in new:
            if one.state is IncidentState.PENDING_APPROVAL:
                # Asked again before the worker saw the answer, it says so.
                self._healer("approvals", "approve", approval_id(one.id), "--reason", "so", check=False)
        if not all(one.state in FINAL for one in new) or any(one.follows for one in new) is not bool(case.then):
            return None
        decided = [(one, self._store.decision(one.id)) for one in new if one.state is not IncidentState.JOINED]
        return next(((one, decision) for one, decision in decided if decision and decision.action == case.action), None)


@pytest.fixture(scope="module")
def ends(serving: Healer) -> Iterator[dict[str, Ended]]:
    """Fault -> what became of it: one after the other on a host, the hosts side by side."""
    store = open_store(f"sqlite:///{serving.state}/healer.sqlite")
    found: dict[str, Ended] = {}

    def in_turn(name: str) -> None:
        host = Host(name, serving, store)
        for case in CASES:
            if case.host == name:
                found[case.fault] = host.go_through(case)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(in_turn, sorted({case.host for case in CASES})))
    yield found
    store.close()


def table(found: Mapping[str, Ended]) -> str:
    """Fault, action, seconds from the error line to the end, result."""
    rows = [("fault", "action chosen", "seconds", "result")]
    for case in CASES:
        ended = found[case.fault]
        acted = f"{ended.runs[0].status}, " if case.runs.get("act") == "refused" else ""
        rows.append((case.fault, ended.decision.action, f"{ended.seconds:.1f}", f"{acted}{ended.incident.state}"))
    return "\n" + "\n".join(f"{fault:22}{action:22}{seconds:>8}  {result}" for fault, action, seconds, result in rows)


each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)


def test_every_fault_is_there_and_every_action_has_two() -> None:
    known = {fault.name: fault.expects for fault in faults()}

    assert sorted(case.fault for case in CASES) == sorted(known)
    for action in {case.action for case in CASES} - {ESCALATE}:
        assert len([case for case in CASES if case.action == action]) > 1, action
    for case in CASES:
        expected = {HEALED: case.action, ESCALATED: "refused" if case.runs.get("act") == "refused" else ESCALATE}
        assert known[case.fault] == expected[case.end]


@each
def test_each_fault_ends_as_it_should(ends: dict[str, Ended], case: Case) -> None:
    ended = ends[case.fault]

    assert ended.incident.state == case.end, ended.incident.reason
    before = ASKED if case.host == "web3" and case.runs else {}
    assert {str(run.kind): str(run.status) for run in ended.runs} == {**before, **case.runs}
    assert ended.stands, ended.said


@each
def test_nothing_is_done_that_no_fault_asked_for(ends: dict[str, Ended], case: Case) -> None:
    acts = ends[case.fault].acts

    asked_for = [case.then] * bool(case.then) + [case.action] * ("act" in case.runs)
    assert [(run.action, run.hosts) for run in acts] == [(action, (case.host,)) for action in asked_for]


@each
def test_a_check_finds_it_sick_before_the_act_and_a_verify_looks_after_it(ends: dict[str, Ended], case: Case) -> None:
    runs = [run for kind in RunKind for run in ends[case.fault].runs if run.kind is kind]

    assert all(run.ended and run.ended <= following.started for run, following in itertools.pairwise(runs))


def test_all_have_ended(ends: dict[str, Ended], record_property: Callable[[str, object], None]) -> None:
    record_property("table", table(ends))

    assert len(ends) == len(CASES)


def test_a_start_limit_loop_is_one_incident(ends: dict[str, Ended]) -> None:
    assert ends["start-limit"].incident.count > 1


def test_nothing_of_our_own_visits_opened_an_incident(ends: dict[str, Ended], serving: Healer) -> None:
    texts = [one["template"] for name in ("web1", "web2", "web3") for one in serving.incidents(name)]

    assert texts
    assert [text for text in texts if any(word in text for word in ("sudo", "sshd", "ansible", "pam_unix"))] == []


def test_what_died_of_a_full_file_system_is_started_as_the_next_step(ends: dict[str, Ended], serving: Healer) -> None:
    ended = ends["disk-full-fatal"]
    (step,) = [one for one in serving.incidents("web2") if one["follows"] == ended.incident.id]

    assert (step["state"], step["step"], ended.runs[0].kind) == ("healed", 2, RunKind.VERIFY)
    shown = serving("incidents", "show", step["id"]).stdout
    assert f"step 2 of a healing: goes on with {ended.incident.id}" in shown
    assert "decision by follow_up: restart_service service=basket" in shown
    assert f"goes on as {step['id']}: restart_service" in serving("incidents", "show", ended.incident.id).stdout


def test_a_full_file_system_that_nobody_may_clear_is_told_with_its_biggest_file(ends: dict[str, Ended]) -> None:
    reason = ends["disk-full-live"].incident.reason

    assert "/var/log/orders/orders.log (16 MiB) is no rotated log" in reason
