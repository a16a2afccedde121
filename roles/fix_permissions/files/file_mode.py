"""What a file is, whether it may be touched, which mode it should have; and sets that mode. Runs on the host, as root.

`look PATH [SAFE_DIRECTORY...]` changes nothing.
`set PATH IDENTITY FROM TO [SAFE_DIRECTORY...]` gives the file the mode TO if it still is the file that was looked at
and has one of the modes FROM (0644,0755).

One JSON object on standard output. `look`: `real`, `mode`, `wanted`, `plain`, `identity` and
`objection`, why it may not be touched (empty: it may). `set`: `changed` and `objection`. Python 3.8 and the standard
library alone.

Whoever owns a folder on the way may exchange what lies in it at any moment. So a path is walked folder by folder
without following a link, all that is judged is read from open descriptors, and the mode is set on the descriptor that
was judged.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import stat
import sys
from contextlib import contextmanager
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple

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


class Folder(NamedTuple):
    """A folder on the way to a file, as it was found when it was opened."""

    path: str
    facts: os.stat_result
    #: An access control list says who may write there, too.
    listed: bool


class File(NamedTuple):
    """What was found at a path: an open descriptor, and everything that is judged."""

    #: -1: no plain file, so it was not opened.
    handle: int
    facts: os.stat_result
    #: Extended attributes that give rights beyond the mode.
    rights: FrozenSet[str]
    noexec: bool
    #: From / down.
    above: List[Folder]


FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: O_NONBLOCK: a pipe or a lease must not hold us up.
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
ACL, CAPABILITIES = "system.posix_acl_access", "security.capability"


def carries(handle: int, attribute: str) -> bool:
    """Whether the open file has that extended attribute."""
    try:
        os.getxattr(handle, attribute)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise
    return True


@contextmanager
def reached(real: str) -> Iterator[File]:
    """The file at a path without links, open while the block runs. Raises OSError where a link is in the way."""
    folder, handle = os.open("/", FOLDER), -1
    try:
        *names, name = real.strip("/").split("/")
        path, above = "/", [Folder("/", os.fstat(folder), carries(folder, ACL))]
        for part in names:
            inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder, path = inner, os.path.join(path, part)
            above.append(Folder(path, os.fstat(folder), carries(folder, ACL)))
        facts = os.stat(name or ".", dir_fd=folder, follow_symlinks=False)
        rights, noexec = frozenset(), False
        # Before it is opened, for opening a device may start something; and after, for it may be another one by then.
        if stat.S_ISREG(facts.st_mode):
            handle = os.open(name, PLAIN, dir_fd=folder)
            facts = os.fstat(handle)
            rights = frozenset(one for one in (ACL, CAPABILITIES) if carries(handle, one))
            noexec = bool(os.fstatvfs(handle).f_flag & os.ST_NOEXEC)
        yield File(handle, facts, rights, noexec, above)
    finally:
        os.close(folder)
        if handle >= 0:
            os.close(handle)


def objection(asked: str, real: str, file: File, safe: List[str]) -> str:
    """Why this file may not be touched; empty: it may."""
    name = real if asked == real else f"{asked} (which is {real})"
    if not stat.S_ISREG(file.facts.st_mode):
        return f"{name} is no plain file"
    # Compared with the folders as they are named: one that is itself a link leads elsewhere.
    if not any(real.startswith(folder.rstrip("/") + "/") for folder in safe if folder.rstrip("/")):
        return f"{name} is under none of the safe directories ({', '.join(safe) or 'none'})"
    if forbidden(asked) or forbidden(real):
        return f"{name} decides who may log in, become root, or what the system runs"
    why = of_file(file) or of_folders(file)
    return f"{name} {why}" if why else ""


def of_file(file: File) -> str:
    """What speaks against the file itself."""
    facts = file.facts
    if facts.st_mode & 0o7000:
        return f"has a setuid, setgid or sticky bit ({stat.S_IMODE(facts.st_mode):04o})"
    # A copy of it would not have them.
    if CAPABILITIES in file.rights:
        return "has capabilities, which whoever may execute it would gain"
    if ACL in file.rights:
        return "has an access control list, so its mode alone does not say who may do what"
    if facts.st_nlink != 1:
        return f"has {facts.st_nlink} names (hard links), and all would be changed"
    if file.noexec:
        return "lies on a file system that is mounted noexec, so no mode makes it executable"
    if not user_name(facts.st_uid):
        return f"belongs to user {facts.st_uid}, who has no name here"
    return f"can be written by {writers(facts)}" if writers(facts) else ""


def of_folders(file: File) -> str:
    """What speaks against the folders above it."""
    for folder in reversed(file.above):
        facts = folder.facts
        if facts.st_uid not in (0, file.facts.st_uid):
            return f"lies below {folder.path}, which belongs to {user_name(facts.st_uid) or facts.st_uid}"
        # With a list the bits of the group are what the list may grant to anybody.
        listed = "others by an access control list" if folder.listed and facts.st_mode & stat.S_IWGRP else ""
        if writers(facts) or listed:
            return f"lies below {folder.path}, where {writers(facts) or listed} may write and could swap it"
    return ""


def printable(text: str) -> str:
    """Text that a terminal and a log can take: what is not printable is written as its escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def resolved(asked: str) -> str:
    """The path without links. Raises OSError."""
    try:
        return os.path.realpath(asked)
    except RecursionError:
        # Older Pythons recurse into a chain of links that no system call would follow.
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def odd(asked: str) -> str:
    """Why such a path is not even looked at."""
    if not os.path.isabs(asked) or os.path.normpath(asked) != asked:
        return f"{printable(asked)} is no absolute path in its plain form"
    return "" if asked.isprintable() else f"{printable(asked)} is a name with unprintable characters"


