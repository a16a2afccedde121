"""A store of an older version becomes one of ours: alone, with a copy of what it was, all or nothing."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from orchestrator import locks
from orchestrator.errors import RecordError
from orchestrator.record import ledger, migrations, schema
from orchestrator.record.database import Database

log = logging.getLogger("healing.record")

#: Bytes beyond the copy's that must be free: what the steps themselves write.
SPARE_BYTES = 16 * 1024 * 1024


def upgrade(database: Database, path: Path, workers: Sequence[Path]) -> None:
    """Bring the store at `path` to our version, or make it.

    `database` must have foreign keys off. `workers`: the locks of workers that may be at work on it. Raises
    ConfigError where one is, RecordError where there is no room for the copy: nothing was touched then.
    """
    with ExitStack() as alone, database.write() as connection:
        # Read again: another process may have done it while we waited for our turn.
        version = _version(connection)
        if version >= schema.VERSION:
            return
        if version:
            for lock in workers:
                if lock.parent.is_dir():
                    alone.enter_context(closing(locks.hold(lock, _busy(path, version))))
            _copy(path, version)
        reached = migrations.run(connection, version)
        _check(connection, path)
        if version:
            connection.execute(schema.STORE.update().values(version=reached))
            text = f"the store was upgraded from version {version} to {reached}; {copy_of(path, version)} is as it was"
            ledger.write(connection, datetime.now(UTC), "store.upgraded", text=text)
        else:
            connection.execute(schema.STORE.insert().values(version=reached))
    if version:
        log.warning("%s: %s", path, text)


def copy_of(path: Path, version: int) -> Path:
    """Where the copy lies that is made before a store of that version is upgraded."""
    return path.with_name(f"{path.name}.version-{version}")


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table(schema.STORE.name):
        return 0
    return int(connection.execute(sa.select(schema.STORE.c.version)).scalar_one())


def _busy(path: Path, version: int) -> str:
    return (
        f"The store {path} has version {version} and must be upgraded to {schema.VERSION}, but a healer serve (pid "
        "{pid}) works on it. Nothing was touched. Stop that healer serve first, then try again."
    )


def _copy(path: Path, version: int) -> None:
    """What is committed now: the caller holds the write lock."""
    kept = copy_of(path, version)
    draft = kept.with_name(f"{kept.name}.part")
    _need_room(path, version)
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(draft, isolation_level=None)) as target,
        ):
            source.backup(target)
            # One file, that opens without another beside it.
            target.execute("PRAGMA journal_mode=DELETE")
        draft.replace(kept)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, sqlite3.Error) as error:
        draft.unlink(missing_ok=True)
        raise RecordError(
            f"The store {path} can't be copied to {kept} before it is upgraded from version {version}: {error}. "
            "Nothing was touched. Make room, then try again."
        ) from error


def _need_room(path: Path, version: int) -> None:
    disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    needed = path.stat().st_size + SPARE_BYTES
    if free < needed:
        raise RecordError(
            f"The store {path} is copied before it is upgraded from version {version}, which needs "
            f"{-(-needed // 1024**2)} MiB in {path.parent}; {free // 1024**2} MiB are free. Nothing was touched. Make "
            "room, then try again."
        )


def _check(connection: sa.Connection, path: Path) -> None:
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise RecordError(
            f"The store {path} has rows that belong to none, so it can't be upgraded. Nothing was changed. Restore a "
            "backup, or point store_url at another file."
        )
