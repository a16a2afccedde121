"""`healer tokens`: a key is shown once, and what can't be is a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from tests.support.typed import typed


def ask(config: str, *arguments: str) -> str:
    return typed(config, "tokens", *arguments)


def test_a_key_is_shown_once_and_kept_nowhere(config: str) -> None:
    made = json.loads(ask(config, "create", "grafana", "--days", "30", "--json"))
    listed = ask(config, "list", "--json")

    assert made["key"].startswith(f"healer_{made['id']}_")
    assert made["key"] not in listed
    assert "digest" not in listed
    (one,) = json.loads(listed)
    assert (one["name"], one["role"], one["revoked_at"]) == ("grafana", "viewer", None)
    kept = b"".join(path.read_bytes() for path in Path(config).parent.rglob("*.sqlite*"))
    assert made["key"].encode() not in kept


def test_a_plain_answer_is_the_key_alone(config: str) -> None:
    assert ask(config, "create", "pager", "--role", "operator").startswith("healer_")


def test_a_revoked_name_is_free_again(config: str) -> None:
    ask(config, "create", "pager")
    with pytest.raises(ConfigError, match=r"a token pager already.*revoke"):
        ask(config, "create", "pager")
    assert "is revoked" in ask(config, "revoke", "pager", "--reason", "left")
    ask(config, "create", "pager")
    stands = [one["revoked_at"] is None for one in json.loads(ask(config, "list", "--json"))]
    assert sorted(stands) == [False, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "Root"), "lower-case"),
        (("create", "a b"), "lower-case"),
        (("create", "x" * 64), "lower-case"),
        (("create", "x", "--days", "0"), "1 to 3650 days"),
        (("create", "x", "--days", "9999"), "1 to 3650 days"),
        (("revoke", "nobody", "--reason", "x"), "no token 'nobody'"),
        (("revoke", "nobody", "--reason", " "), "--reason"),
    ],
)
def test_what_cannot_be_is_a_sentence(config: str, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ask(config, *arguments)
