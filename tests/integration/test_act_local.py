"""Real ansible-runner on this machine: what a run does, what it leaves behind, what it never writes down."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.act import processes, workspace
from orchestrator.domain.hosts import HostPolicy
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.errors import RecordError
from tests.support.act_stage import SLOW, Stage, environment, fail, local_host, quick, until

CANARY = "canary-4f9c"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment(GEMINI_API_KEY=f"{CANARY}-env", OTHER_SECRET=f"{CANARY}-env"))
    yield made
    made.store.close()


# how a run ends -------------------------------------------------------------------------------------


def test_success_is_recorded_whole(stage: Stage) -> None:
    job, mark = quick(stage)

    result = stage.executor.execute(job)

    assert (result.status, result.rc, result.reason, result.changed) == (RunStatus.SUCCEEDED, 0, "", True)
    assert mark.read_text().split() == [job.run_id]
    kept = stage.artifacts(job)
    assert (kept / "rc").read_text() == "0\n"
    assert (kept / "status").read_text() == "succeeded\n"
    assert "PLAY RECAP" in (kept / "stdout").read_text()
    assert (kept / "supervisor.log").read_text() == ""
    events = [json.loads(path.read_text())["event"] for path in (kept / "job_events").iterdir()]
    assert events.count("playbook_on_stats") == 1
    assert json.loads((kept / "result.json").read_text())["status"] == "succeeded"
    newest = max(kept.rglob("*"), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "result.json"
    run = stage.store.run(job.run_id)
    assert run is not None
    assert (run.status, run.slot_shut) == (RunStatus.SUCCEEDED, False)
    assert not stage.private(job).exists()
    assert stage.left(job) == set()


def test_a_plan_says_what_would_change_and_changes_nothing(stage: Stage) -> None:
    tasks = """
    - name: Write a word
      ansible.builtin.copy:
        content: "{{ planned_word }}\\n"
        dest: "{{ planned_mark }}"
        mode: "0600"
    """
    mark = stage.folder / "mark"
    mark.write_text("weekly\n")
    mark.chmod(0o600)
    action = stage.action("planned", tasks)
    job = stage.job(action, RunKind.PLAN, parameters={"word": "daily", "mark": str(mark)})

    result = stage.executor.execute(job)

    assert (result.status, result.changed) == (RunStatus.SUCCEEDED, False)
    assert mark.read_text() == "weekly\n"
    shown = stage.executor.changes(job.run_id).splitlines()
    assert shown[0] == "TASK [planned : Write a word]"
    assert {"-weekly", "+daily", "changed: [here]"} <= set(shown)
    assert stage.executor.changes(stage.job(action).run_id) == ""


def test_no_hosts_matched_is_no_success(stage: Stage) -> None:
    job = stage.job(stage.action("missed", "[]", hosts="some_group"))
    result = stage.executor.execute(job)
    assert (result.status, result.rc, result.reason) == (RunStatus.FAILED, 0, "here was not processed")


@pytest.mark.parametrize(
    ("kind", "message", "status", "reason"),
    [
        (RunKind.CHECK, "sick: x.service is failed", RunStatus.SICK, "x.service is failed"),
        (RunKind.ACT, "refused: ssh.service is protected", RunStatus.REFUSED, "ssh.service is protected"),
        (RunKind.ACT, "it broke", RunStatus.FAILED, "task Say so: it broke"),
    ],
)
def test_a_role_says_how_it_stands(stage: Stage, kind: RunKind, message: str, status: RunStatus, reason: str) -> None:
    result = stage.executor.execute(stage.job(stage.action("word", fail(message)), kind))
    assert (result.status, result.rc) == (status, 2)
    assert reason in result.reason


def test_a_playbook_that_does_not_parse_says_why(stage: Stage) -> None:
    job = stage.job(stage.action("odd", "- name: No module here\n  no_such_module_at_all:\n"))
    result = stage.executor.execute(job)
    assert result.status is RunStatus.UNKNOWN
    assert "no_such_module_at_all" in result.reason


def test_values_that_look_like_templates_stay_text(stage: Stage) -> None:
    tasks = """
    - name: Write all three
      ansible.builtin.copy:
        content: "{{ [plain_word, ansible_user, healing_safe_directories] | to_json }}"
        dest: "{{ plain_mark }}"
        mode: "0600"
    """
    host = replace(local_host(ansible_user="{{ 3*3 }}"), policy=HostPolicy(safe_directories=("/srv/{{ 5*5 }}",)))
    mark = stage.folder / "mark"
    parameters = {"word": "{{ 7*7 }}{% if true %}", "mark": str(mark)}
    job = stage.job(stage.action("plain", tasks), hosts=(host,), parameters=parameters)

    assert stage.executor.execute(job).status is RunStatus.SUCCEEDED
    assert json.loads(mark.read_text()) == ["{{ 7*7 }}{% if true %}", "{{ 3*3 }}", ["/srv/{{ 5*5 }}"]]


def test_a_file_of_the_action_can_t_stand_in_for_a_python_module(stage: Stage) -> None:
    job, _ = quick(stage)
    (job.playbook.parent / "json.py").write_text("raise SystemExit('taken over')\n")
    assert stage.executor.execute(job).status is RunStatus.SUCCEEDED


# what it never leaves -------------------------------------------------------------------------------


def test_no_secret_is_in_any_record(stage: Stage) -> None:
    """Canaries in environment, extra variables, inventory (plain and vaulted, decrypted by now), and used."""
    tasks = """
    - name: Use the passwords where they show
      ansible.builtin.command:
        argv: [echo, "{{ ansible_password }}", "{{ ansible_become_password }}"]
      changed_when: false
    - name: Look at the environment
      ansible.builtin.command: env
      changed_when: false
    - name: Fail with it
      ansible.builtin.fail:
        msg: "it was {{ ansible_become_password }}"
    """
    host = replace(
        local_host(
            ansible_password=f"{CANARY}-password",
            ansible_become_password=f'{CANARY}-"become"',
            ansible_ssh_common_args=f"-o ProxyCommand='proxy {CANARY}-proxy'",
            vault_token=f"{CANARY}-vault",
        ),
        policy=HostPolicy(safe_directories=(f"/srv/{CANARY}-extra",)),
    )
    job = stage.job(stage.action("leaky", tasks), hosts=(host,))

    result = stage.executor.execute(job)

    assert result.status is RunStatus.FAILED
    assert result.reason == "task Fail with it: it was ***"
    for root in (stage.settings.artifacts_dir, stage.settings.state_dir):
        found = subprocess.run(["grep", "-rlaF", CANARY, str(root)], capture_output=True, text=True, check=False)
        assert found.stdout == ""
    assert "***" in (stage.artifacts(job) / "stdout").read_text()


def test_the_playbook_s_environment_is_the_allowlist(stage: Stage) -> None:
    tasks = "- name: Show\n  ansible.builtin.command: env\n  changed_when: false\n"
    job = stage.job(stage.action("show", tasks))
    stage.executor.execute(job)
    command = json.loads((stage.artifacts(job) / "command").read_text())
    known = re.compile(r"PATH|HOME|LANG|(ANSIBLE|RUNNER|AWX)_[A-Z_]+")
    assert [key for key in command["env"] if not known.fullmatch(key)] == []


def test_a_control_folder_of_a_run_s_own_goes_with_it(stage: Stage) -> None:
    deep = Stage(stage.folder / ("d" * 90), environment())
    job, _ = quick(deep)
    assert deep.executor.execute(job).status is RunStatus.SUCCEEDED
    command = json.loads((deep.artifacts(job) / "command").read_text())
    assert not Path(command["env"]["ANSIBLE_SSH_CONTROL_PATH_DIR"]).exists()
    deep.store.close()


# the record can't be kept ---------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_stops_a_run_before_it_starts(stage: Stage) -> None:
    job, mark = quick(stage)
    stage.settings.artifacts_dir.mkdir(mode=0o700)
    where = str(stage.settings.artifacts_dir)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", where], check=True)
    try:
        with pytest.raises(RecordError, match="only 1024 KiB are free"):
            stage.executor.execute(job)
    finally:
        subprocess.run(["umount", where], check=True)
    assert not mark.exists()
    assert not stage.private(job).exists()


def test_a_record_that_breaks_off_makes_the_run_unknown(stage: Stage) -> None:
    """The folder of events vanishes while the playbook runs."""
    mark = stage.folder / "mark"
    tasks = SLOW.replace("command: sleep 600", "wait_for:\n    path: '{{ slow_mark }}-on'")
    job = stage.job(stage.action("slow", tasks), parameters={"mark": str(mark)})
    events = stage.artifacts(job) / "job_events"

    def take_away() -> None:
        until(mark.exists)
        events.rename(events.with_name("gone"))
        mark.with_name("mark-on").touch()

    thread = threading.Thread(target=take_away)
    thread.start()
    result = stage.executor.execute(job)
    thread.join()
    assert result.status is RunStatus.UNKNOWN
    assert "The record is incomplete" in result.reason


@pytest.mark.parametrize("what", ["what it printed", "its memory"])
def test_a_host_that_floods_us_ends_its_run(stage: Stage, what: str) -> None:
    """By what a failed task prints, or by an answer that Ansible has to hold."""
    size, failed = ("12M", "true") if what == "what it printed" else ("2000M", "false")
    tasks = f"- name: Flood\n  ansible.builtin.raw: base64 -w0 /dev/zero | head -c {size}\n  failed_when: {failed}\n"
    job = stage.job(stage.action("flood", tasks), task_timeout=100, run_timeout=100)

    result = stage.executor.execute(job)

    assert result.status in (RunStatus.UNKNOWN, RunStatus.FAILED)
    if what == "what it printed":
        assert result.reason.startswith("The record is incomplete: the playbook printed more than 8 MiB and was ended.")
    kept = sum(path.stat().st_size for path in stage.artifacts(job).rglob("*") if path.is_file())
    assert kept < 64 * 1024 * 1024
    assert stage.left(job) == set()


def test_a_supervisor_without_the_word_starts_nothing(stage: Stage) -> None:
    job, mark = quick(stage)
    space, _ = workspace.prepare(job, stage.settings)
    ended = subprocess.run(
        [sys.executable, "-m", "orchestrator.supervise", str(space.private)],
        stdin=subprocess.DEVNULL,
        env=dict(stage.settings.child_environment),
        check=False,
    )
    assert ended.returncode == 1
    assert not mark.exists()
    assert not space.private.exists()
    assert processes.marked(space.marker) == set()
