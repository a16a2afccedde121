"""The way to a host: the hops that OpenSSH itself would take, asked from `ssh -G`.

Ansible's runs go through ssh with the same arguments and the same config, Include and Match lines too, so both reach
the same host in the same way. Nothing here connects.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.hosts import Host
from orchestrator.domain.ssh import known_hosts_entry, known_hosts_file, parse_ssh_arguments
from orchestrator.errors import ConfigError, HostUnreachable
from orchestrator.settings import Settings

#: More jumps than anybody has; a config whose hosts jump through each other ends here.
MOST_HOPS = 8
_JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<bracketed>[^]]+)\]|(?P<name>[^:]+))(?::(?P<port>\d+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One SSH server on the way, the host itself last."""

    address: str
    port: int
    user: str
    #: The name of its entry in known_hosts.
    name: str
    known_hosts: Path
    #: Private keys in the order in which they are tried; `~` expanded.
    identity_files: tuple[str, ...] = ()
    #: Only these keys, none of the agent's others.
    identities_only: bool = False
    #: Reaches this hop; only ever on the first.
    proxy_command: str | None = None


def find_route(host: Host, settings: Settings) -> tuple[Hop, ...]:
    """The hops to a host of kind ssh. Raises HostUnreachable (ssh refuses arguments or config), ConfigError."""
    connection = host.connection
    given = {"ansible_port", "ansible_ssh_port"} & host.variables.keys() or connection.port != 22
    arguments = [
        *_config(host, settings),
        *(["-o", f"Port={connection.port}"] if given else []),
        *(["-l", connection.user] if connection.user else []),
        *connection.ssh_arguments,
    ]
    return _hops(host, settings, arguments, connection.address, MOST_HOPS)


def _config(host: Host, settings: Settings) -> list[str]:
    own = parse_ssh_arguments(host.connection.ssh_arguments).config_file
    return ["-F", str(settings.ssh_config)] if own is None and settings.ssh_config.is_file() else []


def _hops(host: Host, settings: Settings, arguments: Sequence[str], address: str, left: int) -> tuple[Hop, ...]:
    told = _ask(host, settings, [*arguments, "--", address])
    resolved, port = told["hostname"][0], int(told.get("port", ["22"])[0])
    jump, command = told.get("proxyjump", ["none"])[0], told.get("proxycommand", ["none"])[0]
    user = told["user"][0]
    hop = Hop(
        address=resolved,
        port=port,
        user=user,
        name=known_hosts_entry(resolved, port, told.get("hostkeyalias", [None])[0]),
        # The jumps' keys too: one known_hosts counts for the whole way, as `healer trust` enrols it.
        known_hosts=known_hosts_file(host.connection, settings.known_hosts),
        identity_files=tuple(str(Path(name).expanduser()) for name in told.get("identityfile", []) if name != "none"),
        identities_only=told.get("identitiesonly", ["no"])[0] == "yes",
        proxy_command=None
        if command == "none" or jump != "none"
        else _expanded(command, address, resolved, port, user),
    )
    if jump == "none":
        return (hop,)
    if left == 0:
        raise HostUnreachable(f"{host.name}: more than {MOST_HOPS} jumps; does the ssh config jump in a circle?")
    before, _, last = jump.rpartition(",")
    match = _JUMP.fullmatch(last)
    if match is None:
        raise HostUnreachable(f"{host.name}: the proxy jump {last!r} is not [user@]host[:port].")
    words = [*_config(host, settings)]
    own = parse_ssh_arguments(host.connection.ssh_arguments).config_file
    words += ["-F", own] if own else []
    words += ["-l", match["user"]] if match["user"] else []
    words += ["-p", match["port"]] if match["port"] else []
    words += ["-J", before] if before else []
    return (*_hops(host, settings, words, match["bracketed"] or match["name"], left - 1), hop)


def _expanded(command: str, name: str, address: str, port: int, user: str) -> str:
    tokens = {"%%": "%", "%h": address, "%p": str(port), "%r": user, "%n": name}
    return re.sub(r"%.", lambda match: tokens.get(match[0], match[0]), command)


def _ask(host: Host, settings: Settings, words: Sequence[str]) -> dict[str, list[str]]:
    try:
        done = subprocess.run(
            ["ssh", "-G", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=settings.connect_timeout_seconds,
            env=dict(settings.child_environment),
            check=False,
        )
    except FileNotFoundError as error:
        raise ConfigError("The program ssh is missing: install OpenSSH's client.") from error
    except subprocess.TimeoutExpired as error:
        raise HostUnreachable(
            f"{host.name}: ssh did not read {settings.ssh_config} in time (a slow `Match exec` in it?)."
        ) from error
    told: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        told.setdefault(key, []).append(value)
    if done.returncode != 0 or "hostname" not in told or "user" not in told:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise HostUnreachable(f"{host.name}: ssh can't use its arguments or {settings.ssh_config}: {said[0][:300]}")
    return told
