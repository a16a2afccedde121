"""Runs over several hosts, by real ansible-runner: each host has an end of its own."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.runs import RunKind, RunStatus
from tests.support.act_stage import Stage, environment, local_host

#: Sick on one host; the others are well.
TASKS = """
- name: Say so
  ansible.builtin.fail:
    msg: 'sick: {{ inventory_hostname }} is failed'
  when: inventory_hostname == "here3"
- name: Look
  ansible.builtin.command: "true"
  changed_when: false
"""


def test_each_host_ends_for_itself_and_all_are_free_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, environment())
    names = [f"here{number}" for number in range(1, 8)]
    hosts = tuple(local_host(name) for name in names)
    job = stage.job(stage.action("asked", TASKS), RunKind.VERIFY, hosts=hosts)

    result = stage.executor.execute(job)

    assert result.status is RunStatus.SICK
    assert {name: result.on(name).status for name in names} == dict.fromkeys(names, RunStatus.SUCCEEDED) | {
        "here3": RunStatus.SICK
    }
    assert result.on("here3").reason == "here3 is failed"
    assert not stage.store.shut_runs()
    # Whoever comes again for it is told the same.
    assert stage.another().execute(job) == result
