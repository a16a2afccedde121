"""Looks at file systems that are short of room, and deletes what may be deleted there. Runs on the host, as root.

`room`: which file systems are short. `look`: also what may be deleted on these. `free`: delete that.
One JSON object on standard output. Python 3.8 and the standard library alone: it runs on whatever host there is.

Deletes by folder descriptors and never through a symbolic link, so that nobody who owns a folder below the
places can lead it elsewhere. How deep and how long it looks is bounded, so that no heap of folders can stop it.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import stat
import sys
import time
from typing import Any, Callable, Iterator, NamedTuple

DAY = 86400.0
MIB = 1024 * 1024
#: Short of room is: less than 5 % available to non-root users, on small file systems less than 16 MiB or 10 %,
#: on huge ones less than 10 GiB.
SHARE, SMALL_SHARE, SMALL, HUGE = 0.05, 0.10, 16 * MIB, 10 * 1024 * MIB
#: Short of inodes is: less than 1 % of them.
INODE_SHARE = 0.01
#: Files and problems named in the answer; the rest is counted.
NAMED = 20
#: Folders below a place that are entered one in another: each takes two descriptors.
DEPTH = 32
#: Time to look and delete, less than the task's limit: what was found by then is answered.
SECONDS = 20.0
#: How a folder is opened: never through a link.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

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
KEPT_LOGS = frozenset({"journal", "audit", "private"})
#: Another machine's disks, or another program's: not ours to judge.
REMOTE = re.compile(
    r"nfs.*|cifs|smb.*|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|fuse(\..*)?|autofs|proc|sysfs|devpts|cgroup.*"
)


class Place(NamedTuple):
    """A folder in which files of one kind may be deleted."""

    path: str
    #: package, log or temporary.
    kind: str
    days: float
    #: Whether file systems that are mounted below it belong to it.
    mounts: bool = False


PLACES = (
    Place("/var/cache/apt/archives", "package", 0),
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


class Found(NamedTuple):
    """A file in a place: one that may be deleted, or `why` not."""

    path: str
    bytes: int
    kind: str
    why: str


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


def holders(place: Place, known: list[Mount]) -> Iterator[Mount]:
    """The file systems that a place's files lie on."""
    on = [mount for mount in known if mount.path == place.path or below(place.path, mount.path)]
    if on and os.path.isdir(place.path):
        yield max(on, key=lambda mount: len(mount.path))
    if place.mounts:
        yield from (mount for mount in known if below(mount.path, place.path))


def shortage(path: str) -> str:
    """What a file system is short of, as a phrase; empty if it has room."""
    room = os.statvfs(path)
    size, available = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
    needed = min(max(SHARE * size, min(SMALL, SMALL_SHARE * size)), HUGE)
    if available < needed:
        used = 100 - math.floor(100 * available / size)
        return f"is {used} % full ({available // MIB} of {size // MIB} MiB available)"
    if room.f_files and room.f_favail < INODE_SHARE * room.f_files:
        return f"has {room.f_favail} of {room.f_files} inodes left"
    return ""


def short(places: tuple[Place, ...], known: list[Mount]) -> dict[str, str]:
    """Mount path -> what it is short of, for every writable local file system of the places."""
    wanted = {mount.path for place in places for mount in holders(place, known) if mount.ours}
    said = {path: shortage(path) for path in sorted(wanted)}
    return {path: phrase for path, phrase in said.items() if phrase}


def held(late: Callable[[], bool]) -> set[tuple[int, int]] | None:
    """(device, inode) of every file that a process holds open or runs, that is swapped to or that backs a loop device.

    None: there was no time to find out.
    """
    paths = [line.split()[0] for line in lines("/proc/swaps")[1:]]
    for name in names("/sys/block"):
        paths += [line for line in lines(f"/sys/block/{name}/loop/backing_file") if line]
    for pid in names("/proc"):
        if pid.isdigit():
            paths += [f"/proc/{pid}/exe", *(f"/proc/{pid}/fd/{number}" for number in names(f"/proc/{pid}/fd"))]
            if late():
                return None
    found = set()
    for path in paths:
        if late():
            return None
        try:
            facts = os.stat(path)
        except OSError:
            continue  # The process has ended or closed it.
        if stat.S_ISREG(facts.st_mode):
            found.add((facts.st_dev, facts.st_ino))
    return found


def names(folder: str) -> list[str]:
    """A folder's entries; none where it is gone."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def lines(path: str) -> list[str]:
    """A file's lines; none where it is missing."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def objection(place: Place, name: str, facts: os.stat_result, now: float) -> str:
    """Why a file of a place may not be deleted, by its name and age; empty if it may."""
    if place.kind == "package":
        return "" if name.endswith(".deb") else "is no downloaded package"
    if place.kind == "log":
        if SECURITY.fullmatch(name):
            return "is a security record"
        if not ROTATED.fullmatch(name):
            return "is no rotated log"
        age = now - facts.st_mtime
    else:
        if facts.st_mode & stat.S_ISVTX:
            return "is marked to stay"
        if DISPLAY.fullmatch(name):
            return "marks a display"
        # A copied or unpacked file has an old date and was put here a moment ago.
        age = now - max(facts.st_mtime, facts.st_atime, facts.st_ctime)
    return "" if age > place.days * DAY else f"is not older than {place.days:g} days"


