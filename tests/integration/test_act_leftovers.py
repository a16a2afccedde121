"""What crashes leave, made by real crashes of real processes; and that what lives is never touched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import locks
from orchestrator.act import processes, workspace
from orchestrator.act.executor import RunnerExecutor
from orchestrator.act.leftovers import files, judgement, runs
from orchestrator.act.leftovers.clearing import checks
from orchestrator.act.leftovers.files import LeftFiles
from orchestrator.act.leftovers.judgement import WorkerFacts
from orchestrator.act.leftovers.runs import LeftRuns
from orchestrator.act.order import VOUCHER, cancel_mark
from orchestrator.domain.ids import RunId
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunStatus
from orchestrator.ports import Check
from orchestrator.record.entries import packed
from orchestrator.record.shelf import Shelf
from orchestrator.testing import FakeFleet, FakeProbe
from tests.support.act_stage import Stage, environment, local_host, orphaned, quick, slow, until

NOBODY = WorkerFacts(alive=False)
WORKING = WorkerFacts(alive=True, pid="77", silent=0.1)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment())
    made.settings = replace(made.settings, run_renewal_seconds=0.1)
    yield made
    made.end_processes()
    made.store.close()


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too young to be judged."""
    for module in (judgement, runs, files):
        monkeypatch.setattr(module, "START_SECONDS", 0.0)


def look(stage: Stage, *, fix: bool = False, worker: WorkerFacts = NOBODY) -> dict[str, Check]:
    """One pass of doctor; its lines by name."""
    executor = RunnerExecutor(stage.settings, stage.store, stage.probe, FakeFleet(local_host()))
    left = LeftRuns(stage.settings, stage.store, lambda: worker, executor.settle)
    kinds = (*left.kinds(), *LeftFiles(stage.settings, stage.store).kinds())
    return {check.name: check for check in checks(kinds, stage.store, fix=fix, actor="cli:ann")}


def row(stage: Stage, job: PlaybookJob) -> Run:
    run = stage.store.run(job.run_id)
    assert run is not None
    return run


def begun(stage: Stage) -> tuple[PlaybookJob, int]:
    """A run under way whose orchestrator was killed; and its supervisor's pid."""
    job, mark = slow(stage)
    orchestrator = orphaned(stage, job)
    try:
        until(mark.exists)
        until(lambda: stage.asleep(job))
    finally:
        orchestrator.kill()
        orchestrator.wait()
    pid = row(stage, job).pid
    assert pid is not None
    return job, pid


def stop_playbook(stage: Stage, job: PlaybookJob) -> set[int]:
    """SIGSTOP whatever runs of the playbook: it can't end by itself any more."""
    for pid in stage.left(job):
        os.kill(pid, signal.SIGSTOP)
    return stage.left(job)


def finish(stage: Stage, job: PlaybookJob, status: RunStatus) -> None:
    stage.store.finish(PlaybookResult(run_id=job.run_id, status=status), slot_shut=False)


def over(stage: Stage, status: RunStatus = RunStatus.UNKNOWN, number: int = 1) -> PlaybookJob:
    """A job whose run is over, with nothing of it on this machine."""
    job, _ = quick(stage, number=number)
    stage.store.claim(job, signatures=frozenset())
    finish(stage, job, status)
    return job


# runs and processes ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("aged")
def test_after_all_was_killed_a_pass_ends_the_run_and_what_is_left_of_it(stage: Stage) -> None:
    job, supervisor = begun(stage)
    left = stop_playbook(stage, job)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not processes.alive(supervisor, row(stage, job).pid_start or 0))
    name = f"run {job.run_id}"
    # The last of its threads takes its locks along, a moment after the first is seen dead.
    until(lambda: look(stage)[name].ok is not None)

    told = look(stage)
    assert told[name].ok is False
    assert f"its process {supervisor} is gone" in told[name].text
    assert row(stage, job).status is RunStatus.RUNNING
    # The kernel sends what is stopped and orphaned a hang-up; Ansible's workers are in sessions of their own.
    assert set() < stage.left(job) <= left

    done = look(stage, fix=True)
    assert done[name].fixed == "ended as unknown; its hosts are free"
    run = row(stage, job)
    assert (run.status, run.slot_shut) == (RunStatus.UNKNOWN, False)
    assert stage.left(job) == set()
    assert not stage.private(job).exists()
    (line,) = [event for event in stage.store.events() if event.kind == "doctor.fixed"]
    assert line.actor == "cli:ann"
    assert name in line.text

    assert look(stage, fix=True) == {}
    assert len([event for event in stage.store.events() if event.kind == "doctor.fixed"]) == 1


