"""Tokens, in the real store and in its twin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.access import Role, Token
from orchestrator.ports import Store
from tests.support.stores import KINDS, one_of

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path, lambda: NOW)


def token(number: int, name: str = "pager", **changed: Any) -> Token:
    values: dict[str, Any] = {
        "id": f"{number:012x}",
        "name": name,
        "role": Role.OPERATOR,
        "digest": f"{number:064x}",
        "created_at": NOW + timedelta(seconds=number),
        "created_by": "cli:root",
        "expires_at": NOW + timedelta(days=1),
    }
    return Token(**{**values, **changed})


def test_a_token_comes_back_as_it_was_given(store: Store) -> None:
    assert store.add_token(token(1))
    assert store.token(token(1).id) == token(1)
    assert store.token("0" * 12) is None
    assert [event.kind for event in store.events()] == ["token.made"]
    assert token(1).digest not in str(store.events())


def test_a_name_is_taken_until_its_token_is_revoked(store: Store) -> None:
    assert store.add_token(token(1))
    assert not store.add_token(token(2))
    assert store.revoke_token(token(1).id, actor="cli:root", reason="left")
    assert not store.revoke_token(token(1).id, actor="cli:root", reason="again")
    assert not store.revoke_token("0" * 12, actor="cli:root", reason="unknown")
    assert store.add_token(token(2))
    assert [(one.id, one.revoked_at) for one in store.tokens()] == [(token(2).id, None), (token(1).id, NOW)]
    assert [event.kind for event in store.events()] == ["token.made", "token.revoked", "token.made"]


def test_use_is_kept_and_no_line_of_the_ledger(store: Store) -> None:
    store.add_token(token(1))
    store.token_used(token(1).id, NOW)

    found = store.token(token(1).id)
    assert found is not None
    assert found.used_at == NOW
    assert len(store.events()) == 1


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({}, True),
        ({"expires_at": None}, True),
        ({"expires_at": NOW}, False),
        ({"revoked_at": NOW - timedelta(days=1)}, False),
    ],
)
def test_a_token_is_good_until_it_expires_or_is_revoked(changed: dict[str, Any], good: bool) -> None:
    assert token(1, **changed).good(NOW) is good
