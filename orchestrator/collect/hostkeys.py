"""Which keys known_hosts holds for a name. `ssh-keygen -F` is asked: patterns, hashes and markers are its rules."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigError

#: Seconds; it only reads a file.
_LIMIT = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownKeys:
    """(algorithm, base64 key) pairs of one name."""

    trusted: frozenset[tuple[str, str]]
    revoked: frozenset[tuple[str, str]]


def known_keys(file: Path, name: str, environment: Mapping[str, str]) -> KnownKeys:
    """What the file holds for the name; nothing where there is no such file. Raises ConfigError."""
    if not file.exists():
        return KnownKeys(trusted=frozenset(), revoked=frozenset())
    try:
        done = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            env=dict(environment),
            check=False,
        )
    except FileNotFoundError as error:
        raise ConfigError("The program ssh-keygen is missing: install OpenSSH's client.") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"ssh-keygen did not read {file} within {_LIMIT:g} s; no host key could be checked."
        ) from error
    if done.returncode not in (0, 1):
        raise ConfigError(f"The known_hosts file {file} can't be read: {done.stderr.strip()[-200:]}")
    return parse(done.stdout)


def parse(text: str) -> KnownKeys:
    """The lines that `ssh-keygen -F` printed; authorities don't count, as paramiko checks no host certificate."""
    trusted: set[tuple[str, str]] = set()
    revoked: set[tuple[str, str]] = set()
    for line in text.splitlines():
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3 or marker not in ("", "@revoked"):
            continue
        (revoked if marker else trusted).add((fields[1], fields[2]))
    return KnownKeys(trusted=frozenset(trusted), revoked=frozenset(revoked))
