"""Host keys: show what a host presents now, how that stands to known_hosts, and enrol it.

`scan` changes nothing. `enrol` writes what a person has compared with the host's own fingerprint
(`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`, on its console). One known_hosts serves collect and
Ansible's ssh alike: `domain.ssh.known_hosts_file` says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.domain.hosts import Host
from orchestrator.domain.ssh import known_hosts_file
from orchestrator.errors import HostKeyMismatch
from orchestrator.fleet import knownhosts
from orchestrator.fleet.keyscan import Asker, keys_of


class Standing(StrEnum):
    """How a key that a host shows stands to known_hosts."""

    #: The host is in no line: a person compares the fingerprint and enrols it.
    NEW = "new"
    #: The very key.
    KNOWN = "known"
    #: The host is known by another key that it shows as well: there is no need for this one.
    EXTRA = "extra"
    #: Another key of this kind is known, or the host shows none of its known keys.
    CHANGED = "changed"
    #: Marked `@revoked`: never enrolled.
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannedKey:
    """One key that a host showed. A scan proves no possession: only the comparison by a person does."""

    algorithm: str
    #: `SHA256:...`, as `ssh-keygen -l` prints it.
    fingerprint: str
    #: As it would stand in known_hosts: name, algorithm, base64.
    line: str
    standing: Standing


def scan(
    host: Host,
    known_hosts: Path,
    *,
    ssh_config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> tuple[ScannedKey, ...]:
    """The keys that the host shows now, best first known; none for a local connection.

    `known_hosts`, `ssh_config`, `environment` and `timeout` are the settings' known_hosts, ssh_config,
    child_environment and connect_timeout_seconds. Raises HostUnreachable, ConfigError.
    """
    if host.connection.kind == "local":
        return ()
    path = known_hosts_file(host.connection, known_hosts)
    asker = Asker(known_hosts=path, ssh_config=ssh_config, environment=environment, timeout=timeout)
    name, keys = keys_of(host, asker)
    return judge(knownhosts.read(path), name, keys)


def judge(text: str, name: str, keys: Sequence[tuple[str, str]]) -> tuple[ScannedKey, ...]:
    """How (algorithm, base64 key) pairs stand to the text of a known_hosts file. Pure."""
    entries = knownhosts.entries(text, name)
    revoked = {entry.key for entry in entries if entry.marker == knownhosts.REVOKED}
    trusted = {(entry.algorithm, entry.key) for entry in entries if entry.marker == ""}
    kinds = {algorithm for algorithm, _ in trusted}
    shows_known = bool(trusted & set(keys))

    def standing(algorithm: str, key: str) -> Standing:
        if key in revoked:
            return Standing.REVOKED
        if (algorithm, key) in trusted:
            return Standing.KNOWN
        if algorithm in kinds or (trusted and not shows_known):
            return Standing.CHANGED
        return Standing.EXTRA if trusted else Standing.NEW

    return tuple(
        ScannedKey(
            algorithm=algorithm,
            fingerprint=knownhosts.fingerprint(key),
            line=f"{name} {algorithm} {key}",
            standing=standing(algorithm, key),
        )
        for algorithm, key in keys
    )


def enrol(host: Host, keys: Sequence[ScannedKey], known_hosts: Path, *, replace: bool = False) -> Path:
    """Write the keys into the known_hosts that counts for the host, at once or not at all; the file's path.

    A key that differs from a known one is written only with `replace`; the host's other keys then go.
    Standing is judged again at this very moment. Raises HostKeyMismatch, ConfigError.
    """
    path = known_hosts_file(host.connection, known_hosts)
    if not keys:
        return path
    parts = [key.line.split() for key in keys]
    try:
        knownhosts.add(path, parts[0][0], [(algorithm, key) for _, algorithm, key in parts], replace=replace)
    except HostKeyMismatch as error:
        raise HostKeyMismatch(f"{host.name} was not enrolled in {path}. {error}") from error
    return path
