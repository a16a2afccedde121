"""The fleet itself, on real hosts: what it promises to every other test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from lab import machine, podman
from lab.errors import LabError
from lab.faults import faults
from lab.fleet import Lab
from lab.network import Network
from lab.podman import Podman
from tests.support.broken import BROKEN

pytestmark = pytest.mark.lab

PATIENCE = 30.0


@pytest.fixture
def other(tmp_path: Path, worker: str) -> Iterator[Lab]:
    """A second lab of one host, for tests that harm it."""
    other = Lab(f"test-{os.getpid()}-{worker}other", tmp_path)
    try:
        other.up(1)
        yield other
    finally:
        other.down()


def ssh(lab: Lab, host: str, command: str) -> subprocess.CompletedProcess[str]:
    """As a user would, with what the inventory says and nothing else."""
    group = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))["lab"]
    common = group["vars"]
    return subprocess.run(
        [
            *("ssh", "-F", "none", "-o", "BatchMode=yes", *common["ansible_ssh_common_args"].split()),
            *("-i", common["ansible_ssh_private_key_file"], "-p", str(common["ansible_port"])),
            *(f"{common['ansible_user']}@{group['hosts'][host]['ansible_host']}", command),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.1)


def container_pids(name: str) -> tuple[int, int]:
    """A container's monitor and its first process."""
    answer = Podman().run("inspect", "--format", "{{.State.ConmonPid}} {{.State.Pid}}", name)
    monitor, first = answer.stdout.split()
    return int(monitor), int(first)


def test_a_fresh_host_is_well_and_its_journal_has_nothing_to_say(other: Lab) -> None:
    assert other.execute("web1", "systemctl is-system-running").stdout.strip() == "running"

    ssh(other, "web1", "sudo true")
    records = other.execute("web1", "journalctl --sync; journalctl --priority=warning --output=cat").stdout

    assert records.replace("-- No entries --", "").strip() == ""


def test_hosts_are_what_operators_know(lab: Lab) -> None:
    assert [host.name for host in lab.status()] == ["web1", "web2", "web3"]
    assert {host.state for host in lab.status()} == {"running"}
    assert lab.execute("web2", "cat /proc/1/comm; hostname").stdout.split() == ["systemd", "web2"]
    for unit in ("systemd-journald", "ssh", "cron", "nginx", "systemd-resolved"):
        assert lab.execute("web2", f"systemctl is-active {unit}").stdout.strip() == "active", unit
    assert lab.execute("web2", "systemctl show --property=Restart --value nginx").stdout.strip() == "no"
    assert lab.execute("web1", "cat /etc/machine-id").stdout != lab.execute("web2", "cat /etc/machine-id").stdout


def test_the_first_login_checks_the_host_key_and_sudo_asks_nothing(lab: Lab) -> None:
    answer = ssh(lab, "web1", "id -un && id -Gn && sudo -n id -un && journalctl --lines=1 --quiet >/dev/null")

    assert answer.returncode == 0, answer.stderr
    user, groups, root = answer.stdout.splitlines()
    assert (user, root) == ("healer", "root")
    assert {"adm", "systemd-journal"} <= set(groups.split())
    assert lab.key.stat().st_mode & 0o777 == 0o600


