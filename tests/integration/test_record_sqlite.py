"""The store on a real SQLite file: races between threads and processes, and everything that can be wrong with it."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import Cursor, IncidentId, RunId, Signature
from orchestrator.domain.incidents import IncidentState, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.errors import ConfigError, RecordError, StoreUnavailable
from orchestrator.record import database, mounts, schema
from orchestrator.record.store import SqlStore, open_store

RACERS = 8


def url(path: Path) -> str:
    return f"sqlite:///{path / 'state' / 'healer.sqlite'}"


def file_of(path: Path) -> Path:
    return path / "state" / "healer.sqlite"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(url(tmp_path))
    yield opened
    opened.close()


def signal(unit: str = "nginx.service", message: str = "failed") -> Signal:
    return Signal(
        record=LogRecord(time=datetime.now(UTC), host="web1", unit=unit, priority=3, message=message),
        signature=Signature("sig-1"),
        template=message,
        subject=Subject(kind=SubjectKind.UNIT, name=unit),
        severity=Severity.ERROR,
        age=0.1,
    )


def job(number: int, *hosts: str) -> PlaybookJob:
    return PlaybookJob(
        run_id=RunId(f"inc-{number}-act"),
        incident_id=IncidentId(f"inc-{number}"),
        kind=RunKind.ACT,
        action="restart_service",
        playbook=Path("act.yml"),
        roles=Path("roles"),
        parameters={},
        hosts=tuple(Host(name=name, groups=(), connection=Connection(kind="ssh", address=name)) for name in hosts),
        task_timeout=30,
        run_timeout=60,
    )


def claim_in_process(at: str, number: int, begin: object, answers: object) -> None:
    """Opens the store by itself, as a worker would, and claims the one host."""
    opened = open_store(at)
    begin.wait()  # type: ignore[attr-defined]  # multiprocessing's barrier has no public type
    status = opened.claim(job(number, "web1"), signatures=frozenset())
    answers.put(str(status))  # type: ignore[attr-defined]  # nor has its queue
    opened.close()


def together(function: Callable[[int], object]) -> list[object]:
    """The function in RACERS threads that begin at the same instant."""
    begin = threading.Barrier(RACERS)

    def racer(number: int) -> object:
        begin.wait()
        return function(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(racer, range(RACERS)))


# races -------------------------------------------------------------------------------------------


def test_of_many_claims_of_a_host_one_wins(store: SqlStore) -> None:
    for first in range(0, 500, 100):

        def claim(number: int, first: int = first) -> object:
            return store.claim(job(first + number, "web1", "web2"), signatures=frozenset())

        answers = together(claim)

        assert sorted(map(str, answers)) == ["None", *["busy"] * (RACERS - 1)]
        winner = next(run for run in store.runs() if run.status is RunStatus.RUNNING)
        store.finish(PlaybookResult(run_id=winner.id, status=RunStatus.SUCCEEDED), slot_shut=False)


def test_of_many_processes_that_claim_a_host_one_wins(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begin, answers = context.Barrier(4), context.Queue()
    racers = [
        context.Process(target=claim_in_process, args=(url(tmp_path), number, begin, answers)) for number in range(4)
    ]
    for racer in racers:
        racer.start()
    got = sorted(answers.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join(timeout=60)
        assert racer.exitcode == 0
    answers.close()
    answers.join_thread()

    assert got == ["None", "busy", "busy", "busy"]


def test_the_same_run_is_started_by_one(store: SqlStore) -> None:
    answers = together(lambda _: store.claim(job(1, "web1"), signatures=frozenset()))

    assert sorted(map(str, answers)) == ["None", *["running"] * (RACERS - 1)]


def test_many_reports_of_one_thing_are_one_incident(store: SqlStore) -> None:
    answers = together(lambda n: store.absorb("web1", f"source-{n}", [signal()], Cursor(str(n))))

    assert sum(len(opened) for opened in answers if isinstance(opened, tuple)) == 1
    (incident,) = store.incidents()
    assert incident.count == RACERS
    assert [event.kind for event in store.events()] == ["incident.opened"]


def test_of_many_moves_one_wins_and_writes_its_line(store: SqlStore) -> None:
    (incident,) = store.absorb("web1", "journal", [signal()], None)

    moved = together(
        lambda n: store.move(incident, IncidentState.PLANNING, f"racer {n}", expected=[IncidentState.OPEN])
    )

    assert sum(map(bool, moved)) == 1
    assert [event.kind for event in store.events()] == ["incident.opened", "incident.planning"]


def test_of_many_ends_the_first_stands_for_all(store: SqlStore) -> None:
    store.claim(job(1, "web1"), signatures=frozenset())
    statuses = [RunStatus.SUCCEEDED, RunStatus.UNKNOWN]

    ends = together(
        lambda n: store.finish(PlaybookResult(run_id=RunId("inc-1-act"), status=statuses[n % 2]), slot_shut=False)
    )

    assert len({str(end) for end in ends}) == 1


def test_a_store_may_be_made_by_many_at_once(tmp_path: Path) -> None:
    def make(_: int) -> object:
        made = open_store(url(tmp_path))
        made.append("made", text="by one of them")
        made.close()
        return None

    together(make)

    again = open_store(url(tmp_path))
    assert len(again.events()) == RACERS
    again.close()


def test_a_writer_among_many_gets_its_turn(store: SqlStore) -> None:
    """Eight threads that feed without a pause: each is served, and so is a healing's step."""
    ended, begin, counts = threading.Event(), threading.Barrier(RACERS), [0] * RACERS

    def feed(number: int) -> object:
        begin.wait()
        while not ended.is_set():
            store.append("fed", text=str(number))
            counts[number] += 1
        return None

    with ThreadPoolExecutor(RACERS) as pool:
        feeders = [pool.submit(feed, number) for number in range(RACERS)]
        try:
            for _ in range(20):
                before = sum(counts)
                store.append("step", text="of a healing")
                assert sum(counts) - before <= 2 * RACERS, "it waited longer than the line was"
        finally:
            ended.set()
        for feeder in feeders:
            feeder.result()

    assert max(counts) <= 2 * min(counts)


