"""What is kept and what goes, on a real store and real files: nothing that is needed, and nothing without a word."""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import settings
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import Cursor, IncidentId, RunId, Signature, approval_id, run_id
from orchestrator.domain.incidents import CLOSED, IncidentState, Origin, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome, UnitFacts, Verdict
from orchestrator.errors import Interrupted, RecordError, StoreUnavailable
from orchestrator.record import artifacts, tidy
from orchestrator.record.shelf import Shelf
from orchestrator.record.store import SqlStore, open_store
from orchestrator.record.tidy import Limits, Tidy

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LIMITS = Limits(artifacts_days=90, records_days=400, artifacts_bytes=10**9)
OF_INCIDENT = ("evidence", "incident_signature", "decision", "verdict", "approval", "run")


class World:
    """A store whose clock we set, and the folder of its artifacts."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.file = folder / "healer.sqlite"
        self.folder = folder / "artifacts"
        self.store: SqlStore = open_store(f"sqlite:///{self.file}", clock=self.tick)
        self.forgotten: list[datetime] = []
        self.pauses = 0

    def tick(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now

    def tidy(self, limits: Limits = LIMITS, at: datetime = NOW) -> Tidy:
        self.now = at
        return Tidy(
            self.store,
            self.folder,
            limits,
            forget=self.forget,
            now=lambda: at,
            pause=self.pause,
        )

    def forget(self, before: datetime) -> int:
        self.forgotten.append(before)
        return 0

    def pause(self, _: float) -> None:
        self.pauses += 1

    def open(self, at: datetime, unit: str, *, origin: Origin = Origin.LOG, lines: int = 1) -> IncidentId:
        self.now = at
        record = LogRecord(time=at, host="web1", unit=unit, priority=3, message=f"{unit} failed")
        signal = Signal(
            record=record,
            signature=Signature(f"sig-{unit}"),
            template="failed",
            subject=Subject(kind=SubjectKind.UNIT, name=unit),
            severity=Severity.ERROR,
            age=0.1,
        )
        (incident,) = self.store.absorb("web1", "journal", [signal] * lines, Cursor(f"c-{unit}"), origin=origin)
        decision = Decision(action="restart", parameters={}, reason="down", chooser="embedded", shown_digest="")
        self.store.record_decision(incident, decision)
        facts = UnitFacts(
            asked=unit,
            id=unit,
            names=(unit,),
            load_state="loaded",
            active_state="failed",
            sub_state="failed",
            required_by=("multi-user.target",),
        )
        verdict = Verdict(outcome=Outcome.ALLOWED, rule="", reason="every rule allows it", digest="d" * 64)
        for _ in range(2):
            self.store.record_verdict(incident, verdict, Facts(units={unit: facts}))
        return incident

    def job(self, incident: IncidentId, kind: RunKind) -> PlaybookJob:
        host = Host(name=f"host-of-{incident}", groups=(), connection=Connection(kind="ssh", address="web1"))
        return PlaybookJob(
            run_id=run_id(incident, kind),
            incident_id=incident,
            kind=kind,
            action="restart",
            playbook=Path("act.yml"),
            roles=Path("roles"),
            parameters={},
            hosts=(host,),
            task_timeout=30,
            run_timeout=60,
        )

    def run(self, incident: IncidentId, kind: RunKind, *, ends: bool = True, shut: bool = False) -> RunId:
        job = self.job(incident, kind)
        assert self.store.claim(job, signatures=frozenset()) is None
        self.store.started(job.run_id, 1, 1, lease_seconds=60)
        left = self.folder / job.run_id / "job_events"
        left.mkdir(parents=True)
        (left.parent / "stdout").write_text(f"{job.run_id} said so\n" * 500)
        for number in range(5):
            (left / f"{number}-x.json").write_text("{}")
        if ends:
            self.now += timedelta(seconds=2)
            ended = PlaybookResult(run_id=job.run_id, status=RunStatus.SUCCEEDED, ended=self.now)
            self.store.finish(ended, slot_shut=shut)
        return job.run_id

    def move(self, incident: IncidentId, to: IncidentState) -> None:
        assert self.store.move(incident, to, "so", expected=list(IncidentState))

    def healed(self, at: datetime, unit: str, state: IncidentState = IncidentState.HEALED, **more: Any) -> IncidentId:
        incident = self.open(at, unit, **more)
        for kind in (RunKind.CHECK, RunKind.ACT, RunKind.VERIFY):
            self.run(incident, kind)
        self.move(incident, state)
        return incident

    def ask(self, incident: IncidentId) -> None:
        asked = Approval(
            id=approval_id(incident),
            incident_id=incident,
            host="web1",
            action="restart",
            parameters={},
            digest="",
            rule="",
            reason="",
            asked_at=self.now,
            expires_at=self.now + DAY,
        )
        self.store.ask(asked)

    def rows(self, table: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.file)) as store:
            store.row_factory = sqlite3.Row
            return [dict(row) for row in store.execute(f"SELECT * FROM {table}")]  # noqa: S608  # a name of ours

    def incidents(self) -> list[str]:
        return [one.id for one in reversed(self.store.incidents(limit=1000))]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


# records -----------------------------------------------------------------------------------------


def test_a_closed_incident_goes_with_all_that_belongs_to_it(world: World) -> None:
    old, young = world.healed(NOW - 402 * DAY, "old"), world.healed(NOW - 399 * DAY, "young")
    world.ask(old)
    world.store.answer(approval_id(old), Answer.DENIED, actor="ann", reason="no", now=world.now)
    world.now = NOW - 402 * DAY

    # The answer was given yesterday as it were: nothing of it may be younger than the limit.
    world.tidy().round()
    assert world.incidents() == [old, young]
    world.tidy(at=NOW + 5 * DAY).round()

    assert world.incidents() == []
    for table in (*OF_INCIDENT, "run_host"):
        assert world.rows(table) == [], table
    assert artifacts.kept(world.folder) == []
    assert world.store.cursor("web1", "journal") == "c-young"


def test_the_day_of_the_limit_is_kept_whole(world: World) -> None:
    midnight = (NOW - 400 * DAY).replace(hour=0)
    before, after = world.healed(midnight - timedelta(hours=1), "before"), world.healed(midnight, "after")

    world.tidy().round()

    assert world.incidents() == [after] != [before]
    assert {row["incident_id"] for row in world.rows("evidence")} == {after}
    assert {event.incident_id for event in world.store.events()} == {after, ""}


@pytest.mark.parametrize("state", sorted(IncidentState))
def test_only_closed_incidents_go(world: World, state: IncidentState) -> None:
    incident = world.open(NOW - 500 * DAY, "old")
    if state is not IncidentState.OPEN:
        world.move(incident, state)

    world.tidy().round()

    assert world.incidents() == ([] if state in CLOSED else [incident])


def still_running(world: World, incident: IncidentId) -> None:
    world.run(incident, RunKind.ACT, ends=False)


def slot_is_shut(world: World, incident: IncidentId) -> None:
    world.run(incident, RunKind.ACT, shut=True)


def asks(world: World, incident: IncidentId) -> None:
    world.ask(incident)


def seen_lately(world: World, incident: IncidentId) -> None:
    with closing(sqlite3.connect(world.file)) as store, store:
        store.execute("UPDATE incident SET last_seen = '2026-06-01T00:00:00.000000Z'")


def told_lately(world: World, incident: IncidentId) -> None:
    world.now = NOW - 399 * DAY
    world.store.append("healing.note", incident_id=incident, text="so")


@pytest.mark.parametrize("reason", [still_running, slot_is_shut, asks, seen_lately, told_lately])
def test_what_somebody_may_come_back_to_stays(world: World, reason: Callable[[World, IncidentId], None]) -> None:
    incident = world.open(NOW - 500 * DAY, "old")
    reason(world, incident)
    with closing(sqlite3.connect(world.file)) as store, store:
        store.execute("UPDATE incident SET state = 'expired'")
    before = {table: world.rows(table) for table in (*OF_INCIDENT, "event", "run_host")}
    assert before["evidence"]

    world.tidy().round()

    assert {table: world.rows(table) for table in (*OF_INCIDENT, "event", "run_host")} == before
    if before["run"]:
        assert (world.folder / before["run"][0]["id"] / "stdout").exists()


def test_many_go_in_many_transactions_with_a_pause_after_each(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "INCIDENTS", 3)
    monkeypatch.setattr(tidy, "LINES", 10)
    for number in range(10):
        world.healed(NOW - 500 * DAY, f"old-{number}")
    lines = world.store.newest()

    world.tidy().round()

    assert world.incidents() == []
    texts = [event.text for event in world.store.events() if event.kind == "incidents.pruned"]
    assert [int(text.split()[0]) for text in texts] == [3, 3, 3, 1]
    assert world.pauses >= 4 + lines // 10


def test_statistics_and_times_go_on_as_if_nothing_had_gone(world: World) -> None:
    world.healed(NOW - 500 * DAY, "healed")
    world.healed(NOW - 499 * DAY, "failed", IncidentState.EXPIRED)
    world.healed(NOW - 498 * DAY, "injected", origin=Origin.INJECTED)
    world.move(world.open(NOW - 497 * DAY, "nothing done"), IncidentState.EXPIRED)
    world.healed(NOW - DAY, "young")
    told = [
        (world.store.statistics(injected=all_of), world.store.healing_seconds(injected=all_of))
        for all_of in (False, True)
    ]
    assert (told[0][0].total_attempts, told[0][0].successful, len(told[1][1])) == (3, 2, 4)

    world.tidy().round()

    assert len(world.incidents()) == 1
    assert [
        (world.store.statistics(injected=all_of), world.store.healing_seconds(injected=all_of))
        for all_of in (False, True)
    ] == told


# the ledger --------------------------------------------------------------------------------------


def test_the_beginning_of_the_ledger_goes_and_a_line_says_so(world: World) -> None:
    world.now = NOW - 500 * DAY
    for number in range(3):
        world.store.append("look.ended", text=str(number))
    world.now = NOW - 399 * DAY
    kept = world.store.append("look.ended", text="young")

    world.tidy().round()
    world.tidy().round()

    first, line = world.store.events()
    assert (first, line.kind) == (kept, "ledger.pruned")
    assert line.text.startswith("3 lines (1 to 3) of 2025-01-31")
    assert (line.data["lines"], line.data["last"]) == (3, 3)
    (row,) = world.rows("pruned")
    assert (row["through_seq"], row["reason"]) == (3, line.text)


def test_lines_that_were_not_released_are_still_refused(world: World) -> None:
    world.now = NOW - 500 * DAY
    world.store.append("look.ended", text="old")
    world.tidy().round()
    kept = [event.seq for event in world.store.events()]
    assert kept

    with closing(sqlite3.connect(world.file)) as store:
        for some in ((0,), (kept[0] - 1,)):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                store.execute("DELETE FROM event WHERE seq > ?", some)

    assert [event.seq for event in world.store.events()] == kept


def test_lines_of_an_incident_under_way_stay_and_all_after_them(world: World) -> None:
    settled, going = world.open(NOW - 510 * DAY, "settled"), world.open(NOW - 500 * DAY, "going")
    world.move(settled, IncidentState.ESCALATED)
    world.move(going, IncidentState.VERIFIED)
    first = next(event.seq for event in world.store.events() if event.incident_id == going)

    world.tidy().round()

    assert world.incidents() == [settled, going]
    assert world.store.events()[0].seq == first
    assert len(world.rows("evidence")) == 2


def test_a_crash_after_lines_were_released_is_finished_by_the_next_round(world: World) -> None:
    world.now = NOW - 500 * DAY
    for _ in range(3):
        world.store.append("look.ended", text="old")
    world.now = NOW
    assert world.store.release_ledger(NOW - 400 * DAY) == 3
    assert len(world.store.events()) == 4

    world.tidy().round()

    assert [event.kind for event in world.store.events()] == ["ledger.pruned"]


def test_numbers_of_the_ledger_never_come_again(world: World) -> None:
    world.now = NOW - 500 * DAY
    newest = world.store.append("look.ended", text="old").seq
    world.tidy().round()
    world.store.close()

    world.store = open_store(f"sqlite:///{world.file}", clock=world.tick)

    assert world.store.append("look.ended", text="new").seq > newest


# artifacts ---------------------------------------------------------------------------------------


def test_a_finished_run_is_packed_after_an_hour(world: World) -> None:
    old, young = world.healed(NOW - timedelta(hours=2), "old"), world.healed(NOW - timedelta(minutes=30), "young")

    world.tidy().round()

    assert sorted(Shelf(world.folder).unpacked()) == [f"{young}-{kind}" for kind in ("act", "check", "verify")]
    assert artifacts.stdout(world.folder / f"{old}-act").startswith(f"{old}-act said so")
    assert world.store.events()[-1].kind != "artifacts.removed"


@pytest.mark.parametrize("state", [IncidentState.HEALING, IncidentState.VERIFIED])
def test_a_run_whose_healing_goes_on_is_not_touched(world: World, state: IncidentState) -> None:
    world.healed(NOW - 100 * DAY, "old", state)

    world.tidy(replace(LIMITS, artifacts_bytes=1)).round()

    assert len(Shelf(world.folder).unpacked()) == 3


def test_artifacts_go_before_their_records_and_the_run_says_so(world: World) -> None:
    old, young = world.healed(NOW - 92 * DAY, "old"), world.healed(NOW - 89 * DAY, "young")

    world.tidy().round()
    again = world.tidy()
    again.round()

    kinds = ("act", "check", "verify")
    assert artifacts.kept(world.folder) == [f"{young}-{kind}" for kind in kinds]
    removed = {str(run.id): run.artifacts_removed for run in world.store.runs()}
    assert all((removed[f"{old}-{kind}"] is not None, removed[f"{young}-{kind}"]) == (True, None) for kind in kinds)
    assert [due for run, due in sorted(world.store.artifacts_due().items()) if run.startswith(old)] == [False] * 3
    lines = [event for event in world.store.events() if event.kind == "artifacts.removed"]
    assert [line.text for line in lines] == ["the artifacts of 3 runs were removed by retention"]


def test_over_the_limit_the_oldest_finished_ones_go_first(world: World) -> None:
    running = world.open(NOW - 80 * DAY, "running")
    world.run(running, RunKind.ACT, ends=False)
    ids = [world.healed(NOW - days * DAY, f"of-{days}") for days in (70, 60, 50)]
    fresh = world.healed(NOW - timedelta(hours=20), "fresh")
    one = Shelf(world.folder).sizes()[f"{ids[0]}-act"]

    world.tidy(replace(LIMITS, artifacts_bytes=8 * one)).round()

    kept = {name.rpartition("-")[0] for name in artifacts.kept(world.folder)}
    assert kept == {running, ids[2], fresh} | ({ids[1]} & kept)
    assert len(artifacts.kept(world.folder)) == 8


def test_what_is_young_stays_whatever_the_limit_and_a_warning_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.healed(NOW - timedelta(hours=20), "fresh")

    with caplog.at_level(logging.WARNING, "healing.retention"):
        world.tidy(replace(LIMITS, artifacts_bytes=1)).round()

    assert len(artifacts.kept(world.folder)) == 3
    assert "artifacts_limit_mb" in caplog.text


def test_artifacts_of_a_run_that_the_store_does_not_know_are_left_alone(world: World) -> None:
    (world.folder / "inc-000000000000-act").mkdir(parents=True)

    world.tidy(replace(LIMITS, artifacts_bytes=0)).round()

    assert artifacts.kept(world.folder) == ["inc-000000000000-act"]


# trouble -----------------------------------------------------------------------------------------


def test_on_a_full_disk_artifacts_go_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old, more = world.healed(NOW - 92 * DAY, "old"), world.healed(NOW - 80 * DAY, "more")
    recent = world.healed(NOW - timedelta(hours=20), "recent")
    limits = replace(LIMITS, artifacts_bytes=1)
    refused = []

    def full(*_: object, **__: object) -> None:
        refused.append(True)
        raise RecordError("database or disk is full")

    monkeypatch.setattr(world.store, "artifacts_removed", full)
    for _ in range(2):
        with pytest.raises(RecordError, match="full"):
            world.tidy(limits).round()

    assert len(refused) == 2
    assert {name.rpartition("-")[0] for name in artifacts.kept(world.folder)} == {recent}
    assert not any(path.stat().st_size for path in world.folder.glob(".*") if path.is_file())
    monkeypatch.undo()
    world.tidy(limits).round()
    assert {run.incident_id for run in world.store.runs() if run.artifacts_removed} == {old, more}
    assert len(artifacts.kept(world.folder)) == 3
    assert not list(world.folder.glob(".*"))


def test_what_can_not_be_packed_stops_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.healed(NOW - 500 * DAY, "old")
    recent = world.healed(NOW - DAY, "recent")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    world.tidy().round()

    assert world.incidents() == [recent]
    assert len(Shelf(world.folder).unpacked()) == 3
    assert "No space left" in caplog.text


def test_a_folder_that_can_not_be_written_is_a_sentence(world: World) -> None:
    world.folder.write_text("a file where the folder should be")

    with pytest.raises(StoreUnavailable, match="artifacts"):
        world.tidy().round()


def test_it_ends_when_the_worker_does_and_goes_on_at_the_next_start(world: World) -> None:
    for number in range(3):
        world.healed(NOW - 500 * DAY, f"old-{number}")
    due = world.tidy()

    def ended(_: float) -> None:
        raise Interrupted

    due._pause = ended
    due.when_due()
    assert len(world.incidents()) == 3
    assert world.forgotten == []

    world.tidy().when_due()
    assert world.incidents() == []


def test_it_is_due_once_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    due = world.tidy()
    for passed in (0, 60, 3500, 60):
        seconds[0] += passed
        due.when_due()

    assert world.forgotten == [NOW - 7 * DAY] * 2


# room --------------------------------------------------------------------------------------------


def test_a_year_of_100_healings_a_day_takes_what_the_documentation_promises(world: World) -> None:
    """Rows as a healing writes them, with 16 lines of evidence and 4 runs, times the days for which they are kept."""
    promise = re.search(r"100 healings a day, with the defaults, takes less than \*\*(\d+) GB", OPERATIONS.read_text())
    assert promise
    default = {row.name: row.default for row in settings.SETTINGS}
    for number in range(30):
        world.run(world.healed(NOW - DAY, f"unit-{number}", lines=16), RunKind.ROLLBACK)
    with closing(sqlite3.connect(world.file)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    healing = world.file.stat().st_size / 30
    records = healing * 100 * (default["keep_records_days"] + 1)

    assert healing > 5_000, "no such healing is that small"
    assert records + default["artifacts_limit_mb"] * 10**6 < int(promise[1]) * 10**9


def test_a_store_that_shrank_gives_room_back_but_for_some_slack(world: World) -> None:
    world.now = NOW - 500 * DAY
    for _ in range(50):
        world.store.append("look.ended", text="x" * 20_000)
    with closing(sqlite3.connect(world.file)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = world.file.stat().st_size
    assert before > 10**6

    world.tidy().round()
    with closing(sqlite3.connect(world.file)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert world.file.stat().st_size < before / 2
    assert world.pauses > 1


def test_writers_are_served_between_the_transactions(world: World) -> None:
    """Each transaction ends before the next pause: whoever writes in one waits for nothing."""
    for number in range(4):
        world.healed(NOW - 500 * DAY, f"old-{number}")
    due = world.tidy()

    def writes(_: float) -> None:
        with closing(sqlite3.connect(world.file, timeout=0)) as other, other:
            other.execute("UPDATE worker SET seen = seen")
        world.pauses += 1

    due._pause = writes
    due.round()

    assert world.incidents() == []
    assert world.pauses
