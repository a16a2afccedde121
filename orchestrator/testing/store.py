"""ports.Store in memory: the same answers as the real one, no disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.domain.actions import Decision
from orchestrator.domain.incidents import Incident
from orchestrator.domain.verdicts import Answer, Approval, Facts, Verdict
from orchestrator.errors import RecordError
from orchestrator.testing.access import MemoryAccess
from orchestrator.testing.exchanges import MemoryExchanges
from orchestrator.testing.fleet import MemoryFleet
from orchestrator.testing.notices import MemoryNotices
from orchestrator.testing.outbreaks import MemoryOutbreaks


class MemoryStore(MemoryAccess, MemoryExchanges, MemoryNotices, MemoryOutbreaks, MemoryFleet):
    """Implements ports.Store."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._verdicts: dict[str, Verdict] = {}
        self._facts: dict[str, Facts] = {}
        self._approvals: dict[str, Approval] = {}

    def record_decision(self, incident_id: str, decision: Decision) -> None:
        with self._lock:
            if self._decisions.get(incident_id) == decision:
                return
            host = self._known(incident_id).host
            self._decisions[incident_id] = decision
            text = f"{decision.chooser} chose {decision.action}: {decision.reason}"
            self.append("decision.made", incident_id=incident_id, host=host, text=text)

    def decision(self, incident_id: str) -> Decision | None:
        return self._decisions.get(incident_id)

    def record_verdict(self, incident_id: str, verdict: Verdict, facts: Facts) -> None:
        with self._lock:
            host = self._known(incident_id).host
            self._verdicts[incident_id] = verdict
            self._facts[incident_id] = facts
            text = f"{verdict.outcome} by rule {verdict.rule}: {verdict.reason}"
            self.append("verdict.given", incident_id=incident_id, host=host, text=text)

    def verdict(self, incident_id: str) -> Verdict | None:
        return self._verdicts.get(incident_id)

    def facts(self, incident_id: str) -> Facts | None:
        return self._facts.get(incident_id)

    def ask(self, approval: Approval) -> None:
        with self._lock:
            if approval.id not in self._approvals:
                host = self._known(approval.incident_id).host
                self._approvals[approval.id] = approval
                text = f"{approval.id}: {approval.action}? {approval.reason}"
                self.append("approval.asked", incident_id=approval.incident_id, host=host, text=text)

    def approval(self, approval_id: str) -> Approval | None:
        return self._approvals.get(approval_id)

    def approvals(self, answers: Sequence[Answer] = (), limit: int = 100) -> tuple[Approval, ...]:
        with self._lock:
            found = sorted(self._approvals.values(), key=lambda one: (one.asked_at, one.id), reverse=True)
        return tuple(one for one in found if not answers or one.answer in answers)[:limit]

    def answer(self, approval_id: str, answer: Answer, *, actor: str, reason: str, now: datetime) -> Approval | None:
        if answer in (Answer.PENDING, Answer.VOID):
            raise ValueError(f"{answer} is not an answer")
        with self._lock:
            asked = self._approvals.get(approval_id)
            if asked is None or asked.answer is not Answer.PENDING:
                return None
            if answer is not Answer.EXPIRED and asked.expires_at <= now:
                return None
            done = replace(asked, answer=answer, answered_by=actor, answered_at=now, answer_reason=reason)
            self._approvals[approval_id] = done
            self.append(
                f"approval.{answer}",
                incident_id=asked.incident_id,
                host=asked.host,
                text=f"{approval_id}: {answer} by {actor}: {reason}",
                actor=actor,
            )
        return done

    def void(self, approval_id: str, why: str, *, actor: str, now: datetime) -> Approval | None:
        with self._lock:
            asked = self._approvals.get(approval_id)
            if asked is None or asked.answer not in (Answer.PENDING, Answer.APPROVED):
                return None
            done = replace(asked, answer=Answer.VOID, void_reason=why)
            self._approvals[approval_id] = done
            text = f"{approval_id} is void. {why}"
            self.append("approval.void", incident_id=asked.incident_id, host=asked.host, text=text, actor=actor)
        return done

    def _known(self, incident_id: str) -> Incident:
        if incident_id not in self._incidents:
            raise RecordError(f"There is no incident {incident_id}. Nothing was written.")
        return self._incidents[incident_id]
