"""What `ssh-keygen -F` prints, as keys that count."""

from __future__ import annotations

import pytest

from orchestrator.collect.hostkeys import KnownKeys, parse


@pytest.mark.parametrize(
    ("text", "trusted", "revoked"),
    [
        ("", set(), set()),
        ("# Host web1 found: line 1\nweb1 ssh-ed25519 AAAA\n", {("ssh-ed25519", "AAAA")}, set()),
        ("|1|salt=|hash= ssh-rsa BBBB comment of mine\n", {("ssh-rsa", "BBBB")}, set()),
        (
            "web1 ssh-rsa A\n# Host web1 found: line 2 REVOKED\n@revoked web1 ssh-rsa B\n",
            {("ssh-rsa", "A")},
            {("ssh-rsa", "B")},
        ),
        ("@cert-authority *.example.com ssh-ed25519 CCCC\n", set(), set()),
        ("@unheard-of web1 ssh-ed25519 CCCC\nweb1 ssh-rsa\n\n", set(), set()),
    ],
)
def test_lines_are_keys_that_are_trusted_revoked_or_of_no_account(
    text: str, trusted: set[tuple[str, str]], revoked: set[tuple[str, str]]
) -> None:
    assert parse(text) == KnownKeys(trusted=frozenset(trusted), revoked=frozenset(revoked))
