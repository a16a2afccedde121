"""How a person is asked: in the host's slot, about what is sick, with what would change there.

`ask` is a durable workflow of its own between `plan` and the answer. It ends with the question, so that waiting costs
nothing. Whatever can't be shown is not asked about: a person is told why, and nothing is done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import timedelta

from orchestrator.decide.redact import redact
from orchestrator.domain import ids
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import Incident, IncidentState
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome
from orchestrator.follow_up import FollowUps
from orchestrator.guard import binding
from orchestrator.guard.answering import void
from orchestrator.verify import judgement
from orchestrator.verify.judgement import Check

#: States in which an incident's deed has passed policy and is not over.
DECIDED = (IncidentState.PENDING_APPROVAL, IncidentState.HEALING, IncidentState.VERIFIED)
_NOBODY = "Nobody was asked and nothing was done."


class Asking(FollowUps, ABC):
    """The question to a person: how it is prepared, asked, and whether its answer still stands."""

    @abstractmethod
    def _hand_over(self, incident_id: str) -> list[str]:
        """What follows its verdict: the workflow and the host whose slot it takes; empty where nothing does."""

    @abstractmethod
    def _joins(self, incident: Incident, *states: IncidentState, rule: str = "") -> bool:
        """Whether it became part of another incident of its host that stands there with the very same decision."""

    @abstractmethod
    def start_apply(self, incident_id: str, host: str) -> None:
        """Queue the apply workflow in the host's slot."""

    def start_ask(self, incident_id: str, host: str) -> None:
        """Queue the ask workflow in the host's slot; doing it twice is doing it once."""
        self._rooms.engine.start("ask", ids.ask_id(IncidentId(incident_id)), incident_id, host=host)

    def _go_on(self, incident_id: str, following: object) -> None:
        """Begin what a step said goes on: a step begins none itself, for the engine refuses that."""
        if isinstance(following, list) and following:
            workflow, host = following
            begin = self.start_ask if workflow == "ask" else self.start_apply
            begin(incident_id, host)

    def ask(self, incident_id: str) -> None:
        """In the host's slot: judge again, look, see what would change, and ask."""
        parts = self._do("judge for asking", self._judge_for_asking, incident_id)
        if not isinstance(parts, dict):
            self._go_on(incident_id, parts)
            return
        if not self._do("look before asking", self._look_before_asking, incident_id):
            self._follow(incident_id)
            return
        changes = self._do("see what would change", self._see, incident_id)
        if isinstance(changes, str):
            self._do("ask", self._ask, incident_id, parts, changes)

    def _judge_for_asking(self, incident_id: str) -> dict[str, str] | list[str] | bool:
        """What the question is bound to, by part. It may have waited for the slot: where there is nothing to ask any
        more, what follows instead, as of `_hand_over`, or False."""
        incident, decision = self._incident(incident_id), self._decision(incident_id)
        if incident.state is not IncidentState.PLANNING:
            return False
        self._let_wave_pass(incident.host)
        facts = self._inspect(incident_id, decision)
        verdict = self._verdict(incident_id, decision, facts, approved=False)
        if verdict.outcome is Outcome.NEEDS_APPROVAL:
            verdict = replace(verdict, digest=self._digest(incident_id))
        self._store.record_verdict(incident_id, verdict, facts)
        if verdict.outcome is Outcome.NEEDS_APPROVAL:
            return False if self._joins(incident, *DECIDED) else self._parts(incident_id, facts)
        return self._hand_over(incident_id)

    def _look_before_asking(self, incident_id: str) -> bool:
        result = self._run(incident_id, RunKind.LOOK)
        check = judgement.after_check(result)
        if check is Check.WELL:
            self._move(incident_id, IncidentState.ALREADY_WELL, f"the check found it well. {_NOBODY}")
        elif check is Check.CANNOT_TELL:
            self.escalate(incident_id, f"the check can't tell ({result.status}): {result.reason}. {_NOBODY}")
        return check is Check.SICK

    def _see(self, incident_id: str) -> str | bool:
        """What the act would change, as `--check --diff` says on the host; False where it does not say."""
        result = self._run(incident_id, RunKind.PLAN, digest=self._judged_digest(incident_id))
        if result.status is RunStatus.REFUSED:
            self.escalate(incident_id, f"the action refuses it: {result.reason.rstrip('.')}. {_NOBODY}")
            return False
        changes = self._rooms.executor.changes(result.run_id) if result.status is RunStatus.SUCCEEDED else ""
        if not changes:
            why = f" ({result.reason.rstrip('.')})" if result.reason else ""
            self.escalate(
                incident_id, f"what would change can't be shown: its plan ended as {result.status}{why}. {_NOBODY}"
            )
            return False
        # By line: a text that is too long to be looked at is dropped from there on.
        return "\n".join(redact(line) for line in changes.splitlines())

    def _parts(self, incident_id: str, facts: Facts) -> dict[str, str]:
        parameters, host = self._decision(incident_id).parameters, self._host(incident_id)
        return binding.parts(self._rooms.executor.parts(self._action(incident_id), parameters, (host,)), facts)

    def _ask(self, incident_id: str, parts: dict[str, str], changes: str) -> bool:
        rooms, incident = self._rooms, self._incident(incident_id)
        decision, verdict = self._decision(incident_id), self._store.verdict(incident_id)
        now = rooms.now()
        approval = Approval(
            id=ids.approval_id(incident.id),
            incident_id=incident.id,
            host=incident.host,
            action=decision.action,
            parameters=dict(decision.parameters),
            digest=self._judged_digest(incident_id),
            rule=verdict.rule if verdict else "",
            reason=decision.reason,
            asked_at=now,
            expires_at=now + timedelta(seconds=rooms.settings.approval_expiry_seconds),
            asked_by=incident.asked_by,
            four_eyes=self._host(incident_id).policy.four_eyes,
            parts=parts,
            changes=changes,
        )
        if self._store.approval(approval.id) is None:
            self._store.ask(approval)
        if self._move(incident.id, IncidentState.PENDING_APPROVAL, f"waits for an answer to {approval.id}"):
            rooms.notifier.tell("approval.asked", incident, f"{approval.id}: {decision.action} on {incident.host}?")
        return True

    def _stands(self, incident_id: str, approval: Approval) -> bool:
        """Whether a person said yes, and not so long ago that they meant another state of the host."""
        if approval.answer is Answer.VOID:
            self.lapse(incident_id, void(approval))
            return False
        if approval.answer is not Answer.APPROVED or approval.answered_at is None:
            self.escalate(incident_id, f"{approval.id} is {approval.answer}, so nothing was done")
            return False
        limit = self._rooms.settings.approval_expiry_seconds
        if (self._rooms.now() - approval.answered_at).total_seconds() > limit:
            self.lapse(
                incident_id,
                f"{approval.id} was approved more than {limit:.0f} s ago and not carried out since: nothing was done, "
                "and the next error asks again",
            )
            return False
        return True

    def _is_void(self, incident_id: str, approval: Approval, digest: str, facts: Facts) -> bool:
        """Whether what was approved is not there any more: a person is told what changed, the next error asks again."""
        why = binding.why_void(approval, digest, self._parts(incident_id, facts))
        if why:
            done = self._store.void(approval.id, why, actor="healing-bot", now=self._rooms.now())
            self.lapse(incident_id, void(done or self._store.approval(approval.id) or approval))
        return bool(why)
