"""Asking a host for its keys: nothing is trusted here, and no login is tried on it.

Without a proxy in the way `ssh-keyscan` asks for all kinds at once. It knows no proxy, so behind one ssh itself
connects, once a kind, into a known_hosts of its own that is thrown away; the proxy's own key is checked as ever.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ssh import known_hosts_entry, known_hosts_file, parse_ssh_arguments
from orchestrator.errors import ConfigError, HostUnreachable
from orchestrator.fleet.knownhosts import fingerprint

#: What is asked for through a proxy; the kinds that current sshd and paramiko share, best first.
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512,rsa-sha2-256")

#: Seconds on top of a program's own limit before it is ended.
_SLACK = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """What is needed to ask: the settings' known_hosts and ssh_config, and the children's environment."""

    known_hosts: Path
    ssh_config: Path | None = None
    environment: Mapping[str, str] | None = None
    #: Seconds for one connection.
    timeout: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where ssh would really go, its config included."""

    address: str
    port: int
    #: The name of the entry in known_hosts.
    name: str
    #: As ssh prints it; None: straight.
    proxy_jump: str | None
    proxy_command: str | None


def keys_of(host: Host, asker: Asker) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The entry's name and the (algorithm, base64 key) pairs that the host shows now, at least one.

    Raises HostUnreachable with what to try; ConfigError where OpenSSH's programs are missing.
    """
    target = resolve_target(host, asker)
    if target.proxy_jump or target.proxy_command:
        lines, said = _through_proxy(host, target, asker)
    else:
        lines, said = _straight(target, asker)
    pairs: dict[str, str] = {}
    for line in lines:
        fields = line.split()
        if len(fields) >= 3 and not line.startswith("#") and _is_key(fields[2]):
            pairs[fields[1]] = fields[2]
    if not pairs:
        raise HostUnreachable(_no_key(host, target, said))
    return target.name, tuple(sorted(pairs.items()))


def _is_key(text: str) -> bool:
    try:
        return len(fingerprint(text)) > len("SHA256:")
    except ValueError:
        return False


def _no_key(host: Host, target: Target, said: str) -> str:
    where = f"{target.address} port {target.port}"
    because = f" ({said})" if said else ""
    # `ssh -G` puts every jump's address in brackets.
    proxy = (target.proxy_jump or "").replace("[", "").replace("]", "")
    if target.proxy_command:
        return f"{host.name} shows no host key at {where}{because}. Does its proxy command work: {target.proxy_command}"
    if not proxy:
        return f"{host.name} shows no host key at {where}{because}. Is its sshd up, and the address right?"
    return (
        f"{host.name} shows no host key at {where} through its proxy {proxy}{because}. The proxy must be "
        f"trusted and let you in first: `healer trust` it if it is in the inventory, else `ssh {proxy}`."
    )


def resolve_target(host: Host, asker: Asker) -> Target:
    """Where ssh goes with the host's arguments and the ssh config: `ssh -G` says it, without connecting."""
    connection = host.connection
    arguments = [*_config(connection, asker), *_port(host), *connection.ssh_arguments]
    done = _run(["ssh", "-G", *arguments, "--", connection.address], asker, asker.timeout)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    if done.returncode != 0 or "hostname" not in told:
        raise HostUnreachable(
            f"{host.name}: ssh can't use the host's arguments or {asker.ssh_config}: {_last(done.stderr)}."
        )
    port = int(told.get("port", connection.port))
    jump, command = told.get("proxyjump", "none"), told.get("proxycommand", "none")
    return Target(
        address=told["hostname"],
        port=port,
        name=known_hosts_entry(told["hostname"], port, told.get("hostkeyalias")),
        proxy_jump=None if jump == "none" else jump,
        proxy_command=None if command == "none" else command,
    )


def _config(connection: Connection, asker: Asker) -> list[str]:
    own = parse_ssh_arguments(connection.ssh_arguments).config_file
    usable = own is None and asker.ssh_config is not None and asker.ssh_config.is_file()
    return ["-F", str(asker.ssh_config)] if usable else []


