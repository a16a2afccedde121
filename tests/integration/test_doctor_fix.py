"""`healer doctor --fix` as it is typed, beside a real `healer serve`; and a second serve, refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator import locks
from orchestrator.domain.runs import RunStatus
from tests.support.act_stage import Stage, environment, orphaned, quick, slow, until

HEALER = Path(sys.executable).parent / "healer"
#: Runs of others on this very machine, which is probed for ours, have other ids.
NUMBER = os.getpid()
INVENTORY = "all:\n  hosts:\n    here:\n      ansible_connection: local\n      healing_mode: 'off'\n"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "one", environment())
    configure(made.folder)
    yield made
    made.end_processes()
    made.store.close()


def configure(folder: Path, **more: str) -> None:
    """A healer.toml that a worker can start with, on a port of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "hosts.yml").write_text(INVENTORY)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    lines = {"inventory": "hosts.yml", "state_dir": "state", **more}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    (folder / "healer.toml").write_text(f"{text}api_port = {port}\n")


def healer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HEALER, "--config", folder / "healer.toml", *arguments],
        env=environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fixed(folder: Path, code: int = 0) -> dict[str, Any]:
    """What --fix said, by name."""
    done = healer(folder, "doctor", "--fix", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return {check["name"]: check for check in json.loads(done.stdout)}


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`healer serve`, from its first beat on."""
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [HEALER, "--config", folder / "healer.toml", "serve"], env=environment(), stdout=log, stderr=log
        )
    try:
        until(lambda: "healer serve: 1 host" in (folder / "serve.log").read_text() or process.poll() is not None, 60)
        assert process.poll() is None, (folder / "serve.log").read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def age(stage: Stage) -> None:
    """The run began an hour ago."""
    with stage.store._database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET started = '2026-01-01T00:00:00.000000Z'")


def test_fix_ends_a_dead_run_once_and_says_what_it_did(stage: Stage) -> None:
    job, mark = slow(stage, NUMBER)
    orchestrator = orphaned(stage, job)
    until(mark.exists)
    until(lambda: stage.asleep(job))
    orchestrator.kill()
    orchestrator.wait()
    run = stage.store.run(job.run_id)
    assert run is not None
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    until(lambda: stage.left(job) == set())
    name = f"run {job.run_id}"

    assert fixed(stage.folder, 0)[name]["ok"] is None, "it is too young to be judged"
    age(stage)
    told = healer(stage.folder, "doctor")
    assert told.returncode == 1
    assert f"BAD  {name}: act of slow on here, running since" in told.stdout
    assert "Fix: --fix ends it" in told.stdout

    done = healer(stage.folder, "doctor", "--fix")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"done {name}: act of slow on here, running since" in done.stdout
    assert "Done: ended as unknown; its hosts are free" in done.stdout
    assert not stage.private(job).exists()
    (line,) = [event for event in stage.store.events() if event.kind == "doctor.fixed"]
    assert line.actor.startswith("cli:")

    again = fixed(stage.folder)
    assert again.keys() == {"worker", "left over"}
    assert again["left over"]["text"] == "nothing"


def test_a_live_run_of_a_live_serve_is_untouched_by_fix(stage: Stage) -> None:
    with serving(stage.folder) as serve, ThreadPoolExecutor(1) as pool:
        job, mark = slow(stage, NUMBER)
        running = pool.submit(stage.executor.execute, job)
        until(mark.exists)
        age(stage)
        for _ in range(3):
            told = fixed(stage.folder)
            assert f"pid {serve.pid}" in told["worker"]["text"]
            assert told[f"run {job.run_id}"]["ok"] is True
            assert [check for check in told.values() if check["fixed"]] == []
        assert not running.done()
        assert stage.left(job)
        stage.executor.cancel(job.run_id)
        assert running.result().status is RunStatus.CANCELED


def test_rows_are_left_to_a_serve_that_lives_and_it_ends_them(stage: Stage) -> None:
    job, _ = quick(stage, NUMBER)
    with serving(stage.folder):
        stage.store.claim(job, signatures=frozenset())
        stage.store.started(job.run_id, 4_000_000, 1, lease_seconds=60)
        age(stage)
        done = healer(stage.folder, "doctor", "--fix", "--json")
        told = {check["name"]: check for check in json.loads(done.stdout)}.get(f"run {job.run_id}")
        # The serve may have ended it before doctor looked.
        assert done.returncode == (0 if told is None else 1)
        assert told is None or (told["fixed"] == "" and "the healer serve that works here" in told["fix"])
        until(lambda: stage.store.shut_runs() == (), 60)
        assert [event for event in stage.store.events() if event.kind == "doctor.fixed"] == []


def test_nothing_is_cleared_where_somebody_else_can_write(stage: Stage) -> None:
    runs = stage.settings.state_dir / "runs"
    runs.mkdir(mode=0o700)
    mark = runs / ".inc-1-act.cancel"
    mark.touch()
    runs.chmod(0o777)

    told = fixed(stage.folder, 1)

    assert told["state_dir"]["text"].endswith(f"chmod go-w {runs}")
    assert "nothing is cleared" in told["left over"]["text"]
    served = healer(stage.folder, "serve")
    assert served.returncode == 78
    assert served.stderr.startswith(f"healer: {runs} can be written by everybody (mode 0777)")
    assert served.stderr.count("\n") == 1


def test_two_fixes_take_turns(stage: Stage) -> None:
    with locks.hold(stage.settings.state_dir / "doctor.lock", ""):
        done = healer(stage.folder, "doctor", "--fix")
    assert done.returncode == 78
    assert done.stderr.startswith(f"healer: Another healer doctor --fix (pid {os.getpid()}) works on ")


@pytest.mark.parametrize("shared", ["state_dir", "store_url", "store_url through a link"])
def test_a_second_serve_is_refused_before_it_touches_anything(stage: Stage, tmp_path: Path, shared: str) -> None:
    second = tmp_path / "two"
    store = stage.settings.state_dir / "healer.sqlite"
    if shared == "state_dir":
        configure(second, state_dir=str(stage.settings.state_dir))
    elif shared == "store_url":
        configure(second, store_url=f"sqlite:///{store}")
    else:
        (tmp_path / "link").symlink_to(stage.settings.state_dir)
        configure(second, store_url=f"sqlite:///{tmp_path / 'link' / store.name}")

    with serving(stage.folder) as serve:
        done = healer(second, "serve")

        assert done.returncode == 78
        assert done.stderr.startswith(f"healer: Another healer serve (pid {serve.pid}) works on the store {store}. ")
        assert done.stderr.count("\n") == 1
        assert sorted(path.name for path in second.iterdir()) == ["healer.toml", "hosts.yml"]
        assert serve.poll() is None
