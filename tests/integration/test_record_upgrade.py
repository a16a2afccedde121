"""Stores of older versions: upgraded whole or not at all, alone, with a copy of what they were."""

from __future__ import annotations

import fcntl
import logging
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.errors import ConfigError, RecordError, StoreUnavailable
from orchestrator.record import database, migrations, schema, upgrade
from orchestrator.record.store import open_store

#: A store that the code of version 1 made, with rows of every table.
VERSION_1 = Path(__file__).parents[1] / "cases" / "store" / "version-1.sql"
#: What an upgrade writes itself, beside what it leaves as it is.
OUR_OWN = "store.upgraded"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of version 1."""
    path = tmp_path / "state" / "healer.sqlite"
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.executescript(VERSION_1.read_text(encoding="utf-8"))
    return path


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, by the names of its columns."""
    with closing(sqlite3.connect(path)) as store:
        store.row_factory = sqlite3.Row
        names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in store.execute(f"SELECT * FROM {name}")] for name in names}  # noqa: S608


def version(path: Path) -> int:
    return int(rows(path)["healing_store"][0]["version"])


# the schema --------------------------------------------------------------------------------------


def shape(path: Path) -> dict[str, Any]:
    """Columns whatever their order, keys, indexes and triggers."""
    with closing(sqlite3.connect(path)) as store:
        names = sorted(name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        told: dict[str, Any] = {
            name: (
                sorted(column[1:] for column in store.execute(f"PRAGMA table_info({name})")),
                sorted(key[2:] for key in store.execute(f"PRAGMA foreign_key_list({name})")),
            )
            for name in names
        }
        return told | dict(store.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger')"))


def test_steps_lead_to_the_very_tables_of_the_code(tmp_path: Path) -> None:
    made, declared = tmp_path / "made.sqlite", tmp_path / "declared.sqlite"
    open_store(url(made)).close()
    engine = sa.create_engine(url(declared))
    schema.METADATA.create_all(engine)
    engine.dispose()

    assert shape(made) == shape(declared)
    assert len(migrations.STEPS) == schema.VERSION == version(made)


@pytest.mark.parametrize("from_old", [False, True])
def test_alembic_finds_nothing_left_to_do(old: Path, tmp_path: Path, from_old: bool) -> None:
    path = old if from_old else tmp_path / "new.sqlite"
    open_store(url(path)).close()
    engine = sa.create_engine(url(path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, schema.METADATA) == []
    engine.dispose()


def test_an_upgraded_store_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.sqlite"
    open_store(url(new)).close()
    open_store(url(old)).close()

    assert shape(old) == shape(new)


# an upgrade --------------------------------------------------------------------------------------


def test_every_row_of_version_1_is_there_afterwards(old: Path) -> None:
    before = rows(old)
    assert all(before[name] for name in before), "the old store has a table without a row"

    open_store(url(old)).close()

    after = rows(old)
    for name, lines in before.items():
        if name in ("healing_store", "sqlite_sequence"):
            continue
        kept = [line for line in after[name] if line.get("kind") != OUR_OWN]
        assert [{column: line[column] for column in lines[0]} for line in kept] == lines


def test_an_upgraded_store_goes_on_where_it_was(old: Path) -> None:
    store = open_store(url(old))

    (held,) = store.shut_runs()
    assert (held.kind, held.status, held.lease_until) == (RunKind.ACT, RunStatus.RUNNING, None)
    states = [one.state for one in reversed(store.incidents())]
    assert states == [IncidentState.HEALED, IncidentState.PENDING_APPROVAL, IncidentState.HEALING]
    assert store.stopped() is not None
    assert store.cursor("web1", "journal") == "c-web1"
    assert store.statistics().successful == 1
    line = store.events(after=store.newest() - 1)[0]
    assert (line.kind, f"from version 1 to {schema.VERSION}" in line.text) == (OUR_OWN, True)
    store.close()


def test_a_copy_of_what_it_was_is_kept(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = rows(old)

    with caplog.at_level(logging.WARNING, "healing.record"):
        open_store(url(old)).close()

    copy = old.with_name("healer.sqlite.version-1")
    assert rows(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert str(copy) in caplog.text
    assert sorted(path.name for path in old.parent.iterdir()) == ["healer.sqlite", copy.name]


def test_an_up_to_date_store_is_opened_without_alembic_and_without_writing(old: Path) -> None:
    open_store(url(old)).close()
    before = old.read_bytes()
    code = f"""
import sys
from orchestrator.record.store import open_store
open_store({url(old)!r}).close()
print([name for name in sys.modules if name.startswith("alembic")])
"""

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"
    assert old.read_bytes() == before


# what stops one ----------------------------------------------------------------------------------


def test_a_store_that_a_worker_is_at_work_on_is_left_alone(old: Path) -> None:
    before, lock = rows(old), old.with_name("worker.lock")
    with lock.open("w") as held:
        held.write("4711")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(ConfigError, match=r"version 1 .*healer serve \(pid 4711\) works on it.*Stop"):
            open_store(url(old), workers=[lock])

        assert rows(old) == before
    open_store(url(old), workers=[lock]).close()
    assert version(old) == schema.VERSION


def test_a_new_store_asks_no_worker(tmp_path: Path) -> None:
    lock = tmp_path / "worker.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        open_store(url(tmp_path / "healer.sqlite"), workers=[lock]).close()


def test_without_room_for_the_copy_nothing_is_touched(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old)
    monkeypatch.setattr(upgrade, "SPARE_BYTES", 2**60)

    with pytest.raises(RecordError, match=r"copied before it is upgraded.*MiB are free.*Make room"):
        open_store(url(old))

    assert rows(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["healer.sqlite"]


def test_a_copy_that_can_not_be_written_stops_it(old: Path) -> None:
    before = rows(old)
    old.with_name("healer.sqlite.version-1").mkdir()

    with pytest.raises(RecordError, match=r"can't be copied.*Nothing was touched"):
        open_store(url(old))

    assert rows(old) == before


def test_a_step_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old)

    def fail(op: Operations) -> None:
        op.execute("DELETE FROM evidence")
        op.execute("INSERT INTO nowhere VALUES (1)")

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, fail))

    with pytest.raises(StoreUnavailable, match="nowhere"):
        open_store(url(old))

    assert rows(old) == before


def test_a_step_that_leaves_rows_of_nobody_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old)
    monkeypatch.setattr(
        migrations, "STEPS", (*migrations.STEPS, lambda op: op.execute("DELETE FROM incident WHERE seq = 1"))
    )

    with pytest.raises(RecordError, match="belong to none"):
        open_store(url(old))

    assert rows(old) == before


# crashes and races -------------------------------------------------------------------------------


def killed_in_a_step(at: str) -> None:
    def die(_: Operations) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    migrations.STEPS = (*migrations.STEPS, die)
    open_store(at)


def opened(at: str, begin: Any, answers: Any) -> None:
    begin.wait()
    store = open_store(at)
    answers.put((len(store.incidents()), store.append("opened", text="by one of them").kind))
    store.close()


@pytest.fixture
def spawn() -> Any:
    return multiprocessing.get_context("spawn")


def test_an_upgrade_that_is_killed_leaves_the_old_store(old: Path, spawn: Any) -> None:
    before = rows(old)
    killed = spawn.Process(target=killed_in_a_step, args=(url(old),))
    killed.start()
    killed.join(timeout=60)
    assert killed.exitcode == -signal.SIGKILL

    assert rows(old) == before
    open_store(url(old)).close()
    assert version(old) == schema.VERSION
    assert rows(old.with_name("healer.sqlite.version-1")) == before


@pytest.mark.parametrize("from_old", [False, True])
def test_of_processes_that_open_it_at_once_one_upgrades_it(
    old: Path, tmp_path: Path, spawn: Any, from_old: bool
) -> None:
    path = old if from_old else tmp_path / "new.sqlite"
    begin, answers = spawn.Barrier(3), spawn.Queue()
    racers = [spawn.Process(target=opened, args=(url(path), begin, answers)) for _ in range(3)]
    for racer in racers:
        racer.start()
    got = [answers.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(timeout=60)
        assert racer.exitcode == 0
    answers.close()
    answers.join_thread()

    assert got == [(3 if from_old else 0, "opened")] * 3
    assert [line["kind"] for line in rows(path)["event"]].count(OUR_OWN) == int(from_old)


def test_who_waits_for_an_upgrade_longer_than_for_a_writer_is_told(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 50)
    with closing(sqlite3.connect(old, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match="held by another process"):
            open_store(url(old))