@pytest.mark.usefixtures("aged")
def test_a_slot_is_never_opened_without_an_answer_of_the_host(stage: Stage) -> None:
    stage.probe = probe = FakeProbe()
    job, supervisor = begun(stage)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: stage.left(job) == set())
    probe.alive.add(job.run_id)

    done = look(stage, fix=True)[f"run {job.run_id}"]
    assert (done.ok, done.fixed) == (False, "ended as unknown; not all of its hosts answered that they are idle")
    assert row(stage, job).slot_shut

    probe.alive.clear()
    assert look(stage, fix=True)[f"run {job.run_id}"].fixed == "its hosts are free"
    assert look(stage, fix=True) == {}


@pytest.mark.usefixtures("aged")
def test_rows_are_left_to_a_worker_that_lives(stage: Stage) -> None:
    job, supervisor = begun(stage)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: stage.left(job) == set())

    told = look(stage, fix=True, worker=WORKING)[f"run {job.run_id}"]
    assert (told.ok, told.fixed) == (False, "")
    assert "the healer serve that works here (pid 77) ends it" in told.fix
    assert row(stage, job).status is RunStatus.RUNNING
    assert stage.private(job).exists()
    look(stage, fix=True)


@pytest.mark.usefixtures("aged")
def test_a_process_that_hangs_is_told_and_left_alone(stage: Stage) -> None:
    job, supervisor = begun(stage)
    stage.freeze(supervisor)
    with stage.locked() as store:
        store.execute("UPDATE run SET lease_until = 0")
    before = stage.left(job)

    told = look(stage, fix=True)[f"run {job.run_id}"]

    assert told.ok is False
    assert f"its process {supervisor} lives, and has not renewed its lease" in told.text
    assert f"kill -9 {supervisor}" in told.fix
    assert row(stage, job).status is RunStatus.RUNNING
    assert stage.left(job) == before
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not processes.alive(supervisor, row(stage, job).pid_start or 0))
    # Who inherited its lock may live a moment longer.
    until(lambda: bool(look(stage, fix=True)[f"run {job.run_id}"].fixed))


@pytest.mark.usefixtures("aged")
def test_a_process_that_can_t_be_seen_but_holds_its_voucher_lives(stage: Stage) -> None:
    """Seen from another container its pid is nobody's or somebody else's; a lock on a shared file is the kernel's."""
    job, supervisor = begun(stage)
    with stage.locked() as store:
        store.execute("UPDATE run SET pid = 4000000")

    told = look(stage, fix=True)

    assert told[f"run {job.run_id}"].ok is None
    assert "can't be seen from here and lives" in told[f"run {job.run_id}"].text
    assert row(stage, job).status is RunStatus.RUNNING
    assert stage.left(job)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not locks.is_locked(stage.private(job) / VOUCHER))
    assert look(stage, fix=True)[f"run {job.run_id}"].fixed


@pytest.mark.usefixtures("aged")
def test_a_supervisor_of_a_run_that_somebody_ended_is_killed_with_its_playbook(stage: Stage) -> None:
    job, supervisor = begun(stage)
    stop_playbook(stage, job)
    stage.freeze(supervisor)
    finish(stage, job, RunStatus.UNKNOWN)
    until(lambda: f"process {supervisor}" in look(stage))

    done = look(stage, fix=True)

    assert done[f"process {supervisor}"].fixed == "killed"
    assert stage.left(job) == set()
    assert done[f"private directory {job.run_id}"].fixed == "removed"
    assert not stage.private(job).exists()
    assert look(stage, fix=True) == {}


@pytest.mark.usefixtures("aged")
@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, None])
def test_what_a_run_that_went_well_or_is_unknown_left_running_is_told_alone(
    stage: Stage, status: RunStatus | None
) -> None:
    job = over(stage, status) if status else quick(stage)[0]
    marker = workspace.Workspace.of(job.run_id, stage.settings).marker.partition("=")
    service = subprocess.Popen(["sleep", "60"], env={marker[0]: marker[2]})
    try:
        until(lambda: f"process {service.pid}" in look(stage))
        told = look(stage, fix=True)[f"process {service.pid}"]
        assert (told.ok, told.fixed) == (None, "")
        assert service.poll() is None
    finally:
        service.kill()
        service.wait()


