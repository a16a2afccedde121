"""The worker inside `healer serve`: feeds records to detect, starts healings, sweeps what has none.

It holds no state of its own that matters: everything is in the store and the engine, so it may die at any
instant.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from orchestrator import looks
from orchestrator.answering import Desk
from orchestrator.detect.severity import severity
from orchestrator.detect.signature import signature
from orchestrator.detect.subject import subject
from orchestrator.domain import ids
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.domain.incidents import ABSORBING, SETTLED, Incident, IncidentState, Origin, Signal
from orchestrator.domain.outbreaks import OutbreakState
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.verdicts import Answer, Outcome
from orchestrator.errors import HealingError, InventoryError, RecordError, StoreUnavailable, TemporaryError
from orchestrator.guard.answering import void
from orchestrator.healing import Healing
from orchestrator.ports import Collector, SourceState
from orchestrator.steps import Rooms

log = logging.getLogger("healing.worker")

#: Seconds between sweeps: the longest that an approval or a stored incident waits for its workflow.
SWEEP = 1.0
#: Seconds between rounds of what asks hosts or Ansible: shut slots, the inventory's files, workflows that are gone.
ROUND = 5.0
#: Hosts of shut slots that are asked at the same time.
ASKED_AT_ONCE = 8
#: Seconds by which the clock must have been set between two sweeps to count: it is slewed by less.
CLOCK_SET = 1.0
#: Seconds without a sweep after which this worker hangs: a stalled store keeps one for BUSY_MS and TURN_SECONDS.
HANGS = 150.0
#: Seconds after which the same trouble is logged again.
REMIND = 60.0
#: Rounds between two looks for incidents whose workflow is gone. One must be seen two times: it may be between two.
ROUNDS_TO_LOST = 6
#: How far back a look or a first contact reads; older errors would be refused by age anyway.
LOOK_BACK = timedelta(minutes=5)
PRIORITIES = {
    Severity.CRITICAL: 2,
    Severity.ERROR: 3,
    Severity.WARNING: 4,
    Severity.INFO: 6,
    Severity.DEBUG: 7,
}


class Worker:
    """Collects and heals until it is stopped."""

    def __init__(
        self,
        rooms: Rooms,
        collector: Collector,
        healing: Healing,
        *,
        settle: Callable[[str], bool],
        launch: Callable[[], None],
        close: Callable[[], None],
        refresh: Callable[[], bool],
        ended: threading.Event,
    ) -> None:
        """`refresh` reads a changed inventory again; `ended` is what Rooms.wait waits for."""
        self._rooms = rooms
        self._collector = collector
        self._healing = healing
        self._settle, self._launch, self._close, self._refresh = settle, launch, close, refresh
        self._ended = ended
        #: No healing is begun any more.
        self._draining = threading.Event()
        self._swept = time.monotonic()
        self._ahead = _ahead()
        self._threads: list[threading.Thread] = []
        self.regularly(SWEEP, self.sweep)
        self.regularly(ROUND, self.round)
        #: Workflows that this worker has handed to the engine and whose incident has not moved yet.
        self._begun: set[str] = set()
        self._suspects: frozenset[str] = frozenset()
        self._rounds = 0
        self.store, self.fleet, self.desk = rooms.store, rooms.fleet, Desk.within(rooms)
        self.hosts = rooms.fleet.hosts()
        self.chooser = rooms.chooser.name
        self.gauges = rooms.gauges
        self.actions = tuple(rooms.catalog.actions.values())

    def regularly(self, seconds: float, function: Callable[[], None]) -> None:
        """Call it so often from `start` to `stop`, in a thread of its own; its errors are told and it goes on."""
        target = threading.Thread(target=self._every, args=(seconds, function), name=function.__name__, daemon=True)
        self._threads.append(target)

    def start(self) -> None:
        """Launch the engine (which recovers), then begin to collect."""
        self._launch()
        self._rooms.store.beat("worker")
        self._cut_holds()
        self._collector.start(self.hosts, self._take, self._rooms.store.cursor)
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether it sweeps: what a watchdog asks. A store that stalls is no death."""
        return time.monotonic() - self._swept < HANGS

    def drain(self, seconds: float, hurry: threading.Event) -> tuple[str, ...]:
        """Begin nothing new and wait until what runs has finished; the workflows that had not after `seconds`, or once
        `hurry` was set. Those are recorded as interrupted, and go on at the next start. Call `stop` next.
        """
        self._draining.set()
        self._collector.stop()
        left = self._rooms.engine.drain(seconds, hurry)
        for workflow_id in left:
            self._interrupted(workflow_id)
        return left

    def _interrupted(self, workflow_id: str) -> None:
        store = self._rooms.store
        try:
            incident = store.incident(ids.incident_of(workflow_id))
            if incident is not None:
                store.append(
                    "healing.interrupted",
                    incident_id=incident.id,
                    host=incident.host,
                    text=f"healer serve ended while this was {incident.state}: a playbook that runs goes on under its "
                    "own process, and the next start takes the healing up where it was",
                )
        except HealingError as error:
            log.warning("%s was interrupted, which can't be recorded: %s", workflow_id, error)

    def stop(self) -> None:
        """Stop collecting, then the engine; runs go on under their supervisors and are adopted at the next start."""
        self._ended.set()
        self._collector.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)
        self._close()

    def states(self) -> tuple[SourceState, ...]:
        """How each host is being read."""
        return self._collector.states()

    def _take(self, host: Host, source: str, records: Sequence[LogRecord], cursor: Cursor | None) -> None:
        signals = self._rooms.detector.detect(records, self._rooms.now())
        opened = self._rooms.store.absorb(host.name, source, signals, cursor, fresh_seconds=host.policy.max_age_seconds)
        for incident_id in opened:
            self._opened(host.name, incident_id)

    def _opened(self, host: str, incident_id: str, *, begin: bool = True) -> None:
        incident = self._rooms.store.incident(incident_id)
        if incident is not None and incident.state is IncidentState.OPEN:
            if begin:
                self._begun.add(incident_id)
                self._rooms.engine.start("plan", incident_id, incident_id, host=host)
        elif incident is not None:
            self._rooms.notifier.tell("incident.escalated", incident, incident.reason)

    def look(self, argument: str) -> None:
        """The workflow behind `healer heal HOST`; the argument is JSON: host and who asked."""
        self._rooms.engine.step("look", self._look, argument)

    def ask_look(self, host: str, actor: str) -> int:
        """As looks.ask. Raises also TemporaryError where it ends."""
        self._require_begin()
        return looks.ask(self._rooms.store, self._rooms.fleet, self._rooms.engine, host, actor)

    def _require_begin(self) -> None:
        if self._draining.is_set():
            raise TemporaryError("healer serve is ending and begins no healing. Ask again once it is back.")

    def _look(self, argument: str) -> None:
        asked = json.loads(argument)
        rooms, name = self._rooms, str(asked["host"])
        try:
            host = rooms.fleet.host(name)
            now = rooms.now()
            records = self._collector.poll(host, since=now - LOOK_BACK)
            known = rooms.store.incidents(host=name, limit=1000)
            signals = [one for one in rooms.detector.detect(records, now) if not _seen(one, known)]
            fresh = host.policy.max_age_seconds
            actor = str(asked["actor"])
            for incident_id in rooms.store.absorb(name, "look", signals, None, fresh_seconds=fresh, asked_by=actor):
                # A step begins no workflow: the sweep does, within a second.
                self._opened(name, incident_id, begin=False)
            open_now = [one.id for one in rooms.store.incidents(host=name, states=tuple(ABSORBING), limit=1000)]
            text = f"looked at {len(records)} records; {len(open_now)} incidents are open"
        except HealingError as error:
            open_now, text = [], str(error)
        rooms.store.append(
            "look.ended",
            host=name,
            text=text,
            actor=str(asked["actor"]),
            data={"incidents": open_now, "asked": asked["seq"]},
        )

    def trigger(
        self,
        *,
        host: str,
        service: str,
        message: str,
        level: Severity,
        timestamp: datetime | None,
        actor: str,
        injected: bool = False,
    ) -> str:
        """A person's or client's report enters at detect; returns the id of the incident that it joined or opened.

        A report of something that was escalated before closes that one: a person asks again. Raises
        InventoryError for an unknown host, or for an injected error on a host that is neither a lab's nor local;
        TemporaryError where it ends.
        """
        rooms = self._rooms
        self._require_begin()
        target = rooms.fleet.host(host)
        if injected and "lab" not in target.groups and target.connection.kind != "local":
            raise InventoryError(
                f"{host} is neither in the inventory's group `lab` nor local (ansible_connection: local): injected "
                "errors act there alone. Nothing was done."
            )
        unit = service if "." in service or not service else f"{service}.service"
        record = LogRecord(
            time=timestamp or rooms.now(),
            host=host,
            unit=unit,
            priority=PRIORITIES[level],
            message=message,
            source="injected" if injected else "trigger",
            injected=injected,
        )
        name, template = signature(unit, message)
        signal = Signal(
            record=record,
            signature=name,
            template=template,
            subject=subject(record, name),
            severity=max(level, severity(record)),
            age=max(0.0, (rooms.now() - record.time).total_seconds()),
        )
        for same in self._open(host, signal):
            if signal.signature not in rooms.store.signatures(same.id):
                continue
            rooms.store.move(
                same.id, IncidentState.EXPIRED, f"asked again by {actor}", expected=sorted(SETTLED), actor=actor
            )
        origin = Origin.INJECTED if injected else Origin.TRIGGER
        opened = rooms.store.absorb(host, record.source, [signal], None, origin=origin, asked_by=actor)
        if opened:
            rooms.engine.start("plan", opened[0], opened[0], host=host)
            return opened[0]
        return next((joined.id for joined in self._open(host, signal)), "")

    def _open(self, host: str, signal: Signal) -> list[Incident]:
        found = self._rooms.store.incidents(host=host, states=tuple(ABSORBING), limit=1000)
        return [one for one in found if one.subject == signal.subject]

    def _every(self, seconds: float, function: Callable[[], None]) -> None:
        said, again = "", 0.0
        while not self._ended.wait(seconds):
            try:
                function()
                said = ""
            except (StoreUnavailable, RecordError) as error:
                self._rooms.alarm.failed(str(error))
            except HealingError as error:
                if str(error) != said or time.monotonic() > again:
                    log.warning("%s: %s", function.__name__, error)
                    said, again = str(error), time.monotonic() + REMIND
            except Exception:  # a dead thread would stop approvals, expiry and the heartbeat without a word
                log.exception("%s", function.__name__)

    def sweep(self) -> None:
        """Start what has no workflow, carry out answers, expire what is quiet. Asks nothing but the store."""
        self._swept = time.monotonic()
        if self._draining.is_set():
            return
        rooms, store = self._rooms, self._rooms.store
        now = rooms.now()
        store.beat("worker")
        rooms.alarm.wrote()
        self._follow_clock()
        waiting = store.incidents(states=(IncidentState.OPEN,), limit=10_000)
        asking = store.incidents(states=(IncidentState.PENDING_APPROVAL,), limit=10_000)
        self._begun &= {one.id for one in waiting} | {ids.apply_id(one.id) for one in asking}
        for incident in waiting:
            if incident.id not in self._begun:
                self._begun.add(incident.id)
                rooms.engine.start("plan", incident.id, incident.id, host=incident.host)
        for incident in asking:
            self._answer(incident, now)
        self._healing.start_turns()
        store.expire_quiet(now - timedelta(seconds=rooms.settings.incident_expiry_seconds))

    def _follow_clock(self) -> None:
        """Holds are timers by the clock: one that is set takes them along, so that each still lasts as long."""
        moved = _ahead() - self._ahead
        self._ahead += moved
        if abs(moved) < CLOCK_SET:
            return
        log.warning("the clock was set by %+.1f s; holds keep their length", moved)
        for incident in self._rooms.store.incidents(states=(IncidentState.VERIFIED,), limit=10_000):
            left = self._rooms.engine.due(ids.hold_id(incident.id))
            if left is not None:
                self._rooms.engine.delay(ids.hold_id(incident.id), left + moved)

    def _cut_holds(self) -> None:
        """None lasts longer than it was meant to, though the clock was set back while nobody looked."""
        store, engine = self._rooms.store, self._rooms.engine
        for incident in store.incidents(states=(IncidentState.VERIFIED,), limit=10_000):
            left, meant = engine.due(ids.hold_id(incident.id)), self._healing.hold_seconds(incident.id)
            if left is not None and left > meant:
                engine.delay(ids.hold_id(incident.id), meant)

    def round(self) -> None:
        """Open slots of runs that are over, read a changed inventory, tell of incidents whose workflow is gone."""
        if self._draining.is_set():
            return
        # At once: a host that is away takes long not to answer, and must not keep the slots of others shut.
        with ThreadPoolExecutor(ASKED_AT_ONCE, "settle") as pool:
            list(pool.map(self._settle, [run.id for run in self._rooms.store.shut_runs()]))
        self._rounds += 1
        if self._rounds % ROUNDS_TO_LOST == 0:
            self._find_lost()
        self._read_inventory()

    def _find_lost(self) -> None:
        """An incident under way of which no workflow is alive would wait for ever, and absorb all that follows."""
        states = (IncidentState.PLANNING, IncidentState.HEALING, IncidentState.VERIFIED)
        store, alive = self._rooms.store, self._rooms.engine.alive
        found = {one.id: one for one in store.incidents(states=states, limit=10_000)}
        workflows = (lambda one: one, ids.ask_id, self._healing.apply_id, ids.hold_id, ids.rollback_id)
        waiting = {one.incident_id for one in store.places() if one.outcome is Outcome.WAITS}
        gone = [
            one
            for one in found
            if one not in waiting
            and not any(alive(workflow(one)) for workflow in workflows)
            and not self._in_outbreak(one)
        ]
        for incident_id in gone:
            if incident_id in self._suspects:
                self._healing.escalate(
                    incident_id,
                    f"its healing ended in the middle, while {found[incident_id].state}: look at its runs and at the "
                    "host; nothing further is done",
                )
        self._suspects = frozenset(gone)

    def _in_outbreak(self, incident_id: str) -> bool:
        """Whether the waves of an outbreak go on with it."""
        member = self._rooms.store.membership(incident_id)
        outbreak = self._rooms.store.outbreak(member.outbreak_id) if member and member.ending is None else None
        return outbreak is not None and outbreak.state is OutbreakState.HEALING

    def _read_inventory(self) -> None:
        """Policy holds from now on; hosts that came, went or moved are followed anew."""
        if not self._refresh():
            return
        before, self.hosts = self.hosts, self._rooms.fleet.hosts()
        log.info("the inventory was read again: %d hosts", len(self.hosts))
        if _followed(before) != _followed(self.hosts):
            self._collector.stop()
            self._collector.start(self.hosts, self._take, self._rooms.store.cursor)

    def _answer(self, incident: Incident, now: datetime) -> None:
        store = self._rooms.store
        approval = store.approval(ids.approval_id(incident.id))
        if approval is None:
            return
        if approval.answer is Answer.APPROVED:
            if ids.apply_id(incident.id) not in self._begun:
                self._begun.add(ids.apply_id(incident.id))
                self._healing.start_apply(incident.id, incident.host)
        elif approval.answer is Answer.DENIED:
            self._healing.escalate(incident.id, f"denied by {approval.answered_by}: {approval.answer_reason}")
        elif approval.answer is Answer.VOID:
            self._healing.lapse(incident.id, void(approval))
        elif approval.answer is Answer.EXPIRED or approval.expires_at <= now:
            store.answer(approval.id, Answer.EXPIRED, actor="healing-bot", reason="nobody answered", now=now)
            self._healing.lapse(incident.id, f"nobody answered {approval.id} in time; nothing was done")


def _ahead() -> float:
    """The clock that is set, minus the steady one."""
    return time.time() - time.monotonic()


def _followed(hosts: Sequence[Host]) -> list[tuple[object, ...]]:
    """What following depends on."""
    return [(host.name, host.connection, host.log_files) for host in hosts]


def _seen(signal: Signal, known: Sequence[Incident]) -> bool:
    """Whether an incident of the same thing already counts this record: a look reads what following has read."""
    return any(one.subject == signal.subject and signal.record.time <= one.last_seen for one in known)
