"""The one door to DBOS: durable workflows, queues and timers on an embedded SQLite.

Only a worker (`healer serve`) launches the engine, because launching recovers what a dead process left.
A client enqueues and never launches. What must not run twice is kept by the run table, not by this engine:
its steps run *at least* once.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from orchestrator import locks
from orchestrator.errors import ConfigError, Interrupted, StoreUnavailable

if TYPE_CHECKING:
    from dbos import DBOSClient, DBOSConfig

#: Fixed, because a version that follows the source strands running workflows at every edit.
VERSION = "healer-1"
PLANS, HOSTS, HOLDS, WAVES = "plans", "hosts", "holds", "waves"
#: Seconds between looks at the queues that a healing waits in: it waits there two times before it is verified. Each
#: look takes 8 ms of processor (measured): with 0.25 both queues cost 6 % of a core while nothing happens, now 3 %.
POLL = 0.5
#: Holds end a few seconds later at most.
HOLD_POLL = 2.0
#: RETURNING came with 3.35; older ones can't run the engine.
OLDEST_SQLITE = (3, 35)
#: unixepoch('subsec') came with 3.42; before, it answers NULL.
SUBSECOND_SQLITE = (3, 42)

#: One worker works on a state directory (it holds its lock), whatever the machine is called today: what another name
#: left would never be recovered.
EXECUTOR = "worker-0"
#: States of a workflow that goes on, now or at the next launch.
DELAYED = "DELAYED"
ALIVE = frozenset({"PENDING", "ENQUEUED", DELAYED})
ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
#: Workflows that one transaction deletes.
FORGOTTEN_AT_ONCE = 100
#: Seconds between two looks whether a drain is to be cut short.
HURRY_LOOK = 0.2

#: Whether this thread is inside of a step.
_IN_STEP = ContextVar("in_step", default=False)

#: What SQLite says where nothing can be written for now.
_NO_ROOM = ("is full", "disk I/O error")

#: Which queue a workflow of that name waits in.
QUEUES = {
    "plan": PLANS,
    "look": PLANS,
    "ask": HOSTS,
    "apply": HOSTS,
    "rollback": HOSTS,
    "hold": HOLDS,
    "wave": WAVES,
}


def database(url: str) -> sa.Engine:
    """The engine's own database. Raises ConfigError where SQLite is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigError(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed. Use a newer Python build."
        )
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    locks.touch(path)
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA foreign_keys=ON")
        if sqlite3.sqlite_version_info < SUBSECOND_SQLITE:
            connection.create_function("unixepoch", -1, lambda *_: time.time())

    sa.event.listen(engine, "handle_error", _wait_for_room)
    return engine


def _wait_for_room(context: sa.engine.ExceptionContext) -> None:
    """Make DBOS wait and try again, as it does for a lock: a full disk would end a workflow, and its slot with it."""
    said = str(context.original_exception)
    if isinstance(context.original_exception, sqlite3.Error) and any(word in said for word in _NO_ROOM):
        locked = sqlite3.OperationalError(f"database is locked, so to speak: {said}")
        raise sa.exc.OperationalError(context.statement, None, locked) from context.original_exception


def _config(url: str, executor: str) -> DBOSConfig:
    from dbos._serialization import DBOSPortableJSONSerializer

    return {
        "name": "healing-bot",
        "system_database_url": url,
        "system_database_engine": database(url),
        "application_version": VERSION,
        "executor_id": executor,
        "console_log_level": "ERROR",
        "log_level": "ERROR",
        # The default is pickle: whoever could write the database would run code in the worker.
        "serializer": DBOSPortableJSONSerializer(),
        # Nothing is sent to workflows, but closing waits for this.
        "notification_listener_polling_interval_sec": 1.0,
        "scheduler_polling_interval_sec": 30.0,
        "max_executor_threads": 64,
    }


