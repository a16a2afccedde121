"""The next step of a healing: what an action names to go on with where a unit died of what it mended.

A step is an incident of its own, with its own decision, verdict, approval, runs and count of attempts; `follows` names
the incident before it, and its id is derived from that, so that a crash at any instant opens it once. Nothing but the
host's own word that the unit is failed opens it at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.decide.candidates import candidates, short_unit
from orchestrator.detect.signature import signature
from orchestrator.domain import ids
from orchestrator.domain.actions import STEPS_MAX, Action, Decision
from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import Incident, IncidentState, Subject, SubjectKind
from orchestrator.domain.records import LogRecord
from orchestrator.domain.verdicts import UnitFacts
from orchestrator.ports import EVIDENCE_KEPT
from orchestrator.steps import Steps

#: Ends after which the trouble is gone, and only what died of it may be left.
GONE = (IncidentState.HEALED, IncidentState.ALREADY_WELL)
#: Lines that a step takes over from the one before it.
TAKEN_OVER = 20


class FollowUps(Steps):
    """The part of a healing that goes on with a next step."""

    def _follow(self, incident_id: str) -> None:
        """At the end of a workflow: open the next step where there is one, and begin its plan."""
        opened = self._do("next step", self._next_step, incident_id)
        if isinstance(opened, list) and opened:
            following, host = opened
            self._rooms.engine.start("plan", following, following, host=host)

    def _next_step(self, incident_id: str) -> list[str]:
        """The incident that goes on and its host; empty where nothing does."""
        incident, decision = self._incident(incident_id), self._store.decision(incident_id)
        action = self._rooms.catalog.get(decision.action) if decision else None
        if incident.state not in GONE or action is None or action.follow_up is None or incident.step >= STEPS_MAX:
            return []
        follower = self._rooms.catalog.actions[action.follow_up.action]
        evidence = self._store.evidence(incident_id, EVIDENCE_KEPT)
        dead = self._dead(incident, follower, evidence)
        if not dead:
            return []
        unit, *others = dead
        if others:
            self._tell_later(incident, f"{', '.join(others)} failed too: one step mends one unit. Look at the others.")
        lines = tuple(record for record in evidence if record.unit == unit)
        if self._is_forbidden(follower.id, lines):
            self._tell_later(incident, f"{unit} is failed, and a person forbade {follower.id} for it. Look at it.")
            return []
        following = self._opening(incident, action, unit, lines[-1])
        gone = "healed it" if incident.state is IncidentState.HEALED else "had nothing left to do"
        reason = f"{action.id} {gone}, and {unit}, which speaks in its evidence, is still failed"
        (parameter,) = (one.name for one in follower.parameters if one.required)
        chosen = Decision(
            action=follower.id,
            parameters={parameter: short_unit(unit)},
            reason=f"step {following.step}, after {incident.id}: {reason}",
            chooser="follow_up",
        )
        if not self._store.open_step(following, chosen, lines[-TAKEN_OVER:]):
            # Its own lines opened an incident meanwhile, which is under way: that one sees to it.
            return []
        return [following.id, incident.host]

    def _dead(self, incident: Incident, follower: Action, evidence: Sequence[LogRecord]) -> list[str]:
        """Units of the evidence that systemd calls failed now, those first that it called failed before."""
        spoke = [record.unit for record in reversed(evidence) if record.unit_failure]
        spoke += [record.unit for record in reversed(evidence)]
        units = [unit for unit in dict.fromkeys(spoke) if unit and _offers(follower, unit, evidence)]
        if not units:
            return []
        facts = self._rooms.probe.inspect(self._rooms.fleet.host(incident.host), units, ()).units
        return [unit for unit in units if unit in facts and _is_dead(facts[unit], follower)]

    def _is_forbidden(self, action: str, lines: Sequence[LogRecord]) -> bool:
        words = (self._store.precedents(one).word for one in dict.fromkeys(map(_signature, lines)))
        return any(word is not None and word.forbids(action) for word in words)

    def _opening(self, incident: Incident, action: Action, unit: str, newest: LogRecord) -> Incident:
        now = self._rooms.now()
        # A signature of its own: the attempts and the cooldown of the step before are not its own.
        name, template = signature(unit, f"{unit} is failed after {action.id}")
        return Incident(
            id=ids.following_id(incident.id, unit),
            host=incident.host,
            subject=Subject(kind=SubjectKind.UNIT, name=unit),
            signature=name,
            template=template,
            severity=incident.severity,
            state=IncidentState.OPEN,
            origin=incident.origin,
            first_seen=now,
            last_seen=max(now, newest.time),
            count=1,
            age_at_detection=0.0,
            reason=f"{unit} is failed",
            asked_by=incident.asked_by,
            follows=incident.id,
            step=incident.step + 1,
        )

    def _known_signatures(self, incident_id: str) -> frozenset[Signature]:
        """Of the incident and of all that it goes on with: either coming back is no healing."""
        incident = self._incident(incident_id)
        known = self._store.signatures(incident_id)
        return known | self._known_signatures(incident.follows) if self._kept(incident.follows) else known

    def _kept(self, incident_id: str) -> bool:
        """Whether there is such an incident: retention may have removed it."""
        return bool(incident_id) and self._store.incident(incident_id) is not None

    def _give_up(self, incident_id: str, sentence: str) -> bool:
        incident = self._store.incident(incident_id)
        if incident is None or incident.state not in GONE:
            return super()._give_up(incident_id, sentence)
        self._tell_later(incident, f"whether a unit died of it can't be told: {sentence}")
        return False

    def _tell_later(self, incident: Incident, sentence: str) -> None:
        """Tell a person of an incident that has ended already."""
        self._store.append("next_step.left", incident_id=incident.id, host=incident.host, text=sentence)
        self._rooms.notifier.tell("next_step.left", incident, sentence)


def _offers(follower: Action, unit: str, evidence: Sequence[LogRecord]) -> bool:
    """Whether the unit's own lines offer it to the action that follows: no carrier of others' words, no odd name."""
    lines = [record for record in evidence if record.unit == unit]
    return any(
        short_unit(unit) in values
        for candidate in candidates((follower,), unit, lines, (unit,))
        for values in candidate.values.values()
    )


def _is_dead(facts: UnitFacts, follower: Action) -> bool:
    """Failed, and of a kind that the action helps: a unit that somebody stopped, or that starts again, is not dead."""
    return facts.load_state == "loaded" and facts.active_state == "failed" and (follower.jobs or not facts.job)


def _signature(record: LogRecord) -> Signature:
    return signature(record.unit, record.message)[0]