def _port(host: Host) -> list[str]:
    """The inventory's port, if it gives one: else the ssh config may."""
    given = {"ansible_port", "ansible_ssh_port"} & host.variables.keys() or host.connection.port != 22
    return ["-o", f"Port={host.connection.port}"] if given else []


def _straight(target: Target, asker: Asker) -> tuple[list[str], str]:
    command = ["ssh-keyscan", "-T", str(max(1, round(asker.timeout))), "-p", str(target.port)]
    done = _run([*command, "--", target.address], asker, asker.timeout + _SLACK)
    said = [line for line in done.stderr.splitlines() if line and not line.startswith("#")]
    return done.stdout.splitlines(), said[-1] if said else ""


def _through_proxy(host: Host, target: Target, asker: Asker) -> tuple[list[str], str]:
    lines: list[str] = []
    said = ""
    with tempfile.TemporaryDirectory(prefix="healing-bot-keyscan-") as folder:
        for kind in _KINDS:
            found = Path(folder) / kind
            options = {
                # First wins in ssh: these hold whatever the host's own arguments say.
                "BatchMode": "yes",
                "StrictHostKeyChecking": "accept-new",
                "UserKnownHostsFile": str(found),
                "GlobalKnownHostsFile": "/dev/null",
                "HashKnownHosts": "no",
                "UpdateHostKeys": "no",
                "ControlMaster": "no",
                "ControlPath": "none",
                "HostKeyAlgorithms": kind,
                # The key is shown before any login; we want none.
                "PreferredAuthentications": "none",
                "PubkeyAuthentication": "no",
                "ConnectTimeout": str(max(1, round(asker.timeout))),
            }
            words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
            command = ["ssh", *words, *_way(host, target, asker), "true"]
            done = _run(command, asker, asker.timeout + _SLACK)
            if found.exists():
                lines += found.read_text(encoding="utf-8").splitlines()
                continue
            said = _last(done.stderr)
            if "no matching host key type" not in done.stderr:
                break
    return lines, said


def _way(host: Host, target: Target, asker: Asker) -> list[str]:
    """The rest of the command line: how to get to the host.

    A single jump becomes a proxy command of ours: with `-J` ssh would check the jump's key in its own
    known_hosts and not in the one that counts here.
    """
    connection = host.connection
    jump = _JUMP.fullmatch(target.proxy_jump or "")
    if jump is None:
        arguments = [*_config(connection, asker), *_port(host), *connection.ssh_arguments]
        return [*arguments, "--", connection.address]
    known = known_hosts_file(connection, asker.known_hosts)
    words = ["ssh", *_config(connection, asker), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    words += ["-o", f'UserKnownHostsFile="{known}"']
    words += [*(["-l", jump["user"]] if jump["user"] else []), *(["-p", jump["port"]] if jump["port"] else [])]
    words += ["-W", "[%h]:%p", "--", jump["address"] or jump["name"]]
    command = " ".join(_quoted(word) for word in words)
    # What the config says of the host is in the target already.
    return ["-F", "none", "-o", f"ProxyCommand={command}", "-p", str(target.port), "--", target.address]


#: One jump, as `ssh -G` prints it.
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^,@]+)@)?(?:\[(?P<address>[^],]+)\]|(?P<name>[^,:\[\]]+))(?::(?P<port>\d+))?"
)


def _quoted(word: str) -> str:
    # Single quotes for the shell that ssh starts; a percent sign in a path would be a token of ssh's.
    escaped = word if word == "[%h]:%p" else word.replace("%", "%%")
    return "'" + escaped.replace("'", "'\\''") + "'"


def _run(command: Sequence[str], asker: Asker, limit: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            env=None if asker.environment is None else dict(asker.environment),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 255, "", f"no answer within {limit:g} s")
    except FileNotFoundError as error:
        raise ConfigError(f"The program {command[0]} is missing: install OpenSSH's client.") from error


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"