def test_a_host_with_another_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    rows = lab.known_hosts.read_text(encoding="utf-8").splitlines()
    keys = [row.split()[2] for row in rows]
    swapped = tmp_path / "known_hosts"
    swapped.write_text(
        "".join(f"{row.split()[0]} ssh-ed25519 {keys[index - 1]}\n" for index, row in enumerate(rows)),
        encoding="utf-8",
    )

    address = lab.status()[0].address
    answer = subprocess.run(
        [
            *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"UserKnownHostsFile={swapped}", "-i", str(lab.key), f"healer@{address}", "true"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert answer.returncode == 255
    assert "Host key verification failed" in answer.stderr


def test_ansible_reaches_every_host_through_the_inventory(lab: Lab, tmp_path: Path) -> None:
    answer = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), "--inventory", str(lab.inventory), "lab"),
            *("--module-name", "ansible.builtin.command", "--args", "id -un"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.split().count("root") == 3


def test_hosts_reach_each_other_by_name(lab: Lab) -> None:
    greeting = lab.execute("web1", "timeout 5 bash -c 'head --bytes=4 </dev/tcp/web3/22'").stdout

    assert greeting == "SSH-"


def test_up_twice_is_up_once_and_more_hosts_join(other: Lab) -> None:
    first = other.execute("web1", "cat /etc/machine-id").stdout
    keys = other.known_hosts.read_text(encoding="utf-8")

    other.up(1, variables={"healing_mode": "auto"})
    other.up(2, host_variables={"web2": {"healing_mode": "off"}})

    assert other.execute("web1", "cat /etc/machine-id").stdout == first
    assert other.known_hosts.read_text(encoding="utf-8").startswith(keys)
    assert [host.name for host in other.up(1)] == ["web1", "web2"]
    group = yaml.safe_load(other.inventory.read_text(encoding="utf-8"))["lab"]
    assert group["vars"]["healing_mode"] == "auto"
    assert group["hosts"]["web2"]["healing_mode"] == "off"
    assert other.execute("web1", "getent hosts web2").stdout.split()[0] == other.status()[1].address


def test_labs_never_meet(lab: Lab, other: Lab) -> None:
    assert not {host.address for host in lab.status()} & {host.address for host in other.status()}

    other.down()

    assert other.status() == []
    assert {host.state for host in lab.status()} == {"running"}
    assert ssh(lab, "web1", "true").returncode == 0


def test_a_name_that_is_taken_elsewhere_is_refused(other: Lab, tmp_path: Path) -> None:
    thief = Lab(other.name, tmp_path / "elsewhere")

    with pytest.raises(LabError, match="belongs to"):
        thief.up(1)
    with pytest.raises(LabError, match="belongs to"):
        thief.down()

    assert [host.state for host in other.status()] == ["running"]


@pytest.mark.long
def test_up_boots_a_host_that_was_shut_down_with_its_disk(other: Lab) -> None:
    other.execute("web1", "echo kept >/var/lib/kept")
    Podman().run("stop", "--time", "20", other.status()[0].container)
    assert [host.state for host in other.status()] == ["stopped"]

    other.up(1)

    assert other.execute("web1", "cat /var/lib/kept").stdout == "kept\n"
    assert ssh(other, "web1", "true").returncode == 0


@pytest.mark.long
def test_up_replaces_hosts_that_a_cut_off_killed(other: Lab) -> None:
    for pid in container_pids(other.status()[0].container):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: [host.state for host in other.status()] == ["stopped"], "the host counts as stopped")

    other.up(1)

    assert [host.state for host in other.status()] == ["running"]
    assert ssh(other, "web1", "true").returncode == 0


@pytest.mark.long
def test_up_brings_back_what_is_missing(other: Lab) -> None:
    Podman().remove([other.status()[0].container])
    assert [host.state for host in other.status()] == ["missing"]

    other.up(1)

    assert ssh(other, "web1", "true").returncode == 0


@pytest.mark.long
def test_up_puts_a_pulled_cable_back(other: Lab) -> None:
    other.execute("web1", "ip link set eth0 down")

    other.up(1)

    assert ssh(other, "web1", "true").returncode == 0


def test_down_after_a_cut_off_leaves_nothing(other: Lab) -> None:
    bridge, folder = Network(other.name).bridge, other.inventory.parent
    for pid in container_pids(other.status()[0].container):
        os.kill(pid, signal.SIGKILL)

    other.down()
    other.down()

    assert other.status() == []
    assert not [link for link in os.listdir("/sys/class/net") if link.startswith(bridge)]
    assert not folder.exists()
    assert other.name not in machine.registered()


@pytest.mark.long
def test_a_lab_whose_folder_is_gone_is_removed_by_the_next_command(other: Lab, lab: Lab, tmp_path: Path) -> None:
    container = other.status()[0].container
    other.inventory.parent.rename(tmp_path / "moved away")

    lab.up(3)

    answer = Podman().run("ps", "--all", "--format", "json")
    assert container not in {name for row in json.loads(answer.stdout) for name in row["Names"]}
    assert other.name not in machine.registered()


