"""Outbreaks in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import IncidentState, Origin
from orchestrator.domain.outbreaks import Member, MemberEnd, Outbreak, OutbreakState
from orchestrator.outbreak_port import UNCOUNTED, UNDECIDED
from orchestrator.testing.runs import MemoryRuns


class MemoryOutbreaks(MemoryRuns):
    """The outbreak part of ports.Store."""

    def outbreak_for(self, incident_id: str, *, hosts: int, since: datetime) -> Outbreak | None:
        with self._lock:
            incident = self._incidents.get(incident_id)
            if incident is None:
                return None
            found = self._of_signatures(incident_id, since)
            if found is not None:
                return found
            sick = {
                one.host
                for one in self._incidents.values()
                if incident.signature in self._signatures[one.id]
                and one.id >= ids.id_at(since)
                and one.origin is Origin.LOG
                and one.state not in UNCOUNTED
                and one.id not in self._members
            }
            outbreak_id = ids.outbreak_id(IncidentId(incident_id))
            if len(sick) < hosts or outbreak_id in self._outbreaks:
                return None
            self._outbreaks[outbreak_id] = Outbreak(
                id=outbreak_id,
                signature=incident.signature,
                template=incident.template,
                action="",
                parameters={},
                state=OutbreakState.HEALING,
                wave=0,
                reason="",
                opened_at=self._clock(),
            )
            text = f"the same error on {hosts} hosts or more: decided once, and healed in waves"
            self.append("outbreak.opened", incident_id=outbreak_id, text=text)
            return self._outbreaks[outbreak_id]

    def _of_signatures(self, incident_id: str, since: datetime | None) -> Outbreak | None:
        known = [one for one in self._outbreaks.values() if one.signature in self._signatures[incident_id]]
        healing = [one for one in known if one.state is OutbreakState.HEALING]
        stopped = [
            one
            for one in known
            if one.state is OutbreakState.STOPPED and since and one.ended_at and one.ended_at >= since
        ]
        return next(reversed(stopped + healing), None)

    def join_outbreak(self, incident_id: str, decision: Decision) -> str:
        with self._lock:
            incident, member = self._incidents.get(incident_id), self._members.get(incident_id)
            if member is not None:
                return member.outbreak_id if member.ending is None else ""
            if incident is None or incident.state is not IncidentState.PLANNING:
                return ""
            found = self._of_signatures(incident_id, None)
            if found is None:
                return ""
            if found.action and (found.action, dict(found.parameters)) != (decision.action, dict(decision.parameters)):
                return ""
            if any(one.host == incident.host for one in self.members(found.id)):
                return ""
            chosen = replace(found, action=decision.action, parameters=dict(decision.parameters))
            self._outbreaks[found.id] = chosen
            self._members[incident_id] = Member(incident_id=incident.id, outbreak_id=found.id, host=incident.host)
            text = f"{incident_id} waits for a wave of {found.id}"
            self.append("outbreak.joined", incident_id=found.id, host=incident.host, text=text)
            return found.id

    def take_member(self, incident_id: str, wave: int) -> bool:
        with self._lock:
            member, incident = self._members.get(incident_id), self._incidents.get(incident_id)
            if member is None or incident is None or member.ending is not None:
                return False
            if member.wave:
                return member.wave == wave
            outbreak = self._outbreaks[member.outbreak_id]
            if (
                outbreak.state is not OutbreakState.HEALING
                or incident.state is not IncidentState.HEALING
                or self._busy(member)
            ):
                return False
            self._members[incident_id] = replace(member, wave=wave)
            self._outbreaks[outbreak.id] = replace(outbreak, wave=wave)
            return True

    def _busy(self, member: Member) -> bool:
        begun = {run.incident_id for run in self._runs.values()}
        other = any(
            one.host == member.host and one.state is IncidentState.HEALING and one.id in begun
            for one in self._incidents.values()
        )
        return member.host in self._held or other or self._in_a_wave([member.host], member.outbreak_id)

    def end_member(self, incident_id: str, ending: MemberEnd, reason: str) -> None:
        with self._lock:
            member = self._members.get(incident_id)
            if member is not None and member.ending is None:
                self._members[incident_id] = replace(member, ending=ending, reason=reason)

    def end_outbreak(self, outbreak_id: str) -> bool:
        with self._lock:
            outbreak = self._outbreaks.get(outbreak_id)
            if outbreak is None or outbreak.state is not OutbreakState.HEALING:
                return True
            members = self.members(outbreak_id)
            undecided = any(
                outbreak.signature in self._signatures[one.id] and one.origin is Origin.LOG and one.state in UNDECIDED
                for one in self._incidents.values()
            )
            if undecided or any(one.ending is None for one in members):
                return False
            verified = sum(one.ending is MemberEnd.VERIFIED for one in members)
            state = OutbreakState.HEALED if verified else OutbreakState.OVER
            self._end(outbreak_id, state, f"{verified} of {len(members)} members were acted on and verified")
            return True

    def stop_outbreak(self, outbreak_id: str, reason: str) -> bool:
        with self._lock:
            return self._end(outbreak_id, OutbreakState.STOPPED, reason)

    def _end(self, outbreak_id: str, state: OutbreakState, reason: str) -> bool:
        outbreak = self._outbreaks.get(outbreak_id)
        if outbreak is None or outbreak.state is not OutbreakState.HEALING:
            return False
        self._outbreaks[outbreak_id] = replace(outbreak, state=state, reason=reason, ended_at=self._clock())
        self.append(f"outbreak.{state}", incident_id=outbreak_id, text=reason)
        return True

    def outbreak(self, outbreak_id: str) -> Outbreak | None:
        return self._outbreaks.get(outbreak_id)

    def outbreaks(self, *, states: Sequence[OutbreakState] = (), limit: int = 100) -> tuple[Outbreak, ...]:
        with self._lock:
            found = list(reversed(self._outbreaks.values()))
        return tuple(one for one in found if not states or one.state in states)[:limit]

    def members(self, outbreak_id: str) -> tuple[Member, ...]:
        with self._lock:
            found = [one for one in self._members.values() if one.outbreak_id == outbreak_id]
        return tuple(sorted(found, key=lambda one: one.incident_id))

    def membership(self, incident_id: str) -> Member | None:
        return self._members.get(incident_id)

    def in_wave(self, host: str) -> bool:
        with self._lock:
            return self._in_a_wave([host], "")
