"""Runs on a real host over SSH: its key, its privileges, and what goes on there after a run was cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lab.fleet import Lab
from orchestrator.act.executor import RunnerExecutor
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import RunId
from orchestrator.domain.runs import RunStatus
from orchestrator.fleet.inventory import InventoryFleet
from orchestrator.testing import FakeFleet, FakeProbe
from tests.support.act_stage import Stage, environment, until
from tests.support.fleets import fleet

pytestmark = pytest.mark.lab


class LabProbe(FakeProbe):
    """Looks on the host itself, past SSH."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._lab = lab

    def running(self, host: Host, run_id: RunId) -> bool:
        command = f"grep -lzx 'HEALING_RUN={run_id}' /proc/[0-9]*/environ 2>/dev/null"
        return self._lab.execute(host.name, command, check=False).stdout.strip() != ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with fleet("act", tmp_path_factory.mktemp("lab"), hosts=1) as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path, lab: Lab) -> Iterator[Stage]:
    made = Stage(tmp_path, environment(), LabProbe(lab))
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return InventoryFleet(lab.inventory, environment()).host("web1")


def test_a_run_over_ssh_acts_as_root_and_knows_its_id(stage: Stage, lab: Lab, host: Host) -> None:
    tasks = """
    - name: Leave a mark that only root can
      ansible.builtin.shell: echo "$HEALING_RUN" > /var/lib/act-mark
      changed_when: true
    """
    job = stage.job(stage.action("mark", tasks), hosts=(host,))
    result = stage.executor.execute(job)
    assert (result.status, result.reason, result.changed) == (RunStatus.SUCCEEDED, "", True)
    assert lab.execute("web1", "cat /var/lib/act-mark").stdout.strip() == job.run_id
    recorded = json.loads((stage.artifacts(job) / "hosts.json").read_text())["hosts"]["web1"]
    assert recorded["ansible_user"] == "healer"
    assert "ansible_ssh_common_args" not in recorded


@pytest.mark.parametrize(
    "wish", [{}, {"ansible_host_key_checking": False, "ansible_ssh_args": "-o StrictHostKeyChecking=no"}]
)
def test_an_unknown_host_key_is_never_accepted(stage: Stage, host: Host, wish: dict[str, object]) -> None:
    empty = stage.folder / "known_hosts"
    empty.touch()
    stranger = replace(
        host,
        variables={key: value for key, value in host.variables.items() if "args" not in key} | wish,
        connection=replace(host.connection, ssh_arguments=()),
    )
    job = stage.job(stage.action("look", "- name: Look\n  ansible.builtin.ping:\n"), hosts=(stranger,))
    result = stage.executor.execute(job)
    assert result.status is RunStatus.UNREACHABLE
    assert "Host key verification failed" in result.reason
    assert empty.read_text() == ""
    run = stage.store.run(job.run_id)
    assert run is not None
    assert not run.slot_shut, "it was never reached, so nothing of it can run there"


def test_a_cut_run_goes_on_there_and_keeps_the_slot_shut(stage: Stage, lab: Lab, host: Host) -> None:
    """The host finishes the task that it began (tried): nobody else may touch it until then."""
    tasks = "- name: Take long\n  ansible.builtin.command: sleep 300\n  changed_when: false\n"
    job = stage.job(stage.action("long", tasks), hosts=(host,))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.executor.execute, job)
        until(lambda: lab.execute("web1", "pgrep -x sleep", check=False).returncode == 0)
        stage.another().cancel(job.run_id)
        result = running.result()

    assert result.status is RunStatus.CANCELED
    assert stage.left(job) == set()
    assert stage.probe.running(host, job.run_id)
    run = stage.store.run(job.run_id)
    assert run is not None
    assert run.slot_shut
    next_job = replace(job, run_id=RunId("inc-0002-act"))
    assert stage.executor.execute(next_job).status is RunStatus.BUSY

    lab.execute("web1", "pkill -x sleep")
    until(lambda: not stage.probe.running(host, job.run_id))
    # Another process by now: it knows the host from the inventory alone.
    later = RunnerExecutor(stage.settings, stage.store, stage.probe, FakeFleet(host))
    assert later.settle(job.run_id)
    assert (
        stage.executor.execute(replace(job, run_id=RunId("inc-0003-act"), run_timeout=1)).status is not RunStatus.BUSY
    )
