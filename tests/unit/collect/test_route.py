"""The hops that OpenSSH would take, from what `ssh -G` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from orchestrator import settings as settings_module
from orchestrator.collect import route
from orchestrator.collect.route import MOST_HOPS, find_route
from orchestrator.domain.hosts import Connection, Host
from orchestrator.errors import HostUnreachable
from orchestrator.settings import Settings

Said = Callable[[Sequence[str]], dict[str, str]]


@pytest.fixture
def settings() -> Settings:
    return settings_module.load(None, {"HOME": "/nonexistent", "PATH": "/usr/bin"})


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> Callable[[Said], list[list[str]]]:
    """Stand in for `ssh -G`: what it says of an address; returns the command lines that were asked."""

    def stand_in(said: Said) -> list[list[str]]:
        asked: list[list[str]] = []

        def ask(host: Host, settings: Settings, words: Sequence[str]) -> dict[str, list[str]]:
            asked.append(list(words))
            told = {"hostname": words[-1], "port": "22", "user": "me", **said(words)}
            return {key: value.split("\n") for key, value in told.items()}

        monkeypatch.setattr(route, "_ask", ask)
        return asked

    return stand_in


def host(*arguments: str, port: int = 22, user: str | None = "healer", **variables: Any) -> Host:
    connection = Connection(kind="ssh", address="web1.example", port=port, user=user, ssh_arguments=arguments)
    return Host(name="web1", groups=(), connection=connection, variables=MappingProxyType(variables))


def test_a_host_without_a_proxy_is_one_hop(ssh: Callable[[Said], list[list[str]]], settings: Settings) -> None:
    asked = ssh(
        lambda words: {
            "hostname": "198.18.0.7",
            "port": "2222",
            "user": "healer",
            "identityfile": "/keys/a\nnone\n/keys/b",
            "identitiesonly": "yes",
            "hostkeyalias": "Alias",
        }
    )

    (hop,) = find_route(host(), settings)

    assert (hop.address, hop.port, hop.user, hop.name) == ("198.18.0.7", 2222, "healer", "alias")
    assert (hop.identity_files, hop.identities_only, hop.proxy_command) == (("/keys/a", "/keys/b"), True, None)
    assert hop.known_hosts == settings.known_hosts
    assert asked == [["-l", "healer", "--", "web1.example"]]


@pytest.mark.parametrize(
    ("port", "variables", "given"),
    [(22, {}, False), (22, {"ansible_port": 22}, True), (22, {"ansible_ssh_port": 22}, True), (2222, {}, True)],
)
def test_a_port_that_the_inventory_gives_wins_over_the_config(
    ssh: Callable[[Said], list[list[str]]], settings: Settings, port: int, variables: dict[str, Any], given: bool
) -> None:
    asked = ssh(lambda words: {})

    find_route(host(port=port, **variables), settings)

    assert (f"Port={port}" in asked[0]) == given


def test_without_a_user_the_config_gives_one(ssh: Callable[[Said], list[list[str]]], settings: Settings) -> None:
    asked = ssh(lambda words: {})

    (hop,) = find_route(host("-o", "Compression=yes", user=None), settings)

    assert hop.user == "me"
    assert asked == [["-o", "Compression=yes", "--", "web1.example"]]


@pytest.mark.parametrize(
    ("jump", "address", "words"),
    [
        ("bastion", "bastion", []),
        ("ops@bastion:2222", "bastion", ["-l", "ops", "-p", "2222"]),
        ("ssh://ops@bastion:2222", "bastion", ["-l", "ops", "-p", "2222"]),
        ("[2001:db8::1]:2222", "2001:db8::1", ["-p", "2222"]),
        ("ops@[2001:db8::1]", "2001:db8::1", ["-l", "ops"]),
        ("first,ops@second:7", "second", ["-l", "ops", "-p", "7", "-J", "first"]),
    ],
)
def test_a_jump_is_a_hop_before_the_host(
    ssh: Callable[[Said], list[list[str]]], settings: Settings, jump: str, address: str, words: list[str]
) -> None:
    asked = ssh(lambda said: {"proxyjump": jump} if said[-1] == "web1.example" else {})

    first, last = find_route(host(), settings)

    assert (first.address, last.address) == (address, "web1.example")
    assert asked[1] == [*words, "--", address]


def test_a_jump_is_asked_with_the_hosts_own_config(ssh: Callable[[Said], list[list[str]]], settings: Settings) -> None:
    asked = ssh(lambda said: {"proxyjump": "bastion"} if said[-1] == "web1.example" else {})

    find_route(host("-F", "/etc/other"), settings)

    assert asked[1] == ["-F", "/etc/other", "--", "bastion"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"proxycommand": "nc %h %p # %r %n %% %z"}, "nc 198.18.0.7 2222 # me web1.example % %z"),
        ({"proxycommand": "none"}, None),
        ({"proxycommand": "nc %h %p", "proxyjump": "web1.example,x"}, None),
        ({}, None),
    ],
)
def test_a_proxy_command_has_its_tokens_filled_in(
    ssh: Callable[[Said], list[list[str]]], settings: Settings, told: dict[str, str], expected: str | None
) -> None:
    ssh(lambda said: {"hostname": "198.18.0.7", "port": "2222", **told} if said[-1] == "web1.example" else {})

    assert find_route(host(), settings)[-1].proxy_command == expected


def test_jumps_in_a_circle_end(ssh: Callable[[Said], list[list[str]]], settings: Settings) -> None:
    asked = ssh(lambda said: {"proxyjump": "round"})

    with pytest.raises(HostUnreachable, match="web1: more than 8 jumps"):
        find_route(host(), settings)

    assert len(asked) == MOST_HOPS + 1


@pytest.mark.parametrize("jump", ["", "host:port", "a:b:c"])
def test_a_jump_that_is_none_is_named(ssh: Callable[[Said], list[list[str]]], settings: Settings, jump: str) -> None:
    ssh(lambda said: {"proxyjump": jump})

    with pytest.raises(HostUnreachable, match="web1: the proxy jump"):
        find_route(host(), settings)


def test_a_known_hosts_of_its_own_counts_for_the_whole_way(
    ssh: Callable[[Said], list[list[str]]], settings: Settings
) -> None:
    ssh(lambda said: {"proxyjump": "bastion"} if said[-1] == "web1.example" else {})

    hops = find_route(host("-o", "UserKnownHostsFile=/etc/own"), settings)

    assert {hop.known_hosts for hop in hops} == {Path("/etc/own")}
