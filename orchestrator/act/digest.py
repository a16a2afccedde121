"""The bytes that a verdict is bound to: SHA-256 over everything that decides what a run does.

Action folder, role tree, extra variables, exact host names and the generated inventory. The inventory may
hold passwords, so it goes in as a keyed digest: an approval shows its digest, and nobody may guess from that.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import CatalogError, RecordError

#: Made by running, no part of an action.
_IGNORED = frozenset({"__pycache__"})


def run_digest(folder: Path, role: Path, extra: Mapping[str, Any], hosts: Sequence[str], inventory: str) -> str:
    """64 hex digits. `inventory` is the keyed digest; `extra` without the run's own id.

    Raises CatalogError where folder or role holds a link or is missing.
    """
    parts = {
        "folder": tree_digest(folder),
        "role": tree_digest(role),
        "extra": {key: extra[key] for key in sorted(extra)},
        "hosts": sorted(hosts),
        "inventory": inventory,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run_parts(
    folder: Path, role: Path, extra: Mapping[str, Any], hosts: Sequence[str], inventory: str
) -> dict[str, str]:
    """The same by part, each as 64 hex digits: so that a person can be told which part changed. Raises CatalogError."""
    policy = {key: value for key, value in extra.items() if key.startswith("healing_")}
    return {
        "playbook": tree_digest(folder),
        "role": tree_digest(role),
        "parameters": _of({key: value for key, value in extra.items() if key not in policy}),
        "policy": _of(policy),
        "hosts": _of(sorted(hosts)),
        "inventory": inventory,
    }


def _of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def tree_digest(root: Path) -> str:
    """SHA-256 over sorted relative paths, each with its length and bytes. Links are refused."""
    digest = hashlib.sha256()
    for path in tree_files(root):
        name, content = str(path.relative_to(root)).encode(), path.read_bytes()
        digest.update(b"%d:%s%d:" % (len(name), name, len(content)))
        digest.update(content)
    return digest.hexdigest()


def tree_files(root: Path) -> Iterator[Path]:
    """Plain files below `root` in order of their relative path. Raises CatalogError on anything else."""
    if root.is_symlink() or not root.is_dir():
        raise CatalogError(f"{root} is not a folder, so there is nothing that may be run.")
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _IGNORED]
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise CatalogError(f"{path} is a link or no plain file: what runs must be plain files alone.")
        found += [Path(folder, name) for name in files]
    yield from sorted(found, key=lambda path: str(path.relative_to(root)))


def copy_tree(source: Path, target: Path) -> None:
    """Copy the plain files that `tree_digest` covers, readable by the owner alone. Raises CatalogError."""
    target.mkdir(mode=0o700)
    for path in tree_files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.touch(mode=0o600, exist_ok=False)
        copy.write_bytes(path.read_bytes())


def keyed(text: str, state_dir: Path) -> str:
    """HMAC-SHA-256 of a text under this installation's own key. Raises RecordError."""
    return hmac.new(_key(state_dir), text.encode(), hashlib.sha256).hexdigest()


def _key(state_dir: Path) -> bytes:
    path = state_dir / "digest.key"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create_key(path)
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise RecordError(f"The digest key {path} can't be read or made: {error}. Nothing was started.") from error
    if len(key) != 32:
        raise RecordError(f"The digest key {path} is damaged. Remove it to make a new one; open approvals lapse.")
    return key


def _create_key(path: Path) -> None:
    """Written aside and linked in: of two that come at once the first wins, and no half key is ever read."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
