"""The worker inside `healer serve`: feeds records to detect, starts healings, sweeps what has none.

It holds no state of its own that matters: everything is in the store and the engine, so it may die at any
instant.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from orchestrator.detect.severity import severity
from orchestrator.detect.signature import signature
from orchestrator.detect.subject import subject
from orchestrator.domain import ids
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.domain.incidents import ABSORBING, Incident, IncidentState, Origin, Signal
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import RunStatus
from orchestrator.domain.verdicts import Answer
from orchestrator.errors import HealingError, InventoryError
from orchestrator.healing import Healing, Rooms
from orchestrator.ports import Collector, SourceState

log = logging.getLogger("healing.worker")

#: Seconds between sweeps: the longest that an approval or a stored incident waits for its workflow.
SWEEP = 0.5
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
    ) -> None:
        self._rooms = rooms
        self._collector = collector
        self._healing = healing
        self._settle, self._launch, self._close = settle, launch, close
        self._ended = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_on, name="sweep", daemon=True)
        self.store, self.fleet = rooms.store, rooms.fleet
        self.hosts = rooms.fleet.hosts()
        self.chooser = rooms.chooser.name

    def start(self) -> None:
        """Launch the engine (which recovers), then begin to collect."""
        self._launch()
        self._rooms.store.beat("worker")
        self._collector.start(self.hosts, self._take, self._rooms.store.cursor)
        self._sweeper.start()

    def stop(self) -> None:
        """Stop collecting, then the engine; runs go on under their supervisors and are adopted at the next start."""
        self._ended.set()
        self._collector.stop()
        if self._sweeper.is_alive():
            self._sweeper.join(timeout=10)
        self._close()

    def states(self) -> tuple[SourceState, ...]:
        """How each host is being read."""
        return self._collector.states()

    def _take(self, host: Host, source: str, records: Sequence[LogRecord], cursor: Cursor | None) -> None:
        signals = self._rooms.detector.detect(records, self._rooms.now())
        for incident_id in self._rooms.store.absorb(host.name, source, signals, cursor):
            self._rooms.engine.start("plan", incident_id, incident_id)

    def look(self, argument: str) -> None:
        """The workflow behind `healer heal HOST`; the argument is JSON: host and who asked."""
        self._rooms.engine.step("look", self._look, argument)

    def _look(self, argument: str) -> None:
        asked = json.loads(argument)
        rooms, name = self._rooms, str(asked["host"])
        try:
            host = rooms.fleet.host(name)
            now = rooms.now()
            records = self._collector.poll(host, since=now - LOOK_BACK)
            known = rooms.store.incidents(host=name, limit=1000)
            signals = [one for one in rooms.detector.detect(records, now) if not _seen(one, known)]
            rooms.store.absorb(name, "look", signals, None)
            open_now = [one.id for one in rooms.store.incidents(host=name, states=tuple(ABSORBING), limit=1000)]
            text = f"looked at {len(records)} records; {len(open_now)} incidents are open"
        except HealingError as error:
            open_now, text = [], str(error)
        rooms.store.append("look.ended", host=name, text=text, actor=str(asked["actor"]), data={"incidents": open_now})

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
        InventoryError for an unknown host, or for an injected error on a host that is neither a lab's nor local.
        """
        rooms = self._rooms
        target = rooms.fleet.host(host)
        if injected and "lab" not in target.groups and target.connection.kind != "local":
            raise InventoryError(
                f"{host} is neither a lab host nor local: injected errors act there alone. Nothing was done."
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
        same = self._open(host, signal)
        if same and same.state in (IncidentState.ESCALATED, IncidentState.NOISE):
            rooms.store.move(
                same.id,
                IncidentState.EXPIRED,
                f"asked again by {actor}",
                expected=(IncidentState.ESCALATED, IncidentState.NOISE),
                actor=actor,
            )
        origin = Origin.INJECTED if injected else Origin.TRIGGER
        opened = rooms.store.absorb(host, record.source, [signal], None, origin=origin)
        if opened:
            rooms.engine.start("plan", opened[0], opened[0])
            return opened[0]
        joined = self._open(host, signal)
        return joined.id if joined else ""

    def _open(self, host: str, signal: Signal) -> Incident | None:
        found = self._rooms.store.incidents(host=host, states=tuple(ABSORBING), limit=1000)
        return next((one for one in found if one.subject == signal.subject), None)

    def _sweep_on(self) -> None:
        while not self._ended.wait(SWEEP):
            try:
                self.sweep()
            except HealingError as error:
                log.warning("sweep: %s", error)

    def sweep(self) -> None:
        """Start what has no workflow, answer what has lapsed, open slots that are idle, expire what is quiet."""
        rooms, store = self._rooms, self._rooms.store
        now = rooms.now()
        store.beat("worker")
        for incident in store.incidents(states=(IncidentState.OPEN,), limit=1000):
            rooms.engine.start("plan", incident.id, incident.id)
        for incident in store.incidents(states=(IncidentState.PENDING_APPROVAL,), limit=1000):
            self._answer(incident, now)
        for run in store.runs(limit=200):
            if run.slot_shut and run.status is not RunStatus.RUNNING:
                self._settle(run.id)
        store.expire_quiet(now - timedelta(seconds=rooms.settings.incident_expiry_seconds))

    def _answer(self, incident: Incident, now: datetime) -> None:
        store = self._rooms.store
        approval = store.approval(ids.approval_id(incident.id))
        if approval is None:
            return
        if approval.answer is Answer.APPROVED:
            self._healing.start_apply(incident)
        elif approval.answer is Answer.DENIED:
            self._healing.escalate(incident.id, f"denied by {approval.answered_by}: {approval.answer_reason}")
        elif approval.answer is Answer.EXPIRED or approval.expires_at <= now:
            store.answer(approval.id, Answer.EXPIRED, actor="healing-bot", reason="nobody answered", now=now)
            self._healing.lapse(incident.id, f"nobody answered {approval.id} in time; nothing was done")


def _seen(signal: Signal, known: Sequence[Incident]) -> bool:
    """Whether an incident of the same thing already counts this record: a look reads what following has read."""
    return any(one.subject == signal.subject and signal.record.time <= one.last_seen for one in known)