class DurableEngine:
    """A worker's engine; implements ports.Engine. One a process, one a state directory.

    Raises ConfigError when another worker holds the state directory.
    """

    def __init__(self, url: str, lock: Path, workflows: Mapping[str, Callable[[str], None]], parallel: int) -> None:
        from dbos import DBOS  # 0.3 s and 50 MB: only a worker pays for it

        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = locks.hold(
            lock,
            f"Another healer serve (pid {{pid}}) works on {lock.parent}. Stop it first, or give this one its own "
            "state_dir.",
        )
        logging.getLogger("dbos").setLevel(logging.ERROR)
        self._dbos = DBOS
        self._parallel = parallel
        self._draining = threading.Event()
        self._running: set[str] = set()
        self._ended = threading.Condition()
        DBOS(config=_config(url, EXECUTOR))
        for name, function in workflows.items():
            DBOS.workflow(name=name, max_recovery_attempts=100)(_named(name, self._within(function)))

    def launch(self) -> None:
        """Recover what a former process left and begin to work the queues."""
        self._dbos.launch()
        register = self._dbos.register_queue
        # One plan a host at a time, so that a host that floods us delays itself.
        register(
            PLANS,
            worker_concurrency=8,
            partition_concurrency=1,
            polling_interval_sec=POLL,
            on_conflict="always_update",
        )
        register(
            HOSTS,
            worker_concurrency=self._parallel,
            partition_concurrency=1,
            polling_interval_sec=POLL,
            on_conflict="always_update",
        )
        register(HOLDS, worker_concurrency=16, polling_interval_sec=HOLD_POLL, on_conflict="always_update")
        # A wave may wait long for its members, and takes its hosts by the store.
        register(WAVES, worker_concurrency=16, polling_interval_sec=HOLD_POLL, on_conflict="always_update")

    def _within(self, function: Callable[[str], None]) -> Callable[[str], None]:
        """The workflow, counted while it runs; one that would begin during a drain is left to the next launch."""

        def run(argument: str) -> None:
            if self._draining.is_set():
                raise Interrupted
            workflow_id = str(self._dbos.workflow_id)
            with self._ended:
                self._running.add(workflow_id)
            try:
                function(argument)
            finally:
                with self._ended:
                    self._running.discard(workflow_id)
                    self._ended.notify_all()

        return run

    def drain(self, seconds: float, hurry: threading.Event) -> tuple[str, ...]:
        """See ports.Engine."""
        self._draining.set()
        deadline = time.monotonic() + seconds
        with self._ended:
            while self._running and not hurry.is_set() and (left := deadline - time.monotonic()) > 0:
                self._ended.wait(min(left, HURRY_LOOK))
            return tuple(sorted(self._running))

    def close(self) -> None:
        """Stop taking work; what runs is recovered at the next launch."""
        self._dbos.destroy(destroy_registry=True, workflow_completion_timeout_sec=5)
        self._lock.close()

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        """See ports.Engine. The result must be JSON."""

        def inside(*given: Any) -> Any:
            token = _IN_STEP.set(True)
            try:
                return function(*given)
            finally:
                _IN_STEP.reset(token)

        return self._dbos.run_step({"name": name}, inside, *args)

    def start(
        self, workflow: str, workflow_id: str, argument: str, *, host: str | None = None, delay: float = 0.0
    ) -> None:
        """See ports.Engine."""

        if _IN_STEP.get():
            raise RuntimeError(f"{workflow} is started inside a step; start it between steps")
        with _translated():
            self._dbos.enqueue_workflow_with_options(
                _options(workflow, workflow_id, host, delay),  # type: ignore[arg-type]  # built as a plain dict
                argument,
            )

    def alive(self, workflow_id: str) -> bool:
        """See ports.Engine."""
        with _translated():
            found = self._dbos.get_workflow_status(workflow_id)
        return found is not None and found.status in ALIVE

    def due(self, workflow_id: str) -> float | None:
        """See ports.Engine."""
        with _translated():
            found = self._dbos.get_workflow_status(workflow_id)
        if found is None or found.status != DELAYED or found.delay_until_epoch_ms is None:
            return None
        return found.delay_until_epoch_ms / 1000 - time.time()

    def delay(self, workflow_id: str, seconds: float) -> None:
        """See ports.Engine."""
        with _translated():
            self._dbos.set_workflow_delay(workflow_id, delay_seconds=max(0.0, seconds))

    def forget(self, before: datetime) -> int:
        """Delete workflows that were begun before and have ended; how many. Raises StoreUnavailable.

        Their ids could be started anew then: what they did is guarded by the states of incidents and by run rows.
        """
        forgotten = 0
        with _translated():
            while found := self._dbos.list_workflows(
                status=list(ENDED),
                end_time=before.isoformat(),
                limit=FORGOTTEN_AT_ONCE,
                load_input=False,
                load_output=False,
            ):
                self._dbos.delete_workflows([one.workflow_id for one in found])
                forgotten += len(found)
        return forgotten


class EngineClient:
    """Enqueues from the CLI or a test; never launches, so it recovers nothing. Raises StoreUnavailable."""

    def __init__(self, url: str) -> None:
        from dbos import DBOSClient
        from dbos._serialization import DBOSPortableJSONSerializer

        if not Path(url.removeprefix("sqlite:///")).exists():
            raise StoreUnavailable("No healer serve has worked here yet. Start it: healer serve")
        self._client: DBOSClient = DBOSClient(
            system_database_engine=database(url),
            system_database_url=url,
            serializer=DBOSPortableJSONSerializer(),
        )

    def start(
        self, workflow: str, workflow_id: str, argument: str, *, host: str | None = None, delay: float = 0.0
    ) -> None:
        """Enqueue by id; the same id again is the same workflow."""
        options = _options(workflow, workflow_id, host, delay)
        with _translated():
            self._client.enqueue(options, argument)  # type: ignore[arg-type]  # built as a plain dict

    def close(self) -> None:
        """Give the connections back."""
        self._client.destroy()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreUnavailable(f"The engine's database can't be used now: {cause}.") from error


def _options(workflow: str, workflow_id: str, host: str | None, delay: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "workflow_name": workflow,
        "queue_name": QUEUES[workflow],
        "workflow_id": workflow_id,
        "app_version": VERSION,
    }
    if QUEUES[workflow] in (PLANS, HOSTS):
        if not host:
            raise ValueError(f"{workflow} needs the host whose turn it takes; without one it would wait for ever")
        options["queue_partition_key"] = host
    if delay > 0:
        options["delay_seconds"] = delay
    return options


def _named(name: str, function: Callable[[str], None]) -> Callable[[str], None]:
    def run(argument: str) -> None:
        function(argument)

    run.__name__ = run.__qualname__ = name
    return run
