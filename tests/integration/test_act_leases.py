"""A run's process vouches for it in the store, and ends its playbook where it can't: real processes, a real file."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.act import processes
from orchestrator.act.executor import RunnerExecutor
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunStatus
from orchestrator.errors import StoreUnavailable
from orchestrator.record.lease import Lease
from orchestrator.settings import KILLING
from orchestrator.testing import FakeProbe
from tests.support.act_stage import Stage, environment, quick, slow, until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment())
    # As short as settings allow: the playbook is ended two seconds after the last renewal.
    made.settings = replace(made.settings, run_lease_seconds=KILLING + 2.0, run_renewal_seconds=0.5)
    made.executor = made.another()
    yield made
    made.store.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def row(stage: Stage, job: PlaybookJob) -> Run:
    run = stage.store.run(job.run_id)
    assert run is not None
    return run


def begun(
    stage: Stage, pool: ThreadPoolExecutor, executor: RunnerExecutor
) -> tuple[PlaybookJob, Future[PlaybookResult]]:
    job, mark = slow(stage)
    running = pool.submit(executor.execute, job)
    until(mark.exists)
    return job, running


def test_a_process_renews_its_lease_as_it_lives(stage: Stage, pool: ThreadPoolExecutor) -> None:
    job, running = begun(stage, pool, stage.executor)
    first = row(stage, job)
    assert first.lease_until is not None
    assert first.lease_left is not None
    assert 0 < first.lease_left <= stage.settings.run_lease_seconds

    until(lambda: (row(stage, job).lease_until or 0) > (first.lease_until or 0) + 2)

    stage.executor.cancel(job.run_id)
    assert running.result().status is RunStatus.CANCELED


def test_a_run_that_can_not_renew_ends_its_playbook_before_anybody_else_may_judge(
    stage: Stage, pool: ThreadPoolExecutor
) -> None:
    job, running = begun(stage, pool, stage.executor)
    with stage.locked() as other:
        until(lambda: not stage.left(job))
        # Nobody could write this yet, so for all others the run goes on.
        status, left = other.execute(
            "SELECT status, lease_until - (julianday('now') - 2440587.5) * 86400 FROM run"
        ).fetchone()

    assert status == "running"
    assert left > 0
    result = running.result()
    assert result.status is RunStatus.UNKNOWN
    assert result.reason.startswith("Its playbook was ended, because its lease can't be renewed (")


def test_a_run_that_was_ended_by_somebody_else_stops(stage: Stage, pool: ThreadPoolExecutor) -> None:
    job, running = begun(stage, pool, stage.executor)
    stage.store.finish(
        PlaybookResult(run_id=job.run_id, status=RunStatus.UNKNOWN, reason="given up elsewhere"), slot_shut=True
    )

    until(lambda: not stage.left(job))
    assert running.result().reason == "given up elsewhere"


def test_a_process_that_hangs_is_killed_with_its_playbook_once_its_lease_has_lapsed(
    stage: Stage, pool: ThreadPoolExecutor
) -> None:
    stage.probe = probe = FakeProbe()
    job, running = begun(stage, pool, stage.another())
    probe.alive.add(job.run_id)
    pid = row(stage, job).pid
    assert pid is not None
    stage.freeze(pid)

    until(running.done, 40)

    result = running.result()
    assert result.status is RunStatus.UNKNOWN
    assert processes.start_time(pid) is None
    assert stage.left(job) == set()
    assert row(stage, job).slot_shut
    assert stage.another().execute(quick(stage, number=2)[0]).status is RunStatus.BUSY


def test_one_that_was_stopped_for_longer_than_its_lease_ends_its_own_playbook(
    stage: Stage, pool: ThreadPoolExecutor
) -> None:
    """Nobody waits for it meanwhile: its orchestrator stands still as well."""
    job, running = begun(stage, pool, stage.executor)
    pid = row(stage, job).pid
    assert pid is not None
    stage.freeze(pid)
    with stage.locked() as other:
        until(lambda: _left(other) < KILLING - 1, 40)
        os.kill(pid, signal.SIGCONT)
        until(lambda: not stage.left(job))

    assert running.result().reason.startswith("Its playbook was ended, because its lease can't be renewed")


def _left(store: sqlite3.Connection) -> float:
    query = "SELECT lease_until - (julianday('now') - 2440587.5) * 86400 FROM run"
    return float(store.execute(query).fetchone()[0])


def test_a_lease_without_a_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"The lease of inc-0001-act can't be renewed in .*gone.sqlite"):
        Lease(f"sqlite:///{tmp_path}/gone.sqlite", "inc-0001-act", 60).renew()
    assert not (tmp_path / "gone.sqlite").exists()


def test_a_lease_of_a_run_that_is_over_is_refused(stage: Stage) -> None:
    job, _ = quick(stage)
    assert stage.executor.execute(job).status is RunStatus.SUCCEEDED

    assert Lease(stage.settings.database_url, job.run_id, 60).renew() is False
