"""The same error on three real hosts: decided once, tried on one, then carried to the others in one run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import MemberEnd, OutbreakState
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.record.store import SqlStore, open_store
from tests.acceptance.conftest import Healer, configured, end, start, wait_for
from tests.support.fleets import fleet

#: Some 25 s on a machine of its own.
pytestmark = pytest.mark.long

HOSTS = ("web1", "web2", "web3")
STARTED = "journalctl --unit nginx.service --output cat | grep --count '^Started nginx'"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healer]:
    folder = tmp_path_factory.mktemp("outbreak")
    variables = {"healing_mode": "auto", "healing_hold_seconds": 1, "healing_cooldown_seconds": 1}
    with fleet("outbreak", folder / "lab", len(HOSTS), variables=variables) as lab:
        yield configured(folder, lab)


@pytest.fixture
def store(three: Healer) -> Iterator[SqlStore]:
    three.state.mkdir(mode=0o700, exist_ok=True)
    made = open_store(f"sqlite:///{three.state}/healer.sqlite")
    yield made
    made.close()


def starts(three: Healer, host: str) -> int:
    return int(three.lab.execute(host, STARTED, check=False).stdout)


def broken(three: Healer) -> list[int]:
    """nginx is killed on every host before anybody looks, so all are seen in the first moments; how often it began."""
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        list(pool.map(lambda host: three.lab.break_("nginx-killed", host), HOSTS))
    return [starts(three, host) for host in HOSTS]


def healed(store: SqlStore) -> list[str]:
    """Hosts whose newest incident is healed."""
    newest = {one.host: one.state for one in reversed(store.incidents())}
    return sorted(host for host, state in newest.items() if state is IncidentState.HEALED)


def test_what_kills_a_service_everywhere_is_mended_on_one_host_first(three: Healer, store: SqlStore) -> None:
    before = broken(three)

    serving = start(three)
    try:
        wait_for(lambda: healed(store) == list(HOSTS), "all three are healed")
    finally:
        end(serving)

    (outbreak,) = store.outbreaks()
    members = store.members(outbreak.id)
    assert (outbreak.state, outbreak.action) == (OutbreakState.HEALED, "restart_service")
    assert {one.host: one.ending for one in members} == dict.fromkeys(HOSTS, MemberEnd.VERIFIED)
    assert sorted(one.wave for one in members) == [1, 2, 2]
    acts = list(reversed(store.runs(kinds=[RunKind.ACT])))
    assert [len(run.hosts) for run in acts] == [1, 2]
    assert sorted(host for run in acts for host in run.hosts) == list(HOSTS)
    assert all(run.status is RunStatus.SUCCEEDED for run in acts)
    # One decided, and the canary had verified before the others were touched.
    reasons = [found.reason for one in store.incidents() if (found := store.decision(one.id))]
    assert sum(reason.startswith(f"decided once for outbreak {outbreak.id}") for reason in reasons) == 2
    (verified, *_) = reversed(store.runs(kinds=[RunKind.VERIFY]))
    assert verified.hosts == acts[0].hosts
    assert verified.ended is not None
    assert verified.ended <= acts[1].started
    # The hosts themselves say the same: each began its service once more, and once only.
    assert [starts(three, host) for host in HOSTS] == [count + 1 for count in before]
    shown = three("outbreaks", "show", outbreak.id).stdout
    assert "wave 1" in shown
    assert "wave 2" in shown


def test_a_worker_that_is_killed_in_the_middle_of_a_wave_goes_on_with_it(three: Healer, store: SqlStore) -> None:
    known = {one.id for one in store.outbreaks()}
    before = broken(three)
    first = start(three)

    def acting() -> bool:
        runs = store.runs(kinds=[RunKind.ACT])
        return any(run.status is RunStatus.RUNNING and run.pid and len(run.hosts) == 2 for run in runs)

    wait_for(acting, "the second wave acts")
    first.kill()
    first.wait()
    second = start(three)
    try:
        wait_for(lambda: all(one.state is OutbreakState.HEALED for one in store.outbreaks()), "the outbreak is healed")
        wait_for(lambda: healed(store) == list(HOSTS), "all three are healed")
    finally:
        end(second)
    (outbreak,) = [one for one in store.outbreaks() if one.id not in known]
    acts = [run for run in store.runs(incident_id=outbreak.id) if run.kind is RunKind.ACT]
    assert sorted(len(run.hosts) for run in acts) == [1, 2]
    assert [starts(three, host) for host in HOSTS] == [count + 1 for count in before]
