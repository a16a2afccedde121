"""The run table: a playbook starts at most once, and one run at a time holds a host."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.domain.ids import RunId, Signature
from orchestrator.domain.runs import HostEnd, PlaybookJob, PlaybookResult, Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Attempt
from orchestrator.errors import RecordError
from orchestrator.ports import ACTING, NOT_ATTEMPTS
from orchestrator.record import ledger, rows, schema
from orchestrator.record.database import Records
from orchestrator.record.parts import END, in_a_wave, of_incident
from orchestrator.record.schema import RUN, RUN_HOST

#: A run as it is read: its row, and what the database's clock says.
_READ = sa.select(RUN, schema.database_now().label("database_now"))


class RunRecords(Records):
    """Runs, the hosts that they hold, and the attempts that they were."""

    def claim(self, job: PlaybookJob, *, signatures: frozenset[Signature]) -> RunStatus | None:
        """See ports.Store."""
        names = [host.name for host in job.hosts]
        with self._database.write() as connection:
            if connection.execute(sa.select(RUN.c.id).where(RUN.c.id == job.run_id)).first():
                return RunStatus.RUNNING
            stopped = ledger.stopped(connection) if job.kind in ACTING else None
            held = sa.select(RUN_HOST.c.run_id).where(RUN_HOST.c.host.in_(names), RUN_HOST.c.held)
            if not stopped and (connection.execute(held).first() or in_a_wave(connection, names, job.incident_id)):
                return RunStatus.BUSY
            now = self._clock()
            status = RunStatus.REFUSED if stopped else RunStatus.RUNNING
            values: dict[str, Any] = {
                "id": job.run_id,
                "incident_id": job.incident_id,
                "kind": job.kind.value,
                "action": job.action,
                "parameters": dict(job.parameters),
                "hosts": names,
                "signatures": sorted(signatures),
            }
            connection.execute(
                RUN.insert().values(
                    **values,
                    status=status.value,
                    started=now,
                    ended=now if stopped else None,
                    reason=stopped or "",
                    slot_shut=False,
                )
            )
            connection.execute(
                RUN_HOST.insert(), [{"run_id": job.run_id, "host": name, "held": not stopped} for name in names]
            )
            ledger.write(
                connection,
                now,
                "run.refused" if stopped else "run.started",
                incident_id=job.incident_id,
                host=",".join(names),
                text=f"{job.kind} of {job.action}" + (f": {stopped}" if stopped else ""),
                data={**values, "playbook": str(job.playbook), "digest": job.digest},
            )
        return status if stopped else None

    def started(self, run_id: RunId, pid: int, pid_start: int, *, lease_seconds: float) -> bool:
        """See ports.Store."""
        until = schema.database_now() + lease_seconds
        values = {"pid": pid, "pid_start": pid_start, "lease_until": until}
        running = (RUN.c.id == run_id, RUN.c.status == RunStatus.RUNNING.value)
        with self._database.write() as connection:
            return connection.execute(RUN.update().where(*running).values(**values)).rowcount == 1

    def finish(self, result: PlaybookResult, *, slot_shut: bool) -> Run:
        """See ports.Store. Raises RecordError for a run that was never claimed."""
        if result.status is RunStatus.RUNNING:
            raise ValueError("running is not an end")
        with self._database.write() as connection:
            row = _row(connection, result.run_id)
            if row is None:
                raise RecordError(f"There is no run {result.run_id}, so its end can't be recorded.")
            if row["status"] != RunStatus.RUNNING.value:
                return _whole(connection, [row])[0]
            now = self._clock()
            connection.execute(
                RUN.update()
                .where(RUN.c.id == result.run_id)
                .values(
                    status=result.status.value,
                    rc=result.rc,
                    reason=rows.clean(result.reason),
                    ended=result.ended or now,
                    slot_shut=slot_shut,
                )
            )
            for host, end in result.ends.items():
                values = {"status": end.status.value, "reason": rows.clean(end.reason), "held": not end.settled}
                where = (RUN_HOST.c.run_id == result.run_id, RUN_HOST.c.host == host)
                connection.execute(RUN_HOST.update().where(*where).values(**values))
            if not slot_shut:
                _release(connection, result.run_id)
            ledger.write(
                connection,
                now,
                "run.ended",
                incident_id=row["incident_id"],
                host=",".join(row["hosts"]),
                text=f"{row['kind']} of {row['action']}: {result.status} {result.reason}".rstrip(),
                data={
                    "id": result.run_id,
                    "kind": row["kind"],
                    "status": result.status.value,
                    "rc": result.rc,
                    "changed": result.changed,
                    "slot_shut": slot_shut,
                    "ends": {host: end.status.value for host, end in result.ends.items()},
                },
            )
            return _whole(connection, [_row(connection, result.run_id) or row])[0]

    def open_slot(self, run_id: RunId) -> None:
        """A probe found nothing of the run on its hosts: they may be touched again. A running run keeps them."""
        with self._database.write() as connection:
            row = _row(connection, run_id)
            if row is None or not row["slot_shut"]:
                return
            connection.execute(RUN.update().where(RUN.c.id == run_id).values(slot_shut=False))
            _release(connection, run_id)
            ledger.write(
                connection,
                self._clock(),
                "slot.opened",
                incident_id=row["incident_id"],
                host=",".join(row["hosts"]),
                text=f"nothing of {run_id} runs any more",
                data={"id": run_id},
            )

    def run(self, run_id: str) -> Run | None:
        """None: there is none of that id."""
        with self._database.read() as connection:
            row = _row(connection, run_id)
            return _whole(connection, [row])[0] if row else None

    def runs(
        self,
        *,
        incident_id: str | None = None,
        host: str | None = None,
        kinds: Sequence[RunKind] = (),
        limit: int = 100,
    ) -> tuple[Run, ...]:
        """Newest first."""
        query = _READ.order_by(RUN.c.started.desc(), RUN.c.id.desc()).limit(limit)
        if host is not None:
            query = query.where(RUN.c.id.in_(sa.select(RUN_HOST.c.run_id).where(RUN_HOST.c.host == host)))
        if kinds:
            query = query.where(RUN.c.kind.in_([kind.value for kind in kinds]))
        with self._database.read() as connection:
            if incident_id is None:
                return _whole(connection, connection.execute(query).mappings().all())
            of_it, member = of_incident(connection, incident_id)
            found = _whole(connection, connection.execute(query.where(of_it)).mappings().all())
            return tuple(run.on(member) if member else run for run in found)

    def artifacts_due(self) -> dict[str, bool]:
        """See ports.Store."""
        due = sa.and_(RUN.c.pid.is_not(None), RUN.c.ended.is_not(None), RUN.c.artifacts_removed.is_(None))
        query = sa.select(RUN.c.id, due)
        with self._database.read() as connection:
            return {run_id: bool(left) for run_id, left in connection.execute(query)}

    def shut_runs(self) -> tuple[Run, ...]:
        """See ports.Store."""
        # Not `held = 1`, as SQLAlchemy writes it: so SQLite finds the small index of the hosts that are held.
        held = sa.select(RUN_HOST.c.run_id).where(sa.literal_column("run_host.held"))
        query = _READ.where(RUN.c.id.in_(held)).order_by(RUN.c.started, RUN.c.id)
        with self._database.read() as connection:
            return _whole(connection, connection.execute(query).mappings().all())

    def attempts(self, host: str, since: datetime) -> tuple[Attempt, ...]:
        """Act runs on the host that began at `since` or later, oldest first; one that was cut counts."""
        query = (
            sa.select(RUN)
            .join(RUN_HOST, RUN_HOST.c.run_id == RUN.c.id)
            .where(
                RUN_HOST.c.host == host,
                RUN.c.kind == RunKind.ACT.value,
                END.not_in(sorted(NOT_ATTEMPTS)),
                RUN.c.started >= since,
            )
            .order_by(RUN.c.started, RUN.c.id)
        )
        with self._database.read() as connection:
            return tuple(rows.attempt(host, row) for row in connection.execute(query).mappings())


def _row(connection: sa.Connection, run_id: str) -> rows.Row | None:
    return connection.execute(_READ.where(RUN.c.id == run_id)).mappings().first()


def _whole(connection: sa.Connection, found: Sequence[rows.Row]) -> tuple[Run, ...]:
    """Runs with how they ended on each host: told apart only where there are several."""
    several = [row["id"] for row in found if len(row["hosts"]) > 1]
    ends: dict[str, dict[str, HostEnd]] = {}
    if several:
        query = sa.select(RUN_HOST).where(RUN_HOST.c.run_id.in_(several), RUN_HOST.c.status != "")
        for row in connection.execute(query).mappings():
            ends.setdefault(row["run_id"], {})[row["host"]] = rows.host_end(row)
    return tuple(rows.run(row, ends.get(row["id"])) for row in found)


def _release(connection: sa.Connection, run_id: str) -> None:
    connection.execute(RUN_HOST.update().where(RUN_HOST.c.run_id == run_id).values(held=False))