@pytest.mark.usefixtures("aged")
def test_a_kept_ssh_connection_is_no_leftover(stage: Stage) -> None:
    """The next run on the host may be using it."""
    job = over(stage)
    marker = workspace.Workspace.of(job.run_id, stage.settings).marker.partition("=")
    kept = subprocess.Popen(["ssh: /x/y [mux]", "60"], executable="/bin/sleep", env={marker[0]: marker[2]})
    try:
        until(lambda: any(one.pid == kept.pid for one in processes.of_runs(stage.settings.state_dir / "runs")))
        assert look(stage, fix=True) == {}
        assert kept.poll() is None
    finally:
        kept.kill()
        kept.wait()


def test_beside_passes_without_end_runs_are_untouched(stage: Stage) -> None:
    """No worker is known to live here, so only the facts protect a run: from its claim to its end."""
    ended = threading.Event()
    told: list[Check] = []

    def fixing() -> int:
        passes = 0
        while not ended.is_set():
            told.extend(look(stage, fix=True).values())
            passes += 1
        return passes

    with ThreadPoolExecutor(1) as pool:
        passes = pool.submit(fixing)
        try:
            results = [stage.executor.execute(quick(stage, number=number)[0]) for number in range(1, 4)]
        finally:
            ended.set()
        assert passes.result() > 3
    assert {result.status for result in results} == {RunStatus.SUCCEEDED}
    assert len(quick(stage)[1].read_text().splitlines()) == 3
    assert [check for check in told if check.fixed or check.ok is False] == []
    assert any(check.name == "run inc-0002-act" and check.ok for check in told), "it was looked at while it ran"


# files ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("aged")
def test_private_directories_of_runs_that_are_over_go_and_those_of_running_ones_stay(stage: Stage) -> None:
    gone, running = over(stage), quick(stage, number=2)[0]
    stage.store.claim(running, signatures=frozenset())
    for job in (gone, running):
        workspace.prepare(job, stage.settings)
    (stage.settings.state_dir / "runs" / "inc-9-act").mkdir(mode=0o700)

    done = look(stage, fix=True, worker=WORKING)

    assert done[f"private directory {gone.run_id}"].fixed == "removed"
    assert "the store doesn't know" in done["private directory inc-9-act"].text
    assert [path.name for path in (stage.settings.state_dir / "runs").iterdir()] == [running.run_id]
    workspace.Workspace.of(running.run_id, stage.settings).discard()


def test_what_is_young_is_left_alone(stage: Stage) -> None:
    workspace.prepare(over(stage), stage.settings)
    assert look(stage, fix=True) == {}
    workspace.Workspace.of(RunId("inc-0001-act"), stage.settings).discard()


@pytest.mark.usefixtures("aged")
def test_a_link_in_place_of_a_private_directory_is_told_and_never_followed(stage: Stage, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    folder = stage.private(over(stage))
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(precious)

    told = look(stage, fix=True)[f"private directory {folder.name}"]

    assert (told.ok, told.fixed) == (False, "")
    assert "is a symbolic link" in told.text
    assert (precious / "file").exists()
    assert folder.is_symlink()


@pytest.mark.usefixtures("aged")
def test_a_private_directory_in_use_is_told_alone(stage: Stage) -> None:
    job = over(stage, RunStatus.SUCCEEDED)
    folder = stage.private(job)
    folder.mkdir(mode=0o700, parents=True)
    with locks.hold(folder / VOUCHER, ""):
        assert look(stage, fix=True)[f"private directory {job.run_id}"].ok is None
    service = subprocess.Popen(["sleep", "60"], env={"ANSIBLE_HOME": str(folder / "home")})
    try:
        until(lambda: f"process {service.pid}" in look(stage))
        assert f"in use by pid {service.pid}" in look(stage, fix=True)[f"private directory {job.run_id}"].text
        assert folder.exists()
    finally:
        service.kill()
        service.wait()
    assert look(stage, fix=True)[f"private directory {job.run_id}"].fixed == "removed"


@pytest.mark.usefixtures("aged")
def test_marks_drafts_and_what_was_put_aside_go_with_their_run(stage: Stage) -> None:
    gone, running = over(stage), quick(stage, number=2)[0]
    stage.store.claim(running, signatures=frozenset())
    kept: list[Path] = []
    cleared: list[Path] = []
    for job, listed in ((gone, cleared), (running, kept)):
        private, artifacts = stage.private(job), stage.artifacts(job)
        private.parent.mkdir(mode=0o700, exist_ok=True)
        artifacts.parent.mkdir(mode=0o700, exist_ok=True)
        cancel_mark(private).touch()
        workspace.draft_of(artifacts).mkdir(mode=0o700)
        (workspace.draft_of(artifacts) / "playbook").mkdir()
        listed += [cancel_mark(private), workspace.draft_of(artifacts)]
    (stage.settings.state_dir / "runs" / ".inc-9-act.dead" / "home").mkdir(parents=True)

    done = look(stage, fix=True, worker=WORKING)

    assert {check.fixed for name, check in done.items() if not name.startswith("run ")} == {"removed"}
    assert len(done) == 4
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in cleared)
    assert not (stage.settings.state_dir / "runs" / ".inc-9-act.dead").exists()


