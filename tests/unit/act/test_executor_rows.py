"""What the executor does with a run's row, where no process is needed to see it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from orchestrator.act import executor as executor_module
from orchestrator.act import processes, workspace
from orchestrator.act.executor import RunnerExecutor
from orchestrator.act.order import Ended
from orchestrator.domain.ids import RunId, Signature
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunStatus
from orchestrator.errors import HealingError, HostUnreachable, RecordError, StoreUnavailable
from orchestrator.testing import FakeFleet, FakeProbe, MemoryStore
from tests.support.act_stage import Stage, environment, local_host


class Remembering(MemoryStore):
    """A store that says what it was asked to claim."""

    signed: frozenset[Signature] | None = None
    #: What each call raises before it works again, by its name.
    failing: Mapping[str, list[HealingError]] = MappingProxyType({})

    def _may_fail(self, name: str) -> None:
        if self.failing.get(name):
            raise self.failing[name].pop()

    def signatures(self, incident_id: str) -> frozenset[Signature]:
        return frozenset({Signature("of-the-store")})

    def claim(self, job: PlaybookJob, *, signatures: frozenset[Signature]) -> RunStatus | None:
        self.signed = signatures
        return super().claim(job, signatures=signatures)

    def started(self, run_id: RunId, pid: int, pid_start: int, *, lease_seconds: float) -> bool:
        self._may_fail("started")
        return super().started(run_id, pid, pid_start, lease_seconds=lease_seconds)

    def finish(self, result: PlaybookResult, *, slot_shut: bool) -> Run:
        self._may_fail("finish")
        return super().finish(result, slot_shut=slot_shut)

    def open_slot(self, run_id: RunId) -> None:
        self._may_fail("open_slot")
        super().open_slot(run_id)

    def run(self, run_id: str) -> Run | None:
        self._may_fail("run")
        return super().run(run_id)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment())
    # Rows are in memory here, so a process finds none in the file to renew the lease of.
    made.settings = replace(made.settings, run_lease_seconds=600.0, run_renewal_seconds=200.0)
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
    store.failing = {"started": [StoreUnavailable("The store is locked.")]}
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
    store.started(job.run_id, 4_000_000, 1, lease_seconds=60)
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
    store.started(job.run_id, 1, 999_999_999, lease_seconds=60)
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


# the store does not answer --------------------------------------------------------------------------


def gone(store: MemoryStore, job: PlaybookJob, stage: Stage) -> None:
    """A run whose supervisor is dead, and which left nothing."""
    store.claim(job, signatures=frozenset())
    store.started(job.run_id, 4_000_000, 1, lease_seconds=60)
    stage.private(job).mkdir(parents=True)
    stage.artifacts(job).mkdir(parents=True)


@pytest.mark.parametrize("error", [StoreUnavailable("The store is locked."), RecordError("The disk is full.")])
def test_an_end_is_written_until_it_is_written(
    stage: Stage, store: Remembering, job: PlaybookJob, error: HealingError
) -> None:
    gone(store, job, stage)
    pauses: list[float] = []
    executor = RunnerExecutor(stage.settings, store, FakeProbe(), pause=pauses.append)
    store.failing = {"finish": [error] * 3, "open_slot": [error]}

    assert executor.execute(job).status is RunStatus.UNKNOWN
    assert pauses == [executor_module.STORE_AGAIN] * 3
    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.slot_shut) == (RunStatus.UNKNOWN, False)


def test_a_pid_and_then_its_refusal_that_can_t_be_recorded_hold_no_host(
    stage: Stage, store: Remembering, job: PlaybookJob
) -> None:
    locked = StoreUnavailable("The store is locked.")
    store.failing = {"started": [locked], "finish": [locked] * 2}
    executor = RunnerExecutor(stage.settings, store, FakeProbe(), pause=lambda _: None)

    with pytest.raises(StoreUnavailable):
        executor.execute(job)

    assert store.shut_runs() == ()
    assert store.claim(replace(job, run_id=RunId("inc-2-act")), signatures=frozenset()) is None


def test_whoever_waits_for_a_run_waits_for_the_store_too(stage: Stage, store: Remembering, job: PlaybookJob) -> None:
    gone(store, job, stage)
    store.failing = {"run": [StoreUnavailable("The store is locked.")] * 2}
    executor = RunnerExecutor(stage.settings, store, FakeProbe(), pause=lambda _: None)

    assert executor.execute(job).status is RunStatus.UNKNOWN


# a crash --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("claimed", RunStatus.REFUSED),
        ("prepared", RunStatus.REFUSED),
        # Its supervisor never got the word, but only it could say so.
        ("recorded", RunStatus.UNKNOWN),
    ],
)
@pytest.mark.parametrize("way", ["executed again", "swept"])
def test_after_a_crash_before_the_start_nothing_starts_and_no_host_is_held(
    stage: Stage,
    store: Remembering,
    job: PlaybookJob,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    status: RunStatus,
    way: str,
) -> None:
    monkeypatch.setattr(executor_module, "START_SECONDS", 0.0)
    crashing = RunnerExecutor(stage.settings, store, FakeProbe())

    def crash(*arguments: Any) -> None:
        if moment == "recorded":
            arguments[0].communicate()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        owners = {"claimed": (workspace, "prepare"), "prepared": (crashing, "_spawn"), "recorded": (crashing, "_go")}
        patched.setattr(*owners[moment], crash)
        with pytest.raises(KeyboardInterrupt):
            crashing.execute(job)
    assert [run.status for run in store.shut_runs()] == [RunStatus.RUNNING]

    later = RunnerExecutor(stage.settings, store, FakeProbe(), FakeFleet(local_host()))
    if way == "swept":
        assert later.settle(job.run_id)
    assert later.execute(job).status is status
    assert store.shut_runs() == ()


# the kill switch ------------------------------------------------------------------------------------


def test_a_stop_is_a_refusal_that_says_who_and_why(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    store.stop(actor="ann", reason="maintenance")

    result = executor.execute(job)

    assert (result.status, result.reason) == (RunStatus.REFUSED, store.stopped())
    assert store.shut_runs() == ()
    assert not stage.private(job).exists()
    store.resume(actor="ann", reason="done")
    assert executor.execute(job) == result, "the same run is refused for good"


@pytest.mark.parametrize("moment", ["claimed", "prepared", "spawned", "recorded"])
def test_cancel_wins_at_whatever_moment_it_comes(
    stage: Stage, store: Remembering, job: PlaybookJob, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    other = RunnerExecutor(stage.settings, store, FakeProbe())
    executor = RunnerExecutor(stage.settings, store, FakeProbe())

    def canceling(owner: object, name: str) -> None:
        whole = getattr(owner, name)

        def with_cancel(*arguments: Any, **options: Any) -> Any:
            answer = whole(*arguments, **options)
            other.cancel(job.run_id)
            return answer

        monkeypatch.setattr(owner, name, with_cancel)

    owners = {"claimed": (store, "claim"), "prepared": (workspace, "prepare")}
    owners |= {"spawned": (executor, "_spawn"), "recorded": (store, "started")}
    canceling(*owners[moment])

    result = executor.execute(job)

    assert (result.status, result.reason) == (RunStatus.CANCELED, "Canceled before it was started")
    assert list((stage.artifacts(job) / "job_events").iterdir()) == []
    assert list(stage.private(job).parent.iterdir()) == [], "neither the mark nor the folder is left"
    assert store.shut_runs() == ()


def test_cancel_of_a_run_that_ends_meanwhile_leaves_no_mark(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.claim(job, signatures=frozenset())
    touch = Path.touch

    def late(path: Path, *arguments: Any, **options: Any) -> None:
        store.finish(PlaybookResult(run_id=job.run_id, status=RunStatus.SUCCEEDED), slot_shut=False)
        touch(path, *arguments, **options)

    monkeypatch.setattr(Path, "touch", late)
    executor.cancel(job.run_id)

    assert list(stage.private(job).parent.iterdir()) == []


# the sweep ends what nobody waits for ---------------------------------------------------------------


def test_a_dead_run_is_ended_by_the_sweep(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    gone(store, job, stage)

    assert executor.settle(job.run_id)

    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.slot_shut) == (RunStatus.UNKNOWN, False)
    assert not stage.private(job).exists()


def test_a_dead_run_ends_by_the_result_that_it_left(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    gone(store, job, stage)
    result = PlaybookResult(run_id=job.run_id, status=RunStatus.FAILED, rc=2, reason="it broke")
    Ended(result=result, settled=True).write(stage.artifacts(job))

    assert executor.settle(job.run_id)

    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.rc, run.reason) == (RunStatus.FAILED, 2, "it broke")


def test_a_dead_run_on_a_host_at_work_keeps_its_slot_shut(
    executor: RunnerExecutor, store: Remembering, stage: Stage, probe: FakeProbe, job: PlaybookJob
) -> None:
    gone(store, job, stage)
    probe.alive.add(job.run_id)

    assert not executor.settle(job.run_id)

    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.slot_shut) == (RunStatus.UNKNOWN, True)


def test_a_live_supervisor_is_left_alone(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    store.claim(job, signatures=frozenset())
    store.started(job.run_id, os.getpid(), processes.start_time(os.getpid()) or 0, lease_seconds=60)
    stage.private(job).mkdir(parents=True)
    before = store.run(job.run_id)

    assert not executor.settle(job.run_id)
    assert store.run(job.run_id) == before
    assert stage.private(job).exists()


def test_a_run_that_never_got_a_supervisor_is_refused_after_a_while(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.claim(job, signatures=frozenset())
    assert not executor.settle(job.run_id), "another process may be about to start it"
    monkeypatch.setattr(executor_module, "START_SECONDS", 0.0)

    assert executor.settle(job.run_id)

    run = store.run(job.run_id)
    assert run is not None
    assert (run.status, run.slot_shut) == (RunStatus.REFUSED, False)
    assert [path.name for path in stage.private(job).iterdir()] == ["permit"], "nobody can start it any more"


@pytest.mark.parametrize("moment", ["claimed", "prepared", "spawned", "recorded"])
def test_a_start_that_another_process_gave_up_starts_nothing(
    stage: Stage, store: Remembering, job: PlaybookJob, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It was slow, not dead: whoever comes second loses, at whatever moment."""
    monkeypatch.setattr(executor_module, "START_SECONDS", 0.0)
    other = RunnerExecutor(stage.settings, store, FakeProbe())
    executor = RunnerExecutor(stage.settings, store, FakeProbe())
    owners = {"claimed": (store, "claim"), "prepared": (workspace, "prepare")}
    owners |= {"spawned": (executor, "_spawn"), "recorded": (store, "started")}
    owner, name = owners[moment]
    whole = getattr(owner, name)

    def with_sweep(*arguments: Any, **options: Any) -> Any:
        answer = whole(*arguments, **options)
        assert other.settle(job.run_id) is (moment != "recorded")
        return answer

    monkeypatch.setattr(owner, name, with_sweep)

    if moment == "claimed":
        with pytest.raises(RecordError):
            executor.execute(job)
    else:
        # With its pid on record it is nobody else's: it ran, and this role processes no host.
        status = RunStatus.FAILED if moment == "recorded" else RunStatus.REFUSED
        assert executor.execute(job).status is status
    assert store.shut_runs() == ()


def test_the_sweep_and_a_waiting_thread_agree(
    executor: RunnerExecutor, store: Remembering, stage: Stage, job: PlaybookJob
) -> None:
    """The sweep of another process: whoever writes first, both see the row that stands."""
    gone(store, job, stage)
    other = RunnerExecutor(stage.settings, store, FakeProbe(), FakeFleet(local_host()))
    with ThreadPoolExecutor(2) as pool:
        swept, waited = pool.submit(other.settle, job.run_id), pool.submit(executor.execute, job)
        assert waited.result().status is RunStatus.UNKNOWN
        swept.result()
    assert store.shut_runs() == ()
    assert [event.kind for event in store.events()].count("run.ended") == 1


def test_a_store_that_does_not_answer_does_not_stop_the_sweep(
    executor: RunnerExecutor, store: Remembering, job: PlaybookJob
) -> None:
    store.failing = {"run": [StoreUnavailable("The store is locked.")]}
    assert not executor.settle(job.run_id)
