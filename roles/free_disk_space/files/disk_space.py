"""Looks at file systems that are short of room, and deletes what may be deleted there. Runs on the host, as root.

`room PATH`: which file systems are short; with a PATH that is not empty, of its own alone. `look PATH`: also what would
be deleted there. `free PATH`: delete that.
One JSON object on standard output. Python 3.8 and the standard library alone: it runs on whatever host there is.

Place after place and the oldest first, and no more than it takes to have room again. Deletes by folder descriptors and
never through a symbolic link, so that nobody who owns a folder below the places can lead it elsewhere. How deep, how
much and how long it looks is bounded, so that no heap of folders can stop it.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import math
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NamedTuple

DAY = 86400.0
MIB = 1024 * 1024
#: Short of room is: less than 5 % available to non-root users, on small file systems less than 16 MiB or 10 %,
#: on huge ones less than 10 GiB.
SHARE, SMALL_SHARE, SMALL, HUGE = 0.05, 0.10, 16 * MIB, 10 * 1024 * MIB
#: Short of inodes is: less than 1 % of them.
INODE_SHARE = 0.01
#: What was short gets this times what it needs, so that it is not short again a moment later.
AMPLE = 2
#: Files and problems named in the answer; the rest is counted.
NAMED = 20
#: Files of a place that one run deletes at most: so many are kept in mind, the oldest.
MOST = 100_000
#: Folders below a place that are entered one in another: each takes two descriptors.
DEPTH = 32
#: Time to look and delete, less than the task's limit: what was found by then is answered.
SECONDS = 20.0
#: How a folder is opened: never through a link.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: And a file. O_NONBLOCK: a pipe or another's lease must not hold us up.
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

#: app.log.1, app.log.2.gz, app.log-20240131, app-20240131.log.xz, app.log.old
ROTATED = re.compile(
    r".+(\.[0-9]{1,3}|[-.][0-9]{8}(-?[0-9]{2,10})?(\.log)?|\.old)(\.(gz|bz2|xz|zst|lz4|Z))?|.+\.log\.(gz|bz2|xz|zst)"
)
#: Records of who logged in and did what stay, however old: whoever fills a disk must not wipe them by it.
SECURITY = re.compile(r"(auth|secure|wtmp|btmp|utmp|lastlog|faillog|tallylog|sudo|audit|sulog)([-._].*)?")
#: Folders that other programs keep in order, or that services see as their own /tmp.
SKIPPED = re.compile(r"systemd-private-.*|snap-private-tmp|\.(X11|ICE|XIM|font|Test)-unix")
#: What says that a display is taken, for as long as it runs.
DISPLAY = re.compile(r"\.X[0-9]+-lock")
#: system@...-....journal, user-1000@...-....journal~
ARCHIVED = re.compile(r".+@.+\.journal~?")
KEPT_LOGS = frozenset({"journal", "audit", "private"})
#: Another machine's disks, or another program's: not ours to judge.
REMOTE = re.compile(
    r"nfs.*|cifs|smb.*|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|fuse(\..*)?|autofs|proc|sysfs|devpts|cgroup.*"
)


class Place(NamedTuple):
    """A folder in which files of one kind may be deleted."""

    path: str
    #: One of KINDS.
    kind: str
    days: float
    #: Whether file systems that are mounted below it belong to it.
    mounts: bool = False


KINDS = {
    "package": "downloaded packages",
    "journal": "archived journals",
    "log": "rotated logs",
    "temporary": "temporary files",
}
#: In the order in which they give room: first what can be had again.
PLACES = (
    Place("/var/cache/apt/archives", "package", 0),
    # Who logged in and did what is told there alone on many hosts, so it stays longer than other logs.
    Place("/var/log/journal", "journal", 30),
    Place("/var/log", "log", 7, mounts=True),
    # The ages after which systemd-tmpfiles would delete it too.
    Place("/tmp", "temporary", 10),  # noqa: S108
    Place("/var/tmp", "temporary", 30),  # noqa: S108
)


class Mount(NamedTuple):
    """One line of mountinfo."""

    path: str
    type: str
    writable: bool

    @property
    def ours(self) -> bool:
        """A writable file system of this machine."""
        return self.writable and not REMOTE.fullmatch(self.type)


class Room(NamedTuple):
    """What a file system has, in bytes and inodes, and what of it is left to users other than root."""

    size: int
    available: int
    inodes: int
    left: int

    @property
    def needed(self) -> float:
        """Bytes that must be available."""
        return min(max(SHARE * self.size, min(SMALL, SMALL_SHARE * self.size)), HUGE)

    @property
    def shortage(self) -> str:
        """What it is short of, as a phrase; empty if it has room."""
        if self.available < self.needed:
            used = 100 - math.floor(100 * self.available / self.size)
            return f"is {used} % full ({self.available // MIB} of {self.size // MIB} MiB available)"
        if self.left < INODE_SHARE * self.inodes:
            return f"has {self.left} of {self.inodes} inodes left"
        return ""

    @property
    def missing(self) -> tuple[float, float]:
        """Bytes and inodes that must be freed where it is short of them."""
        inodes = INODE_SHARE * self.inodes
        return (
            AMPLE * self.needed - self.available if self.available < self.needed else 0,
            AMPLE * inodes - self.left if self.left < inodes else 0,
        )


class Found(NamedTuple):
    """A file in a place: one that may be deleted, or `why` not."""

    path: str
    device: int
    inode: int
    bytes: int
    #: When it came or was last of use, in seconds.
    used: float
    why: str


class Freed:
    """What is still missing on each file system that is short, and what of each kind was freed there."""

    def __init__(self, missing: dict[int, tuple[float, float]]) -> None:
        self._missing = dict(missing)
        self._kinds: dict[tuple[int, str], tuple[int, int]] = {}
        self.named: list[str] = []

    def missing(self, device: int) -> tuple[float, float]:
        """Bytes and inodes; none on a file system that has room."""
        return self._missing.get(device, (0, 0))

    def wanted(self, device: int) -> bool:
        """Whether more must go there. By what went and not by what is available: some free it only later."""
        return max(self.missing(device)) > 0

    def count(self, device: int, kind: str, path: str, size: int) -> None:
        """Take down a file that went."""
        files, total = self._kinds.get((device, kind), (0, 0))
        self._kinds[device, kind] = files + 1, total + size
        left, inodes = self.missing(device)
        self._missing[device] = left - size, inodes - 1
        if len(self.named) < NAMED:
            self.named.append(shown(path))

    @property
    def files(self) -> int:
        """How many went."""
        return sum(files for files, _ in self._kinds.values())

    def told(self, device: int) -> str:
        """What went there, kind by kind."""
        rows = [(words, *self._kinds.get((device, kind), (0, 0))) for kind, words in KINDS.items()]
        return ", ".join(f"{files} {words} ({size / MIB:.1f} MiB)" for words, files, size in rows if files) or "nothing"


def mounts(text: str) -> list[Mount]:
    """The visible mounts of /proc/self/mountinfo's text: of two on one folder the later one hides the earlier."""
    seen: dict[str, Mount] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, *_), options = left.split(), right.split(), right.split()[-1]
        path = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), fields[4])
        writable = "ro" not in fields[5].split(",") and "ro" not in options.split(",")
        seen[path] = Mount(path, kind, writable)
    return list(seen.values())