def test_artifacts_and_rows_that_do_not_know_each_other_are_told_alone(stage: Stage) -> None:
    job, _ = quick(stage)
    stage.executor.execute(job)
    folder = LeftFiles(stage.settings, stage.store)
    assert folder.artifacts() == ()
    Shelf(stage.settings.artifacts_dir).pack(job.run_id)
    assert folder.artifacts() == ()

    stage.artifacts(job).mkdir()
    packed(stage.artifacts(job)).unlink()
    stage.artifacts(job).rename(stage.artifacts(job).with_name("inc-8-act"))
    texts = [told.text for told in folder.artifacts()]
    assert texts[0].startswith("inc-8-act: the store knows no such run")
    assert texts[1].startswith(f"{job.run_id}: these runs began")
    (stage.settings.artifacts_dir / "inc-8-act").chmod(0o777)
    assert folder.artifacts()[0].ok is False
    assert (stage.settings.artifacts_dir / "inc-8-act").exists()

    stage.store.artifacts_removed([job.run_id])
    assert not any(job.run_id in told.text for told in folder.artifacts())


# ssh ------------------------------------------------------------------------------------------------


@pytest.fixture
def near(stage: Stage) -> Iterator[Path]:
    """A state directory whose path has room for sockets."""
    with tempfile.TemporaryDirectory(prefix="lo-") as folder:
        stage.settings = replace(stage.settings, state_dir=Path(folder) / "s")
        (stage.settings.state_dir / "ssh" / "0123abcd").mkdir(mode=0o700, parents=True)
        yield stage.settings.state_dir / "ssh" / "0123abcd"


def dead_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


@pytest.mark.usefixtures("aged")
def test_control_sockets_of_connections_that_are_gone_go(stage: Stage, near: Path) -> None:
    gone = dead_socket(near / "gone")
    with socket.socket(socket.AF_UNIX) as kept:
        kept.bind(str(near / "kept"))
        kept.listen()
        done = look(stage, fix=True)
    assert {name: check.fixed for name, check in done.items()} == {f"ssh socket {gone}": "removed"}
    assert [path.name for path in near.iterdir()] == ["kept"]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="lo-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.mark.usefixtures("aged")
def test_control_folders_that_no_order_names_and_nothing_uses_go(stage: Stage, temporary: Path) -> None:
    prefix = workspace.control_prefix(stage.settings.state_dir)
    named = quick(stage, number=2)[0]
    stage.store.claim(named, signatures=frozenset())
    deep = replace(stage.settings, state_dir=stage.settings.state_dir / ("d" * 80))
    assert workspace.control_prefix(deep.state_dir) != prefix
    workspace.prepare(named, stage.settings)
    ordered = [path.name for path in temporary.iterdir()]
    for name in ("gone", "stale", "used", "listening", "loose"):
        (temporary / f"{prefix}{name}").mkdir(mode=0o700)
    (temporary / "hb-0000-foreign").mkdir(mode=0o700)
    (temporary / f"{prefix}loose").chmod(0o777)
    dead_socket(temporary / f"{prefix}stale" / "s")
    used = temporary / f"{prefix}used"
    user = subprocess.Popen(["sleep", "60"], env={"ANSIBLE_SSH_CONTROL_PATH_DIR": str(used)})
    with socket.socket(socket.AF_UNIX) as kept:
        kept.bind(str(temporary / f"{prefix}listening" / "s"))
        kept.listen()
        until(lambda: processes.marked(f"ANSIBLE_SSH_CONTROL_PATH_DIR={used}") == {user.pid})
        done = look(stage, fix=True, worker=WORKING)
    user.kill()
    user.wait()

    cleared = {Path(name.split()[-1]).name.removeprefix(prefix) for name, check in done.items() if check.fixed}
    assert cleared == {"gone", "stale"}
    left = {path.name.removeprefix(prefix) for path in temporary.iterdir()}
    assert left == {"used", "listening", "loose", "hb-0000-foreign"} | {name.removeprefix(prefix) for name in ordered}
    workspace.Workspace.of(named.run_id, stage.settings).discard()
