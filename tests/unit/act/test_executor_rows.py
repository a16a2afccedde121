"""What the executor does with a run's row, where no process is needed to see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.act import executor as executor_module
from orchestrator.act.executor import RunnerExecutor
from orchestrator.domain.ids import RunId, Signature
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunStatus
from orchestrator.errors import HostUnreachable, RecordError, StoreUnavailable
from orchestrator.testing import FakeFleet, FakeProbe, MemoryStore
from tests.support.act_stage import Stage, environment, local_host


class Remembering(MemoryStore):
    """A store that says what it was asked to claim."""

    signed: frozenset[Signature] | None = None
    pid_fails = False

    def signatures(self, incident_id: str) -> frozenset[Signature]:
        return frozenset({Signature("of-the-store")})

    def claim(self, job: PlaybookJob, *, signatures: frozenset[Signature]) -> RunStatus | None:
        self.signed = signatures
        return super().claim(job, signatures=signatures)

    def started(self, run_id: RunId, pid: int, pid_start: int) -> None:
        if self.pid_fails:
            raise StoreUnavailable("The store is locked.")
        super().started(run_id, pid, pid_start)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment())
    yield made
    made.store.close()


@pytest.fixture
def store() -> Remembering:
    return Remembering()


@pytest.fixture
def probe() -> FakeProbe:
    return FakeProbe()


@pytest.fixture
def job(stage: Stage) -> PlaybookJob:
    return stage.job(stage.action("tidy", "[]"))


@pytest.fixture
def executor(stage: Stage, store: Remembering, probe: FakeProbe) -> RunnerExecutor:
    return RunnerExecutor(stage.settings, store, probe, FakeFleet(local_host()))


def cut(store: MemoryStore, job: PlaybookJob) -> Run:
    store.claim(job, signatures=frozenset())
    return store.finish(PlaybookResult(run_id=job.run_id, status=RunStatus.UNKNOWN), slot_shut=True)


def test_a_busy_host_is_a_value_and_nothing_is_made(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    store.claim(replace(job, run_id=RunId("inc-9-act")), signatures=frozenset())
    result = executor.execute(job)
    assert (result.status, result.reason) == (RunStatus.BUSY, "Another run holds here; nothing was started.")
    assert store.run(job.run_id) is None
    assert not stage.settings.artifacts_dir.exists()


@pytest.mark.parametrize(("given", "claimed"), [(None, "of-the-store"), (frozenset({Signature("given")}), "given")])
def test_an_attempt_is_claimed_with_its_incident_s_signatures(
    executor: RunnerExecutor,
    store: Remembering,
    job: PlaybookJob,
    given: frozenset[Signature] | None,
    claimed: str,
) -> None:
    executor.execute(replace(job, digest="0" * 64), given)
    assert store.signed == frozenset({Signature(claimed)})


def test_other_bytes_than_were_judged_are_refused_before_anything_starts(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    result = executor.execute(replace(job, digest="0" * 64))
    assert result.status is RunStatus.REFUSED
    assert "Nothing was started" in result.reason
    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.pid, run.slot_shut) == (RunStatus.REFUSED, None, False)
    assert not stage.private(job).exists()
    assert (stage.artifacts(job) / "result.json").is_file()


def test_what_can_t_be_recorded_gives_its_row_back(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    stage.settings.artifacts_dir.write_text("in the way")
    with pytest.raises(RecordError):
        executor.execute(job)
    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.slot_shut) == (RunStatus.REFUSED, False)
    assert executor.execute(job).status is RunStatus.REFUSED


def test_a_pid_that_can_t_be_recorded_starts_no_playbook(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    store.pid_fails = True
    with pytest.raises(StoreUnavailable):
        executor.execute(job)
    assert not stage.private(job).exists()
    assert list((stage.artifacts(job) / "job_events").iterdir()) == []


def test_a_run_that_was_cut_before_its_pid_is_given_up_for_good(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "START_SECONDS", 0.0)
    store.claim(job, signatures=frozenset())
    stage.private(job).mkdir(parents=True)
    (stage.private(job) / "job.json").write_text("secrets of the run")

    result = executor.execute(job)

    assert (result.status, result.reason) == (
        RunStatus.REFUSED,
        "It was cut before it was started; nothing was changed.",
    )
    assert [path.name for path in stage.private(job).iterdir()] == ["permit"]


def test_a_run_whose_process_is_gone_without_a_result_is_unknown(
    executor: RunnerExecutor, store: Remembering, probe: FakeProbe, stage: Stage, job: PlaybookJob
) -> None:
    store.claim(job, signatures=frozenset())
    store.started(job.run_id, 4_000_000, 1)
    stage.private(job).mkdir(parents=True)
    stage.artifacts(job).mkdir(parents=True)

    assert executor.execute(job).status is RunStatus.UNKNOWN
    assert not stage.private(job).exists()
    assert (stage.artifacts(job) / "result.json").is_file()


def test_a_reused_pid_is_not_taken_for_the_run(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    """Pid 1 lives for ever, but it began at another time."""
    store.claim(job, signatures=frozenset())
    store.started(job.run_id, 1, 999_999_999)
    stage.artifacts(job).mkdir(parents=True)
    assert executor.execute(job).status is RunStatus.UNKNOWN


# slots ----------------------------------------------------------------------------------------------


def test_an_idle_host_gets_its_slot_back(executor: RunnerExecutor, store: Remembering, job: PlaybookJob) -> None:
    cut(store, job)
    assert executor.settle(job.run_id)
    run = store.run(job.run_id)
    assert run is not None
    assert not run.slot_shut


def test_a_host_still_at_work_keeps_it_shut(
    executor: RunnerExecutor, store: Remembering, probe: FakeProbe, job: PlaybookJob
) -> None:
    cut(store, job)
    probe.alive.add(job.run_id)
    assert not executor.settle(job.run_id)
    assert store.claim(replace(job, run_id=RunId("inc-2-act")), signatures=frozenset()) is RunStatus.BUSY


def test_a_host_that_can_t_be_asked_keeps_it_shut(
    executor: RunnerExecutor, store: Remembering, probe: FakeProbe, job: PlaybookJob
) -> None:
    cut(store, job)
    probe.error = HostUnreachable("no route")
    assert not executor.settle(job.run_id)


def test_a_host_that_left_the_inventory_keeps_it_shut(
    stage: Stage, store: Remembering, probe: FakeProbe, job: PlaybookJob
) -> None:
    cut(store, job)
    assert not RunnerExecutor(stage.settings, store, probe, FakeFleet()).settle(job.run_id)
    assert not RunnerExecutor(stage.settings, store, probe).settle(job.run_id)


def test_a_running_run_is_no_business_of_settle(executor: RunnerExecutor, store: Remembering, job: PlaybookJob) -> None:
    store.claim(job, signatures=frozenset())
    assert not executor.settle(job.run_id)
    assert not executor.settle("inc-unheard-of")


def test_a_host_is_not_asked_twice_a_second(
    executor: RunnerExecutor, store: Remembering, probe: FakeProbe, job: PlaybookJob
) -> None:
    cut(store, job)
    probe.alive.add(job.run_id)
    assert not executor.settle(job.run_id)
    probe.alive.clear()
    assert not executor.settle(job.run_id), "too early to ask again"


def test_cancel_of_what_does_not_run_does_nothing(executor: RunnerExecutor, job: PlaybookJob) -> None:
    executor.cancel(job.run_id)
