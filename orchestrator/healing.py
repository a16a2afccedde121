"""The only file that knows the order: decide, inspect, judge, maybe ask, check, act, verify, hold, maybe undo.

Four durable workflows of one incident. `plan` ends at the approval, so waiting for a person costs nothing
and survives upgrades. `apply` and `rollback` hold the host's only slot. `hold` waits out the silence outside
of it. Every method that `_step` runs may run again after a crash: it moves states by compare-and-set, and a
playbook starts at most once by its run id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.catalog import Catalog
from orchestrator.decide.candidates import candidates
from orchestrator.detect.detector import Detector
from orchestrator.domain import ids
from orchestrator.domain.actions import ESCALATE, NONE, Action, Decision, ParameterSource
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor, IncidentId
from orchestrator.domain.incidents import FINAL, Incident, IncidentState, Origin, SubjectKind
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome, Verdict
from orchestrator.errors import HealingError
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from orchestrator.notify.notifier import Notifier
from orchestrator.ports import Case, Chooser, Engine, Executor, Fleet, Probe, Store
from orchestrator.settings import Settings
from orchestrator.verify import judgement
from orchestrator.verify.judgement import Check, Next

#: Attempts count over a rolling day.
ATTEMPT_WINDOW = timedelta(hours=24)
#: Records of an incident that a chooser is shown at most.
SHOWN_RECORDS = 20
#: States in which a healing may still be moved on by its own workflows.
UNDER_WAY = (
    IncidentState.OPEN,
    IncidentState.PLANNING,
    IncidentState.PENDING_APPROVAL,
    IncidentState.HEALING,
    IncidentState.VERIFIED,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """The rooms that a healing walks through."""

    settings: Settings
    engine: Engine
    store: Store
    fleet: Fleet
    catalog: Catalog
    detector: Detector
    chooser: Chooser
    probe: Probe
    executor: Executor
    notifier: Notifier
    now: Callable[[], datetime]


class Healing:
    """The workflows of one incident, by its id."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._store = rooms.store
        self._step = rooms.engine.step

    # plan -------------------------------------------------------------------------------------------

    def plan(self, incident_id: str) -> None:
        """From the evidence to a verdict: ends in healing, pending_approval, noise, expired or escalated."""
        if not self._step("begin", self._begin, incident_id):
            return
        if not self._step("decide", self._guarded, self._decide, incident_id):
            return
        self._step("judge", self._guarded, self._judge, incident_id)
        if self._step("hand over", self._guarded, self._hand_over, incident_id):
            self.start_apply(self._incident(incident_id))

    def _begin(self, incident_id: str) -> bool:
        moved = self._store.move(
            incident_id,
            IncidentState.PLANNING,
            "deciding what would help",
            expected=(IncidentState.OPEN,),
        )
        return moved or self._incident(incident_id).state is IncidentState.PLANNING

    def _decide(self, incident_id: str) -> bool:
        incident = self._incident(incident_id)
        decision = self._store.decision(incident_id) or self._choose(incident)
        self._store.record_decision(incident_id, decision)
        if decision.acts:
            return True
        if decision.action == NONE and incident.origin is not Origin.TRIGGER:
            self._move(incident_id, IncidentState.NOISE, f"noise: {decision.reason}")
        else:
            self.escalate(incident_id, f"no action of the whitelist helps: {decision.reason}")
        return False

    def _choose(self, incident: Incident) -> Decision:
        rooms = self._rooms
        actions = tuple(rooms.catalog.actions.values())
        records = self._store.evidence(incident.id, SHOWN_RECORDS)
        unit = incident.subject.name if incident.subject.kind is SubjectKind.UNIT else ""
        unit = unit or next((record.unit for record in reversed(records) if record.unit), "")
        offered = candidates(actions, unit, records, None)
        named = sorted(
            {
                value if "." in value else f"{value}.service"
                for candidate in offered
                for parameter in rooms.catalog.actions[candidate.action].parameters
                if parameter.source is ParameterSource.UNIT
                for value in candidate.values.get(parameter.name, ())
            }
        )
        if named:
            facts = rooms.probe.inspect(rooms.fleet.host(incident.host), named, ())
            there = [name for name, unit_facts in facts.units.items() if unit_facts.load_state == "loaded"]
            offered = candidates(actions, unit, records, there)
        case = Case(
            incident_id=incident.id,
            host=incident.host,
            unit=unit,
            records=records,
            candidates=offered,
            actions=actions,
        )
        return rooms.chooser.choose(case)

    def _judge(self, incident_id: str) -> bool:
        decision = self._decision(incident_id)
        facts = self._inspect(incident_id, decision)
        verdict = self._verdict(incident_id, decision, facts, approved=False)
        self._store.record_verdict(incident_id, verdict, facts)
        return True

    def _hand_over(self, incident_id: str) -> bool:
        incident = self._incident(incident_id)
        verdict = self._store.verdict(incident_id)
        if incident.state is IncidentState.HEALING:
            return True
        if incident.state is not IncidentState.PLANNING or verdict is None:
            return False
        if verdict.outcome is Outcome.ALLOWED:
            return self._move(incident_id, IncidentState.HEALING, "allowed; waits for the host's slot")
        if verdict.outcome is Outcome.NEEDS_APPROVAL:
            self._ask(incident, verdict)
        elif verdict.rule == "age":
            self._move(incident_id, IncidentState.EXPIRED, verdict.reason)
        else:
            self.escalate(incident_id, f"refused by rule {verdict.rule}: {verdict.reason}")
        return False

    def start_apply(self, incident: Incident) -> None:
        """Queue the apply workflow in the host's slot; doing it twice is doing it once."""
        self._rooms.engine.start("apply", ids.apply_id(incident.id), incident.id, host=incident.host)

    def _ask(self, incident: Incident, verdict: Verdict) -> None:
        rooms, decision = self._rooms, self._decision(incident.id)
        action = rooms.catalog.actions[decision.action]
        digest = rooms.executor.digest(action, decision.parameters, (rooms.fleet.host(incident.host),))
        now = rooms.now()
        approval = Approval(
            id=ids.approval_id(incident.id),
            incident_id=incident.id,
            host=incident.host,
            action=decision.action,
            parameters=dict(decision.parameters),
            digest=digest,
            rule=verdict.rule,
            reason=decision.reason,
            asked_at=now,
            expires_at=now + timedelta(seconds=rooms.settings.approval_expiry_seconds),
        )
        if self._store.approval(approval.id) is None:
            self._store.ask(approval)
        if self._move(incident.id, IncidentState.PENDING_APPROVAL, f"waits for an answer to {approval.id}"):
            rooms.notifier.tell("approval.asked", incident, f"{approval.id}: {decision.action} on {incident.host}?")

    # apply ------------------------------------------------------------------------------------------

    def apply(self, incident_id: str) -> None:
        """In the host's slot: judge again, check, act once, settle, verify."""
        if not self._step("judge again", self._guarded, self._judge_again, incident_id):
            return
        if not self._step("check", self._guarded, self._check, incident_id):
            return
        following = self._step("act", self._guarded, self._act, incident_id)
        if following != Next.VERIFY:
            return
        self._rooms.engine.sleep(self._action(incident_id).settle_seconds)
        cursor = self._step("position", self._guarded, self._position, incident_id)
        following = self._step("verify", self._guarded, self._verify, incident_id, cursor)
        delay = self._step("after verify", self._after_verify, incident_id, following, cursor)
        if following == Next.HOLD and delay is not None:
            self._rooms.engine.start("hold", ids.hold_id(IncidentId(incident_id)), incident_id, delay=delay)
        elif following == Next.ROLLBACK:
            self._start_rollback(incident_id)

    def _judge_again(self, incident_id: str) -> bool:
        incident, decision = self._incident(incident_id), self._decision(incident_id)
        if incident.state not in (IncidentState.HEALING, IncidentState.PENDING_APPROVAL):
            return False
        approval = self._store.approval(ids.approval_id(IncidentId(incident_id)))
        if approval is not None and approval.answer is not Answer.APPROVED:
            self.escalate(incident_id, f"{approval.id} is {approval.answer}, so nothing was done")
            return False
        facts = self._inspect(incident_id, decision)
        verdict = self._verdict(incident_id, decision, facts, approved=approval is not None)
        if verdict.outcome is not Outcome.ALLOWED:
            self._store.record_verdict(incident_id, verdict, facts)
            self.escalate(incident_id, f"refused by rule {verdict.rule} right before acting: {verdict.reason}")
            return False
        if approval is not None and approval.digest != self._digest(incident_id):
            self.escalate(
                incident_id,
                f"{approval.id} was given for other bytes: playbook, role, parameters or host variables "
                "changed since. Nothing was done; ask again with `healer heal`.",
            )
            return False
        self._store.record_verdict(incident_id, verdict, facts)
        self._store.move(
            incident_id,
            IncidentState.HEALING,
            "in the host's slot",
            expected=(IncidentState.HEALING, IncidentState.PENDING_APPROVAL),
        )
        return True

    def _check(self, incident_id: str) -> bool:
        result = self._run(incident_id, RunKind.CHECK)
        check = judgement.after_check(result)
        if check is Check.WELL:
            self._move(incident_id, IncidentState.ALREADY_WELL, "the check found it well; nothing was done")
        elif check is Check.CANNOT_TELL:
            self.escalate(incident_id, f"the check can't tell ({result.status}): {result.reason}. Nothing was done.")
        return check is Check.SICK

    def _act(self, incident_id: str) -> str:
        stopped = self._store.stopped()
        if stopped:
            self.escalate(incident_id, f"stopped right before acting: {stopped}")
            return Next.ESCALATE
        result = self._run(incident_id, RunKind.ACT, digest=self._digest(incident_id))
        following = judgement.after_act(result)
        if following is Next.ESCALATE:
            self.escalate(incident_id, f"nothing was changed: {result.reason or result.status}")
        return following

    def _position(self, incident_id: str) -> str:
        return self._rooms.probe.position(self._host(incident_id))

    def _verify(self, incident_id: str, cursor: str | bool) -> str:
        action = self._action(incident_id)
        act = self._store.run(ids.run_id(IncidentId(incident_id), RunKind.ACT))
        result = self._run(incident_id, RunKind.VERIFY)
        following = judgement.after_verify(action, act.status if act else RunStatus.UNKNOWN, result)
        if following is Next.HOLD and not isinstance(cursor, str):
            following = Next.ESCALATE
        if following is not Next.HOLD:
            said = f"{act.action if act else 'act'}: {act.status if act else 'unknown'}; verify: {result.status}"
            self._note(incident_id, f"not healed: {said}. {result.reason or (act.reason if act else '')}".strip())
        return following

    def _after_verify(self, incident_id: str, following: str | bool, cursor: str | bool) -> float | None:
        if following == Next.ROLLBACK:
            return None
        if following != Next.HOLD:
            self.escalate(incident_id, "the action did not heal it; it was not repeated")
            return None
        seconds = judgement.hold_seconds(
            self._action(incident_id),
            self._host(incident_id).policy,
            self._store.evidence(incident_id, SHOWN_RECORDS),
        )
        if self._move(incident_id, IncidentState.VERIFIED, f"verified; must stay silent for {seconds:g} s"):
            self._store.append(
                "hold.started",
                incident_id=incident_id,
                host=self._incident(incident_id).host,
                text=f"holding for {seconds:g} s",
                data={"cursor": cursor, "seconds": seconds},
            )
        return seconds

    # hold and rollback ------------------------------------------------------------------------------

    def hold(self, incident_id: str) -> None:
        """After the hold time: healed if a fresh query finds silence."""
        if self._step("listen", self._guarded, self._listen, incident_id) == Next.ROLLBACK:
            self._start_rollback(incident_id)

    def _listen(self, incident_id: str) -> str | bool:
        incident, rooms = self._incident(incident_id), self._rooms
        if incident.state is not IncidentState.VERIFIED:
            return False
        started = next(
            event for event in reversed(self._store.events(incident_id=incident_id)) if event.kind == "hold.started"
        )
        records = rooms.probe.since(self._host(incident_id), Cursor(str(started.data["cursor"])))
        signals = rooms.detector.detect(records, rooms.now())
        again = judgement.relapse(signals, self._store.signatures(incident_id))
        if again is None:
            self._move(
                incident_id,
                IncidentState.HEALED,
                f"verified, and silent for {float(started.data['seconds']):g} s",
            )
            return True
        self._note(incident_id, f"the error came back within the hold time: {again.record.message[:200]}")
        if self._action(incident_id).reversible:
            return Next.ROLLBACK
        self.escalate(incident_id, "verified at first, but the error came back; it was not repeated")
        return False

    def rollback(self, incident_id: str) -> None:
        """In the host's slot: undo an act that did not help, then tell a person."""
        self._step("rollback", self._guarded, self._rollback, incident_id)

    def _start_rollback(self, incident_id: str) -> None:
        self._rooms.engine.start(
            "rollback",
            ids.rollback_id(IncidentId(incident_id)),
            incident_id,
            host=self._incident(incident_id).host,
        )

    def _rollback(self, incident_id: str) -> bool:
        result = self._run(incident_id, RunKind.ROLLBACK, digest=self._digest(incident_id))
        undone = result.status is RunStatus.SUCCEEDED
        text = "it was rolled back" if undone else f"the rollback ended as {result.status}: {result.reason}"
        self.escalate(incident_id, f"the action did not heal it; {text}")
        return undone

    # shared -----------------------------------------------------------------------------------------

    def _guarded(self, function: Callable[..., str | bool], incident_id: str, *rest: object) -> str | bool:
        """The top of a healing's step: whatever goes wrong, a person is told and nothing further is done."""
        try:
            return function(incident_id, *rest)
        except HealingError as error:
            self.escalate(incident_id, str(error))
        except Exception as error:  # noqa: BLE001  # a bug must not leave an incident stuck: tell a person
            self.escalate(incident_id, f"internal error in {function.__name__.strip('_')}: {error!r}")
        return False

    def _run(self, incident_id: str, kind: RunKind, *, digest: str = "") -> PlaybookResult:
        action, decision = self._action(incident_id), self._decision(incident_id)
        host, settings = self._host(incident_id), self._rooms.settings
        job = PlaybookJob(
            run_id=ids.run_id(IncidentId(incident_id), kind),
            incident_id=IncidentId(incident_id),
            kind=kind,
            action=action.id,
            playbook=action.playbook(kind),
            roles=settings.roles_dir,
            parameters=decision.parameters,
            hosts=(host,),
            task_timeout=action.task_timeout,
            run_timeout=action.run_timeout,
            digest=digest,
        )
        return self._rooms.executor.execute(job)

    def _inspect(self, incident_id: str, decision: Decision) -> Facts:
        action = self._rooms.catalog.get(decision.action)
        if action is None:
            return Facts()
        values: dict[ParameterSource, list[str]] = {ParameterSource.UNIT: [], ParameterSource.PATH: []}
        for parameter in action.parameters:
            if parameter.name in decision.parameters:
                values[parameter.source].append(decision.parameters[parameter.name])
        if not any(values.values()):
            return Facts()
        return self._rooms.probe.inspect(
            self._host(incident_id), values[ParameterSource.UNIT], values[ParameterSource.PATH]
        )

    def _verdict(self, incident_id: str, decision: Decision, facts: Facts, *, approved: bool) -> Verdict:
        incident, now = self._incident(incident_id), self._rooms.now()
        ageless = approved or incident.origin is Origin.TRIGGER
        return judge(
            Question(
                decision=decision,
                action=self._rooms.catalog.get(decision.action),
                host=self._rooms.fleet.host(incident.host),
                facts=facts,
                attempts=self._store.attempts(incident.host, now - ATTEMPT_WINDOW),
                signatures=self._store.signatures(incident_id),
                age_seconds=None if ageless else incident.age_at_detection,
                stopped=self._store.stopped(),
                now=now,
                approved=approved,
            )
        )

    def escalate(self, incident_id: str, reason: str) -> None:
        """Tell a person; nothing further is done for this incident."""
        if self._move(incident_id, IncidentState.ESCALATED, reason):
            self._rooms.notifier.tell("incident.escalated", self._incident(incident_id), reason)

    def lapse(self, incident_id: str, reason: str) -> None:
        """Nobody answered: nothing was done, and the next error asks again."""
        if self._move(incident_id, IncidentState.EXPIRED, reason):
            self._rooms.notifier.tell("approval.lapsed", self._incident(incident_id), reason)

    def _move(self, incident_id: str, to: IncidentState, reason: str) -> bool:
        return self._store.move(incident_id, to, reason, expected=[s for s in UNDER_WAY if s is not to])

    def _note(self, incident_id: str, text: str) -> None:
        incident = self._incident(incident_id)
        self._store.append("healing.note", incident_id=incident_id, host=incident.host, text=text)

    def _incident(self, incident_id: str) -> Incident:
        incident = self._store.incident(incident_id)
        if incident is None:
            raise LookupError(f"no incident {incident_id}")
        return incident

    def _decision(self, incident_id: str) -> Decision:
        return self._store.decision(incident_id) or Decision(
            action=ESCALATE, parameters={}, reason="no decision was recorded", chooser="embedded"
        )

    def _action(self, incident_id: str) -> Action:
        return self._rooms.catalog.actions[self._decision(incident_id).action]

    def _host(self, incident_id: str) -> Host:
        return self._rooms.fleet.host(self._incident(incident_id).host)

    def _digest(self, incident_id: str) -> str:
        decision = self._decision(incident_id)
        return self._rooms.executor.digest(self._action(incident_id), decision.parameters, (self._host(incident_id),))


def ended(incidents: Sequence[Incident]) -> bool:
    """Whether nothing is under way in any of them."""
    return all(incident.state in FINAL for incident in incidents)