def below(path: str, folder: str) -> bool:
    """Whether the path lies in the folder."""
    return path.startswith(folder.rstrip("/") + "/")


def holder(path: str, known: list[Mount]) -> Mount | None:
    """The file system that a path lies on, by its name alone: nothing is looked at, and no link is followed."""
    on = [mount for mount in known if mount.path == path or below(path, mount.path)]
    return max(on, key=lambda mount: len(mount.path), default=None)


def holders(place: Place, known: list[Mount]) -> Iterator[Mount]:
    """The file systems that a place's files lie on."""
    on = holder(place.path, known)
    if on and os.path.isdir(place.path):
        yield on
    if place.mounts:
        yield from (mount for mount in known if below(mount.path, place.path))


def room(path: str) -> Room:
    """What a file system has. Raises OSError."""
    facts = os.statvfs(path)
    return Room(facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize, facts.f_files, facts.f_favail)


def ours(places: tuple[Place, ...], known: list[Mount]) -> list[str]:
    """The mount path of every writable local file system of the places."""
    return sorted({mount.path for place in places for mount in holders(place, known) if mount.ours})


def short(paths: list[str]) -> dict[str, Room]:
    """Mount path -> what it has, for those that are short of room."""
    said = {path: room(path) for path in paths}
    return {path: one for path, one in said.items() if one.shortage}


