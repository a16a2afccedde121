"""What a year of 100 healings a day takes on disk, and what retention costs: `python bench/year.py [DAYS PER_DAY]`.

Needs root (it boots a lab of one host). Ten healings are made for real: a killed nginx, its check, act and verify on
that host, their rows and ledger lines written by the store itself. Their rows are then copied, with ids and times of
their own, over DAYS days (425: a year and what retention is about to remove), each with a fourth run; their packed
artifacts over the days for which those are kept. Then retention runs once. The engine's database is measured over 100
healings' workflows and multiplied.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.fleet import Lab
from orchestrator import app as wiring
from orchestrator import catalog
from orchestrator.act.executor import RunnerExecutor
from orchestrator.collect.connection import Connections
from orchestrator.collect.probe import SshProbe
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor, IncidentId, RunId, Signature, id_at, run_id
from orchestrator.domain.incidents import IncidentState, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, RunKind
from orchestrator.domain.verdicts import Outcome, Verdict
from orchestrator.engine import DurableEngine
from orchestrator.record import artifacts
from orchestrator.record.shelf import Shelf
from orchestrator.record.store import SqlStore, open_store
from orchestrator.record.tidy import Limits, Tidy
from orchestrator.settings import Settings, load

#: Records of evidence of the ten: 15.6 on average, as on a fleet of the lab that was broken for two hours.
EVIDENCE = (1, 1, 2, 3, 5, 8, 13, 20, 30, 73)
KINDS = (RunKind.CHECK, RunKind.ACT, RunKind.VERIFY)
FOURTH = RunKind.ROLLBACK
UNIT = "nginx.service"
#: The engine's: healings that are measured.
WORKFLOWS = 50
ENGINE_DAYS = 7
MB = 10**6


def heal(settings: Settings, store: SqlStore, lab: Lab, number: int, records: int) -> IncidentId:
    """One real healing, step by step as healing.py does it."""
    fleet = wiring.fleet(settings)
    host, action = (
        fleet.host("web1"),
        catalog.load(settings.playbooks_dir, settings.roles_dir).actions["restart_service"],
    )
    lab.execute("web1", "systemctl reset-failed; systemctl kill --signal=KILL nginx", check=False)
    (incident,) = store.absorb("web1", "journal", [signal(number) for _ in range(records)], Cursor(f"s={number};i=1"))
    connections = Connections(settings)
    try:
        probe = SshProbe(connections)
        facts = probe.inspect(host, [UNIT], [])
        move(store, incident, IncidentState.PLANNING, "deciding what would help")
        store.record_decision(incident, decision())
        for _ in range(2):
            verdict = Verdict(outcome=Outcome.ALLOWED, rule="", reason="every rule allows it", digest="d" * 64)
            store.record_verdict(incident, verdict, facts)
            move(store, incident, IncidentState.HEALING, "allowed; waits for the host's slot")
        executor = RunnerExecutor(settings, store, probe, fleet)
        for kind in KINDS:
            result = executor.execute(job(settings, host, incident, kind, action.playbook(kind)))
            print(f"  {kind}: {result.status} {result.reason}")
        text, data = "holding for 30 s", {"cursor": probe.position(host), "seconds": 30.0}
        store.append("hold.started", incident_id=incident, host="web1", text=text, data=data)
    finally:
        connections.close()
    move(store, incident, IncidentState.VERIFIED, "verified; must stay silent for 30 s")
    move(store, incident, IncidentState.HEALED, "verified, and silent for 30 s")
    return incident


def signal(number: int) -> Signal:
    unit = f"nginx-{number}.service"
    message = "nginx.service: Main process exited, code=killed, status=9/KILL, and words of a usual length"
    return Signal(
        record=LogRecord(
            time=datetime.now(UTC), host="web1", unit=unit, priority=4, message=message, cursor=Cursor("c")
        ),
        signature=Signature(f"{number:016x}"),
        template=message,
        subject=Subject(kind=SubjectKind.UNIT, name=unit),
        severity=Severity.ERROR,
        age=0.2,
    )


def decision() -> Decision:
    return Decision(
        action="restart_service",
        parameters={"service": UNIT},
        reason="the main process was killed and the unit is down",
        chooser="embedded",
        shown_digest="a" * 64,
    )


def job(settings: Settings, host: Host, incident: IncidentId, kind: RunKind, playbook: Path) -> PlaybookJob:
    return PlaybookJob(
        run_id=run_id(incident, kind),
        incident_id=incident,
        kind=kind,
        action="restart_service",
        playbook=playbook,
        roles=settings.roles_dir,
        parameters={"service": UNIT},
        hosts=(host,),
        task_timeout=30,
        run_timeout=120,
    )


def move(store: SqlStore, incident: IncidentId, to: IncidentState, reason: str) -> None:
    store.move(incident, to, reason, expected=list(IncidentState))


# a year -------------------------------------------------------------------------------------------

Row = dict[str, Any]
TABLES = ("incident", "incident_signature", "evidence", "decision", "verdict", "run", "run_host", "event")
MOMENTS = ("first_seen", "last_seen", "time", "started", "ended", "at")


def template(file: Path, incident: str) -> dict[str, list[Row]]:
    """The rows of one healing, with the fourth run beside."""
    with closing(sqlite3.connect(file)) as store:
        store.row_factory = sqlite3.Row
        keys = {"incident": "id", "run_host": "run_id"}
        found = {
            table: [
                dict(row)
                for row in store.execute(
                    f"SELECT * FROM {table} WHERE substr({keys.get(table, 'incident_id')}, 1, 24) = ?",  # noqa: S608
                    (incident,),
                )
            ]
            for table in TABLES
        }
    verify, fourth = f"{incident}-{RunKind.VERIFY}", f"{incident}-{FOURTH}"
    for table in ("run", "run_host", "event"):
        found[table] += [
            {key: value.replace(verify, fourth) if isinstance(value, str) else value for key, value in row.items()}
            for row in found[table]
            if verify in str(row)
        ]
    return found


def fill(file: Path, templates: list[tuple[str, dict[str, list[Row]]]], days: int, per_day: int, now: datetime) -> None:
    """Copies in the order of time, in one transaction."""
    with closing(sqlite3.connect(file)) as store:
        store.execute("PRAGMA synchronous=OFF")
        for day in range(days, 0, -1):
            for number in range(per_day):
                at = now - timedelta(days=day) + timedelta(days=number / per_day)
                name, rows = templates[(day * per_day + number) % len(templates)]
                insert(store, rows, name, f"{id_at(at)}{number:08x}", at)
        store.commit()


def insert(store: sqlite3.Connection, rows: dict[str, list[Row]], old: str, new: str, at: datetime) -> None:
    moved = at - datetime.fromisoformat(rows["incident"][0]["first_seen"])
    for table in TABLES:
        for row in rows[table]:
            values = {key: value.replace(old, new) if isinstance(value, str) else value for key, value in row.items()}
            values.pop("seq", None)
            for key in MOMENTS:
                if values.get(key):
                    values[key] = f"{datetime.fromisoformat(values[key]) + moved:%Y-%m-%dT%H:%M:%S.%fZ}"
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            store.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608


def size(file: Path) -> float:
    """MB, with what waits beside it written into it."""
    with closing(sqlite3.connect(file)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file.stat().st_size / MB


# the engine ---------------------------------------------------------------------------------------


def engine_megabytes(folder: Path) -> float:
    """MB of a healing's three workflows in the engine's database."""
    file = folder / "engine.sqlite"

    def steps(number: int) -> Callable[[str], None]:
        return lambda _: [engine.step(f"step {one}", str, one) for one in range(number)] and None

    workflows = {"plan": steps(4), "apply": steps(7), "hold": steps(1)}
    engine = DurableEngine(f"sqlite:///{file}", folder / "lock", workflows, 64)
    engine.launch()
    sizes = []
    try:
        for part in range(2):
            ids = [f"{id_at(datetime.now(UTC))}{part}{number:07x}" for number in range(WORKFLOWS)]
            for one in ids:
                engine.start("plan", one, one, host=one)
                engine.start("apply", f"{one}-apply", one, host=one)
                engine.start("hold", f"{one}-hold", one)
            while any(engine.alive(f"{one}{end}") for one in ids for end in ("", "-apply", "-hold")):
                time.sleep(0.5)
            sizes.append(size(file))
        begun = time.monotonic()
        forgotten = engine.forget(datetime.now(UTC) + timedelta(seconds=1))
        print(f"the engine forgets {forgotten} workflows in {time.monotonic() - begun:.2f} s")
    finally:
        engine.close()
    return (sizes[1] - sizes[0]) / WORKFLOWS


# all of it ----------------------------------------------------------------------------------------


@contextmanager
def timed(store: SqlStore) -> Iterator[list[float]]:
    """Seconds of each write transaction while it is open."""
    database, took = store._database, []
    write = database.write

    @contextmanager
    def watched(*, last: bool = False) -> Iterator[Any]:
        with write(last=last) as connection:
            begun = time.monotonic()
            yield connection
        took.append(time.monotonic() - begun)

    database.write = watched  # type: ignore[method-assign]  # a stopwatch for this one object
    yield took
    database.write = write  # type: ignore[method-assign]


def main() -> None:
    """Heal, copy, tidy, print."""
    days, per_day = (int(given) for given in (sys.argv[1:] or ("425", "100")))
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lab = Lab("year", folder / "lab")
        lab.up(1)
        try:
            (folder / "healer.toml").write_text(f'inventory = "{lab.inventory}"\nknown_hosts = "{lab.known_hosts}"\n')
            settings = load(folder / "healer.toml", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"})
            settings.state_dir.mkdir(mode=0o700)
            sample = open_store(settings.database_url)
            made = [heal(settings, sample, lab, number, records) for number, records in enumerate(EVIDENCE)]
            sample.close()
        finally:
            lab.down()
        measure(folder, settings, [str(one) for one in made], days, per_day, now)


def measure(folder: Path, settings: Settings, made: list[str], days: int, per_day: int, now: datetime) -> None:
    limits = Limits(
        artifacts_days=settings.keep_artifacts_days,
        records_days=settings.keep_records_days,
        artifacts_bytes=settings.artifacts_limit_mb * MB,
    )
    shelf, runs = Shelf(settings.artifacts_dir), artifacts.kept(settings.artifacts_dir)
    loose = statistics.mean(shelf.sizes().values())
    files = statistics.mean(len(artifacts.files(settings.artifacts_dir / one)) for one in runs)
    begun = time.monotonic()
    for one in runs:
        shelf.pack(one)
    packing = (time.monotonic() - begun) / len(runs)
    packed = statistics.mean(shelf.sizes().values())
    print(
        f"a run's artifacts: {files:.0f} files, {loose / 1000:.1f} kB of disk; packed {packed / 1000:.1f} kB, "
        f"in {1000 * packing:.0f} ms"
    )

    year = folder / "year"
    year.mkdir()
    store = open_store(f"sqlite:///{year / 'healer.sqlite'}")
    templates = [(one, template(Path(settings.database_url.removeprefix("sqlite:///")), one)) for one in made]
    fill(year / "healer.sqlite", templates, days, per_day, now)
    scatter(year / "artifacts", settings.artifacts_dir, runs, min(days, limits.artifacts_days + 2), per_day, now)
    before = size(year / "healer.sqlite")
    counted = store.statistics()
    with timed(store) as took:
        tidy = Tidy(store, year / "artifacts", limits, forget=lambda _: 0, now=lambda: now, pause=time.sleep)
        begun = time.monotonic()
        tidy.round()
        round_seconds = time.monotonic() - begun
        again = time.monotonic()
        tidy.round()
        idle = time.monotonic() - again
    kept = artifacts.kept(year / "artifacts")
    same = "as before" if store.statistics() == counted else "NOT AS BEFORE"
    store.close()
    after, taken = size(year / "healer.sqlite"), sum(Shelf(year / "artifacts").sizes().values()) / MB
    (folder / "engine").mkdir()
    engine = engine_megabytes(folder / "engine") * per_day * ENGINE_DAYS
    print(f"{days} days of {per_day} healings with 4 runs each, {days * per_day} incidents:")
    print(f"  healer.sqlite      {before:7.1f} MB before retention, {after:.1f} MB after ({limits.records_days} days)")
    print(f"  artifacts          {taken:7.1f} MB in {len(kept)} files ({limits.artifacts_days} days)")
    print(f"  engine.sqlite      {engine:7.1f} MB ({ENGINE_DAYS} days, from {2 * WORKFLOWS} healings)")
    print(f"  together           {after + taken + engine:7.1f} MB")
    print(
        f"a round that removes {days - limits.records_days} days of records and 2 of artifacts: {round_seconds:.1f} s;"
    )
    print(f"  {len(took)} write transactions, the longest {1000 * max(took, default=0):.0f} ms, the median", end=" ")
    print(f"{1000 * statistics.median(took or [0]):.0f} ms; statistics are {same}")
    print(f"a round that finds nothing to do: {idle:.2f} s")


def scatter(into: Path, source: Path, runs: list[str], days: int, per_day: int, now: datetime) -> None:
    """Copies of the packed runs, under the ids of the copied healings' runs."""
    into.mkdir()
    kinds = (*KINDS, FOURTH)
    for day in range(days, 0, -1):
        for number in range(per_day):
            at = now - timedelta(days=day) + timedelta(days=number / per_day)
            for kind in kinds:
                name = RunId(f"{id_at(at)}{number:08x}-{kind}")
                one = runs[(number + len(kind)) % len(runs)]
                shutil.copyfile(artifacts.place(source / one), artifacts.packed(into / name))


if __name__ == "__main__":
    main()
