"""Precedents: counted from recorded incidents; only a person's word has a table of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from orchestrator.domain import ids
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import FINAL, IncidentState, Origin
from orchestrator.domain.pages import Page, Slice
from orchestrator.domain.precedents import Deed, Precedents, Standing, Word
from orchestrator.domain.runs import RunKind
from orchestrator.ports import DEEDS_KEPT, NOT_ATTEMPTS, BadCursor
from orchestrator.record import ledger, rows
from orchestrator.record.database import Records
from orchestrator.record.parts import END
from orchestrator.record.schema import DECISION, INCIDENT, OUTBREAK_MEMBER, PRECEDENT, RUN, RUN_HOST, SIGNATURE

#: Signatures that are looked at for each one that a page may show, and for a whole list: most were only noticed.
LOOKED_AT, LOOKED_AT_MAX = 4, 1_000_000


class MemoryRecords(Records):
    """What was done about a signature before."""

    def precedents(self, signature: Signature) -> Precedents:
        """See ports.Store."""
        with self._database.read() as connection:
            return _precedents(connection, signature)

    def remembered(self, limit: int = 100) -> tuple[Precedents, ...]:
        """See ports.Store."""
        return self._remembered(Page(limit=limit), LOOKED_AT_MAX).items

    def page_remembered(self, page: Page) -> Slice[Precedents]:
        """See ports.Reader."""
        return self._remembered(page, LOOKED_AT * page.limit)

    def _remembered(self, page: Page, most: int) -> Slice[Precedents]:
        newest = sa.func.max(SIGNATURE.c.incident_id)
        known: list[Precedents] = []
        last: tuple[str, str] | None = None
        with self._database.read() as connection:
            # By the index alone: whether anything was done about them is asked of those that are shown.
            had = connection.execute(sa.select(SIGNATURE.c.signature, newest).group_by(SIGNATURE.c.signature))
            latest: dict[str, str] = {name: incident_id for name, incident_id in had}
            for name, at in connection.execute(sa.select(PRECEDENT.c.signature, PRECEDENT.c.at)):
                latest[name] = max(ids.id_at(at), latest.get(name, ""))
            places = sorted(((when, name) for name, when in latest.items()), reverse=not page.oldest_first)
            if page.after:
                after = _place(page.after)
                places = [one for one in places if (one > after if page.oldest_first else one < after)]
            for looked, place in enumerate(places):
                if len(known) == page.limit or looked == most:
                    return Slice(items=tuple(known), next="|".join(last) if last else None)
                found, last = _precedents(connection, Signature(place[1])), place
                known += [found] if found.deeds or found.word else []
        return Slice(items=tuple(known), next=None)

    def wording(self, signature: Signature) -> str | None:
        """See ports.Store."""
        of_it = (
            sa.select(INCIDENT.c.template, INCIDENT.c.signature)
            .join(SIGNATURE, SIGNATURE.c.incident_id == INCIDENT.c.id)
            .where(SIGNATURE.c.signature == signature)
            .order_by(SIGNATURE.c.incident_id.desc())
        )
        with self._database.read() as connection:
            opened = connection.execute(of_it.where(INCIDENT.c.signature == signature).limit(1)).first()
            had = opened or connection.execute(of_it.limit(1)).first()
        return str(opened[0]) if opened else "" if had else None

    def record_word(self, word: Word) -> Word | None:
        """See ports.Store."""
        values = {
            **asdict(word),
            "standing": word.standing.value,
            "parameters": dict(word.parameters),
            **{name: rows.clean(getattr(word, name)) for name in ("template", "actor", "reason")},
        }
        with self._database.write() as connection:
            former = _word(connection, word.signature)
            if former is None:
                connection.execute(PRECEDENT.insert().values(values))
            else:
                connection.execute(PRECEDENT.update().where(PRECEDENT.c.signature == word.signature).values(values))
            self._line(connection, f"memory.{word.standing}", word, actor=word.actor, reason=word.reason)
        return former

    def withdraw_word(self, signature: Signature, *, actor: str, reason: str) -> Word | None:
        """See ports.Store."""
        with self._database.write() as connection:
            former = _word(connection, signature)
            if former is not None:
                connection.execute(PRECEDENT.delete().where(PRECEDENT.c.signature == signature))
                self._line(connection, "memory.released", former, actor=actor, reason=reason)
        return former

    def _line(self, connection: sa.Connection, kind: str, word: Word, *, actor: str, reason: str) -> None:
        text = f"{kind.partition('.')[2]}: {word.action or 'any action'} for {word.signature}: {reason}"
        data = {
            "signature": word.signature,
            "template": word.template,
            "action": word.action,
            "parameters": dict(word.parameters),
        }
        ledger.write(connection, self._clock(), kind, text=text, actor=actor, data=data)


def _place(after: str) -> tuple[str, str]:
    """What sorts like the id of an incident, and a signature. Raises BadCursor."""
    when, bar, name = after.partition("|")
    if not bar:
        raise BadCursor(after)
    return when, name


def _acted(*columns: Any) -> sa.Select[Any]:
    """Acts of healings that are over and may teach something."""
    joined = (
        SIGNATURE.join(INCIDENT, INCIDENT.c.id == SIGNATURE.c.incident_id)
        .outerjoin(OUTBREAK_MEMBER, OUTBREAK_MEMBER.c.incident_id == INCIDENT.c.id)
        .join(RUN, RUN.c.incident_id == sa.func.coalesce(OUTBREAK_MEMBER.c.outbreak_id, INCIDENT.c.id))
        .join(RUN_HOST, sa.and_(RUN_HOST.c.run_id == RUN.c.id, RUN_HOST.c.host == INCIDENT.c.host))
        .join(DECISION, DECISION.c.incident_id == INCIDENT.c.id)
    )
    return (
        sa.select(*columns)
        .select_from(joined)
        .where(
            INCIDENT.c.state.in_(sorted(FINAL)),
            INCIDENT.c.origin != Origin.INJECTED.value,
            # A next step is the catalogue's choice: it says nothing of the first one's error.
            INCIDENT.c.step == 1,
            RUN.c.kind == RunKind.ACT.value,
            END.not_in(sorted(NOT_ATTEMPTS)),
        )
    )


def _precedents(connection: sa.Connection, signature: Signature) -> Precedents:
    query = _acted(
        *(INCIDENT.c.id, INCIDENT.c.host, INCIDENT.c.state, INCIDENT.c.signature),
        *(DECISION.c.chooser, DECISION.c.signatures, RUN.c.action, RUN.c.parameters, RUN.c.started),
    )
    # Ids sort by time, and the index has them behind the signature.
    query = query.where(SIGNATURE.c.signature == signature).order_by(SIGNATURE.c.incident_id.desc()).limit(DEEDS_KEPT)
    found = connection.execute(query)
    return Precedents(
        signature=signature,
        # What joined later was not decided upon.
        deeds=tuple(one for one in map(_deed, found) if signature in one.shown),
        word=_word(connection, signature),
    )


def _deed(row: Any) -> Deed:
    # By place: there are a hundred of them for each signature of a page.
    incident_id, host, state, signature, chooser, shown, action, parameters, started = row
    return Deed(
        incident_id=IncidentId(incident_id),
        host=host,
        action=action,
        parameters=parameters,
        healed=state == IncidentState.HEALED.value,
        chooser=chooser,
        at=started,
        # The lines that the chooser had before it; of an older version's record only the first is known.
        shown=frozenset(Signature(one) for one in shown or [signature]),
    )


def _word(connection: sa.Connection, signature: Signature) -> Word | None:
    row = connection.execute(sa.select(PRECEDENT).where(PRECEDENT.c.signature == signature)).mappings().first()
    if row is None:
        return None
    return Word(**{**{name: row[name] for name in Word.__slots__}, "standing": Standing(row["standing"])})