def meant(paths: list[str], of: str, known: list[Mount]) -> tuple[list[str], str]:
    """Those mount paths whose file system a path lies on; and why it can't be told.

    All for an empty one, and for one that is not of this host: a container names what only it sees.
    """
    if not of:
        return paths, ""
    if not os.path.isabs(of) or os.path.normpath(of) != of:
        return [], f"this is no absolute path in its plain form: {shown(of)}"
    if not os.path.lexists(f"/{of.split('/')[1]}"):
        return paths, ""
    nowhere = f"nothing that may be deleted lies on the file system of {shown(of)}"
    # Told by the list of mounts first: a look would wake an automounter, or wait for another machine.
    on = holder(of, known)
    if on and not on.ours:
        return [], nowhere
    try:
        found = [path for path in paths if os.stat(path).st_dev == device(of)]
    except OSError as error:
        return [], f"{shown(of)} can't be looked at ({error.strerror})"
    return found, "" if found else nowhere


def device(path: str) -> int:
    """The file system of a path, or of the folder where it would be. Raises OSError."""
    while True:
        try:
            return os.stat(path).st_dev
        except FileNotFoundError:
            path = os.path.dirname(path)


@contextmanager
def leased(name: str, folder: int) -> Iterator[bool]:
    """Whether nobody else has that file open. Nobody can open it then, as long as the block runs.

    The kernel gives a lease for writing only on a file that no other process holds open, maps or runs, that is not
    swapped to and backs no loop device. Where it gives no leases it can't be told, so somebody may have it open.
    """
    handle = -1
    try:
        handle = os.open(name, PLAIN, dir_fd=folder)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        if handle >= 0:
            os.close(handle)


class Archive(NamedTuple):
    """A journal that systemd-journald has closed: when its first and last record were written, in seconds."""

    head: float
    tail: float
    bytes: int


#: Of a journal file's header: the signature, and the times of the first and the last record in microseconds.
JOURNAL = struct.Struct("<8s176xQQ")


def archives(folder: str) -> dict[str, Archive]:
    """Name -> archived journal; one that can't be read has its first record at 0 and its last in all future."""
    return {name: archive(os.path.join(folder, name)) for name in names(folder) if ARCHIVED.fullmatch(name)}


def archive(path: str) -> Archive:
    """What an archived journal's header says."""
    try:
        handle = os.open(path, PLAIN)
        try:
            signature, head, tail = JOURNAL.unpack(os.read(handle, JOURNAL.size))
            size = os.fstat(handle).st_blocks * 512
        finally:
            os.close(handle)
    except (OSError, struct.error):
        signature, head, tail, size = b"", 0, 0, 0
    return Archive(head / 1e6, tail / 1e6, size) if signature == b"LPKSHHRH" else Archive(0, math.inf, size)


def horizon(journals: list[Archive], missing: tuple[float, float], oldest: float) -> float:
    """Before which time a journal must begin to be deleted, so that no record younger than `oldest` goes.

    journalctl deletes by the first record alone, or by the file's birth, a little earlier: a day is left for that.
    """
    kept = min((one.head - DAY for one in journals if one.tail >= oldest), default=oldest)
    size, inodes = missing
    cut = 0.0
    for one in sorted(journals):
        if max(size, inodes) <= 0:
            break
        size, inodes, cut = size - one.bytes, inodes - 1, one.head + 1
    return min(cut, kept, oldest)