# the constraints hold without our code -----------------------------------------------------------


def raw(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(file_of(path))) as connection, connection:
        connection.execute(statement)


def test_the_database_itself_refuses_a_second_open_incident(store: SqlStore, tmp_path: Path) -> None:
    store.absorb("web1", "journal", [signal()], None)
    with closing(sqlite3.connect(file_of(tmp_path))) as connection:
        connection.execute("CREATE TEMP TABLE copy AS SELECT * FROM incident")
        connection.execute("UPDATE copy SET id = 'inc-2', seq = 2")

        with pytest.raises(sqlite3.IntegrityError, match=r"incident\.host"):
            connection.execute("INSERT INTO incident SELECT * FROM copy")


def test_the_database_itself_refuses_a_second_run_on_a_held_host(store: SqlStore, tmp_path: Path) -> None:
    store.claim(job(1, "web1"), signatures=frozenset())
    store.claim(job(2, "web2"), signatures=frozenset())

    with pytest.raises(sqlite3.IntegrityError):
        raw(tmp_path, "INSERT INTO run_host (run_id, host, held) VALUES ('inc-2-act', 'web1', 1)")


@pytest.mark.parametrize("statement", ["UPDATE event SET text = 'nothing happened'", "DELETE FROM event"])
def test_a_line_of_the_ledger_can_be_neither_changed_nor_deleted(
    store: SqlStore, tmp_path: Path, statement: str
) -> None:
    store.append("done", text="this was done")

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw(tmp_path, statement)
    assert store.events()[0].text == "this was done"


def test_a_step_whose_line_can_not_be_written_is_not_taken(store: SqlStore, tmp_path: Path) -> None:
    (incident,) = store.absorb("web1", "journal", [signal()], Cursor("before"))
    raw(tmp_path, "CREATE TRIGGER no_more BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no ledger'); END")

    for step in (
        lambda: store.claim(job(1, "web1"), signatures=frozenset()),
        lambda: store.move(incident, IncidentState.HEALED, "so", expected=[IncidentState.OPEN]),
        lambda: store.absorb("web1", "journal", [signal("cron.service")], Cursor("after")),
        lambda: store.stop(actor="ann", reason="so"),
    ):
        with pytest.raises(RecordError, match="no ledger"):
            step()

    assert store.run("inc-1-act") is None
    assert [one.state for one in store.incidents()] == [IncidentState.OPEN]
    assert (store.cursor("web1", "journal"), store.stopped()) == ("before", None)


# the file ----------------------------------------------------------------------------------------


def test_file_and_folder_are_for_us_alone(store: SqlStore, tmp_path: Path) -> None:
    store.append("x", text="x")

    for path in (file_of(tmp_path), Path(f"{file_of(tmp_path)}-wal")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(tmp_path).parent.stat().st_mode) == 0o700


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    first = open_store(url(tmp_path))
    (incident,) = first.absorb("web1", "journal", [signal()], Cursor("c"))
    first.claim(job(1, "web1"), signatures=frozenset())
    first.stop(actor="ann", reason="so")
    first.close()

    second = open_store(url(tmp_path))
    assert second.incident(incident) is not None
    assert second.claim(job(2, "web1"), signatures=frozenset()) is RunStatus.REFUSED
    second.resume(actor="ann", reason="done")
    assert second.claim(job(3, "web1"), signatures=frozenset()) is RunStatus.BUSY
    assert second.claim(job(1, "web1"), signatures=frozenset()) is RunStatus.RUNNING
    assert second.cursor("web1", "journal") == "c"
    second.close()


