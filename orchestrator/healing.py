"""The only file that knows the order: decide, inspect, judge, maybe ask, check, act, verify, hold, maybe undo.

Five durable workflows of one incident. `plan` ends at the approval, so waiting for a person costs nothing
and survives upgrades. `ask` (see asking.py), `apply` and `rollback` hold the host's only slot. `hold` waits
out the silence outside of it. Every method that `_step` runs may run again after a crash: it moves states by
compare-and-set, and a playbook starts at most once by its run id.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.asking import DECIDED, Asking
from orchestrator.case import SHOWN_RECORDS, case_of, offered_units
from orchestrator.decide.candidates import candidates
from orchestrator.domain import ids
from orchestrator.domain.actions import NONE, Decision
from orchestrator.domain.ids import Cursor, IncidentId
from orchestrator.domain.incidents import UNDER_WAY, Incident, IncidentState, Origin
from orchestrator.domain.runs import PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Facts, Outcome, Verdict
from orchestrator.outbreak import Gathering
from orchestrator.ports import Event
from orchestrator.turns import Turns
from orchestrator.verify import judgement
from orchestrator.verify.judgement import Check, Next

#: Seconds from an incident's first line to its plan: what belongs together is logged within moments, and a cause must
#: not be read after what died of it.
GATHER = 0.5
#: The policy rule that an error must not be older than it may be acted on.
AGE = "age"
#: Verdicts with which `apply` may begin; it is judged again there, and waits there.
PASSING = (Outcome.ALLOWED, Outcome.WAITS)


class Healing(Asking, Gathering, Turns):
    """The workflows of one incident, by its id."""

    # plan -------------------------------------------------------------------------------------------

    def plan(self, incident_id: str) -> None:
        """From the evidence to a verdict: ends in healing, pending_approval, noise, joined, expired or escalated."""
        if not self._do("begin", self._begin, incident_id):
            return
        if not self._do("decide", self._decide, incident_id):
            return
        self._do("judge", self._judge, incident_id)
        self._go_on(incident_id, self._do("hand over", self._hand_over, incident_id))

    def _begin(self, incident_id: str) -> bool:
        if self._incident(incident_id).origin is Origin.LOG:
            self._pause(GATHER)
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
            # Asked first: while the deed is being done, its cooldown would refuse it, and a person be told for nothing.
            return not self._joins(incident, *DECIDED)
        verdict = self._verdict(incident_id, decision, Facts(), approved=False)
        self._store.record_verdict(incident_id, verdict, Facts())
        noise = decision.action == NONE and incident.origin is not Origin.TRIGGER
        if self._joins(incident, IncidentState.NOISE if noise else IncidentState.ESCALATED, rule=verdict.rule):
            return False
        if noise:
            self._move(incident_id, IncidentState.NOISE, f"noise: {decision.reason}")
        else:
            self.escalate(incident_id, f"no action of the whitelist helps: {decision.reason}")
        return False

    def _choose(self, incident: Incident) -> Decision:
        rooms = self._rooms
        actions = tuple(rooms.catalog.actions.values())
        records = self._store.evidence(incident.id, SHOWN_RECORDS)
        case = case_of(incident, records, actions, None)
        named = offered_units(case.candidates, rooms.catalog.actions)
        if named:
            facts = rooms.probe.inspect(rooms.fleet.host(incident.host), named, ())
            there = [name for name, unit_facts in facts.units.items() if unit_facts.load_state == "loaded"]
            case = replace(case, candidates=candidates(actions, case.unit, records, there))
        chosen = self._shared(case) or rooms.chooser.choose(case)
        return replace(chosen, signatures=case.signatures, offered=case.candidates)

    def _judge(self, incident_id: str) -> bool:
        decision = self._decision(incident_id)
        facts = self._inspect(incident_id, decision)
        verdict = self._verdict(incident_id, decision, facts, approved=False)
        self._store.record_verdict(incident_id, verdict, facts)
        return True

    def _hand_over(self, incident_id: str) -> list[str]:
        """The workflow that goes on, `apply` or `ask`, and the host whose slot it takes; empty where none does."""
        incident = self._incident(incident_id)
        verdict = self._store.verdict(incident_id)
        if incident.state is IncidentState.HEALING:
            return [] if self._store.membership(incident_id) else ["apply", incident.host]
        if incident.state is not IncidentState.PLANNING or verdict is None:
            return []
        if verdict.outcome in (*PASSING, Outcome.NEEDS_APPROVAL) and self._joins(incident, *DECIDED):
            return []
        if verdict.outcome in PASSING:
            if self._waits_for_wave(incident):
                return []
            waits = "allowed; waits for the host's slot" if verdict.outcome is Outcome.ALLOWED else verdict.reason
            moved = self._move(incident_id, IncidentState.HEALING, waits)
            return ["apply", incident.host] if moved else []
        if verdict.outcome is Outcome.NEEDS_APPROVAL:
            return ["ask", incident.host]
        if verdict.rule == AGE:
            if self._joins(incident, *DECIDED):
                return []
            moved = self._move(incident_id, IncidentState.HEALING, f"{verdict.reason} It waits to be looked at.")
            return ["apply", incident.host] if moved else []
        if not self._joins(incident, IncidentState.ESCALATED, rule=verdict.rule):
            self.escalate(incident_id, f"refused by rule {verdict.rule}: {verdict.reason}")
        return []

    def _joins(self, incident: Incident, *states: IncidentState, rule: str = "") -> bool:
        """Whether it became part of another incident of its host that stands there with the very same decision.

        Under way the deed alone counts, whatever the subjects: one file is mended once, whoever complains of it.
        Settled ones must be of the same subject, and be refused by the same rule. A person's own wish stands alone.
        """
        if incident.origin is not Origin.LOG:
            return False
        decision = self._decision(incident.id)
        for other in self._store.incidents(host=incident.host, states=states, limit=1000):
            theirs, verdict = self._store.decision(other.id), self._store.verdict(other.id)
            if theirs is None or (theirs.action, dict(theirs.parameters)) != (
                decision.action,
                dict(decision.parameters),
            ):
                continue
            settled = other.state not in UNDER_WAY
            if settled and (other.subject != incident.subject or (verdict.rule if verdict else "") != rule):
                continue
            if self._store.join(incident.id, other.id, f"the same trouble as {other.id}, which goes on with it"):
                return True
        return False

    def start_apply(self, incident_id: str, host: str) -> None:
        """Queue the apply workflow in the host's slot; doing it twice is doing it once."""
        self._rooms.engine.start("apply", ids.apply_id(IncidentId(incident_id)), incident_id, host=host)

    # apply ------------------------------------------------------------------------------------------

    def apply(self, incident_id: str) -> None:
        """In the host's slot: judge again, check, act once, settle, verify. What is too old is only checked."""
        host = self._do("judge again", self._judge_again, incident_id)
        if not isinstance(host, str) or not host:
            return
        if not self._do("check", self._check, incident_id):
            self._follow(incident_id)
            return
        settle = self._do("act", self._act, incident_id)
        if not isinstance(settle, float):
            return
        self._do("settle", self._settle, incident_id, settle)
        cursor = self._do("position", self._position, incident_id)
        if not isinstance(cursor, str):
            return
        following = self._do("verify", self._verify, incident_id)
        if following == Next.ROLLBACK:
            self._start_rollback(incident_id, host)
            return
        delay = self._do("after verify", self._after_verify, incident_id, following, cursor)
        if isinstance(delay, float):
            self._rooms.engine.start("hold", ids.hold_id(IncidentId(incident_id)), incident_id, delay=delay)

    def _judge_again(self, incident_id: str) -> str:
        """The incident's host where it may go on; '' where not."""
        incident, decision = self._incident(incident_id), self._decision(incident_id)
        if incident.state not in (IncidentState.HEALING, IncidentState.PENDING_APPROVAL):
            return ""
        if self._is_in_outbreak(incident_id):
            return ""
        self._let_wave_pass(incident.host)
        approval = self._store.approval(ids.approval_id(IncidentId(incident_id)))
        if approval is not None and not self._stands(incident_id, approval):
            return ""
        digest = self._digest(incident_id)
        facts = self._inspect(incident_id, decision)
        if approval is not None and self._is_void(incident_id, approval, digest, facts):
            return ""
        verdict = self._admit(incident_id, decision, facts, digest, approved=approval is not None)
        if verdict.outcome is Outcome.WAITS:
            self._wait_turn(incident_id, verdict, facts)
            return ""
        if verdict.outcome is not Outcome.ALLOWED:
            if verdict.rule == AGE:
                return incident.host
            self.escalate(incident_id, f"refused by rule {verdict.rule} right before acting: {verdict.reason}")
            return ""
        self._store.move(
            incident_id,
            IncidentState.HEALING,
            "in the host's slot",
            expected=(IncidentState.HEALING, IncidentState.PENDING_APPROVAL),
        )
        return incident.host

    def _check(self, incident_id: str) -> bool:
        result = self._run(incident_id, RunKind.CHECK)
        check = judgement.after_check(result)
        verdict = self._store.verdict(incident_id)
        if verdict is None or verdict.outcome is not Outcome.ALLOWED:
            self._looked_at(incident_id, verdict, check, result)
            return False
        if check is Check.WELL:
            self._move(incident_id, IncidentState.ALREADY_WELL, "the check found it well; nothing was done")
        elif check is Check.CANNOT_TELL:
            self.escalate(incident_id, f"the check can't tell ({result.status}): {result.reason}. Nothing was done.")
        return check is Check.SICK

    def _looked_at(self, incident_id: str, verdict: Verdict | None, check: Check, result: PlaybookResult) -> None:
        """Nothing acts on an error that is too old; but where its symptom still stands, a person is told."""
        why = verdict.reason if verdict else "no verdict is recorded"
        if check is Check.SICK:
            self.escalate(
                incident_id,
                f"{why} Nothing was done, but the check says that it still stands: {result.reason}. The next error of "
                "it is judged anew.",
            )
            return
        said = "the check finds it well" if check is Check.WELL else f"the check can't tell ({result.status})"
        self._move(incident_id, IncidentState.EXPIRED, f"{why} Nothing was done, and {said}.")

    def _settle(self, incident_id: str, seconds: float) -> bool:
        """Waited anew after a crash: it is seconds, and a timer by the clock would follow whoever sets that."""
        self._pause(seconds)
        return True

    def _act(self, incident_id: str) -> float | None:
        """Seconds to settle where verify is to look; the kill switch is asked with the run's own row."""
        result = self._run(incident_id, RunKind.ACT, digest=self._judged_digest(incident_id))
        if judgement.after_act(result) is Next.ESCALATE:
            self.escalate(incident_id, f"nothing was changed: {result.reason or result.status}")
            return None
        return float(self._action(incident_id).settle_seconds)

    def _position(self, incident_id: str) -> str:
        return self._rooms.probe.position(self._host(incident_id))

    def _verify(self, incident_id: str) -> str:
        action = self._action(incident_id)
        act = self._store.run(ids.run_id(IncidentId(incident_id), RunKind.ACT))
        result = self._run(incident_id, RunKind.VERIFY)
        following = judgement.after_verify(action, act.status if act else RunStatus.UNKNOWN, result)
        if following is not Next.HOLD:
            self._note(incident_id, self._why_not_healed(incident_id))
        return following

    def _why_not_healed(self, incident_id: str) -> str:
        incident, runs = IncidentId(incident_id), self._store.run
        act = runs(ids.run_id(incident, RunKind.ACT))
        verify = runs(ids.second_run_id(incident, RunKind.VERIFY)) or runs(ids.run_id(incident, RunKind.VERIFY))
        return judgement.why_not_healed(act, verify) if act else "the action has no record; look at the host"

    def _after_verify(self, incident_id: str, following: str, cursor: str) -> float | None:
        if following != Next.HOLD:
            self.escalate(incident_id, self._why_not_healed(incident_id))
            return None
        return self.begin_hold(incident_id, cursor)

    def begin_hold(self, incident_id: str, cursor: str) -> float:
        """Verified: the seconds that it must stay silent for, from the journal's position before verify looked."""
        seconds = judgement.hold_seconds(
            self._action(incident_id),
            self._host(incident_id).policy,
            self._store.evidence(incident_id, SHOWN_RECORDS),
        )
        # Before the move: who finds it verified must find this too.
        self._store.append(
            "hold.started",
            incident_id=incident_id,
            host=self._incident(incident_id).host,
            text=f"holding for {seconds:g} s",
            data={"cursor": cursor, "seconds": seconds},
        )
        self._move(incident_id, IncidentState.VERIFIED, f"verified; must stay silent for {seconds:g} s")
        return float(seconds)

    # hold and rollback ------------------------------------------------------------------------------

    def hold(self, incident_id: str) -> None:
        """After the hold time: healed if a fresh query finds silence."""
        host = self._do("listen", self._listen, incident_id)
        if isinstance(host, str) and host:
            self._start_rollback(incident_id, host)
        else:
            self._follow(incident_id)

    def _listen(self, incident_id: str) -> str:
        """The host where it is to be rolled back; '' where not."""
        incident, rooms = self._incident(incident_id), self._rooms
        if incident.state is not IncidentState.VERIFIED:
            return ""
        started = self._hold(incident_id)
        records = rooms.probe.since(self._host(incident_id), Cursor(str(started.data["cursor"])))
        signals = rooms.detector.detect(records, rooms.now())
        again = judgement.relapse(signals, self._known_signatures(incident_id))
        if again is None:
            self._move(
                incident_id,
                IncidentState.HEALED,
                f"verified, and silent for {float(started.data['seconds']):g} s",
            )
            return ""
        self._note(incident_id, f"the error came back within the hold time: {again.record.message[:200]}")
        if self._action(incident_id).reversible:
            return incident.host
        self.escalate(incident_id, "verified at first, but the error came back; it was not repeated")
        return ""

    def hold_seconds(self, incident_id: str) -> float:
        """How long it must stay silent. For incidents that are verified."""
        return float(self._hold(incident_id).data["seconds"])

    def _hold(self, incident_id: str) -> Event:
        return next(
            event for event in reversed(self._store.events(incident_id=incident_id)) if event.kind == "hold.started"
        )

    def rollback(self, incident_id: str) -> None:
        """In the host's slot: undo an act that did not help, then tell a person."""
        self._do("rollback", self._rollback, incident_id)

    def _start_rollback(self, incident_id: str, host: str) -> None:
        self._rooms.engine.start("rollback", ids.rollback_id(IncidentId(incident_id)), incident_id, host=host)

    def _rollback(self, incident_id: str) -> bool:
        result = self._run(incident_id, RunKind.ROLLBACK, digest=self._judged_digest(incident_id))
        undone = result.status is RunStatus.SUCCEEDED
        text = "it was rolled back" if undone else f"the rollback ended as {result.status}: {result.reason}"
        self.escalate(incident_id, f"the action did not heal it; {text}")
        return undone
