"""Incidents in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.domain.ids import Cursor, IncidentId, Signature, id_at, new_incident_id
from orchestrator.domain.incidents import (
    ABSORBING,
    FLOOD,
    FLOOD_REASON,
    OPENED_MAX,
    SETTLED,
    UNDER_WAY,
    WORDINGS_MAX,
    Incident,
    IncidentState,
    Origin,
    Signal,
    hides,
)
from orchestrator.domain.records import LogRecord
from orchestrator.ports import EVIDENCE_KEPT, SIGNATURES_KEPT
from orchestrator.testing.ledger import US, MemoryLedger


class MemoryIncidents(MemoryLedger):
    """The incident part of ports.Store."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._incidents: dict[str, Incident] = {}
        self._opened: dict[str, datetime] = {}
        self._evidence: dict[str, list[LogRecord]] = {}
        self._signatures: dict[str, list[Signature]] = {}
        self._cursors: dict[tuple[str, str], Cursor] = {}

    def absorb(
        self,
        host: str,
        source: str,
        signals: Sequence[Signal],
        cursor: Cursor | None,
        *,
        origin: Origin = Origin.LOG,
        fresh_seconds: float = 0.0,
        asked_by: str = "",
    ) -> tuple[IncidentId, ...]:
        opened = []
        with self._lock:
            for signal in signals:
                found = self._absorbing(host, signal, fresh_seconds) or self._heir(host, signal)
                if found is None:
                    flooding = self._flooding(host, signal, origin)
                    given = replace(signal, subject=FLOOD) if flooding else signal
                    found = self._absorbing(host, given, fresh_seconds) if flooding else None
                if found is None:
                    found = self._open(host, given, origin, asked_by)
                    opened.append(found.id)
                self._join(found, signal)
            if cursor is not None:
                self._cursors[host, source] = cursor
        return tuple(opened)

    def _flooding(self, host: str, signal: Signal, origin: Origin) -> bool:
        oldest = id_at(self._clock() - timedelta(hours=1))
        lately = [one for one in self._incidents.values() if one.host == host and one.id >= oldest]
        return origin is Origin.LOG and not signal.record.unit_failure and len(lately) >= OPENED_MAX

    def _absorbing(self, host: str, signal: Signal, fresh_seconds: float) -> Incident | None:
        of_it = [one for one in self._incidents.values() if (one.host, one.subject) == (host, signal.subject)]
        going = [one for one in of_it if one.state in UNDER_WAY]
        settled = [
            one
            for one in of_it
            if one.state in SETTLED and not hides(one.state, one.age_at_detection, signal, fresh_seconds)
        ]
        knowing = [one for one in (*going, *settled) if signal.signature in self._signatures[one.id]]
        full = [one for one in settled if len(self._signatures[one.id]) >= WORDINGS_MAX or one.subject == FLOOD]
        return next(iter((*knowing, *going, *(() if signal.record.unit_failure else full))), None)

    def _heir(self, host: str, signal: Signal) -> Incident | None:
        knowing = [
            one for one in self._incidents.values() if one.host == host and signal.signature in self._signatures[one.id]
        ]
        joined = [one for one in knowing if one.state is IncidentState.JOINED and one.subject == signal.subject]
        return next((one for one in knowing if joined and one.state in UNDER_WAY), None)

    def _open(self, host: str, signal: Signal, origin: Origin, asked_by: str) -> Incident:
        made = Incident(
            id=new_incident_id(self._clock()),
            host=host,
            subject=signal.subject,
            signature=signal.signature,
            template=signal.template,
            severity=signal.severity,
            state=IncidentState.ESCALATED if signal.subject == FLOOD else IncidentState.OPEN,
            reason=FLOOD_REASON if signal.subject == FLOOD else "",
            origin=origin,
            first_seen=signal.record.time,
            last_seen=signal.record.time,
            count=0,
            age_at_detection=signal.age,
            asked_by=asked_by,
        )
        self._incidents[made.id] = made
        self._opened[made.id] = self._clock()
        self._evidence[made.id], self._signatures[made.id] = [], []
        text = f"{signal.subject.name}: {signal.record.message[:200]}"
        data = {"subject": str(signal.subject)}
        self.append("incident.opened", incident_id=made.id, host=host, text=text, data=data)
        return made

    def _join(self, incident: Incident, signal: Signal) -> None:
        now = self._incidents[incident.id]
        self._incidents[incident.id] = replace(
            now,
            count=now.count + 1,
            first_seen=min(now.first_seen, signal.record.time),
            last_seen=max(now.last_seen, signal.record.time),
            severity=max(now.severity, signal.severity),
            age_at_detection=min(now.age_at_detection, signal.age),
        )
        names = self._signatures[incident.id]
        if signal.signature not in names and len(names) < SIGNATURES_KEPT:
            names.append(signal.signature)
        kept = self._evidence[incident.id]
        kept.append(signal.record)
        del kept[1:-EVIDENCE_KEPT]

    def cursor(self, host: str, source: str) -> Cursor | None:
        return self._cursors.get((host, source))

    def incident(self, incident_id: str) -> Incident | None:
        return self._incidents.get(incident_id)

    def incidents(
        self,
        *,
        host: str | None = None,
        states: Sequence[IncidentState] = (),
        limit: int = 100,
        injected: bool = True,
    ) -> tuple[Incident, ...]:
        with self._lock:
            found = reversed(tuple(self._incidents.values()))
        return tuple(
            one
            for one in found
            if host in (None, one.host)
            and (not states or one.state in states)
            and (injected or one.origin is not Origin.INJECTED)
        )[:limit]

    def evidence(self, incident_id: str, limit: int = 50) -> tuple[LogRecord, ...]:
        return tuple(self._evidence.get(incident_id, ())[-limit:])

    def signatures(self, incident_id: str) -> frozenset[Signature]:
        return frozenset(self._signatures.get(incident_id, ()))

    def move(
        self,
        incident_id: str,
        to: IncidentState,
        reason: str,
        *,
        expected: Sequence[IncidentState],
        actor: str = US,
    ) -> bool:
        with self._lock:
            now = self._incidents.get(incident_id)
            if now is None or now.state not in expected or self._taken(now, to):
                return False
            self._incidents[incident_id] = replace(now, state=to, reason=reason)
            self.append(
                f"incident.{to}",
                incident_id=incident_id,
                host=now.host,
                text=reason,
                actor=actor,
                data={"from": str(now.state)},
            )
        return True

    def _taken(self, incident: Incident, to: IncidentState) -> bool:
        return to in UNDER_WAY and any(
            (one.host, one.subject) == (incident.host, incident.subject)
            and one.state in UNDER_WAY
            and one.id != incident.id
            for one in self._incidents.values()
        )

    def join(self, incident_id: str, into: str, reason: str) -> bool:
        with self._lock:
            given, taker = self._incidents.get(incident_id), self._incidents.get(into)
            if given is None or taker is None or incident_id == into or taker.state not in ABSORBING:
                return False
            if not self.move(incident_id, IncidentState.JOINED, reason, expected=sorted(UNDER_WAY)):
                return False
            self._incidents[into] = replace(
                taker,
                count=taker.count + given.count,
                first_seen=min(taker.first_seen, given.first_seen),
                last_seen=max(taker.last_seen, given.last_seen),
                severity=max(taker.severity, given.severity),
            )
            fresh = [name for name in self._signatures[incident_id] if name not in self._signatures[into]]
            self._signatures[into] = [*self._signatures[into], *fresh][:SIGNATURES_KEPT]
            self._evidence[into] += self._evidence.pop(incident_id)
            del self._evidence[into][1:-EVIDENCE_KEPT]
        return True

    def expire_quiet(self, before: datetime) -> int:
        quiet = sorted(SETTLED)
        found = [
            one.id for one in self.incidents(states=quiet, limit=10**9) if one.last_seen < before > self._opened[one.id]
        ]
        return sum(self.move(one, IncidentState.EXPIRED, "not seen any more", expected=quiet) for one in found)
