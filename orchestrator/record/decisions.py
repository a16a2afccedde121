"""What was decided, how it was judged, and what a person said to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.domain.actions import Decision
from orchestrator.domain.verdicts import Answer, Approval, Facts, Verdict
from orchestrator.record import ledger, rows
from orchestrator.record.database import Records
from orchestrator.record.schema import APPROVAL, DECISION, INCIDENT, VERDICT


class DecisionRecords(Records):
    """Decisions, verdicts and approvals; the last of each stands, the ledger has them all."""

    def record_decision(self, incident_id: str, decision: Decision) -> None:
        """The same decision again changes nothing."""
        values = rows.of_decision(decision)
        with self._database.write() as connection:
            row = _of(connection, DECISION, incident_id)
            if row is not None and rows.decision(row) == rows.decision(values):
                return
            _put(connection, DECISION, incident_id, values)
            ledger.write(
                connection,
                self._clock(),
                "decision.made",
                incident_id=incident_id,
                host=_host(connection, incident_id),
                text=f"{decision.chooser} chose {decision.action}: {decision.reason}",
                data={**values, "parameters": dict(decision.parameters)},
            )

    def decision(self, incident_id: str) -> Decision | None:
        """None: not decided yet."""
        with self._database.read() as connection:
            row = _of(connection, DECISION, incident_id)
        return rows.decision(row) if row else None

    def record_verdict(self, incident_id: str, verdict: Verdict, facts: Facts) -> None:
        """Each judgement is a line of the ledger, with the facts that it rests on."""
        values = {
            "outcome": verdict.outcome.value,
            "rule": verdict.rule,
            "reason": rows.clean(verdict.reason),
            "digest": verdict.digest,
            "facts": rows.facts(facts),
        }
        with self._database.write() as connection:
            _put(connection, VERDICT, incident_id, values)
            ledger.write(
                connection,
                self._clock(),
                "verdict.given",
                incident_id=incident_id,
                host=_host(connection, incident_id),
                text=f"{verdict.outcome} by rule {verdict.rule}: {verdict.reason}",
                data=values,
            )

    def verdict(self, incident_id: str) -> Verdict | None:
        """None: not judged yet."""
        with self._database.read() as connection:
            row = _of(connection, VERDICT, incident_id)
        return rows.verdict(row) if row else None

    def facts(self, incident_id: str) -> Facts | None:
        """See ports.Store."""
        with self._database.read() as connection:
            row = _of(connection, VERDICT, incident_id)
        return rows.facts_of(row["facts"]) if row else None

    def ask(self, approval: Approval) -> None:
        """The same id again changes nothing."""
        values = {
            **asdict(approval),
            "answer": approval.answer.value,
            "reason": rows.clean(approval.reason),
            "asked_by": rows.clean(approval.asked_by),
            "parts": {rows.clean(name): rows.clean(value) for name, value in approval.parts.items()},
            "changes": rows.clean(approval.changes),
        }
        with self._database.write() as connection:
            if connection.execute(sa.select(APPROVAL.c.id).where(APPROVAL.c.id == approval.id)).first():
                return
            connection.execute(APPROVAL.insert().values(values))
            ledger.write(
                connection,
                self._clock(),
                "approval.asked",
                incident_id=approval.incident_id,
                host=approval.host,
                text=f"{approval.id}: {approval.action}? {approval.reason}",
                data={
                    "approval": approval.id,
                    "digest": approval.digest,
                    "parts": dict(approval.parts),
                    "parameters": dict(approval.parameters),
                    "rule": approval.rule,
                    "asked_by": approval.asked_by,
                    "changes": approval.changes,
                    "expires_at": approval.expires_at.isoformat(),
                },
            )

    def approval(self, approval_id: str) -> Approval | None:
        """None: there is none of that id."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(APPROVAL).where(APPROVAL.c.id == approval_id)).mappings().first()
        return rows.approval(row) if row else None

    def approvals(self, answers: Sequence[Answer] = (), limit: int = 100) -> tuple[Approval, ...]:
        """Newest first; no `answers`: all."""
        query = sa.select(APPROVAL).order_by(APPROVAL.c.asked_at.desc(), APPROVAL.c.id.desc()).limit(limit)
        if answers:
            query = query.where(APPROVAL.c.answer.in_([answer.value for answer in answers]))
        with self._database.read() as connection:
            return tuple(rows.approval(row) for row in connection.execute(query).mappings())

    def answer(self, approval_id: str, answer: Answer, *, actor: str, reason: str, now: datetime) -> Approval | None:
        """See ports.Store. Only `expired` may be written after the expiry."""
        if answer in (Answer.PENDING, Answer.VOID):
            raise ValueError(f"{answer} is not an answer")
        with self._database.write() as connection:
            query = sa.select(APPROVAL).where(APPROVAL.c.id == approval_id)
            row = connection.execute(query).mappings().first()
            if row is None or row["answer"] != Answer.PENDING.value:
                return None
            if answer is not Answer.EXPIRED and row["expires_at"] <= now:
                return None
            connection.execute(
                APPROVAL.update()
                .where(APPROVAL.c.id == approval_id)
                .values(
                    answer=answer.value,
                    answered_by=rows.clean(actor),
                    answered_at=now,
                    answer_reason=rows.clean(reason),
                )
            )
            ledger.write(
                connection,
                now,
                f"approval.{answer.value}",
                incident_id=row["incident_id"],
                host=row["host"],
                text=f"{approval_id}: {answer} by {actor}: {reason}",
                actor=actor,
                data={"approval": approval_id, "digest": row["digest"]},
            )
            return rows.approval(connection.execute(query).mappings().one())

    def void(self, approval_id: str, why: str, *, actor: str, now: datetime) -> Approval | None:
        """See ports.Store."""
        with self._database.write() as connection:
            query = sa.select(APPROVAL).where(APPROVAL.c.id == approval_id)
            row = connection.execute(query).mappings().first()
            if row is None or row["answer"] not in (Answer.PENDING.value, Answer.APPROVED.value):
                return None
            connection.execute(
                APPROVAL.update()
                .where(APPROVAL.c.id == approval_id)
                .values(answer=Answer.VOID.value, void_reason=rows.clean(why))
            )
            ledger.write(
                connection,
                now,
                "approval.void",
                incident_id=row["incident_id"],
                host=row["host"],
                text=f"{approval_id} is void. {why}",
                actor=actor,
                data={"approval": approval_id, "digest": row["digest"], "was": row["answer"]},
            )
            return rows.approval(connection.execute(query).mappings().one())


def _of(connection: sa.Connection, table: sa.Table, incident_id: str) -> rows.Row | None:
    return connection.execute(sa.select(table).where(table.c.incident_id == incident_id)).mappings().first()


def _put(connection: sa.Connection, table: sa.Table, incident_id: str, values: dict[str, Any]) -> None:
    if not connection.execute(table.update().where(table.c.incident_id == incident_id).values(values)).rowcount:
        connection.execute(table.insert().values(incident_id=incident_id, **values))


def _host(connection: sa.Connection, incident_id: str) -> str:
    query = sa.select(INCIDENT.c.host).where(INCIDENT.c.id == incident_id)
    return connection.execute(query).scalar() or ""
