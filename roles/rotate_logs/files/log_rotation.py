"""Whether a host's logs are rotated as they should be, and the remedy. Runs on the host, as root.

`look PATH [SAFE_DIRECTORY...] -- [PROTECTED_UNIT...]` changes nothing; an empty PATH means the rotation job as a whole.
`act PATH ...` does what `look` named.

One JSON object on standard output. `look`: `sick` (why it should be done), `doubt` (it can't be told), `objection` (why
it may not be done) and `steps`. `act`: `changed`, `did`, `objection` (it was left alone after all) and `failed`. Python
3.8 and the standard library alone.

Nothing that was logged is lost. A log that logrotate's configuration owns is rotated by logrotate, as configured. The
beginning of another log is copied, the copy is read back, and then exactly that beginning is cut off in one call
(FALLOC_FL_COLLAPSE_RANGE): whoever appends meanwhile appends to what stays, so no program is stopped or told.
"""

from __future__ import annotations

import errno
import fnmatch
import grp
import json
import os
import pwd
import re
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

MIB = 1024 * 1024
#: A log is too large beyond this, or beyond this share of its file system where that is less.
LARGE, LARGE_SHARE = 100 * MIB, 0.25
#: Larger ones take longer to compress than an act may last.
LARGEST = 4096 * MIB
#: A copy may take this share of the room that is left.
ROOM_SHARE = 0.5
#: A line that crosses the cut is copied to its end, up to this length.
LINE = MIB
#: Seconds: a look at the configuration, the rotation itself, writers that open the new log, and a copy.
LOOK, ROTATE, REOPEN, COPY = 20.0, 180.0, 10.0, 150.0
LOGROTATE, CONFIGURATION, UNIT = "/usr/sbin/logrotate", "/etc/logrotate.conf", "logrotate.service"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOGS = "/var/log/"

#: Records of who logged in and did what: whoever fills them must not have them rotated away.
SECURITY = re.compile(r"(auth|secure|wtmp|btmp|utmp|lastlog|faillog|tallylog|sudo|audit|sulog)([-._].*)?")
#: Folders whose files other programs keep in order.
KEPT = frozenset({"journal", "audit", "private"})
#: app.log.1, app.log.2.gz, app.log-20240131, app-20240131.log.xz, app.log.old
ROTATED = re.compile(
    r".+(\.[0-9]{1,3}|[-.][0-9]{8}(-?[0-9]{2,10})?(\.log)?|\.old)(\.(gz|bz2|xz|zst|lz4|Z))?|.+\.(gz|bz2|xz|zst|lz4|Z|zip)"
)
#: What a log that no configuration owns must be called.
LOG = re.compile(r"[\w@+.-]+\.(log|out|err)|syslog|messages|maillog|debug")


