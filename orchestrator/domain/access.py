"""Who may do what over HTTP: roles, the tokens that carry them, and who is asking now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a client may do; each may do what those before it may."""

    #: Read everything that is recorded.
    VIEWER = "viewer"
    #: Trigger a healing, and stop all healing.
    OPERATOR = "operator"
    #: Answer questions: approve or deny.
    APPROVER = "approver"
    #: Let healing go on after a stop, and whatever else changes the rules.
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether it is that role or one above it."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A client's key, without the secret: of that, only a digest is kept."""

    #: Part of the key itself, and no secret: twelve hexadecimal digits.
    id: str
    #: Whose it is; the actor of what is done with it is `api:NAME`. Unique among those that are not revoked.
    name: str
    role: Role
    #: SHA-256 of the whole key, in hexadecimal digits.
    digest: str = field(repr=False)
    created_at: datetime
    created_by: str
    #: None: it does not expire.
    expires_at: datetime | None = None
    #: None: it is good until it expires.
    revoked_at: datetime | None = None
    #: To the minute; None: never.
    used_at: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who asks, as far as a request shows it."""

    #: For the ledger: `api`, `api:NAME`, `web`, `web:NAME` at a browser, or `anonymous`.
    actor: str
    role: Role
    #: What a form of this session must carry, so that no other site's form is taken for it; '': no session.
    csrf: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A person at a browser, who showed a token once."""

    #: SHA-256 of the cookie's value.
    digest: str = field(repr=False)
    #: Whose token; '': that of the token file.
    token_id: str
    #: Digest of the key that was shown: with another key in its place, the session is over.
    key_digest: str = field(repr=False)
    expires_at: datetime


#: Reading on the loopback address needs no key.
ANONYMOUS = Identity(actor="anonymous", role=Role.VIEWER)