def names(folder: str) -> list[str]:
    """A folder's entries; none where it is gone."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def objection(place: Place, name: str, facts: os.stat_result, now: float) -> str:
    """Why a file of a place may not be deleted, by its name and age; empty if it may."""
    if facts.st_nlink != 1:
        return "has several names (hard links)"
    if place.kind == "package":
        return "" if name.endswith(".deb") else "is no downloaded package"
    if place.kind == "log":
        if SECURITY.fullmatch(name):
            return "is a security record"
        if not ROTATED.fullmatch(name):
            return "is no rotated log"
    else:
        if facts.st_mode & stat.S_ISVTX:
            return "is marked to stay"
        if DISPLAY.fullmatch(name):
            return "marks a display"
    return "" if now - used(place, facts) > place.days * DAY else f"is not older than {place.days:g} days"


def used(place: Place, facts: os.stat_result) -> float:
    """When a file was last of use."""
    # A copied or unpacked temporary file has an old date and was put here a moment ago.
    return max(facts.st_mtime, facts.st_atime, facts.st_ctime) if place.kind == "temporary" else facts.st_mtime


class Level(NamedTuple):
    """A folder that is being read, and those above it on the stack."""

    path: str
    handle: int
    entries: Any
    #: Whether its files lie on a file system that is short.
    counts: bool


class Sweep:
    """One run over the places: what lies on the file systems that are short, and what goes."""

    def __init__(
        self,
        freed: Freed,
        foreign: set[str],
        now: float,
        *,
        delete: bool,
        mounted: frozenset[str] = frozenset(),
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._freed = freed
        self._foreign = foreign
        self._mounted = mounted
        self._now = now
        self._delete = delete
        self._clock = clock
        self._end = clock() + seconds
        self.problems: list[str] = []
        self.biggest: Found | None = None

    def clean(self, place: Place, *, share: float = 1.0) -> None:
        """Count what goes of a place, the oldest first and until room is made; and delete it if so wished.

        `share` is the part of the time left that looking through it may take: no place shall starve those after it.
        """
        start = self._clock()
        end = start + max(0.0, self._end - start) * share
        if place.kind == "journal":
            self._vacuum(place)
            return
        with self._apt_lock(place) as ours:
            if ours:
                self._oldest(place, end)

    def _oldest(self, place: Place, end: float) -> None:
        may = (found for found in self.walk(place, end=end) if not found.why)
        for found in heapq.nsmallest(MOST, may, key=lambda found: found.used):
            if self._clock() > self._end:
                self._say(f"there was no time to delete all that may go of {place.path}")
                return
            if self._freed.wanted(found.device) and (not self._delete or self._deleted(place, found)):
                self._freed.count(found.device, place.kind, found.path, found.bytes)

    def walk(self, place: Place, *, end: float = math.inf) -> Iterator[Found]:
        """Every regular file of the place on file systems that still need room, and why it stays."""
        stack: list[Level] = []
        try:
            home = self._enter(place, stack, place.path, None, place.path)
            # What lies on this file system alone is of no use where that has room.
            while stack and (place.mounts or stack[0].counts):
                level = stack[-1]
                if self._clock() > min(end, self._end):
                    self._say(f"there was no time to look through all of {place.path}")
                    return
                entry = following(level.entries)
                if entry is None:
                    leave(stack.pop())
                elif folder(entry):
                    path = os.path.join(level.path, entry.name)
                    if self._wanted(place, entry.name, path, len(stack)):
                        self._enter(place, stack, entry.name, home, path)
                elif level.counts:
                    found = self._judge(place, level.path, entry.name, level.handle)
                    if found is not None:
                        if found.why and (self.biggest is None or found.bytes > self.biggest.bytes):
                            self.biggest = found
                        yield found
        finally:
            while stack:
                leave(stack.pop())

    def _wanted(self, place: Place, name: str, path: str, depth: int) -> bool:
        """Whether a folder of a place is looked into."""
        if path in self._foreign or (not place.mounts and path in self._mounted):
            return False
        if (place.kind == "log" and name in KEPT_LOGS) or (place.kind == "temporary" and SKIPPED.fullmatch(name)):
            return False
        if depth > DEPTH:
            self._say(f"folders of {place.path} deeper than {DEPTH} are left out")
            return False
        return True

    def _enter(self, place: Place, stack: list[Level], name: str, home: int | None, path: str) -> int | None:
        """Put a folder on the stack; its device. Left out: what is gone or a link, and others' file systems."""
        try:
            handle = os.open(name, FOLDER, dir_fd=stack[-1].handle if stack else None)
        except OSError:
            return None
        device = os.fstat(handle).st_dev
        if device != home and home is not None and not place.mounts:
            os.close(handle)
            return None
        try:
            entries = os.scandir(handle)
        except OSError:
            os.close(handle)
            return None
        stack.append(Level(path, handle, entries, self._freed.wanted(device)))
        return device

    def _judge(self, place: Place, folder: str, name: str, handle: int) -> Found | None:
        try:
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
        except OSError:
            return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        why = objection(place, name, facts, self._now)
        if not why:
            with leased(name, handle) as alone:
                why = "" if alone else "is held open by a process"
        path, size = os.path.join(folder, name), facts.st_blocks * 512
        return Found(path, facts.st_dev, facts.st_ino, size, used(place, facts), why)

    def _deleted(self, place: Place, found: Found) -> bool:
        """Delete a file that was found, if it still is the one; whether that was done."""
        try:
            folder, name = os.path.split(found.path)
            with reached(place.path, os.path.relpath(folder, place.path)) as handle:
                facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
                same = (facts.st_dev, facts.st_ino, used(place, facts)) == (found.device, found.inode, found.used)
                with leased(name, handle) as alone:
                    if same and alone:
                        os.unlink(name, dir_fd=handle)
                    return same and alone
        except OSError as error:
            if len(self.problems) < NAMED:
                self._say(f"{shown(found.path)} can't be deleted: {error.strerror}")
            return False

    def _vacuum(self, place: Place) -> None:
        """Have journalctl delete the oldest archived journals of this machine."""
        machine = first_line("/etc/machine-id")
        journal = os.path.join(place.path, machine)
        try:
            device = os.stat(journal).st_dev
        except OSError:
            return
        before = archives(journal)
        cut = horizon(list(before.values()), self._freed.missing(device), self._now - place.days * DAY)
        gone = {name for name, one in before.items() if one.head < cut}
        if not (machine and gone):
            return
        if self._delete:
            self._journalctl(f"--directory={journal}", f"--vacuum-time={math.ceil(time.time() - cut)}s")
            gone = before.keys() - archives(journal).keys()
        for name in sorted(gone):
            self._freed.count(device, place.kind, os.path.join(journal, name), before[name].bytes)

    def _journalctl(self, *options: str) -> None:
        try:
            subprocess.run(
                ["journalctl", "--quiet", *options],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._say(f"journalctl failed: {shown(str(error))}")

    def _say(self, problem: str) -> None:
        """Keep a problem, each once."""
        if problem not in self.problems:
            self.problems.append(problem)

    @contextmanager
    def _apt_lock(self, place: Place) -> Iterator[bool]:
        """Whether the place's files are ours for as long as the block runs: packages by the lock of `apt-get clean`."""
        handle, ours = -1, True
        if place.kind == "package" and self._delete:
            try:
                handle = os.open(os.path.join(place.path, "lock"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # Without a file for it nobody can have it.
                ours = handle < 0
        try:
            if not ours:
                self._say("apt is at work, so its packages stay")
            yield ours
        finally:
            if handle >= 0:
                os.close(handle)


@contextmanager
def reached(home: str, path: str) -> Iterator[int]:
    """A folder below a place, open while the block runs. Raises OSError where it is gone or a link is in the way."""
    handle = os.open(home, FOLDER)
    try:
        for name in path.split("/"):
            inner = os.open(name, FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def first_line(path: str) -> str:
    """A file's first line; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline().strip()
    except OSError:
        return ""


def following(entries: Any) -> Any:
    """The next entry of an open folder; None where there is none, or it can't be read on."""
    try:
        return next(entries, None)
    except OSError:
        return None


def folder(entry: Any) -> bool:
    """Whether an entry is a folder itself; not where it can't be told."""
    try:
        return bool(entry.is_dir(follow_symlinks=False))
    except OSError:
        return False


def leave(level: Level) -> None:
    """Close a folder."""
    level.entries.close()
    os.close(level.handle)


def shown(path: str) -> str:
    """A path that every terminal and log can take; names on a disk may be any bytes, an escape sequence too."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in path)


def answer(
    mode: str, places: tuple[Place, ...], known: list[Mount], now: float, seconds: float = SECONDS, of: str = ""
) -> dict[str, Any]:
    """`short` and `doubt`, and for look and free also `files`, `named`, `told`, `biggest` and `problems`.

    `of`: a path whose file system alone is meant; empty: all are.
    """
    paths, doubt = meant(ours(places, known), of, known)
    tight = short(paths)
    said: dict[str, Any] = {"short": [f"{shown(path)} {one.shortage}" for path, one in tight.items()], "doubt": doubt}
    if mode == "room":
        return said
    devices = {path: os.stat(path).st_dev for path in tight}
    freed = Freed({devices[path]: one.missing for path, one in tight.items()})
    foreign = {mount.path for mount in known if not mount.ours}
    mounted = frozenset(mount.path for mount in known)
    sweep = Sweep(freed, foreign, now, delete=mode == "free", mounted=mounted, seconds=seconds)
    for number, place in enumerate(places if tight else ()):
        sweep.clean(place, share=1 / (len(places) - number))
    told = [
        f"{shown(path)}: {freed.told(devices[path])}"
        + (f", {change(tight[path], room(path))}" if mode == "free" else "")
        for path in tight
    ]
    said.update(files=freed.files, named=freed.named, told=told, problems=sweep.problems)
    big = sweep.biggest
    said["biggest"] = f"{shown(big.path)} ({big.bytes // MIB} MiB) {big.why}" if big else ""
    return said


def change(before: Room, after: Room) -> str:
    """How a file system changed, as a phrase."""
    return (
        f"{before.available / MIB:.1f} -> {after.available / MIB:.1f} of {after.size / MIB:.1f} MiB and "
        f"{before.left} -> {after.left} of {after.inodes} inodes available"
    )


if __name__ == "__main__":
    # Whoever opens a file in the moment of its lease has the kernel send this, which would end us.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        visible = mounts(table.read())
    json.dump(answer(sys.argv[1], PLACES, visible, time.time(), of=sys.argv[2]), sys.stdout)