def run(command: Sequence[str], seconds: float) -> Tuple[int, str]:
    """Exit code and output; 124: it took too long, 127: there is no such program."""
    try:
        done = subprocess.run(
            ["env", f"PATH={PATH}", "LC_ALL=C", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not end within {seconds:g} s"
    return done.returncode, done.stdout.decode(errors="replace")


def printable(text: str) -> str:
    """Text that a terminal and a log can take: what is not printable is written as its escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


# The file ------------------------------------------------------------------------------------------


def writers_by_mode(facts: os.stat_result) -> str:
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
    """What was found at a path, by open descriptors."""

    path: str
    name: str
    #: -1: no plain file, so it was not opened.
    handle: int
    #: The folder that it lies in.
    folder: int
    facts: os.stat_result
    #: From / down.
    above: List[Folder]


FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: O_NONBLOCK: a pipe or a lease must not hold us up.
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def listed(handle: int) -> bool:
    """Whether the open file has an access control list."""
    try:
        os.getxattr(handle, "system.posix_acl_access")
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
        path, above = "/", [Folder("/", os.fstat(folder), listed(folder))]
        for part in names:
            inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder, path = inner, os.path.join(path, part)
            above.append(Folder(path, os.fstat(folder), listed(folder)))
        facts = os.stat(name or ".", dir_fd=folder, follow_symlinks=False)
        # Before it is opened, for opening a device may start something; and after, for it may be another one by then.
        if stat.S_ISREG(facts.st_mode):
            handle = os.open(name, PLAIN, dir_fd=folder)
            facts = os.fstat(handle)
        yield File(real, name, handle, folder, facts, above)
    finally:
        os.close(folder)
        if handle >= 0:
            os.close(handle)


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


def of_path(real: str, safe: Sequence[str]) -> str:
    """What speaks against a log, by where it lies."""
    if not any(real.startswith(folder.rstrip("/") + "/") for folder in safe if folder.rstrip("/")):
        return f"is under none of the safe directories ({', '.join(safe) or 'none'})"
    if not real.startswith(LOGS):
        return f"does not lie below {LOGS.rstrip('/')}"
    *folders, name = real.split("/")
    if KEPT & set(folders):
        return "lies where another program keeps its files in order"
    if SECURITY.fullmatch(name):
        return "is a security record"
    return "was rotated or compressed before" if ROTATED.fullmatch(name) else ""


def of_file(file: File) -> str:
    """What speaks against the file itself, and the folders above it."""
    facts = file.facts
    if facts.st_nlink != 1:
        return f"has {facts.st_nlink} names (hard links)"
    if facts.st_mode & 0o7000:
        return f"has a setuid, setgid or sticky bit ({stat.S_IMODE(facts.st_mode):04o})"
    if not user_name(facts.st_uid):
        return f"belongs to user {facts.st_uid}, who has no name here"
    for folder in reversed(file.above):
        if folder.facts.st_uid not in (0, facts.st_uid):
            return f"lies below {folder.path}, which belongs to {user_name(folder.facts.st_uid) or folder.facts.st_uid}"
        # With a list the bits of the group are what the list may grant to anybody.
        by_list = "others by an access control list" if folder.listed and folder.facts.st_mode & stat.S_IWGRP else ""
        if writers_by_mode(folder.facts) or by_list:
            return f"lies below {folder.path}, where {writers_by_mode(folder.facts) or by_list} may write"
    return ""


def limit(file: File) -> int:
    """The size beyond which this log is too large."""
    room = os.fstatvfs(file.handle)
    return int(min(LARGE, LARGE_SHARE * room.f_blocks * room.f_frsize))


def available(file: File) -> int:
    """The room that is left where it lies, in bytes."""
    room = os.fstatvfs(file.handle)
    return room.f_bavail * room.f_frsize


def size(file: File) -> int:
    """Its size now."""
    return os.fstat(file.handle).st_size


# Who writes to it ----------------------------------------------------------------------------------


class Writer(NamedTuple):
    """A process that holds a file open to write."""

    who: str
    appends: bool


def writers(facts: os.stat_result) -> List[Writer]:
    """All that hold the file open to write."""
    found: Dict[str, Writer] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for number in entries(f"/proc/{pid}/fd"):
            try:
                other = os.stat(f"/proc/{pid}/fd/{number}")
                if (other.st_dev, other.st_ino) != (facts.st_dev, facts.st_ino):
                    continue
                flags = int(re.findall(r"^flags:\s*([0-7]+)", text(f"/proc/{pid}/fdinfo/{number}"), re.MULTILINE)[0], 8)
                who = f"{printable(text(f'/proc/{pid}/comm').strip())} ({pid})"
            except (OSError, IndexError):
                continue  # The process has ended or closed it.
            if flags & os.O_ACCMODE:
                appends = bool(flags & os.O_APPEND) and (who not in found or found[who].appends)
                found[who] = Writer(who, appends)
    return list(found.values())


def entries(folder: str) -> List[str]:
    """A folder's entries; none where it is gone."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def text(path: str) -> str:
    """A file's text. Raises OSError."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# logrotate -----------------------------------------------------------------------------------------


class Rotation(NamedTuple):
    """How this host runs logrotate, and what a run in debug mode says."""

    #: Its program and arguments, as the unit has them.
    command: Tuple[str, ...]
    #: What systemd says of the unit.
    unit: Dict[str, str]
    state: str
    code: int
    said: str

    @property
    def has_unit(self) -> bool:
        """Whether systemd runs it; else cron does."""
        return self.unit.get("LoadState") == "loaded"

    @property
    def failed(self) -> bool:
        """Whether its last run failed."""
        return self.unit.get("ActiveState") == "failed"

    @property
    def errors(self) -> List[str]:
        """What it complains of, but for the state file."""
        return [line for line in complaints(self.said) if self.state not in line]

    @property
    def state_errors(self) -> List[str]:
        """What it complains of in its state file."""
        # Later come names of logs, which others may choose.
        head = self.said.partition("\nHandling ")[0]
        return [line for line in complaints(head) if self.state in line]

    @property
    def busy(self) -> bool:
        """Whether it runs right now."""
        return self.unit.get("ActiveState") in ("activating", "deactivating", "reloading")

    def owns(self, path: str) -> bool:
        """Whether its configuration names the log."""
        return path in considered(self.said)


class Unclear(Exception):
    """It can't be told how this host rotates its logs."""


def rotation() -> Optional[Rotation]:
    """How this host rotates; None: there is no logrotate. Raises Unclear."""
    if not os.path.exists(LOGROTATE):
        return None
    _, shown = run(["systemctl", "show", "--property=LoadState,ActiveState,Result,ExecStart", "--", UNIT], LOOK)
    unit = dict(line.partition("=")[::2] for line in shown.splitlines())
    command: Tuple[str, ...] = (LOGROTATE, CONFIGURATION)
    # Without the unit cron runs it, as logrotate's own documentation shows.
    if unit.get("LoadState") == "loaded":
        started = re.findall(r"argv\[\]=(.*?) ;", shown)
        command = tuple(started[0].split()) if len(started) == 1 else ()
        if not command or os.path.basename(command[0]) != "logrotate":
            raise Unclear(f"{UNIT} does not run logrotate itself")
    _, version = run([command[0], "--version"], LOOK)
    default = re.search(r"Default state file path:\s*(/\S+)", version)
    given = re.search(r" (?:-s|--state)[ =](/\S+)", " ".join(command))
    state = given or default
    if not state:
        raise Unclear("logrotate does not say where its state file is")
    code, said = run([command[0], "--debug", *command[1:]], LOOK)
    if code in (124, 127):
        raise Unclear(said)
    return Rotation(command, unit, state.group(1), code, said)


def complaints(said: str) -> List[str]:
    """The errors that a run in debug mode tells of."""
    return [printable(line)[:300] for line in re.findall(r"^error: (.*)", said, re.MULTILINE)]


def considered(said: str) -> List[str]:
    """The logs that a run in debug mode went through."""
    return re.findall(r"^considering log (.*)", said, re.MULTILINE)


class Stanza(NamedTuple):
    """A block of a configuration, with the options that hold before it."""

    patterns: List[str]
    before: List[str]
    lines: List[str]

    def alone(self, path: str) -> str:
        """A configuration of one log, by the same options and scripts."""
        quoted = path.replace("\\", "\\\\").replace('"', '\\"')
        return "\n".join([*self.before, f'"{quoted}" {{', *self.lines, "}", ""])

    def says(self, *words: str) -> bool:
        """Whether one of these options or scripts is set."""
        return any(line.split()[:1] == [word] for line in (*self.before, *self.lines) for word in words)


SCRIPTS = frozenset({"prerotate", "postrotate", "firstaction", "lastaction", "preremove"})


def stanzas(path: str, read: Set[str], before: List[str], depth: int = 0) -> Iterator[Stanza]:
    """The blocks of a configuration file and of those that it includes. Raises Unclear and OSError.

    `read` are the names of files that logrotate itself said it reads.
    """
    header, block, script = "", None, False
    for raw in text(path).splitlines():
        line = raw.strip()
        if block is not None:
            if script or line != "}":
                script = line != "endscript" if script else line in SCRIPTS
                block.lines.append(raw)
                continue
            yield block
            block = None
        elif not line or line.startswith("#"):
            continue
        elif header or line[0] in "/\"'~":
            header = f"{header} {line}"
            if "{" in line:
                if not line.endswith("{"):
                    raise Unclear(f"{path} is written in a form that is not understood here")
                block, header = Stanza(shlex.split(header.rstrip("{ ")), list(before), []), ""
        elif line.split()[0] == "include" and depth < 2:
            target = line.split()[-1]
            inner = [os.path.join(target, name) for name in sorted(entries(target)) if name in read]
            for one in inner if os.path.isdir(target) else [target]:
                yield from stanzas(one, read, before, depth + 1)
        else:
            before.append(line)
    if block is not None or header:
        raise Unclear(f"{path} is written in a form that is not understood here")


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern of a block names the path, as glob(3) would."""
    ours, theirs = path.split("/"), pattern.split("/")
    return len(ours) == len(theirs) and all(map(fnmatch.fnmatchcase, ours, theirs))


def owner(known: Rotation, path: str) -> Stanza:
    """The one block that owns the log. Raises Unclear."""
    read = set(re.findall(r"^reading config file (.*)", known.said, re.MULTILINE))
    files = [one for one in known.command[1:] if one.startswith("/") and one != known.state]
    before: List[str] = []
    try:
        found = [one for file in files for one in stanzas(file, read, before)]
    except (OSError, ValueError) as error:
        raise Unclear(f"logrotate's configuration can't be read ({printable(str(error))})") from None
    owning = [one for one in found if any(matches(path, pattern) for pattern in one.patterns)]
    if len(owning) != 1:
        raise Unclear(f"{len(owning)} blocks of logrotate's configuration name {path}")
    return owning[0]


@contextmanager
def configured(content: str) -> Iterator[str]:
    """A file of that content which root alone can read, there while the block runs."""
    handle, path = tempfile.mkstemp(prefix="healing-rotate-", dir="/run")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)


def against_force(known: Rotation, file: File) -> str:
    """Why logrotate may not be told to rotate this log now; empty: it may."""
    try:
        stanza = owner(known, file.path)
        with configured(stanza.alone(file.path)) as path:
            code, said = run([known.command[0], "--debug", "--force", "--state", known.state, path], LOOK)
    except Unclear as error:
        return str(error)
    errors = [line for line in complaints(said) if known.state not in line]
    if errors or code == 124:
        return f"logrotate --debug says: {(errors or [said])[0]}"
    if considered(said) != [file.path]:
        return f"logrotate would not rotate {file.path} alone"
    if "no old logs will be kept" in said:
        return f"logrotate's configuration keeps no copy of {file.path}"
    open_by = writers(file.facts)
    if open_by and not stanza.says("copytruncate", "postrotate", "lastaction"):
        return f"logrotate's configuration does not tell {open_by[0].who} to open the new {file.path}"
    return "" if available(file) > size(file) else f"there is no room for a copy of {file.path}"


# What is to be done --------------------------------------------------------------------------------


def against_run(known: Rotation, protected: Sequence[str]) -> str:
    """Why the rotation job may not be run again; empty: it may."""
    names = (UNIT, UNIT.partition(".")[0])
    if any(fnmatch.fnmatchcase(name, pattern.lower()) for name in names for pattern in protected):
        return f"{UNIT} is protected on this host"
    # Some complaints make logrotate fail, others it passes over.
    if known.code and known.errors:
        return f"logrotate --debug says: {known.errors[0]}"
    if known.state_errors:
        try:
            folder, facts = os.stat(os.path.dirname(known.state)), os.lstat(known.state)
        except OSError as error:
            return f"{known.state} can't be looked at ({error.strerror})"
        if folder.st_uid or writers_by_mode(folder) or not stat.S_ISREG(facts.st_mode):
            return f"{known.state} is no plain file in a folder of root's"
    return ""


def against_cut(file: File) -> str:
    """Why the beginning of this log may not be moved into a copy; empty: it may."""
    if not LOG.fullmatch(file.name):
        return f"{file.path} is not called as a log is, and no configuration of logrotate owns it"
    if b"\0" in os.pread(file.handle, 4096, 0):
        return f"{file.path} is no text"
    rude = [one.who for one in writers(file.facts) if not one.appends]
    if rude:
        return f"{rude[0]} does not append to {file.path} (O_APPEND) but writes where it was, so nothing can be cut off"
    # Ten to one is what text is compressed to at least.
    return "" if available(file) * ROOM_SHARE * 10 > size(file) else f"there is no room for a copy of {file.path}"


Answer = Dict[str, Any]


def of_job(known: Optional[Rotation], protected: Sequence[str]) -> Answer:
    """What there is to say of the rotation job."""
    if known is None or not known.has_unit:
        return {"doubt": f"this host has no {UNIT}"}
    if known.busy:
        return {"doubt": f"{UNIT} is at work"}
    sick = f"{UNIT} is failed (Result={known.unit.get('Result')})" if known.failed else ""
    sick = sick or "; ".join(known.state_errors[:1])
    return {"sick": sick, "objection": against_run(known, protected), "steps": ["run"]} if sick else {}


def of_log(asked: str, file: File, known: Optional[Rotation], safe: Sequence[str], protected: Sequence[str]) -> Answer:
    """What there is to say of a log, and of the job where that should rotate it."""
    if not stat.S_ISREG(file.facts.st_mode):
        return {"doubt": f"{file.path} is no plain file"}
    owning = known if known is not None and known.owns(file.path) else None
    job = of_job(owning, protected) if owning and owning.has_unit else {}
    large = limit(file)
    if size(file) <= large:
        return job
    why = of_path(file.path, safe) or of_file(file)
    if size(file) > LARGEST:
        why = why or f"has {size(file) // MIB} MiB, and more than {LARGEST // MIB} take too long to rotate"
    objection = f"{name_of(asked, file.path)} {why}" if why else ""
    # A block that logrotate passes over could be the one that owns the log.
    passed = [f"logrotate --debug says: {line}" for line in known.errors] if known and not owning else []
    objection = objection or next(iter(passed), "") or job.get("objection", "") or job.get("doubt", "")
    return {
        "sick": f"{file.path} has {size(file) // MIB} MiB, and more than {large // MIB} are too large for a log there",
        "objection": objection or (against_force(owning, file) if owning else against_cut(file)),
        "steps": [*job.get("steps", []), "force"] if owning else ["cut"],
    }


def name_of(asked: str, real: str) -> str:
    """How a path is named where links lead to another one."""
    return real if asked == real else f"{asked} (which is {real})"


NOTHING: Answer = {"sick": "", "doubt": "", "objection": "", "steps": [], "changed": False, "did": [], "failed": ""}


def answer(asked: str, safe: Sequence[str], protected: Sequence[str], *, act: bool) -> Answer:
    """What `look` answers, and `act` where it was done."""
    try:
        known = rotation()
        if not asked:
            seen = {**NOTHING, **of_job(known, protected)}
            return done(seen, known, None) if act else seen
        real = "" if odd(asked) else resolved(asked)
        if odd(asked) or odd(real):
            return {**NOTHING, "doubt": odd(asked) or odd(real)}
        # What is judged is held open until it is done.
        with reached(real) as file:
            seen = {**NOTHING, **of_log(asked, file, known, safe, protected)}
            return done(seen, known, file) if act else seen
    except Unclear as error:
        return {**NOTHING, "doubt": str(error)}
    except OSError as error:
        return {**NOTHING, "doubt": f"{printable(asked)} can't be looked at ({error.strerror})"}


# Doing it ------------------------------------------------------------------------------------------


class Unfit(Exception):
    """It can't be done after all, and nothing was changed."""


def done(seen: Answer, known: Optional[Rotation], file: Optional[File]) -> Answer:
    """The steps done one after another; the first that fails is the last."""
    if seen["doubt"] or seen["objection"]:
        return seen
    result = {**seen, "did": []}
    try:
        for step in seen["steps"]:
            if step == "run" and known:
                did, failed = again(known)
            elif step == "force" and known and file:
                did, failed = force(known, file)
            elif file:
                did, failed = cut(file)
            result["did"] += did
            result["changed"] = True
            if failed:
                return {**result, "failed": failed}
    except (Unfit, Unclear) as error:
        result["failed" if result["changed"] else "objection"] = str(error)
    return result


def stamp() -> str:
    """Now, as part of a name that says that a file was rotated."""
    return time.strftime("%Y%m%d-%H%M%S")


Done = Tuple[List[str], str]


def again(known: Rotation) -> Done:
    """Run the rotation job once more, the way the host does it; an unreadable state file is put aside and kept."""
    did = []
    if known.state_errors:
        aside = f"{known.state}.broken-{stamp()}"
        os.rename(known.state, aside)
        did.append(f"put {known.state} aside as {aside}")
    # Else the start limit may refuse it.
    run(["systemctl", "reset-failed", "--", UNIT], LOOK)
    code, _ = run(["systemctl", "start", "--", UNIT], ROTATE)
    if code:
        why = f"has not ended after {ROTATE:g} s" if code == 124 else "failed again"
        return did, f"{UNIT} {why}"
    return [*did, f"ran {UNIT}"], ""


def force(known: Rotation, file: File) -> Done:
    """Have logrotate rotate this one log now, by its own configuration."""
    if size(file) <= limit(file) or not same(file):
        return [], ""  # The job has rotated it.
    before = size(file)
    with configured(owner(known, file.path).alone(file.path)) as path:
        code, said = run([known.command[0], "--force", "--state", known.state, path], ROTATE)
    if code:
        return [], f"logrotate says: {printable((said.strip() or 'nothing').splitlines()[-1])}"
    if same(file):
        return ([f"rotated {file.path}"], "") if size(file) < before else ([], f"logrotate left {file.path} as it was")
    end = time.monotonic() + REOPEN
    left = writers(file.facts)
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left = writers(file.facts)
    return [f"rotated {file.path}"], f"{left[0].who} still writes to what {file.path} was" if left else ""


def same(file: File) -> bool:
    """Whether the name still is this file."""
    try:
        facts = os.stat(file.name, dir_fd=file.folder, follow_symlinks=False)
    except OSError:
        return False
    return (facts.st_dev, facts.st_ino) == (file.facts.st_dev, file.facts.st_ino)


def cut(file: File) -> Done:
    """Move the beginning of the log into a compressed copy beside it. Raises Unfit where nothing was changed."""
    # File systems cut off whole blocks alone, and not all of a file.
    block = os.fstatvfs(file.handle).f_bsize
    whole = (size(file) - 1) // block * block
    if not whole:
        raise Unfit(f"{file.path} is too small to cut anything off")
    name = f"{file.name}-{stamp()}.gz"
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        copy = os.open(name, flags, 0o600, dir_fd=file.folder)
    except OSError as error:
        raise Unfit(f"no copy can be made beside {file.path} ({error.strerror})") from None
    kept, before = False, ends(file, whole)
    try:
        pack(file, copy, whole)
        os.fchown(copy, file.facts.st_uid, file.facts.st_gid)
        os.fchmod(copy, stat.S_IMODE(file.facts.st_mode) & 0o666)
        os.fsync(copy)
        os.fsync(file.folder)
        # Somebody else may have emptied it, and a program come that writes otherwise.
        why = against_cut(file)
        if why or ends(file, whole) != before:
            raise Unfit(why or f"{file.path} is not any more what was copied")
        # From here on the copy may be all that is left of the beginning.
        kept = True
        code, said = collapse(file.handle, whole)
        if code and "fallocate failed" in said:
            kept = False
            why = printable(said.strip()).split(": ")[-1]
            raise Unfit(f"the file system of {file.path} can't cut off the beginning of a file ({why})")
    except OSError as error:
        raise Unfit(f"{file.path} can't be copied ({error.strerror})") from None
    finally:
        os.close(copy)
        if not kept:
            os.unlink(name, dir_fd=file.folder)
    moved = f"moved {whole // MIB} MiB of {file.path} into {name}"
    return ([], f"{printable(said.strip())}; the copy {name} stays") if code else ([moved], "")


def ends(file: File, whole: int) -> Tuple[bytes, bytes]:
    """The first and the last bytes of what is to be cut off."""
    return os.pread(file.handle, 4096, 0), os.pread(file.handle, 4096, max(0, whole - 4096))


def collapse(handle: int, length: int) -> Tuple[int, str]:
    """Cut that much off the beginning of the open file, in one step."""
    command = ["fallocate", "--collapse-range", "--offset", "0", "--length", str(length)]
    # By our own descriptor and not by name, which may be another file by now.
    return run([*command, f"/proc/{os.getpid()}/fd/{handle}"], LOOK)


def pack(file: File, copy: int, whole: int) -> None:
    """Write the beginning of the log, and the rest of its last line, compressed into the copy; and read that back."""
    end, budget = time.monotonic() + COPY, int(available(file) * ROOM_SHARE)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    digest = length = written = 0
    for part in parts(file, whole):
        digest, length = zlib.crc32(part, digest), length + len(part)
        written += write(copy, packer.compress(part))
        if written > budget:
            raise Unfit(f"there is no room for a copy of {file.path}")
        if time.monotonic() > end:
            raise Unfit(f"{file.path} could not be copied within {COPY:g} s")
    write(copy, packer.flush())
    if unpacked(copy) != (digest, length):
        raise Unfit(f"the copy of {file.path} could not be read back")


def parts(file: File, whole: int) -> Iterator[bytes]:
    """The beginning of the log up to `whole`, and what is left of the line there."""
    offset, part = 0, b""
    while offset < whole:
        part = os.pread(file.handle, min(MIB, whole - offset), offset)
        if not part:
            raise Unfit(f"{file.path} became smaller while it was copied")
        offset += len(part)
        yield part
    if not part.endswith(b"\n"):
        rest = os.pread(file.handle, LINE, whole)
        yield rest[: rest.find(b"\n") + 1]


def write(handle: int, content: bytes) -> int:
    """Write all of it; its length."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
    return len(content)


def unpacked(copy: int) -> Tuple[int, int]:
    """Checksum and length of what the copy holds; zeros where that can't be told."""
    unpacker = zlib.decompressobj(31)
    digest = length = offset = 0
    try:
        while True:
            packed = os.pread(copy, MIB, offset)
            offset += len(packed)
            part = unpacker.decompress(packed) if packed else unpacker.flush()
            digest, length = zlib.crc32(part, digest), length + len(part)
            if not packed:
                return (digest, length) if unpacker.eof else (0, 0)
    except zlib.error:
        return 0, 0


def main(mode: str, asked: str, *rest: str) -> Answer:
    """The answer to a command line."""
    # What is half done is undone where its time is up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    split = rest.index("--")
    return answer(asked, rest[:split], rest[split + 1 :], act=mode == "act")


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
