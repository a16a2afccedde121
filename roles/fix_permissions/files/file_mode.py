"""What a file is, whether it may be touched, which owner and mode it should have; and sets them. Runs as root.

What the file holds decides what can be wrong with it: a program (`#!`, ELF) may lack its execute bit; anything else may
have lost the owner that the host's configuration declares for it, and gets that back, never an execute bit.

`look PATH [SAFE_DIRECTORY...]` changes nothing.
`set PATH IDENTITY FROM TO [SAFE_DIRECTORY...]` gives the file the owner, group and mode TO (0:0:0644) if it still is
the file that was looked at and has one of FROM (0:0:0644,0:0:0755).

One JSON object on standard output. `look`: `real`, `access` and `wanted` (owner, group, mode), `identity`, `symptom`
(empty: none), `doubt`, why it can't be told, and `objection`, why it may not be touched (both empty: no reason). `set`:
`changed` and `objection`. Python 3.8 and the standard library alone.

Whoever owns a folder on the way may exchange what lies in it at any moment. So a path is walked folder by folder
without following a link, all that is judged is read from open descriptors, and owner and mode are set on the descriptor
that was judged.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

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
#: Never given to anybody, whatever declares it.
SECRET = re.compile(
    r"(?i)(?:^|/)(?:id_|ssh_host_|\.env|\.netrc|\.pgpass|\.htpasswd)[^/]*$|/(?:private|secrets?|pki|tls|certs?)/|"
    r"(?:_key|\.(?:key|pem|p12|pfx|jks|kdbx|keytab|gpg|asc|age|env|ovpn|htpasswd))$|"
    r"credential|privkey|private[-_]?key|passw|shadow"
)
#: Below these a unit's folders lie.
OWN_FOLDERS = {"LogsDirectory": "/var/log", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}
UNITS = f"--property=Id,LoadState,User,Group,SupplementaryGroups,DynamicUser,{','.join(OWN_FOLDERS)}"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LINKS = "/proc/sys/fs/protected_hardlinks"


def forbidden(path: str) -> bool:
    """Whether no safe directory reaches that far."""
    trees = any(path == tree or path.startswith(f"{tree}/") for tree in FORBIDDEN_TREES)
    return trees or bool(FORBIDDEN_NAMES & set(path.split("/"))) or any(part in path for part in FORBIDDEN_PARTS)


def wanted_mode(mode: int) -> int:
    """The mode with execute for the owner and for everybody who may read: they could run a copy anyway."""
    return mode | stat.S_IXUSR | (mode & 0o444) >> 2


class Access(NamedTuple):
    """Whose a file is, and its mode."""

    uid: int
    gid: int
    mode: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}:{self.mode:04o}"

    def named(self) -> str:
        """In words for a person."""
        return f"{user_name(self.uid) or self.uid}:{group_name(self.gid)} {self.mode:04o}"


def access(facts: os.stat_result) -> Access:
    """What was found."""
    return Access(facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode))


def writers(found: Access) -> str:
    """Who else than root and the owner may write there; empty: nobody."""
    if found.mode & stat.S_IWOTH:
        return "everybody"
    if found.mode & stat.S_IWGRP and found.gid != 0:
        group = group_name(found.gid)
        # A group of the owner's own name is the owner alone, as Debian makes it with each user.
        return "" if group == user_name(found.uid) and not grp.getgrnam(group).gr_mem else f"the group {group}"
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


class Doubt(Exception):
    """Why it can't be told what is wrong with a file."""


class Owner(NamedTuple):
    """Whose a file is by what the host's configuration declares."""

    user: str
    uid: int
    gid: int
    groups: FrozenSet[int]
    #: None: no mode is declared.
    mode: Optional[int]
    source: str

    def may(self, bits: int, found: Access) -> bool:
        """Whether the owner may read (4) or write (2) what has been found so."""
        shift = 6 if found.uid == self.uid else 3 if found.gid in self.groups else 0
        return bool(found.mode >> shift & bits)


