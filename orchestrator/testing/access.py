"""Tokens in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.domain.access import Token
from orchestrator.testing.runs import MemoryRuns


class MemoryAccess(MemoryRuns):
    """The access part of ports.Store."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._tokens: dict[str, Token] = {}

    def add_token(self, token: Token) -> bool:
        with self._lock:
            if any(one.name == token.name and one.revoked_at is None for one in self._tokens.values()):
                return False
            self._tokens[token.id] = token
            text = f"{token.created_by} made the token {token.name} ({token.id}) with the role {token.role}"
            self.append("token.made", text=text, actor=token.created_by)
        return True

    def token(self, token_id: str) -> Token | None:
        return self._tokens.get(token_id)

    def tokens(self) -> tuple[Token, ...]:
        with self._lock:
            found = sorted(self._tokens.values(), key=lambda one: one.id)
        return tuple(sorted(found, key=lambda one: one.created_at, reverse=True))

    def revoke_token(self, token_id: str, *, actor: str, reason: str) -> bool:
        with self._lock:
            found = self._tokens.get(token_id)
            if found is None or found.revoked_at is not None:
                return False
            self._tokens[token_id] = replace(found, revoked_at=self._clock())
            text = f"{actor} revoked the token {found.name} ({token_id}): {reason}"
            self.append("token.revoked", text=text, actor=actor)
        return True

    def token_used(self, token_id: str, at: datetime) -> None:
        with self._lock:
            found = self._tokens.get(token_id)
            if found is not None:
                self._tokens[token_id] = replace(found, used_at=at)