def test_a_newer_store_is_refused_untouched(tmp_path: Path) -> None:
    open_store(url(tmp_path)).close()
    raw(tmp_path, f"UPDATE healing_store SET version = {schema.VERSION + 1}")  # noqa: S608  # a number of ours
    raw(tmp_path, "PRAGMA journal_mode=DELETE")
    before = file_of(tmp_path).read_bytes()

    with pytest.raises(ConfigError, match=f"version {schema.VERSION + 1}.*up to {schema.VERSION}.*newer healing-bot"):
        open_store(url(tmp_path))

    assert file_of(tmp_path).read_bytes() == before
    assert [path.name for path in file_of(tmp_path).parent.iterdir()] == ["healer.sqlite"]


def test_a_database_of_something_else_is_refused_untouched(tmp_path: Path) -> None:
    file_of(tmp_path).parent.mkdir()
    raw(tmp_path, "CREATE TABLE songs (title)")
    before = file_of(tmp_path).read_bytes()

    with pytest.raises(ConfigError, match="something else"):
        open_store(url(tmp_path))

    assert file_of(tmp_path).read_bytes() == before


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    file_of(tmp_path).parent.mkdir()
    file_of(tmp_path).write_text("not a database at all, but long enough to be read as one\n" * 20)

    with pytest.raises(RecordError, match="damaged"):
        open_store(url(tmp_path))


@pytest.mark.parametrize(
    "given", ["postgresql://db/healing", "sqlite://", "sqlite:///:memory:", "nonsense", "mysql://u:pw@h/x"]
)
def test_another_url_is_a_sentence_without_its_password(given: str) -> None:
    with pytest.raises(ConfigError, match="store_url") as caught:
        open_store(given)
    assert "pw" not in str(caught.value)


def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")

    with pytest.raises(StoreUnavailable, match="can't be opened"):
        open_store(url(tmp_path))


def test_a_full_disk_stops_all_acting_and_leaves_nothing_half_written(store: SqlStore, tmp_path: Path) -> None:
    (incident,) = store.absorb("web1", "journal", [signal()], Cursor("before"))
    limit_pages(store)

    def fill() -> None:
        for _ in range(1000):
            store.append("x", text="x" * 4000)

    with pytest.raises(RecordError, match=r"full.*Nothing acts without a record"):
        fill()
    flood = [signal(message="y" * 8000) for _ in range(150)]
    with pytest.raises(RecordError, match="full"):
        store.absorb("web1", "journal", flood, Cursor("after"))

    assert store.cursor("web1", "journal") == "before"
    found = store.incident(incident)
    assert found is not None
    assert found.count == 1


def limit_pages(store: SqlStore) -> None:
    """The file may not grow: what SQLite says then is what it says on a full disk."""
    engine = store._database._engine  # the only way to a connection of the store's own pool
    engine.dispose()

    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _limit(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 4}")


def test_a_store_that_somebody_holds_is_temporary(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr(database, "BUSY_MS", 50)
    with closing(sqlite3.connect(file_of(tmp_path), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match="held by another process"):
            store.append("x", text="x")
        assert store.events() == ()

        holder.execute("ROLLBACK")
    assert store.append("x", text="x").seq == 1


@pytest.mark.parametrize("made", ["before", "by us"])
def test_a_store_that_is_opened_twice_in_a_process_keeps_its_locks(tmp_path: Path, made: str) -> None:
    """`healer stop` over REST opens it once more. A lock that is lost lets who closes it elsewhere take away its WAL,
    and whatever is written from there on is in a file without a name."""
    if made == "before":
        open_store(url(tmp_path)).close()
    first = open_store(url(tmp_path))
    first.append("x", text="before")
    second = open_store(url(tmp_path))

    elsewhere(tmp_path, "store.append('x', text='elsewhere')")
    first.append("x", text="after")

    told = elsewhere(tmp_path, "print(*(one.text for one in store.events()))").split()
    assert told == ["before", "elsewhere", "after"]
    first.close()
    second.close()


def elsewhere(path: Path, does: str) -> str:
    """What another process prints that opens the store, does this, and closes it."""
    program = (
        f"from orchestrator.record.store import open_store; store = open_store({url(path)!r}); {does}; store.close()"
    )
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_a_store_on_a_network_file_system_is_refused_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "mountinfo"
    told.write_text(f"50 22 0:50 / {tmp_path} rw - nfs4 files:/x rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", told)

    with pytest.raises(ConfigError, match="network file system"):
        open_store(url(tmp_path))

    assert not file_of(tmp_path).parent.exists()