@pytest.fixture
def namespace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A namespace of our own, as on a mixed machine, that no lab lives in."""
    folder = tmp_path_factory.mktemp("room") / "namespace"
    monkeypatch.setattr(podman, "_NAMESPACES", folder)
    monkeypatch.setattr(podman, "_MOUNT", folder / "mnt")
    monkeypatch.setattr(podman, "needs_namespace", lambda: True)
    yield folder
    with machine.lock(lambda sentence: None):
        Podman().close()


def mounted(folder: Path) -> list[str]:
    return [kind for point, kind in podman.mount_points() if point.startswith(str(folder))]


def test_podman_lives_in_a_namespace_with_cgroup_v2_where_the_machine_is_mixed(namespace: Path) -> None:
    before = podman.mount_points()
    runs = Podman()

    runs.open()
    runs.open()

    assert mounted(namespace)[1:] == ["nsfs"]
    assert runs.run("info", "--format", "{{.Host.CgroupsVersion}}").stdout.strip() == "v2"
    runs.close()
    assert podman.mount_points() == before
    assert not namespace.exists()


@pytest.mark.parametrize("left", ["file", "bind", "bind twice"])
def test_a_namespace_that_a_cut_off_tore_is_made_again(namespace: Path, left: str) -> None:
    namespace.mkdir()
    (namespace / "mnt").touch()
    for _ in range(left.count("bind") + left.count("twice")):
        machine.as_root(["mount", "--bind", str(namespace), str(namespace)])
    runs = Podman()

    runs.open()

    assert runs.run("info", "--format", "{{.Host.CgroupsVersion}}").stdout.strip() == "v2"
    runs.close()
    assert mounted(namespace) == []
    assert not namespace.exists()


def test_unknown_faults_and_hosts_are_named_with_the_known_ones(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"no fault 'gremlins'.*nginx-killed"):
        lab.break_("gremlins", "web1")
    with pytest.raises(LabError, match=r"no host 'db1'.*web1, web2, web3"):
        lab.break_("nginx-killed", "db1")


def test_a_failed_command_on_a_host_says_which_and_why(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"failed on web1 with code 2: .*nowhere"):
        lab.execute("web1", "ls /nowhere")

    assert lab.execute("web1", "exit 3", check=False).returncode == 3


def test_every_fault_has_a_case() -> None:
    assert set(BROKEN) == {fault.name for fault in faults()}


@pytest.mark.long
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_leaves_a_real_error_can_be_healed_and_happens_again(lab: Lab, fault: str) -> None:
    broken = BROKEN[fault]
    for _ in range(2):
        begin = lab.execute("web2", "journalctl --lines=1 --show-cursor --output=cat").stdout.split("cursor: ")[1]

        lab.break_(fault, "web2")

        after = lab.execute("web2", f"journalctl --after-cursor='{begin.strip()}' --output=cat").stdout
        assert broken.record in after
        if broken.remedy:
            lab.execute("web2", broken.remedy)
        wait_for(lambda: lab.execute("web2", broken.well, check=False).returncode == 0, broken.well)


def test_a_killed_nginx_leaves_no_error_by_priority(lab: Lab) -> None:
    begin = lab.execute("web3", "journalctl --lines=1 --show-cursor --output=cat").stdout.split("cursor: ")[1]

    lab.break_("nginx-killed", "web3")

    query = f"journalctl --after-cursor='{begin.strip()}' --output=json UNIT=nginx.service _PID=1"
    rows = [json.loads(row) for row in lab.execute("web3", query).stdout.splitlines()]
    lab.execute("web3", "systemctl restart nginx")
    failures = [row for row in rows if "Main process exited" in row["MESSAGE"] or "Failed with" in row["MESSAGE"]]
    assert len(failures) == 2
    assert {row["PRIORITY"] for row in failures} <= {"4", "5"}
