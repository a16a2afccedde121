"""The faults' files: headers, shell, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import faults as faults_module
from lab.errors import LabError
from lab.faults import Fault, faults, find_fault

ACTIONS = {path.name for path in (Path(__file__).resolve().parents[2] / "playbooks").iterdir() if path.is_dir()}


def test_the_faults_are_there() -> None:
    expected = {
        "nginx-killed": "restart_service",
        "cron-noexec": "fix_permissions",
        "unit-noexec": "fix_permissions",
        "disk-full-fatal": "free_disk_space",
        "disk-full-rotated": "free_disk_space",
        "disk-full-live": "refused",
        "socket-limit": "restart_service",
        "start-limit": "restart_service",
        "start-limit-lasting": "escalate",
        "cert-expired": "escalate",
        "config-broken": "refused",
        "config-stale": "reload_config",
        "injected-log": "escalate",
        "log-overgrown": "rotate_logs",
        "log-unwritable": "fix_permissions",
        "nginx-broken": "refused",
        "resolver-dead": "restart_network",
        "resolver-hung": "restart_network",
        "rotation-failed": "rotate_logs",
        "unit-file-changed": "reload_config",
        "lists-torn": "clear_cache",
        "update-failed": "clear_cache",
        "zombies-ignored": "kill_zombie_process",
        "zombies-missed": "kill_zombie_process",
    }

    assert {fault.name: fault.expects for fault in faults()} == expected


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_says_what_it_is_and_waits_for_its_record(fault: Fault) -> None:
    assert fault.title
    assert fault.proves
    assert fault.expects in ACTIONS | {"escalate", "refused"}
    assert "\nrecorded " in fault.text()


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_is_a_shell_program(fault: Fault) -> None:
    answer = subprocess.run(["sh", "-n"], input=fault.text(), capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("word", ["sysctl", "drop_caches", "modprobe", "insmod", "date --set", "date -s", "hwclock"])
def test_no_fault_touches_the_shared_kernel(word: str) -> None:
    assert not [fault.name for fault in faults() if word in fault.text()]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"no fault 'x'.*cert-expired, .*unit-noexec"):
        find_fault("x")


def test_a_file_without_headers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare.sh").write_text("# title: something\ntrue\n", encoding="utf-8")
    monkeypatch.setattr(faults_module, "_FOLDER", tmp_path)

    with pytest.raises(LabError, match=r"bare\.sh.*lack expects, proves"):
        faults()
