"""SSH keys of a lab, made on the controller: so its known_hosts is complete before the first connection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def ensure_key(path: Path, comment: str) -> str:
    """Make an Ed25519 key at `path` (0600) with `path`.pub unless both exist; returns the public line."""
    public = path.with_name(path.name + ".pub")
    if not (path.exists() and public.exists()):
        key = Ed25519PrivateKey.generate()
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        write(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(), mode=0o600)
        write(public, f"{line} {comment}\n")
    return public.read_text(encoding="utf-8").strip()


def known_hosts_lines(hosts: Mapping[str, tuple[str, str]]) -> str:
    """known_hosts text for name -> (address, public line): each key under the host's name and its address."""
    rows = []
    for name, (address, public) in hosts.items():
        kind, key = public.split()[:2]
        rows.append(f"{name},{address} {kind} {key}\n")
    return "".join(rows)


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file as a whole, so that nobody reads half of it."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        file.write(text)
    fresh.replace(path)
