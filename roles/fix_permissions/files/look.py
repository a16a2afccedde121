"""What a file is, whether it may be touched, and which mode it should have. Runs on the host, as root.

Usage: look.py PATH [SAFE_DIRECTORY...]. One JSON object on standard output: `real`, `mode`, `wanted`, `identity` and
`objection`, why it may not be touched (empty: it may). Python 3.8 and the standard library alone.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
import sys
from typing import Any

#: What decides who may log in, become root or what systemd runs is never touched, wherever it lies. As in
#: orchestrator/guard/protected.py; a contract test holds the two together.
FORBIDDEN_NAMES = frozenset(
    {".ssh", ".gnupg", "authorized_keys", "authorized_keys2", "id_rsa", "id_ed25519", "id_ecdsa"}
    | {"shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d"}
)
FORBIDDEN_TREES = (
    *("/etc/systemd", "/usr/lib/systemd", "/lib/systemd", "/usr/local/lib/systemd", "/run/systemd"),
    *("/etc/ssh", "/etc/pam.d", "/etc/security", "/etc/polkit-1", "/etc/passwd", "/etc/group"),
    *("/boot", "/efi", "/dev", "/proc", "/sys"),
)
FORBIDDEN_PARTS = ("/.config/systemd/", "/.local/share/systemd/")


def forbidden(path: str) -> bool:
    """Whether no safe directory reaches that far."""
    trees = any(path == tree or path.startswith(f"{tree}/") for tree in FORBIDDEN_TREES)
    return trees or bool(FORBIDDEN_NAMES & set(path.split("/"))) or any(part in path for part in FORBIDDEN_PARTS)


def wanted_mode(mode: int) -> int:
    """The mode with execute for the owner and for everybody who may read: they could run a copy anyway."""
    return mode | stat.S_IXUSR | (mode & 0o444) >> 2


def writers(facts: os.stat_result) -> str:
    """Who else than root and the owner may write there; empty: nobody."""
    if facts.st_mode & stat.S_IWOTH:
        return "everybody"
    if facts.st_mode & stat.S_IWGRP and facts.st_gid != 0:
        group = group_name(facts.st_gid)
        # A group of the owner's own name is the owner alone, as Debian makes it with each user.
        return "" if group == user_name(facts.st_uid) and not grp.getgrnam(group).gr_mem else f"the group {group}"
    return ""


def user_name(uid: int) -> str:
    """The user's name; empty: the host has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def group_name(gid: int) -> str:
    """The group's name; its number where the host has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def objection(asked: str, real: str, facts: os.stat_result, safe: list[str]) -> str:
    """Why this file may not be touched; empty: it may."""
    name = real if asked == real else f"{asked} (which is {real})"
    if not stat.S_ISREG(facts.st_mode):
        return f"{name} is no plain file"
    # Compared with the folders as they are named: one that is itself a link leads elsewhere.
    if not any(real.startswith(folder.rstrip("/") + "/") for folder in safe if folder.rstrip("/")):
        return f"{name} is under none of the safe directories ({', '.join(safe) or 'none'})"
    if forbidden(asked) or forbidden(real):
        return f"{name} decides who may log in, become root, or what the system runs"
    if facts.st_mode & 0o7000:
        return f"{name} has a setuid, setgid or sticky bit ({stat.S_IMODE(facts.st_mode):04o})"
    if facts.st_nlink != 1:
        return f"{name} has {facts.st_nlink} names (hard links), and all would be changed"
    if not user_name(facts.st_uid):
        return f"{name} belongs to user {facts.st_uid}, who has no name here"
    if writers(facts):
        return f"{name} can be written by {writers(facts)}"
    folder = os.path.dirname(real)
    while True:
        around = os.lstat(folder)
        if around.st_uid not in (0, facts.st_uid):
            return f"{name} lies below {folder}, which belongs to {user_name(around.st_uid) or around.st_uid}"
        if writers(around):
            return f"{name} lies below {folder}, where {writers(around)} may write and could swap it"
        if folder == "/":
            return ""
        folder = os.path.dirname(folder)


def look(asked: str, safe: list[str]) -> dict[str, Any]:
    """The answer. Touches nothing, and follows links only to name where they lead."""
    if not os.path.isabs(asked) or os.path.normpath(asked) != asked:
        return {"objection": f"{asked} is no absolute path in its plain form"}
    real = os.path.realpath(asked)
    try:
        facts = os.lstat(real)
    except OSError as error:
        return {"objection": f"{asked} can't be looked at ({error.strerror})"}
    mode = stat.S_IMODE(facts.st_mode)
    return {
        "real": real,
        "mode": f"{mode:04o}",
        "wanted": f"{wanted_mode(mode):04o}",
        "plain": stat.S_ISREG(facts.st_mode),
        # The same name may be another file by the time of a rollback.
        "identity": f"{facts.st_dev}:{facts.st_ino}:{facts.st_uid}",
        "objection": objection(asked, real, facts, safe),
    }


if __name__ == "__main__":
    json.dump(look(sys.argv[1], sys.argv[2:]), sys.stdout)