class Level(NamedTuple):
    """A folder that is being read, and those above it on the stack."""

    path: str
    handle: int
    entries: Any
    #: Whether its files lie on a file system that is short.
    counts: bool


class Sweep:
    """One walk over the places: what lies on the file systems that are short, and what may go."""

    def __init__(
        self,
        devices: set[int],
        foreign: set[str],
        now: float,
        *,
        mounted: frozenset[str] = frozenset(),
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._devices = devices
        self._foreign = foreign
        self._mounted = mounted
        self._now = now
        self._clock = clock
        self._end = clock() + seconds
        self._held = held(lambda: clock() > self._end)
        self.problems: list[str] = []
        if self._held is None:
            self._say("there was no time to find out which files are open, so all stay")

    def walk(self, place: Place, *, delete: bool, share: float = 1.0) -> Iterator[Found]:
        """Every regular file of the place on those file systems; those that may go are deleted if so wished.

        `share` is the part of the time left that this place may take: none shall starve those after it.
        """
        if self._held is None:
            return
        lock = self._apt_lock(place) if delete else None
        if lock == -1:
            self._say("apt is at work, so its packages stay")
            return
        start = self._clock()
        try:
            yield from self._files(place, delete=delete, end=start + max(0.0, self._end - start) * share)
        finally:
            if lock is not None:
                os.close(lock)

    def _files(self, place: Place, *, delete: bool, end: float) -> Iterator[Found]:
        stack: list[Level] = []
        try:
            home = self._enter(place, stack, place.path, None, place.path)
            # What lies on this file system alone is of no use where that has room.
            while stack and (place.mounts or home in self._devices):
                level = stack[-1]
                if self._clock() > end:
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
                        yield self._delete(found, entry.name, level.handle) if delete and not found.why else found
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
        stack.append(Level(path, handle, entries, device in self._devices))
        return device

    def _delete(self, found: Found, name: str, handle: int) -> Found:
        try:
            os.unlink(name, dir_fd=handle)
        except OSError as error:
            if len(self.problems) < NAMED:
                self._say(f"{shown(found.path)} can't be deleted: {error.strerror}")
            return found._replace(why="can't be deleted")
        return found

    def _say(self, problem: str) -> None:
        """Keep a problem, each once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _judge(self, place: Place, folder: str, name: str, handle: int) -> Found | None:
        try:
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
        except OSError:
            return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        if self._held is None or (facts.st_dev, facts.st_ino) in self._held:
            why = "is held open by a process"
        elif facts.st_nlink != 1:
            why = "has several names (hard links)"
        else:
            why = objection(place, name, facts, self._now)
        return Found(os.path.join(folder, name), facts.st_blocks * 512, place.kind, why)

    @staticmethod
    def _apt_lock(place: Place) -> int | None:
        """apt's own lock, as `apt-get clean` takes it; None: there is none to take; -1: apt has it."""
        if place.kind != "package":
            return None
        try:
            handle = os.open(os.path.join(place.path, "lock"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return -1
        return handle


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
    mode: str, places: tuple[Place, ...], known: list[Mount], now: float, seconds: float = SECONDS
) -> dict[str, Any]:
    """`short`, and for look and free also `files`, `bytes`, `kinds`, `named`, `biggest` and `problems`."""
    tight = short(places, known)
    said: dict[str, Any] = {"short": [f"{shown(path)} {phrase}" for path, phrase in tight.items()]}
    if mode == "room":
        return said
    foreign = {mount.path for mount in known if not mount.ours}
    mounted = frozenset(mount.path for mount in known)
    sweep = Sweep({os.stat(path).st_dev for path in tight}, foreign, now, mounted=mounted, seconds=seconds)
    count, size = 0, 0
    kinds: dict[str, int] = {}
    named: list[str] = []
    biggest: Found | None = None
    for number, place in enumerate(places if tight else ()):
        for found in sweep.walk(place, delete=mode == "free", share=1 / (len(places) - number)):
            if found.why:
                biggest = found if biggest is None or found.bytes > biggest.bytes else biggest
                continue
            count, size = count + 1, size + found.bytes
            kinds[found.kind] = kinds.get(found.kind, 0) + 1
            if len(named) < NAMED:
                named.append(shown(found.path))
    said.update(files=count, bytes=size, kinds=kinds, named=named, problems=sweep.problems)
    said["biggest"] = f"{shown(biggest.path)} ({biggest.bytes // MIB} MiB) {biggest.why}" if biggest else ""
    return said


if __name__ == "__main__":
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        visible = mounts(table.read())
    json.dump(answer(sys.argv[1], PLACES, visible, time.time()), sys.stdout)
