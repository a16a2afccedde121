"""Upgrades and retention as an operator meets them: `healer` typed beside a real `healer serve`, and without one."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.record import schema
from orchestrator.record.shelf import Shelf
from tests.integration.test_doctor_fix import configure, healer, serving
from tests.support.act_stage import Stage, environment, quick

VERSION_1 = Path(__file__).parents[1] / "cases" / "store" / "version-1.sql"
#: Nothing of the old store goes on here: its hosts are none of ours.
OVER = """
UPDATE run SET status = 'succeeded', ended = started WHERE ended IS NULL;
UPDATE run_host SET held = 0;
UPDATE incident SET state = 'healed';
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configured state_dir with a store of version 1."""
    configure(tmp_path)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with closing(sqlite3.connect(state / "healer.sqlite")) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.executescript(VERSION_1.read_text(encoding="utf-8") + OVER)
    (state / "healer.sqlite").chmod(0o600)
    return tmp_path


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "state" / "healer.sqlite")) as store:
        return int(store.execute("SELECT version FROM healing_store").fetchone()[0])


def test_the_first_command_upgrades_and_says_where_the_copy_is(folder: Path) -> None:
    first, second = (healer(folder, "incidents", "list", "--json") for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert len(json.loads(first.stdout)) == 3
    assert str(folder / "state" / "healer.sqlite.version-1") in first.stderr
    assert second.stderr == ""
    assert version(folder) == schema.VERSION


def test_serve_upgrades_the_store_that_it_will_work_on(folder: Path) -> None:
    with serving(folder):
        assert version(folder) == schema.VERSION
        told = healer(folder, "doctor").stdout

    assert f"answers, version {schema.VERSION}" in told


def test_no_command_upgrades_under_a_serve_that_works(folder: Path) -> None:
    with serving(folder) as process:
        # As if that serve were of the older version: its locks are what counts.
        with closing(sqlite3.connect(folder / "state" / "healer.sqlite")) as store, store:
            store.execute("UPDATE healing_store SET version = 1")
        refused = healer(folder, "stop", "--reason", "so")

    assert refused.returncode == 78
    assert "Traceback" not in refused.stderr
    assert f"healer serve (pid {process.pid}) works on it. Nothing was touched. Stop that" in refused.stderr
    assert version(folder) == 1


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "one", environment())
    configure(made.folder)
    yield made
    made.end_processes()
    made.store.close()


@pytest.mark.long
def test_a_run_reads_the_same_packed_and_says_when_it_was_removed(stage: Stage) -> None:
    job, _ = quick(stage)
    stage.executor.execute(job)
    show = ("runs", "show", job.run_id)
    shelf = Shelf(stage.settings.artifacts_dir)
    loose = json.loads(healer(stage.folder, *show, "--json").stdout)
    output = healer(stage.folder, *show, "--stdout").stdout
    assert loose["tasks"]
    assert "PLAY RECAP" in output

    shelf.pack(job.run_id)

    packed = json.loads(healer(stage.folder, *show, "--json").stdout)
    assert (packed["tasks"], packed["files"]) == (loose["tasks"], loose["files"])
    assert packed["artifacts"] == f"{loose['artifacts']}.tar.gz"
    assert healer(stage.folder, *show, "--stdout").stdout == output

    shelf.clear([job.run_id])
    stage.store.artifacts_removed(shelf.cleared())
    shelf.forget([job.run_id])
    assert "artifacts: removed by retention" in healer(stage.folder, *show).stdout


#: A worker wired as `healer serve` wires it; only the wait for the first minute is cut short.
WORKER = """
import sys, time
from pathlib import Path
from orchestrator import app
app.TIDY = 0.05
worker = app.worker(app.settings(Path(sys.argv[1])))
worker.start()
deadline = time.monotonic() + 60
while worker.store.run(sys.argv[2]).artifacts_removed is None and time.monotonic() < deadline:
    time.sleep(0.05)
worker.stop()
"""


def test_a_worker_removes_what_is_due_by_itself(stage: Stage) -> None:
    job, _ = quick(stage)
    stage.executor.execute(job)
    with closing(sqlite3.connect(stage.settings.state_dir / "healer.sqlite")) as store, store:
        store.execute("UPDATE run SET ended = '2020-01-01T00:00:00.000000Z'")

    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(stage.folder / "healer.toml"), job.run_id],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert list(stage.settings.artifacts_dir.iterdir()) == [], done.stderr
    assert [event.kind for event in stage.store.events()][-1] == "artifacts.removed"
