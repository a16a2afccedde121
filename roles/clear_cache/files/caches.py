"""Looks for what apt keeps of its archives and can't use, and deletes that. Runs on the host, as root.

Usage: python3 -I - look|clear FREE CACHED PERMIT...

FREE, CACHED: the page cache is in the way while less than FREE percent of the memory is free and cached files that can
be dropped take CACHED percent. PERMIT: what the host's policy permits; `drop_page_cache` alone means anything here.

Answers one JSON object: `sick` (the symptoms, in words), `doubt` (why of apt nothing can be said; empty: it could),
`files` (what may go, or has gone), `page_cache` (it may be dropped, or was) and `failed` (what clear left undone).

Python 3.8 and the standard library alone. Never below a folder that it does not name, and never what apt can't fetch
again: the state of the packages is no cache.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

LISTS, ARCHIVES = "/var/lib/apt/lists", "/var/cache/apt/archives"
#: apt's own locks: who holds one is at work in that folder.
LOCKS = (f"{LISTS}/lock", f"{ARCHIVES}/lock")
#: What a download leaves when it fails or is cut: apt goes on from it the next time, and so fails again.
PARTIAL = (f"{LISTS}/partial", f"{ARCHIVES}/partial")
#: Files that one run deletes at most, the seconds that it takes for them, and those that apt has to fetch its lists.
MOST, SECONDS, FETCHING = 200, 20.0, 80.0
DROP = "/proc/sys/vm/drop_caches"
#: Reads the lists anew and writes nothing, neither apt's binary caches nor anything else.
READ = ("apt-cache", "-q", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy")
#: As apt-daily does it.
FETCH = ("apt-get", "-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "update")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Busy(Exception):
    """apt is at work."""


@contextmanager
def locked() -> Iterator[None]:
    """Hold apt's locks; raises Busy where it has one of them itself."""
    handles = []
    try:
        for path in LOCKS:
            try:
                handles.append(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))
            except OSError:
                continue  # It has never been at work there.
            try:
                fcntl.lockf(handles[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Busy from error
        yield
    finally:
        for handle in handles:
            os.close(handle)


def shown(text: str) -> str:
    """One line that every terminal and log can take."""
    return "".join(one if one.isprintable() else "?" for one in text)[:300]


def plain_files(folder: str) -> list[str]:
    """The plain files that lie in a folder itself; none where it is missing or a link."""
    try:
        if os.path.islink(folder):
            return []
        with os.scandir(folder) as entries:
            return sorted(one.path for one in entries if one.is_file(follow_symlinks=False))
    except OSError:
        return []


def run(*command: str, seconds: float) -> tuple[int, list[str]]:
    """Exit code and what it complained of, in lines; 124: it took too long."""
    try:
        done = subprocess.run(
            ["env", f"PATH={PATH}", "LC_ALL=C", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, [f"E: it took longer than {seconds:g} s"]
    return done.returncode, done.stderr.decode("utf-8", "replace").splitlines()


def unread() -> tuple[list[str], str]:
    """The lists that apt can't read, and what it says that is about none of them; both empty: it reads all."""
    code, lines = run(*READ, seconds=20)
    said = [line for line in lines if line.startswith("E: ")]
    known = set(plain_files(LISTS)) - set(LOCKS)
    found = {path for line in said for path in re.findall(rf"{LISTS}/[^/\s]+", line)} & known
    if code == 0 or found:
        return sorted(found) if code else [], ""
    return [], shown(said[0] if said else f"exit {code}")


def rubbish() -> tuple[list[str], str]:
    """What of apt's may go, and why nothing can be said of it; raises Busy."""
    if not os.path.isdir(LISTS):
        return [], "this host has no apt, and of no other package manager are the caches known"
    with locked():
        left = [path for folder in PARTIAL for path in plain_files(folder)]
    lists, said = unread()
    return [*left, *lists], f"apt can't read what is no cache: {said}" if said else ""


def memory() -> dict[str, int]:
    """/proc/meminfo in KiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return {line.partition(":")[0]: int(line.split()[1]) for line in file if len(line.split()) > 1}


def crowded(told: dict[str, int], least_free: float, most_cached: float) -> str:
    """How cached files crowd the memory, as a phrase; empty: they do not."""
    whole, free = told["MemTotal"], told["MemFree"]
    # Pages of tmpfs and such that wait to be written can't be dropped.
    clean = told["Cached"] - told.get("Shmem", 0) - told.get("Dirty", 0)
    if 100 * free >= least_free * whole or 100 * clean < most_cached * whole:
        return ""
    return f"{free // 1024} of {whole // 1024} MiB of memory are free, and {clean // 1024} MiB are cached files"


def look(shares: Sequence[float], permits: Collection[str]) -> dict[str, Any]:
    """The answer, and nothing is touched."""
    try:
        files, doubt = rubbish()
    except Busy:
        files, doubt = [], "apt is at work"
    full = crowded(memory(), *shares) if "drop_page_cache" in permits else ""
    sick = []
    lists = [path for path in files if os.path.dirname(path) == LISTS]
    if lists:
        sick.append(f"apt can't read {named(lists)}")
    if len(files) > len(lists):
        sick.append(f"a download left {named([path for path in files if path not in lists])}")
    if full:
        sick.append(full)
    return {"sick": sick, "doubt": doubt, "files": files, "page_cache": bool(full)}


def named(paths: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return shown(paths[0]) + more


def clear(shares: Sequence[float], permits: Collection[str]) -> dict[str, Any]:
    """Delete what may go, and have apt fetch its lists; `files` are those that have gone, `failed` is what is left."""
    end = time.monotonic() + SECONDS
    found = look(shares, permits)
    waiting, gone = found["files"], []
    try:
        with locked():
            # A list that can't be read hides the next one.
            while waiting and len(gone) < MOST and time.monotonic() < end:
                for path in waiting:
                    if stat.S_ISREG(os.lstat(path).st_mode):
                        os.unlink(path)
                        gone.append(path)
                waiting = unread()[0]
    except Busy:
        found["doubt"] = "apt has begun to work"
    if found["page_cache"]:
        with open(DROP, "w", encoding="ascii") as file:
            file.write("1")
    return {**found, "files": gone, "failed": fetch(gone) if gone else ""}


def fetch(gone: Sequence[str]) -> str:
    """Have apt fetch its lists; what is left undone, in its words; empty: nothing."""
    code, said = run(*FETCH, seconds=FETCHING)
    lost = [path for path in gone if os.path.dirname(path) == LISTS and not os.path.exists(path)]
    if code == 0 and not lost:
        return ""
    telling = [line for line in said if line.startswith("E: ")] or [line for line in said if line.startswith("W: ")]
    words = shown(telling[0]) if telling else f"`apt-get update` ended with {code}"
    return f"{named(lost)} could not be fetched again: {words}" if lost else words


if __name__ == "__main__":
    answer = {"look": look, "clear": clear}[sys.argv[1]]([float(share) for share in sys.argv[2:4]], sys.argv[4:])
    json.dump(answer, sys.stdout)
