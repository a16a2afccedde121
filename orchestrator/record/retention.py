"""What is removed from the store when its time is over: in small transactions, behind whoever heals.

Only what nothing can come back to is removed: closed incidents of which nothing is younger than the limit, with all
that belongs to them, and the beginning of the ledger.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.domain.ids import id_at
from orchestrator.domain.incidents import CLOSED, FINAL, SETTLED, IncidentState, Origin
from orchestrator.domain.runs import BEFORE_ASKING, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer
from orchestrator.ports import NOT_ATTEMPTS
from orchestrator.record import ledger
from orchestrator.record.database import Records
from orchestrator.record.parts import END, OWNER, PARTS
from orchestrator.record.schema import (
    APPROVAL,
    DECISION,
    EVENT,
    EVIDENCE,
    EXCHANGE,
    INCIDENT,
    OLD_ATTEMPT,
    OUTBREAK,
    OUTBREAK_MEMBER,
    PRUNED,
    RUN,
    RUN_HOST,
    SIGNATURE,
    VERDICT,
)

#: Free pages that a store keeps, as a share of all: tomorrow's records take them.
SLACK = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class OldIncident:
    """One that may be pruned, and the runs that go with it."""

    id: str
    runs: tuple[str, ...]


class RetentionRecords(Records):
    """Finds what may go, and removes it. `before` is the time of which nothing younger is touched."""

    def finished(self, runs: Collection[str], before: datetime) -> frozenset[str]:
        """Those of the runs that ended before, hold no host, and whose incident needs their artifacts no more."""
        query = (
            sa.select(RUN.c.id)
            .outerjoin(INCIDENT, INCIDENT.c.id == RUN.c.incident_id)
            .where(
                RUN.c.id.in_(list(runs)),
                RUN.c.status != RunStatus.RUNNING.value,
                RUN.c.ended < before,
                ~RUN.c.slot_shut,
                sa.or_(INCIDENT.c.id.is_(None), INCIDENT.c.state.in_(sorted(FINAL))),
            )
        )
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def artifacts_removed(self, runs: Collection[str]) -> None:
        """Mark runs whose artifacts are gone, with one line that says so; again changes nothing."""
        now = self._clock()
        unmarked = (RUN.c.id.in_(list(runs)), RUN.c.artifacts_removed.is_(None))
        with self._database.write(last=True) as connection:
            marked = connection.execute(RUN.update().where(*unmarked).values(artifacts_removed=now)).rowcount
            if marked:
                ledger.write(
                    connection,
                    now,
                    "artifacts.removed",
                    text=f"the artifacts of {marked} runs were removed by retention",
                    data={"first": min(runs), "last": max(runs)},
                )

    def old_incidents(self, before: datetime, limit: int) -> tuple[OldIncident, ...]:
        """Oldest first."""
        with self._database.read() as connection:
            found = connection.execute(_prunable(before).limit(limit)).scalars().all()
            runs = connection.execute(sa.select(RUN.c.incident_id, RUN.c.id).where(RUN.c.incident_id.in_(found))).all()
        return tuple(OldIncident(id=one, runs=tuple(run for of, run in runs if of == one)) for one in found)

    def prune_incidents(self, incidents: Collection[str], before: datetime) -> int:
        """Remove those that may still go, with everything that belongs to them; how many."""
        now = self._clock()
        with self._database.write(last=True) as connection:
            query = _prunable(before).where(INCIDENT.c.id.in_(list(incidents)))
            found = list(connection.execute(query).scalars())
            if not found:
                return 0
            old = _attempts(connection, found)
            if old:
                connection.execute(OLD_ATTEMPT.insert(), old)
            runs = sa.select(RUN.c.id).where(RUN.c.incident_id.in_(found))
            connection.execute(RUN_HOST.delete().where(RUN_HOST.c.run_id.in_(runs)))
            gone = connection.execute(RUN.delete().where(RUN.c.incident_id.in_(found))).rowcount
            for table in (EVIDENCE, SIGNATURE, DECISION, VERDICT, APPROVAL, EXCHANGE, OUTBREAK_MEMBER):
                connection.execute(table.delete().where(table.c.incident_id.in_(found)))
            connection.execute(INCIDENT.delete().where(INCIDENT.c.id.in_(found)))
            gone += _prune_outbreaks(connection, before)
            ledger.write(
                connection,
                now,
                "incidents.pruned",
                text=f"{len(found)} incidents of before {before:%Y-%m-%d} were removed by retention, with {gone} runs",
                data={"first": found[0], "last": found[-1]},
            )
        return len(found)

    def release_ledger(self, before: datetime) -> int:
        """Let the ledger's lines of before be deleted, with a line that says which; how many.

        The beginning alone: up to the first line that is younger, or belongs to an incident that is still here and
        not settled. `delete_released` deletes them.
        """
        with self._database.read() as connection:
            through = _through(connection, before)
            begin = connection.execute(sa.select(sa.func.max(PRUNED.c.through_seq))).scalar() or 0
            lines = (EVENT.c.seq > begin, EVENT.c.seq <= through)
            counted = sa.select(sa.func.count(), *(f(EVENT.c[c]) for c in ("seq", "at") for f in _ENDS)).where(*lines)
            number, first, last, oldest, newest = connection.execute(counted).one()
        if not number:
            return 0
        now = self._clock()
        text = (
            f"{number} lines ({first} to {last}) of {oldest:%Y-%m-%d %H:%M:%S} to {newest:%Y-%m-%d %H:%M:%S} UTC were "
            "removed by retention"
        )
        with self._database.write(last=True) as connection:
            connection.execute(PRUNED.insert().values(through_seq=last, at=now, reason=text))
            data = {"lines": number, "first": first, "last": last, "oldest": str(oldest), "newest": str(newest)}
            ledger.write(connection, now, "ledger.pruned", text=text, data=data)
        return int(number)

    def delete_released(self, limit: int) -> int:
        """Delete at most so many lines that were released; how many."""
        through = sa.select(sa.func.max(PRUNED.c.through_seq)).scalar_subquery()
        some = sa.select(EVENT.c.seq).where(EVENT.c.seq <= through).order_by(EVENT.c.seq).limit(limit)
        with self._database.read() as connection:
            if connection.execute(some.limit(1)).first() is None:
                return 0
        with self._database.write(last=True) as connection:
            return connection.execute(EVENT.delete().where(EVENT.c.seq.in_(some))).rowcount

    def shrink(self, pages: int) -> bool:
        """Give at most so many free pages back to the disk; whether more than the slack are still free."""
        with self._database.read() as connection:
            spare = _free(connection)
        if spare <= 0:
            return False
        with self._database.write(last=True) as connection:
            # One by one: the driver takes one step of a statement without columns, and a step is a page.
            for _ in range(min(pages, spare)):
                connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
            left = _free(connection)
        # A store that version 1 made gives nothing back; its pages are used again.
        return 0 < left < spare


_ENDS = (sa.func.min, sa.func.max)


def _free(connection: sa.Connection) -> int:
    free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    return free - int(SLACK * connection.exec_driver_sql("PRAGMA page_count").scalar_one())


def _prunable(before: datetime) -> sa.Select[Any]:
    """Ids of closed incidents of which nothing is younger, oldest first."""
    runs = sa.select(RUN.c.id).where(RUN.c.incident_id == INCIDENT.c.id)
    young_run = runs.where(sa.or_(RUN.c.ended.is_(None), RUN.c.ended >= before, RUN.c.slot_shut))
    held = sa.select(RUN_HOST.c.run_id).where(RUN_HOST.c.run_id.in_(runs.correlate(INCIDENT)), RUN_HOST.c.held)
    asked = sa.select(APPROVAL.c.id).where(
        APPROVAL.c.incident_id == INCIDENT.c.id, APPROVAL.c.answer == Answer.PENDING.value
    )
    young_outbreak = (
        sa.select(OUTBREAK.c.id)
        .join(OUTBREAK_MEMBER, OUTBREAK_MEMBER.c.outbreak_id == OUTBREAK.c.id)
        .where(
            OUTBREAK_MEMBER.c.incident_id == INCIDENT.c.id,
            sa.or_(OUTBREAK.c.ended_at.is_(None), OUTBREAK.c.ended_at >= before),
        )
    )
    young_line = sa.select(EVENT.c.seq).where(EVENT.c.incident_id == INCIDENT.c.id, EVENT.c.at >= before)
    return (
        sa.select(INCIDENT.c.id)
        .where(
            # Ids sort by the time of opening: so the index on them ends the search.
            INCIDENT.c.id < id_at(before),
            INCIDENT.c.state.in_(sorted(CLOSED)),
            INCIDENT.c.last_seen < before,
            *(~found.exists() for found in (young_run, held, asked, young_outbreak, young_line)),
        )
        .order_by(INCIDENT.c.id)
    )


def _attempts(connection: sa.Connection, incidents: list[str]) -> list[dict[str, Any]]:
    """What statistics keep of incidents in which something was done."""
    acted = (
        sa.select(OWNER)
        .select_from(PARTS)
        .where(OWNER.in_(incidents), RUN.c.kind == RunKind.ACT.value, END.not_in(sorted(NOT_ATTEMPTS)))
        .correlate(None)
    )
    query = (
        sa.select(INCIDENT.c.state, INCIDENT.c.origin, sa.func.min(RUN.c.started), sa.func.max(RUN.c.ended))
        .select_from(PARTS)
        .where(INCIDENT.c.id.in_(acted), RUN.c.kind.not_in(sorted(BEFORE_ASKING)))
        .group_by(INCIDENT.c.id)
        .order_by(INCIDENT.c.id)
    )
    return [
        {
            "healed": state == IncidentState.HEALED.value,
            "injected": origin == Origin.INJECTED.value,
            "seconds": (end - begin).total_seconds(),
        }
        for state, origin, begin, end in connection.execute(query)
    ]


def _prune_outbreaks(connection: sa.Connection, before: datetime) -> int:
    """Remove outbreaks of which no member is left, with the runs of their waves; how many runs."""
    left = sa.select(OUTBREAK_MEMBER.c.outbreak_id)
    shut = sa.select(RUN.c.incident_id).where(RUN.c.slot_shut)
    gone = (OUTBREAK.c.ended_at < before, OUTBREAK.c.id.not_in(left), OUTBREAK.c.id.not_in(shut))
    found = list(connection.execute(sa.select(OUTBREAK.c.id).where(*gone)).scalars())
    runs = sa.select(RUN.c.id).where(RUN.c.incident_id.in_(found))
    connection.execute(RUN_HOST.delete().where(RUN_HOST.c.run_id.in_(runs)))
    removed = connection.execute(RUN.delete().where(RUN.c.incident_id.in_(found))).rowcount
    connection.execute(OUTBREAK.delete().where(OUTBREAK.c.id.in_(found)))
    return removed


def _through(connection: sa.Connection, before: datetime) -> int:
    """The last line of the ledger's beginning that may go; 0: none."""
    here = sa.select(INCIDENT.c.id).where(INCIDENT.c.id < id_at(before), INCIDENT.c.state.not_in(sorted(SETTLED)))
    young = sa.select(EVENT.c.seq).where(EVENT.c.at >= before).order_by(EVENT.c.seq).limit(1)
    needed = sa.select(sa.func.min(EVENT.c.seq)).where(EVENT.c.incident_id.in_(here))
    firsts = [found for query in (young, needed) if (found := connection.execute(query).scalar()) is not None]
    if firsts:
        return int(min(firsts)) - 1
    return int(connection.execute(sa.select(sa.func.max(EVENT.c.seq))).scalar() or 0)