def said(*command: str, fine: Tuple[int, ...] = (0, 127)) -> str:
    """What one of the host's own programs prints; nothing where the host has no such program. Raises Doubt."""
    try:
        done = subprocess.run(
            ["env", f"PATH={PATH}", "LC_ALL=C", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=2.5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise Doubt(f"is no program, and {command[0]} can't be asked whose it is") from None
    if done.returncode not in fine:
        raise Doubt(f"is no program, and {command[0]} can't tell whose it is (code {done.returncode})")
    return done.stdout.decode("utf-8", "replace")


def owner(user: str, group: str, mode: str, source: str, supplementary: str = "") -> Owner:
    """The declared owner, as this host knows the names. Raises Doubt."""
    try:
        known = pwd.getpwnam(user)
        gid = known.pw_gid if group in ("", "-") else grp.getgrnam(group).gr_gid
        more = {grp.getgrnam(one).gr_gid for one in supplementary.split()}
    except KeyError:
        raise Doubt(f"is declared for {user}:{group} by {source}, whom this host does not know") from None
    # Nothing that anybody could execute, that others could write, or that would still deny its owner.
    if mode != "-" and not re.fullmatch(r"0?6[0246][04]", mode):
        raise Doubt(f"is declared with the mode {mode} by {source}, which is left to a person")
    groups = frozenset({gid, *more, *os.getgrouplist(user, gid)})
    return Owner(user, known.pw_uid, gid, groups, None if mode == "-" else int(mode, 8), source)


def of_units(folder: str) -> Iterator[Owner]:
    """For whom the loaded services declare a folder."""
    for block in said("systemctl", "show", UNITS, "--", "*.service").split("\n\n"):
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        declared = {f"{root}/{name}" for key, root in OWN_FOLDERS.items() for name in told.get(key, "").split()}
        if folder in declared and told.get("LoadState") == "loaded":
            # Who that is changes with each start.
            if told.get("DynamicUser") != "no":
                raise Doubt(f"is no program, and {told.get('Id')} has no user of its own")
            who = told.get("User") or "root", told.get("Group", "")
            yield owner(*who, "-", told.get("Id", "a unit"), told.get("SupplementaryGroups", ""))


def of_path(path: str) -> Iterator[Owner]:
    """For whom tmpfiles.d and dpkg-statoverride declare exactly this path."""
    for line in said("systemd-tmpfiles", "--cat-config").splitlines():
        kind, name, mode, user, group = (line.split() + ["-"] * 5)[:5]
        # With a colon it holds for what is made new alone.
        if re.fullmatch(r"[fFzZ][+!=^~$-]*", kind) and name == path and user.strip(":-") and user[0] != ":":
            yield owner(user, group, mode, "tmpfiles.d")
    for line in said("dpkg-statoverride", "--list", fine=(0, 1, 127)).splitlines():
        user, group, mode, name = (line.split(None, 3) + [""] * 4)[:4]
        if name == path:
            yield owner(user, group, mode, "dpkg-statoverride")


def declared(path: str) -> Owner:
    """The one owner that the host's configuration declares for a file. Raises Doubt."""
    # systemctl lists the services in no order of its own.
    found = [*of_path(path), *sorted(of_units(os.path.dirname(path)), key=lambda one: one.source)]
    if not found:
        raise Doubt("is no program (neither #! nor ELF), and nothing declares whose it is")
    first, other = found[0], next((one for one in found if one[1:3] != found[0][1:3]), None)
    if other:
        raise Doubt(f"is {first.user}'s by {first.source} and {other.user}'s by {other.source}")
    if first.uid == 0:
        raise Doubt(f"is root's by {first.source}, whom no mode denies anything")
    return first


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


class Judgement(NamedTuple):
    """What is wrong with a file, and what speaks against mending it; empty: nothing."""

    wanted: Access
    symptom: str = ""
    doubt: str = ""
    objection: str = ""


def judged(asked: str, real: str, file: File, safe: List[str]) -> Judgement:
    """Looks at everything that counts."""
    name, found = real if asked == real else f"{asked} (which is {real})", access(file.facts)
    if not stat.S_ISREG(file.facts.st_mode):
        doubt = f"{name} is no plain file"
        return Judgement(found, doubt=doubt, objection=doubt)
    where = of_place(asked, real, safe)
    try:
        whose = None if program(file) else declared(real)
    except Doubt as error:
        return Judgement(found, doubt=f"{name} {error}", objection=f"{name} {where or error}")
    wanted = wanted_access(found, whose)
    why = where or of_file(file, whose, wanted) or (whose and of_gift(real, file, whose)) or of_folders(file, whose)
    symptom, others = symptom_of(real, found, wanted, whose), writers(found)
    # Nothing that is mended here, and not well either.
    doubt = f"{name} can be written by {others}" if others and not symptom else ""
    return Judgement(wanted, symptom, doubt, objection=f"{name} {why}" if why else "")


def program(file: File) -> bool:
    """Whether the kernel would run it, had it the bit."""
    begin = os.pread(file.handle, 4, 0)
    return begin.startswith(b"#!") or begin == b"\x7fELF"


def wanted_access(found: Access, whose: Optional[Owner]) -> Access:
    """What a file should have: a program its execute bits, anything else an owner who may write it."""
    if whose is None:
        return found._replace(mode=wanted_mode(found.mode))
    if whose.may(2, found):
        return found
    return Access(whose.uid, whose.gid, found.mode | 0o600 if whose.mode is None else whose.mode)


def symptom_of(real: str, found: Access, wanted: Access, whose: Optional[Owner]) -> str:
    """What is wrong, in a sentence; empty: nothing."""
    if found == wanted:
        return ""
    if whose is None:
        return f"{real} can be read but not executed (mode {found.mode:04o}, should be {wanted.mode:04o})"
    return (
        f"{real} can't be written by {whose.user}, whose it is by {whose.source} ({found.named()}, should be "
        f"{wanted.named()})"
    )


def of_place(asked: str, real: str, safe: List[str]) -> str:
    """What speaks against the path."""
    # Compared with the folders as they are named: one that is itself a link leads elsewhere.
    if not any(real.startswith(folder.rstrip("/") + "/") for folder in safe if folder.rstrip("/")):
        return f"is under none of the safe directories ({', '.join(safe) or 'none'})"
    if forbidden(asked) or forbidden(real):
        return "decides who may log in, become root, or what the system runs"
    return ""


def of_file(file: File, whose: Optional[Owner], wanted: Access) -> str:
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
    if file.noexec and whose is None:
        return "lies on a file system that is mounted noexec, so no mode makes it executable"
    if not user_name(facts.st_uid):
        return f"belongs to user {facts.st_uid}, who has no name here"
    others = writers(access(facts)) or writers(wanted)
    return f"can be written by {others}" if others else ""


def of_gift(real: str, file: File, whose: Owner) -> str:
    """What speaks against giving a file to somebody who may have put it there."""
    facts = file.facts
    if SECRET.search(real):
        return "is named like a secret"
    if facts.st_uid not in (0, whose.uid):
        return f"belongs to {user_name(facts.st_uid)}, who is neither root nor {whose.user}"
    # Moved here from a folder that both may write, it would tell what only root should know.
    if facts.st_uid != whose.uid and facts.st_size and not whose.may(4, access(facts)):
        return f"can't be read by {whose.user} and is not empty, so it may hold what only root should know"
    try:
        with open(LINKS, encoding="ascii") as setting:
            linked = setting.read().strip() != "1"
    except OSError:
        linked = True
    return "lies where anybody may link to anybody's file (fs.protected_hardlinks is not 1)" if linked else ""


def of_folders(file: File, whose: Optional[Owner]) -> str:
    """What speaks against the folders above it."""
    uid = whose.uid if whose else file.facts.st_uid
    for folder in reversed(file.above):
        facts = folder.facts
        if facts.st_uid not in (0, uid):
            return f"lies below {folder.path}, which belongs to {user_name(facts.st_uid) or facts.st_uid}"
        # With a list the bits of the group are what the list may grant to anybody.
        listed = "others by an access control list" if folder.listed and facts.st_mode & stat.S_IWGRP else ""
        others = writers(access(facts)) or listed
        if others:
            return f"lies below {folder.path}, where {others} may write and could swap it"
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
    return f"{facts.st_dev}:{facts.st_ino}"


def look(asked: str, safe: List[str]) -> Dict[str, Any]:
    """What `look` answers."""
    if odd(asked):
        return unseen(odd(asked))
    try:
        real = resolved(asked)
        if odd(real):
            return unseen(odd(real))
        with reached(real) as file:
            found = judged(asked, real, file, safe)
            return {
                "real": real,
                "access": str(access(file.facts)),
                "wanted": str(found.wanted),
                # The same name may be another file by the time of the change, or of a rollback.
                "identity": identity(file.facts),
                "symptom": printable(found.symptom),
                "doubt": printable(found.doubt),
                "objection": printable(found.objection),
            }
    except OSError as error:
        return unseen(f"{asked} can't be looked at ({error.strerror})")


def unseen(why: str) -> Dict[str, Any]:
    """What `look` answers of what it did not get to see."""
    return {"doubt": why, "objection": why}


def set_access(asked: str, known: str, before: List[str], after: str, safe: List[str]) -> Dict[str, Any]:
    """What `set` answers: the file is judged again, and nothing but what was judged is changed."""
    if odd(asked):
        return {"changed": False, "objection": odd(asked)}
    try:
        real = resolved(asked)
        if odd(real):
            return {"changed": False, "objection": odd(real)}
        with reached(real) as file:
            found, judgement = access(file.facts), judged(asked, real, file, safe)
            why = printable(judgement.objection) or strange(asked, file.facts, known, before)
            # A rollback goes back to what was; an act only to what is right by now, too.
            if not why and after not in (*before, str(judgement.wanted)):
                why = f"{asked} should have another owner or mode than when it was looked at"
            if why or str(found) == after:
                return {"changed": False, "objection": why}
            uid, gid, mode = after.split(":")
            if (int(uid), int(gid)) != found[:2]:
                os.fchown(file.handle, int(uid), int(gid))
            try:
                os.fchmod(file.handle, int(mode, 8) & 0o777)
            except OSError:
                os.fchown(file.handle, found.uid, found.gid)
                raise
            became = access(os.fstat(file.handle))
    except OSError as error:
        return {"changed": False, "objection": f"owner and mode of {asked} can't be set ({error.strerror})"}
    why = "" if str(became) == after else f"{asked} has {became} after it was given {after}"
    return {"changed": became != found, "objection": why}


def strange(asked: str, facts: os.stat_result, known: str, before: List[str]) -> str:
    """Why this is not the file that was looked at, or not as it was then; empty: it is."""
    if identity(facts) != known:
        return f"{asked} is another file than the one that was looked at"
    found = access(facts)
    if str(found) in before:
        return ""
    return printable(f"{asked} has another owner or mode than when it was looked at ({found.named()})")


def main(mode: str, asked: str, *rest: str) -> Dict[str, Any]:
    """The answer to a command line."""
    if mode == "look":
        return look(asked, list(rest))
    known, before, after, *safe = rest
    return set_access(asked, known, before.split(","), after, safe)


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