def identity(facts: os.stat_result) -> str:
    """What tells a file from another one of its name."""
    return f"{facts.st_dev}:{facts.st_ino}:{facts.st_uid}"


def look(asked: str, safe: List[str]) -> Dict[str, Any]:
    """What `look` answers."""
    if odd(asked):
        return {"objection": odd(asked)}
    try:
        real = resolved(asked)
        if odd(real):
            return {"objection": odd(real)}
        with reached(real) as file:
            mode = stat.S_IMODE(file.facts.st_mode)
            return {
                "real": real,
                "mode": f"{mode:04o}",
                "wanted": f"{wanted_mode(mode):04o}",
                "plain": stat.S_ISREG(file.facts.st_mode),
                # The same name may be another file by the time of the change, or of a rollback.
                "identity": identity(file.facts),
                "objection": printable(objection(asked, real, file, safe)),
            }
    except OSError as error:
        return {"objection": f"{asked} can't be looked at ({error.strerror})"}


def set_mode(asked: str, known: str, before: List[int], after: int, safe: List[str]) -> Dict[str, Any]:
    """What `set` answers: the file is judged again, and nothing but what was judged is changed."""
    if odd(asked):
        return {"changed": False, "objection": odd(asked)}
    try:
        real = resolved(asked)
        if odd(real):
            return {"changed": False, "objection": odd(real)}
        with reached(real) as file:
            why = printable(objection(asked, real, file, safe)) or strange(asked, file.facts, known, before)
            if why or stat.S_IMODE(file.facts.st_mode) == after:
                return {"changed": False, "objection": why}
            os.fchmod(file.handle, after & 0o777)
            became = stat.S_IMODE(os.fstat(file.handle).st_mode)
    except OSError as error:
        return {"changed": False, "objection": f"the mode of {asked} can't be set ({error.strerror})"}
    why = "" if became == after else f"{asked} has the mode {became:04o} after it was given {after:04o}"
    return {"changed": became != stat.S_IMODE(file.facts.st_mode), "objection": why}


def strange(asked: str, facts: os.stat_result, known: str, before: List[int]) -> str:
    """Why this is not the file that was looked at, or not as it was then; empty: it is."""
    mode = stat.S_IMODE(facts.st_mode)
    if identity(facts) != known:
        return f"{asked} is another file than the one that was looked at, or has another owner"
    return "" if mode in before else f"{asked} has another mode than when it was looked at ({mode:04o})"


def main(mode: str, asked: str, *rest: str) -> Dict[str, Any]:
    """The answer to a command line."""
    if mode == "look":
        return look(asked, list(rest))
    known, before, after, *safe = rest
    return set_mode(asked, known, [int(one, 8) for one in before.split(",")], int(after, 8), safe)


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
