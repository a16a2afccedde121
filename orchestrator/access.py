"""Keys of the API: made once, shown once, known again by their digest. And what the API may be opened with."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import ssl
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.domain.access import Identity, Role, Session, Token
from orchestrator.domain.hosts import Secret
from orchestrator.errors import ConfigError
from orchestrator.ports import ApiStore, Store

#: A prefix by which scanners of leaked secrets know one, the token's id, and 256 random bits.
_KEY = re.compile(r"healer_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
#: Days that a token may last at most: one that nobody renews is one that nobody misses.
DAYS_MAX = 3650
#: A person signs in once a working day.
SESSION_HOURS = 12
#: Use is recorded to the minute: a client that asks each second writes nothing each second.
USE_RECORDED = timedelta(minutes=1)


def issue(store: Store, name: str, role: Role, days: int, *, actor: str, now: datetime) -> tuple[Token, Secret]:
    """A new token and its key, which nobody can show again. Raises ConfigError for a bad or taken name, or days."""
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"name: {name[:80]!r} is no name for a token. Accepted are 1 to 63 lower-case letters, digits, '.', '_' "
            "and '-', a letter or digit first."
        )
    if not 1 <= days <= DAYS_MAX:
        raise ConfigError(f"days: {days} is not accepted; a token lasts 1 to {DAYS_MAX} days.")
    token_id = secrets.token_hex(6)
    key = Secret(f"healer_{token_id}_{secrets.token_urlsafe(32)}")
    token = Token(
        id=token_id,
        name=name,
        role=role,
        digest=_digest(key),
        created_at=now,
        created_by=actor,
        expires_at=now + timedelta(days=days),
    )
    if not store.add_token(token):
        raise ConfigError(f"name: there is a token {name} already. Revoke it first: healer tokens revoke {name}")
    return token, key


def known(store: Store, key: str, now: datetime) -> Token | None:
    """The good token of a key; None for any other key. Raises StoreUnavailable."""
    shaped = _KEY.fullmatch(key)
    token = store.token(shaped[1]) if shaped else None
    if token is None or not token.good(now) or not hmac.compare_digest(token.digest, _digest(key)):
        return None
    if token.used_at is None or now - token.used_at >= USE_RECORDED:
        store.token_used(token.id, now)
    return token


def open_session(store: ApiStore, key: str, token: Token | None, now: datetime) -> Secret:
    """The value of a cookie for who showed a key; `token`: None for the one of the token file."""
    value = Secret(secrets.token_urlsafe(32))
    until = now + timedelta(hours=SESSION_HOURS)
    if token is not None and token.expires_at is not None:
        until = min(until, token.expires_at)
    session = Session(
        digest=_digest(value), token_id=token.id if token else "", key_digest=_digest(key), expires_at=until
    )
    store.open_session(session)
    return value


def of_session(store: ApiStore, value: str, own_key: str, now: datetime) -> Identity | None:
    """Who opened the session of a cookie; None where it is over, or the key that opened it is. Raises StoreUnavailable.

    `own_key`: the one of the token file.
    """
    session = store.session(_digest(value))
    if session is None or session.expires_at <= now:
        return None
    csrf = hmac.new(value.encode(), b"csrf", hashlib.sha256).hexdigest()
    if not session.token_id:
        same = hmac.compare_digest(session.key_digest, _digest(own_key))
        return Identity(actor="web", role=Role.ADMIN, csrf=csrf) if same else None
    token = store.token(session.token_id)
    if token is None or not token.good(now) or not hmac.compare_digest(session.key_digest, token.digest):
        return None
    return Identity(actor=f"web:{token.name}", role=token.role, csrf=csrf)


def close_session(store: ApiStore, value: str) -> None:
    """Signed out."""
    store.close_session(_digest(value))


def _digest(key: str) -> str:
    # No slow hash: there is no dictionary of 256 random bits.
    return hashlib.sha256(key.encode()).hexdigest()


def is_loopback(address: str) -> bool:
    """Whether nothing but this machine reaches it."""
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def require_url(url: str) -> None:
    """Raises ConfigError for an `api_url` that no link can begin with."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        good = good and not (parts.query or parts.fragment or parts.username) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if url and not good:
        raise ConfigError(f"api_url: {url[:200]!r} is not accepted. Write it as https://healer.example.org, no path.")


def require_proxies(proxies: str) -> None:
    """Raises ConfigError for an `api_proxies` with something that is no address or network."""
    for given in filter(None, (one.strip() for one in proxies.split(","))):
        try:
            ip_network(given)
        except ValueError as error:
            raise ConfigError(
                f"api_proxies: {given[:80]!r} is no address. Accepted are addresses and networks, with commas, such as "
                "192.0.2.7 or 192.0.2.0/28."
            ) from error


def require_tls(files: tuple[Path, Path] | None) -> None:
    """Raises ConfigError for a certificate or key that can't be used, or a key that others can read."""
    if files is None:
        return
    certificate, key = files
    for name, path in (("api_certificate", certificate), ("api_key", key)):
        if not path.is_file():
            raise ConfigError(f"{name}: there is no file {path}. Both api_certificate and api_key must name one.")
    if key.stat().st_mode & 0o077:
        raise ConfigError(f"api_key: {key} can be read by others. chmod 600 {key}")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"api_certificate {certificate} and api_key {key} can't be used together: {error}. Both are PEM files, and "
            "the key is without a passphrase."
        ) from error
