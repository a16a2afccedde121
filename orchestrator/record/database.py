"""Transactions on the store's database, and the one place where its errors become ours."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from orchestrator import locks
from orchestrator.errors import ConfigError, HealingError, RecordError, StoreUnavailable
from orchestrator.record import mounts, schema

#: Milliseconds that a writer waits for another one. Transactions take about a millisecond, so this is never
#: reached unless somebody holds the file.
BUSY_MS = 10_000
#: Seconds that a writer waits for its turn among those of this process: longer than any line of them.
TURN_SECONDS = 60.0
#: Threads of the engine (64), the API (40) and the collector share these connections.
POOL, OVERFLOW = 8, 56


def utc_now() -> datetime:
    """The controller's clock."""
    return datetime.now(UTC)


class Turns:
    """A lock that is given in the order in which it was asked for; whoever comes last by choice goes after all.

    SQLite's waiting is a poll: whoever looks at the right moment is next, and with enough feeders a healing's
    write never is. threading.Lock is no better: whoever gives it back may take it again at once.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._lines: tuple[deque[threading.Event], deque[threading.Event]] = (deque(), deque())

    def take(self, seconds: float, *, last: bool = False) -> bool:
        """Wait for our turn, at most `seconds`; whether it came."""
        with self._guard:
            if not self._held:
                self._held = True
                return True
            mine = threading.Event()
            self._lines[last].append(mine)
        if mine.wait(seconds):
            return True
        with self._guard:
            if mine.is_set():
                return True
            self._lines[last].remove(mine)
        return False

    def give(self) -> None:
        """To the one that waits longest."""
        with self._guard:
            line = self._lines[0] or self._lines[1]
            if line:
                line.popleft().set()
            else:
                self._held = False


class Database:
    """Short transactions. Raises StoreUnavailable and RecordError, nothing of SQLAlchemy."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self._engine = engine
        self._turns = Turns()
        self._writer = engine.execution_options(healing_writer=True)
        self._name = name

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view; never waits for a writer."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, last: bool = False) -> Iterator[sa.Connection]:
        """All or nothing; one writer at a time, so what is read inside still holds when it is written.

        Writers of this process take turns: those that feed records in come `last`, so that no flood keeps a
        healing from its next step. Those of another process are met by SQLite's own waiting.
        """
        if not self._turns.take(TURN_SECONDS, last=last):
            raise StoreUnavailable(f"The store {self._name} has too many writers at once. Try again in a moment.")
        try:
            with self._translated(), self._writer.begin() as connection:
                yield connection
        finally:
            self._turns.give()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise translate(error, self._name) from error


class Records:
    """What the parts of the store share: the database and the clock."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock


def translate(error: Exception, name: str) -> HealingError:
    """The sentence for a database error; `name` is the store's file. Unknown ones stop all acting."""
    said = str(getattr(error, "orig", None) or error)
    low = said.lower()
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable(f"The store {name} has no free connection. Try again in a moment.")
    if "locked" in low or "busy" in low:
        return StoreUnavailable(
            f"The store {name} is held by another process for more than {BUSY_MS // 1000} s. Try again; if it "
            "stays so, look for a backup or editor that has the file open."
        )
    if "unable to open" in low:
        return StoreUnavailable(f"The store {name} can't be opened. Check that its folder exists and is ours.")
    if "full" in low or "disk i/o" in low or "readonly" in low or "too big" in low:
        return RecordError(
            f"The store {name} can't be written: {said}. Nothing acts without a record. Free space on its disk "
            "or make it writable, then try again."
        )
    if "malformed" in low or "not a database" in low or "corrupt" in low:
        return RecordError(
            f"The store {name} is damaged: {said}. Stop `healer serve`, keep the file, and restore a backup or "
            "move the file away to begin an empty one."
        )
    if isinstance(error, exc.IntegrityError):
        return RecordError(f"The store {name} refused a record that breaks its rules: {said}. Nothing was written.")
    if isinstance(error, exc.OperationalError):
        return StoreUnavailable(f"The store {name} does not answer: {said}. Try again.")
    return RecordError(f"The store {name} could not record: {said}. Nothing was written.")


def connect(url: str, workers: Sequence[Path] = ()) -> Database:
    """Open the store at a SQLAlchemy URL, making file (0600), folder (0700) and tables where there are none.

    One of an older version is upgraded, unless somebody holds one of the locks `workers`. Raises ConfigError for
    that, for a URL that is not SQLite, a network file system, a file that is something else, and a store that a newer
    healing-bot wrote: before anything is touched.
    """
    path = path_of(url)
    mounts.require_local(path)
    version = _version(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        locks.touch(path)
    except OSError as error:
        raise StoreUnavailable(f"The store {path} can't be opened: {error.strerror}.") from error
    if version < schema.VERSION:
        _upgrade(path, workers)
    return Database(_engine(path, _prepare), str(path))


def _upgrade(path: Path, workers: Sequence[Path]) -> None:
    from orchestrator.record.upgrade import upgrade  # Alembic, for a file that needs it

    database = Database(_engine(path, _prepare_upgrade), str(path))
    try:
        upgrade(database, path, workers)
    finally:
        database.close()


def _engine(path: Path, prepare: Callable[[sqlite3.Connection, object], None]) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", pool_size=POOL, max_overflow=OVERFLOW)
    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def path_of(url: str) -> Path:
    """The file of a store's URL. Raises ConfigError for one that is not a SQLite file."""
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise ConfigError(
            "store_url is not a database URL. Leave it empty, or write sqlite:////path/to/file."
        ) from error
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise ConfigError(
            f"store_url names {parsed.get_backend_name()!r}; the store is a SQLite file so far. Leave store_url "
            "empty, or write sqlite:////path/to/file."
        )
    return Path(str(parsed.database)).absolute()


def _version(path: Path) -> int:
    """Of an existing file, looked at read-only before any setting of ours could change it; 0: nothing is there yet."""
    try:
        if path.stat().st_size == 0:
            return 0
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreUnavailable(f"The store {path} can't be opened: {error.strerror}.") from error
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            found = (
                connection.execute("SELECT version FROM healing_store").fetchone()
                if "healing_store" in tables
                else None
            )
    except sqlite3.Error as error:
        raise translate(error, str(path)) from error
    if tables and found is None:
        raise ConfigError(
            f"{path} is a database of something else (it has no table healing_store). Nothing was touched. Point "
            "store_url at another file."
        )
    if found and found[0] > schema.VERSION:
        raise ConfigError(
            f"The store {path} has version {found[0]}; this healing-bot knows versions up to {schema.VERSION}. "
            "Nothing was touched. Use the newer healing-bot, or point store_url at another file."
        )
    return int(found[0]) if found else 0


def _prepare_upgrade(connection: sqlite3.Connection, record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    # Of a new file, before anything is in it: what is pruned can be given back to the disk, some pages at a time.
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    _prepare(connection, record)
    # A table that a step rebuilds is gone for a moment, with rows that point to it. Checked when all is done.
    connection.execute("PRAGMA foreign_keys=OFF")


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # None: SQLAlchemy's `begin` decides how a transaction begins, not the driver's guess from the statement.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
    # FULL: what was written before acting is still there after a power cut.
    connection.execute("PRAGMA synchronous=FULL")
    for _ in range(BUSY_MS // 50):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # The switch to WAL does not wait by itself while another process opens the same new file.
            if "locked" not in str(error):
                raise
            time.sleep(0.05)


def _begin(connection: sa.Connection) -> None:
    writer = connection.get_execution_options().get("healing_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")
