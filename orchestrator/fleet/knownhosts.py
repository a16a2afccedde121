"""known_hosts as text: which keys a name has, and the text with a name's keys added. Pure but for one writer.

The format is sshd(8)'s: names may be plain, patterns with `*`, `?` and `!`, or hashed (`|1|salt|hmac`); a line may
start with a marker. Lines that we do not understand stay as they are.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigError, HostKeyMismatch

_HASHED = "|1|"
REVOKED = "@revoked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of known_hosts that names the host."""

    #: Counted from 1, as ssh and ssh-keygen do.
    number: int
    #: `@revoked`, `@cert-authority` or ''.
    marker: str
    names: str
    algorithm: str
    #: Base64, as in the file.
    key: str


def entries(text: str, name: str) -> tuple[Entry, ...]:
    """Lines of the file's text whose names match `name`."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) >= 3 and not fields[0].startswith("#") and _matches(fields[0], name):
            names, algorithm, key = fields[:3]
            found.append(Entry(number=number, marker=marker, names=names, algorithm=algorithm, key=key))
    return tuple(found)


def _matches(names: str, name: str) -> bool:
    if names.startswith(_HASHED):
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in names[len(_HASHED) :].split("|"))
        except (ValueError, binascii.Error):
            return False
        return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), digest)
    patterns = names.lower().split(",")
    if any(pattern.startswith("!") and _glob(pattern[1:], name) for pattern in patterns):
        return False
    return any(_glob(pattern, name) for pattern in patterns)


def _glob(pattern: str, name: str) -> bool:
    # Not fnmatch: the brackets of `[address]:port` are no set of letters.
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name.lower(), re.DOTALL) is not None


def hashed_name(name: str, salt: bytes) -> str:
    """`|1|salt|hmac`, as HashKnownHosts writes it; 20 bytes of salt."""
    digest = hmac.new(salt, name.encode(), "sha1").digest()
    return f"{_HASHED}{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def fingerprint(key: str) -> str:
    """`SHA256:...` as ssh-keygen shows it; ValueError where `key` is no base64."""
    digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def with_keys(text: str, name: str, keys: Iterable[tuple[str, str]], *, replace: bool) -> str:
    """The text with (algorithm, key) pairs added under `name`; what is known already is not repeated.

    A key that differs from what the file has for the name is written only with `replace`, and then every other key
    of the name goes. Names are hashed where the file's are. Raises HostKeyMismatch: a differing key without
    `replace`, a revoked key always, a replacement where a pattern holds the old key.
    """
    wanted = tuple(keys)
    offered = {key for _, key in wanted}
    present = [entry for entry in entries(text, name) if entry.marker == ""]
    for entry in entries(text, name):
        if entry.marker == REVOKED and entry.key in offered:
            raise HostKeyMismatch(f"The key of {name} is revoked (line {entry.number} of known_hosts).")
    stale = [entry for entry in present if entry.key not in offered]
    differs = stale and not any(entry.key in offered for entry in present)
    changed = [old for old in stale if any(old.algorithm == algorithm for algorithm, _ in wanted)]
    if (differs or changed) and not replace:
        old = (changed or stale)[0]
        raise HostKeyMismatch(
            f"The key of {name} differs from the {old.algorithm} key on line {old.number} of known_hosts: "
            "somebody may be in between, or the host was set up anew. Compare the fingerprint on the host, "
            "then replace it with `healer trust --replace`."
        )
    lines = _without(text.splitlines(), stale, name) if replace else text.splitlines()
    have = {(entry.algorithm, entry.key) for entry in present}
    for algorithm, key in wanted:
        if (algorithm, key) not in have:
            lines.append(f"{_written(name, text)} {algorithm} {key}")
    return "\n".join(lines) + "\n" if lines else ""


def _without(lines: list[str], stale: Iterable[Entry], name: str) -> list[str]:
    """The lines without the name's stale keys; other names on such a line keep theirs."""
    kept: list[str | None] = list(lines)
    for entry in stale:
        names = entry.names.split(",")
        others = [other for other in names if other.lower() != name.lower()]
        if entry.names.startswith(_HASHED):
            others = []
        elif len(others) == len(names) or any(set("*?!") & set(other) for other in others):
            raise HostKeyMismatch(
                f"The old key of {name} stands under a pattern on line {entry.number} of known_hosts; "
                "take it out by hand, it may be another host's too."
            )
        rest = f"{','.join(others)} {entry.algorithm} {entry.key}"
        kept[entry.number - 1] = rest if others else None
    return [line for line in kept if line is not None]


def _written(name: str, text: str) -> str:
    hashes = any(line.startswith(_HASHED) for line in text.splitlines())
    return hashed_name(name, secrets.token_bytes(20)) if hashes else name


def read(path: Path) -> str:
    """The file's text; '' where there is none. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"The known_hosts file {path} can't be read: {error.strerror}.") from error


def add(path: Path, name: str, keys: Iterable[tuple[str, str]], *, replace: bool) -> None:
    """Write `with_keys` to the file at once or not at all; mode 0600, folder 0700 where it is missing.

    Raises HostKeyMismatch as `with_keys`, ConfigError where the file can't be written.
    """
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"The known_hosts file {path} can't be written: {error.strerror}.") from error
    try:
        # Two enrolments at a time would otherwise lose one of the two. The folder, as the file is replaced.
        fcntl.flock(folder, fcntl.LOCK_EX)
        before = read(target)
        after = with_keys(before, name, keys, replace=replace)
        if after != before:
            _write(target, after)
            os.fsync(folder)
    except OSError as error:
        raise ConfigError(f"The known_hosts file {path} can't be written: {error.strerror}.") from error
    finally:
        os.close(folder)


def _write(target: Path, text: str) -> None:
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode("utf-8", errors="surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                # Root may enrol into another user's file: it stays that user's.
                os.fchown(file.fileno(), target.stat().st_uid, target.stat().st_gid)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
