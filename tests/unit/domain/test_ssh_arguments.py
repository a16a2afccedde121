"""ssh arguments as data: what is honoured, what is harmless, what doctor must name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.hosts import Connection
from orchestrator.domain.ssh import (
    SshOptions,
    host_key_arguments,
    known_hosts_file,
    known_hosts_name,
    parse_ssh_arguments,
)

DEFAULT = Path("/etc/healing/known_hosts")


def connection(arguments: str = "", *, address: str = "Web1.example.com", port: int = 22) -> Connection:
    return Connection(kind="ssh", address=address, port=port, ssh_arguments=tuple(shlex.split(arguments)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-p 2222", {"port": 2222}),
        ("-p2222", {"port": 2222}),
        ("-ttp2222", {"port": 2222}),
        ("-o Port=2222", {"port": 2222}),
        ("-oPort=2222", {"port": 2222}),
        ("-o 'Port 2222'", {"port": 2222}),
        ("-o 'port = \"2222\"'", {"port": 2222}),
        ("-p 1 -o Port=2", {"port": 1}),
        ("-o Port=2 -p 1", {"port": 2}),
        ("-l ops -o User=root", {"user": "ops"}),
        ("-J ops@bastion:2222", {"proxy_jump": "ops@bastion:2222", "proxied": True}),
        ("-J none", {"proxy_jump": "none", "proxied": False}),
        ("-J a -o ProxyCommand='nc %h %p'", {"proxy_jump": "a", "proxy_command": None}),
        ("-o ProxyCommand='nc %h %p' -J a", {"proxy_jump": None, "proxy_command": "nc %h %p"}),
        (
            '-o \'ProxyCommand="ssh" -W "%h"\'',
            {"proxy_command": '"ssh" -W "%h"', "proxied": True},
        ),
        ("-i a -i b -o IdentityFile=c", {"identity_files": ("a", "b", "c")}),
        ("-o IdentityFile=none", {"identity_files": ()}),
        ("-F /etc/lab_config", {"config_file": "/etc/lab_config"}),
        ("-o ServerAliveInterval=5", {"options": {"serveraliveinterval": "5"}}),
        ("-o IdentitiesOnly=yes", {"options": {"identitiesonly": "yes"}}),
    ],
)
def test_an_honoured_argument_is_read(arguments: str, expected: dict[str, Any]) -> None:
    options = parse_ssh_arguments(shlex.split(arguments))

    assert {name: getattr(options, name) for name in expected} == expected
    assert options.unsupported == ()


@pytest.mark.parametrize(
    "arguments",
    [
        "-C -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/tmp/%C",
        "-o StrictHostKeyChecking=no",
        "-o StrictHostKeyChecking=accept-new -o CheckHostIP=no -o UpdateHostKeys=yes",
        "-A -tt -vvv -q -x -S none",
        "-o LogLevel=ERROR -o BatchMode=yes -o ForwardAgent=yes -o Compression=yes",
        "-o PreferredAuthentications=publickey",
        "-o GSSAPIAuthentication=no",
    ],
)
def test_a_harmless_argument_leaves_nothing(arguments: str) -> None:
    assert parse_ssh_arguments(shlex.split(arguments)) == SshOptions()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("-L 80:localhost:80", ("-L 80:localhost:80",)),
        ("-b 192.0.2.1 -4", ("-b 192.0.2.1", "-4")),
        ("-o GSSAPIAuthentication=yes", ("-o GSSAPIAuthentication=yes",)),
        ("-o Ciphers=aes256-ctr", ("-o Ciphers=aes256-ctr",)),
        ("-o Port=many", ("-o Port=many",)),
        ("-p 70000", ("-p 70000",)),
        ("-o User=", ("-o User=",)),
        ("-o", ("-o",)),
        ("-p", ("-p",)),
        ("otherhost reboot", ("otherhost", "reboot")),
        ("-- otherhost", ("--", "otherhost")),
        ("-I /usr/lib/pkcs11.so", ("-I /usr/lib/pkcs11.so",)),
        ("-o NoSuchOption=1 -p 22", ("-o NoSuchOption=1",)),
    ],
)
def test_an_argument_that_cannot_be_honoured_is_named_as_typed(arguments: str, named: tuple[str, ...]) -> None:
    assert parse_ssh_arguments(shlex.split(arguments)).unsupported == named


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("", DEFAULT),
        ("-o UserKnownHostsFile=/lab/known_hosts", Path("/lab/known_hosts")),
        ("-o 'UserKnownHostsFile=/lab/known_hosts /second'", Path("/lab/known_hosts")),
        ("-o UserKnownHostsFile=/first -o UserKnownHostsFile=/second", Path("/first")),
        ("-o UserKnownHostsFile=~/kh", Path("~/kh").expanduser()),
        ("-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no", DEFAULT),
        ("-o UserKnownHostsFile=none", DEFAULT),
        ("""-o 'UserKnownHostsFile="/a lab/known_hosts" /second'""", Path("/a lab/known_hosts")),
        ("""-o 'UserKnownHostsFile="/a lab/known_hosts"'""", Path("/a lab/known_hosts")),
        ("""-o 'UserKnownHostsFile="/open'""", DEFAULT),
    ],
)
def test_a_host_has_one_known_hosts_file_and_the_check_has_no_switch(arguments: str, path: Path) -> None:
    assert known_hosts_file(connection(arguments), DEFAULT) == path


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (connection(), "web1.example.com"),
        (connection(port=2222), "[web1.example.com]:2222"),
        (connection(address="2001:DB8::1"), "2001:db8::1"),
        (connection(address="2001:db8::1", port=22022), "[2001:db8::1]:22022"),
        (connection("-o HostKeyAlias=Web-Key", port=2222), "web-key"),
    ],
)
def test_an_entry_is_named_as_ssh_names_it(host: Connection, name: str) -> None:
    assert known_hosts_name(host) == name


def test_the_check_comes_first_so_that_no_later_argument_switches_it_off() -> None:
    asked = connection("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null")

    assert host_key_arguments(asked, DEFAULT) == (
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", f'UserKnownHostsFile="{DEFAULT}"'),
    )
