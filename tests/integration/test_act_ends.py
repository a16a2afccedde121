"""Real ansible-runner on this machine: a run starts at most once, and leaves nothing when it is cut."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.act import processes
from orchestrator.domain.ids import RunId
from orchestrator.domain.runs import RunStatus
from orchestrator.testing import FakeProbe
from tests.support.act_stage import QUICK, SLOW, Stage, environment, orphaned, quick, slow, until

CANARY = "canary-4f9c"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment(GEMINI_API_KEY=f"{CANARY}-env", OTHER_SECRET=f"{CANARY}-env"))
    yield made
    made.store.close()


# at most once ---------------------------------------------------------------------------------------


def test_the_same_run_never_runs_twice(stage: Stage) -> None:
    job, mark = quick(stage)
    first = stage.executor.execute(job)
    assert stage.another().execute(job) == first
    assert len(mark.read_text().splitlines()) == 1


def test_executions_at_the_same_time_share_one_run(stage: Stage) -> None:
    job, mark = quick(stage)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda executor: executor.execute(job), [stage.another() for _ in range(4)]))
    assert {result.status for result in results} == {RunStatus.SUCCEEDED}
    assert len(mark.read_text().splitlines()) == 1


def test_a_host_takes_one_run_at_a_time(stage: Stage) -> None:
    first, mark = slow(stage)
    second, _ = quick(stage, number=2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.executor.execute, first)
        until(mark.exists)
        assert stage.another().execute(second).status is RunStatus.BUSY
        stage.another().cancel(first.run_id)
        assert running.result().status is RunStatus.CANCELED


def test_a_changed_role_is_refused_and_nothing_starts(stage: Stage) -> None:
    job, mark = quick(stage)
    action = stage.action("quick", QUICK)
    judged = stage.executor.digest(action, job.parameters, job.hosts)
    assert stage.executor.execute(replace(job, digest=judged)).status is RunStatus.SUCCEEDED

    (stage.settings.roles_dir / "quick/tasks/main.yml").write_text(QUICK + "\n# one byte more")
    again = replace(job, run_id=RunId("inc-0002-act"), digest=judged)
    assert stage.executor.execute(again).status is RunStatus.REFUSED
    assert len(mark.read_text().splitlines()) == 1


# ended from outside ---------------------------------------------------------------------------------


def test_a_task_past_its_limit_shuts_the_slot_until_the_host_is_idle(stage: Stage) -> None:
    stage.probe = probe = FakeProbe()
    executor = stage.another()
    job, _ = slow(stage, task_timeout=10)
    probe.alive.add(job.run_id)

    result = executor.execute(job)

    assert result.status is RunStatus.TIMED_OUT
    assert "task Take long" in result.reason
    assert stage.another().execute(quick(stage, number=2)[0]).status is RunStatus.BUSY
    probe.alive.clear()
    assert executor.settle(job.run_id)
    assert stage.another().execute(quick(stage, number=3)[0]).status is RunStatus.SUCCEEDED


def test_a_run_past_its_limit_leaves_no_process(stage: Stage) -> None:
    job, _ = slow(stage, run_timeout=3)
    result = stage.executor.execute(job)
    assert result.status is RunStatus.TIMED_OUT
    assert stage.left(job) == set()
    assert not stage.private(job).exists()
    assert (stage.artifacts(job) / "status").read_text() == "timed_out\n"


@pytest.mark.parametrize("way", ["mark", "signal"])
def test_cancel_leaves_no_process(stage: Stage, way: str) -> None:
    job, _ = slow(stage)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.executor.execute, job)
        until(lambda: stage.asleep(job))
        run = stage.store.run(job.run_id)
        assert run is not None
        assert run.pid is not None
        if way == "signal":
            os.kill(run.pid, signal.SIGTERM)
        else:
            stage.another().cancel(job.run_id)
        result = running.result()
    assert result.status is RunStatus.CANCELED
    # Under load the process may be there before its supervisor has read which task began.
    assert result.reason.startswith("The run was canceled during task ")
    assert stage.left(job) == set()
    assert not stage.private(job).exists()


def test_a_killed_supervisor_takes_its_playbook_along_and_leaves_unknown(stage: Stage) -> None:
    job, mark = slow(stage)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.executor.execute, job)
        until(mark.exists)
        run = stage.store.run(job.run_id)
        assert run is not None
        assert run.pid is not None
        os.kill(run.pid, signal.SIGKILL)
        result = running.result()
    assert (result.status, result.rc) == (RunStatus.UNKNOWN, None)
    assert stage.left(job) == set()
    assert not stage.private(job).exists()
    assert stage.executor.execute(job).status is RunStatus.UNKNOWN
    assert mark.read_text() == "began"


def test_a_process_is_found_also_while_it_starts_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    again = 'exec sh -c "$0" "$0"'
    with subprocess.Popen(["sh", "-c", again, again], env={"HEALING_RUN": "one", "PATH": os.defpath}) as busy:
        monkeypatch.setattr(processes, "_pids", lambda: [busy.pid])

        found = [processes.marked("HEALING_RUN=one") for _ in range(1000)]

        busy.kill()
    assert found == [{busy.pid}] * 1000


def test_without_anyone_waiting_a_killed_supervisor_still_ends_its_playbook(stage: Stage) -> None:
    """The orchestrator is dead as well: the kernel tells the playbook.

    While a task is at work: a worker that Ansible is just starting may miss the word. That one is ended by whoever
    takes the run up, and its host's slot is shut until then.
    """
    job, mark = slow(stage)
    orphan = orphaned(stage, job)
    until(mark.exists)
    until(lambda: stage.asleep(job))
    run = stage.store.run(job.run_id)
    assert run is not None
    assert run.pid is not None
    orphan.kill()
    orphan.wait()
    os.kill(run.pid, signal.SIGKILL)
    until(lambda: stage.left(job) == set())
    assert stage.executor.execute(job).status is RunStatus.UNKNOWN
    assert not stage.private(job).exists()


def test_a_run_outlives_its_orchestrator_and_is_adopted(stage: Stage) -> None:
    tasks = SLOW.replace("sleep 600", "sleep 2") + QUICK.replace("quick_", "slow_")
    mark = stage.folder / "mark-1"
    job = stage.job(stage.action("slow", tasks), parameters={"mark": str(mark)})
    orphan = orphaned(stage, job)
    until(mark.exists)
    orphan.kill()
    orphan.wait()

    result = stage.another().execute(job)

    assert result.status is RunStatus.SUCCEEDED
    assert mark.read_text().count(job.run_id) == 1
