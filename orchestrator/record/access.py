"""Tokens of the API: digests, never a key. And sessions, and requests that their clients named."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestrator.domain.access import Role, Session, Token
from orchestrator.ports import KeyedRequest
from orchestrator.record import ledger, rows
from orchestrator.record.database import Records
from orchestrator.record.schema import KEYED, SESSION, TOKEN

#: How long a key is known.
KEPT = timedelta(days=2)


class AccessRecords(Records):
    """Who may ask over HTTP."""

    def add_token(self, token: Token) -> bool:
        """See ports.Store."""
        with self._database.write() as connection:
            taken = sa.select(TOKEN.c.id).where(TOKEN.c.name == token.name, TOKEN.c.revoked_at.is_(None))
            if connection.execute(taken).first():
                return False
            connection.execute(
                TOKEN.insert().values(
                    id=token.id,
                    name=token.name,
                    role=token.role.value,
                    digest=token.digest,
                    created_at=token.created_at,
                    created_by=rows.clean(token.created_by),
                    expires_at=token.expires_at,
                )
            )
            text = f"{token.created_by} made the token {token.name} ({token.id}) with the role {token.role}"
            ledger.write(connection, self._clock(), "token.made", text=text, actor=token.created_by)
        return True

    def token(self, token_id: str) -> Token | None:
        """See ports.Store."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(TOKEN).where(TOKEN.c.id == token_id)).mappings().first()
        return _token(row) if row else None

    def tokens(self) -> tuple[Token, ...]:
        """See ports.Store."""
        query = sa.select(TOKEN).order_by(TOKEN.c.created_at.desc(), TOKEN.c.id)
        with self._database.read() as connection:
            return tuple(_token(row) for row in connection.execute(query).mappings())

    def revoke_token(self, token_id: str, *, actor: str, reason: str) -> bool:
        """See ports.Store."""
        now = self._clock()
        with self._database.write() as connection:
            mine = TOKEN.c.id == token_id
            done = connection.execute(TOKEN.update().where(mine, TOKEN.c.revoked_at.is_(None)).values(revoked_at=now))
            if not done.rowcount:
                return False
            name = connection.execute(sa.select(TOKEN.c.name).where(mine)).scalar()
            text = f"{actor} revoked the token {name} ({token_id}): {reason}"
            ledger.write(connection, now, "token.revoked", text=text, actor=actor)
        return True

    def token_used(self, token_id: str, at: datetime) -> None:
        """See ports.Store."""
        with self._database.write(last=True) as connection:
            connection.execute(TOKEN.update().where(TOKEN.c.id == token_id).values(used_at=at))

    def open_session(self, session: Session) -> None:
        """See ports.ApiStore."""
        with self._database.write() as connection:
            connection.execute(SESSION.delete().where(SESSION.c.expires_at < self._clock()))
            connection.execute(SESSION.insert().values(asdict(session)))

    def session(self, digest: str) -> Session | None:
        """See ports.ApiStore."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(SESSION).where(SESSION.c.digest == digest)).mappings().first()
        return Session(**row) if row else None

    def close_session(self, digest: str) -> None:
        """See ports.ApiStore."""
        with self._database.write() as connection:
            connection.execute(SESSION.delete().where(SESSION.c.digest == digest))

    def keyed(self, actor: str, key: str, digest: str, *, stale: datetime) -> KeyedRequest:
        """See ports.ApiStore."""
        now = self._clock()
        mine = sa.and_(KEYED.c.actor == actor, KEYED.c.key == key)
        with self._database.write() as connection:
            connection.execute(KEYED.delete().where(KEYED.c.at < now - KEPT))
            connection.execute(KEYED.delete().where(mine, KEYED.c.answer == "", KEYED.c.at < stale))
            row = connection.execute(sa.select(KEYED).where(mine)).mappings().first()
            if row is not None:
                return KeyedRequest(first=False, digest=row["digest"], answer=row["answer"])
            connection.execute(KEYED.insert().values(actor=actor, key=key, digest=digest, answer="", at=now))
        return KeyedRequest(first=True, digest=digest, answer="")

    def answer_keyed(self, actor: str, key: str, answer: str) -> None:
        """See ports.ApiStore."""
        with self._database.write() as connection:
            mine = sa.and_(KEYED.c.actor == actor, KEYED.c.key == key)
            connection.execute(KEYED.update().where(mine).values(answer=answer))


def _token(row: rows.Row) -> Token:
    return Token(**{**row, "role": Role(row["role"])})
