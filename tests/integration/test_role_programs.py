"""The roles' programs on a real disk: what they would delete or touch, and what never."""

from __future__ import annotations

import errno
import fcntl
import gzip
import math
import mmap
import multiprocessing
import os
import pwd
import re
import resource
import runpy
import shutil
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAY = 86400

# run_path and not import: bytecode beside the programs would change the digest of what is approved.
disk: Any = type("Disk", (), runpy.run_path(str(ROOT / "roles/free_disk_space/files/disk_space.py")))
zombies: Any = type("Zombies", (), runpy.run_path(str(ROOT / "roles/kill_zombie_process/files/zombies.py")))
services: Any = type("Services", (), runpy.run_path(str(ROOT / "roles/restart_service/files/service.py")))
modes: Any = type("Modes", (), runpy.run_path(str(ROOT / "roles/fix_permissions/files/file_mode.py")))
configurations: Any = type(
    "Configurations", (), runpy.run_path(str(ROOT / "roles/reload_config/files/configuration.py"))
)
names: Any = type("Names", (), runpy.run_path(str(ROOT / "roles/restart_network/files/names.py")))
rotate: Any = type("Rotate", (), runpy.run_path(str(ROOT / "roles/rotate_logs/files/log_rotation.py")))


def put(path: Path, *, days: float, size: int = 4096) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    old = time.time() - days * DAY
    os.utime(path, (old, old))
    return path


def sweep(place: Any, *, delete: bool = False, days_later: float = 0, foreign: tuple[str, ...] = ()) -> dict[str, str]:
    """Name -> why it stays; empty: it may go. As if the folder's file system were short of room."""
    made = sweeper(place, days_later=days_later, foreign=set(foreign), delete=delete)
    return walked(made, place)


def sweeper(
    place: Any,
    *,
    days_later: float = 0,
    foreign: Set[str] = frozenset(),
    delete: bool = True,
    missing: tuple[float, float] = (math.inf, 0),
    **how: Any,
) -> Any:
    freed = disk.Freed({os.stat(place.path).st_dev: missing})
    return disk.Sweep(freed, set(foreign), time.time() + days_later * DAY, delete=delete, **how)


def walked(made: Any, place: Any) -> dict[str, str]:
    """What it finds, and then it cleans."""
    found = {os.path.relpath(one.path, place.path): one.why for one in made.walk(place)}
    made.clean(place)
    return found


def logs(root: Path) -> Any:
    return disk.Place(str(root), "log", 7, mounts=True)


OLD = "is not older than 7 days"
LIVE = "is no rotated log"
RECORD = "is a security record"


@pytest.mark.parametrize(
    ("name", "days", "why"),
    [
        *((name, 8, "") for name in ("a.log.1", "a.log.12.gz", "a.log-20240131", "a.log-20240131.xz", "syslog.1")),
        *((name, 8, "") for name in ("a-20240131.log.gz", "a.log.old", "a.log.2.bz2", "a.log.gz", "deep/down/x.log.3")),
        *((name, 6.9, OLD) for name in ("a.log.1", "a.log-20240131.gz")),
        *((name, 99, LIVE) for name in ("a.log", "syslog", "a.db", "a.1.sqlite", "backup.tar.gz", "key.pem", "a.gz")),
        *((name, 99, RECORD) for name in ("auth.log.1", "secure-20240131", "wtmp.1", "btmp.1", "sudo.log.2.gz")),
    ],
)
def test_only_old_rotated_logs_may_go(name: str, days: float, why: str, tmp_path: Path) -> None:
    put(tmp_path / name, days=days)

    assert sweep(logs(tmp_path)) == {name: why}


@pytest.mark.parametrize("folder", ["journal", "audit", "private"])
def test_what_other_programs_keep_in_order_is_not_even_looked_at(folder: str, tmp_path: Path) -> None:
    put(tmp_path / folder / "a.log.1", days=99)

    assert sweep(logs(tmp_path)) == {}


def test_other_machines_disks_are_not_entered(tmp_path: Path) -> None:
    put(tmp_path / "remote" / "a.log.1", days=99)

    assert sweep(logs(tmp_path), foreign=(str(tmp_path / "remote"),)) == {}


def test_log_that_a_process_holds_open_stays(tmp_path: Path) -> None:
    path = put(tmp_path / "a.log.1", days=99)

    with path.open("rb"):
        assert sweep(logs(tmp_path), delete=True) == {"a.log.1": "is held open by a process"}

    assert sweep(logs(tmp_path), delete=True) == {"a.log.1": ""}
    assert not path.exists()


def test_links_lead_nowhere_and_hard_links_stay(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "b.log.1", days=99)
    place = tmp_path / "log"
    place.mkdir()
    (place / "folder").symlink_to(outside.parent)
    (place / "c.log.1").symlink_to(outside)
    os.link(outside, place / "d.log.1")

    assert sweep(logs(place), delete=True) == {"d.log.1": "has several names (hard links)"}

    assert outside.exists()
    assert (place / "d.log.1").exists()


def test_looking_deletes_nothing(tmp_path: Path) -> None:
    path = put(tmp_path / "a.log.1", days=99)

    sweep(logs(tmp_path))

    assert path.exists()


def test_temporary_file_is_as_old_as_its_arrival_here(tmp_path: Path) -> None:
    """An unpacked archive has old dates, and came a moment ago."""
    put(tmp_path / "unpacked", days=99)
    place = disk.Place(str(tmp_path), "temporary", 10)

    assert sweep(place) == {"unpacked": "is not older than 10 days"}
    assert sweep(place, days_later=11) == {"unpacked": ""}


def test_temporary_files_that_are_marked_or_of_services_stay(tmp_path: Path) -> None:
    marked = put(tmp_path / "marked", days=0)
    marked.chmod(0o1644)
    put(tmp_path / "systemd-private-1-a.service-2" / "tmp" / "x", days=0)
    place = disk.Place(str(tmp_path), "temporary", 10)

    assert sweep(place, days_later=99) == {"marked": "is marked to stay"}


@contextmanager
def few_descriptors(limit: int) -> Iterator[None]:
    """As much as many a host gives a process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def nested(root: Path, depth: int) -> None:
    """Folders one in another, deeper than a path may be long."""
    handle = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=handle)
        inner = os.open("deep", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(os.open("bottom.log.1", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)


def test_nobody_stops_it_with_folders_one_in_another(tmp_path: Path) -> None:
    heap = tmp_path / "heap"
    heap.mkdir()
    nested(heap, 1500)
    put(tmp_path / "other.log.1", days=99)
    try:
        made = sweeper(logs(tmp_path))
        with few_descriptors(128):
            assert walked(made, logs(tmp_path)) == {"other.log.1": ""}
        assert made.problems == [f"folders of {tmp_path} deeper than 32 are left out"]
        assert not (tmp_path / "other.log.1").exists()
    finally:
        # pytest's own cleaning recurses.
        subprocess.run(["rm", "-rf", str(heap)], check=True)


def test_folders_down_to_the_limit_are_looked_into_and_descriptors_closed(tmp_path: Path) -> None:
    path = put(tmp_path.joinpath(*["d"] * 32) / "a.log.1", days=99)
    put(tmp_path.joinpath(*["d"] * 33) / "b.log.1", days=99)
    open_before = os.listdir("/proc/self/fd")

    made = sweeper(logs(tmp_path))

    assert walked(made, logs(tmp_path)) == {os.path.relpath(path, tmp_path): ""}
    put(tmp_path / "a.log.1", days=99)
    left_in_the_middle = made.walk(logs(tmp_path))
    next(left_in_the_middle)
    left_in_the_middle.close()
    assert os.listdir("/proc/self/fd") == open_before


def test_out_of_time_it_answers_what_it_found_and_says_so(tmp_path: Path) -> None:
    for number in range(8):
        put(tmp_path / f"a.log.{number}", days=99)
    place, ticks = logs(tmp_path), iter(range(1000))
    counting: list[bool] = []

    made = sweeper(place, seconds=4.0, clock=lambda: next(ticks) if counting else 0.0)
    counting.append(True)

    assert 0 < len(walked(made, place)) < 8
    assert made.problems == [f"there was no time to look through all of {tmp_path}"]


def test_what_is_mounted_below_a_place_for_temporary_files_is_not_entered(tmp_path: Path) -> None:
    """A build's root may have the homes mounted in it, of the same device."""
    put(tmp_path / "root" / "home" / "thesis", days=0)
    place = disk.Place(str(tmp_path), "temporary", 10)

    made = sweeper(place, days_later=99, mounted=frozenset({str(tmp_path / "root" / "home"), str(tmp_path)}))

    assert walked(made, place) == {}
    made = sweeper(logs(tmp_path), days_later=99, mounted=frozenset({str(tmp_path / "root" / "home")}))
    assert walked(made, logs(tmp_path)) == {"root/home/thesis": LIVE}


def test_lock_of_a_display_and_a_running_program_stay(tmp_path: Path) -> None:
    put(tmp_path / ".X0-lock", days=0)
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    place = disk.Place(str(tmp_path), "temporary", 10)

    with subprocess.Popen([program, "60"]) as running:
        try:
            found = sweep(place, days_later=99, delete=True)
        finally:
            running.kill()

    assert found == {".X0-lock": "marks a display", "program": "is held open by a process"}


def test_names_are_shown_in_letters_that_can_be_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a\x1b[2J\udcff\u202e.log.1", days=99)
    full = disk.Room(16 * MIB, 0, 100, 50)
    monkeypatch.setitem(disk.answer.__globals__, "short", lambda paths: {str(tmp_path): full})

    said = disk.answer("look", (logs(tmp_path),), [], time.time())

    assert said["named"] == [rf"{tmp_path}/a\x1b[2J\udcff\u202e.log.1"]
    assert said["short"] == [f"{tmp_path} is 100 % full (0 of 16 MiB available)"]
    assert said["told"] == [f"{tmp_path}: 1 rotated logs (0.0 MiB)"]
    (told,) = disk.answer("free", (logs(tmp_path),), [], time.time())["told"]
    assert told.startswith(f"{tmp_path}: 1 rotated logs (0.0 MiB), 0.0 -> ")


def test_packages_go_unless_apt_is_at_work(tmp_path: Path) -> None:
    package = put(tmp_path / "nginx_1.deb", days=0)
    lock = put(tmp_path / "lock", days=0, size=0)
    place = disk.Place(str(tmp_path), "package", 0)

    with locked(lock):
        sweep(place, delete=True)
    assert package.exists()

    assert sweep(place, delete=True) == {"lock": "is no downloaded package", "nginx_1.deb": ""}
    assert not package.exists()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds apt's kind of lock: one's own is no hindrance."""
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, ready, done))
    process.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        done.set()
        process.join(10)


def hold(path: Path, ready: Any, done: Any) -> None:
    with path.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        ready.set()
        done.wait(10)


MOUNTINFO = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:22 / /var/log rw - tmpfs tmpfs rw
24 23 0:23 / /var/log/my\\040app rw,nosuid - xfs /dev/vdb rw
25 23 0:24 / /var/log/archive ro - ext4 /dev/vdc rw
26 23 0:25 / /var/log/central rw - nfs4 server:/log rw
27 22 0:26 / /tmp rw - ext4 /dev/vdd ro
28 22 0:27 / /var/logs rw - ext4 /dev/vde rw
"""


def test_file_systems_of_a_place_are_its_own_and_those_below_it() -> None:
    known = disk.mounts(MOUNTINFO)

    held = list(disk.holders(disk.Place("/var/log", "log", 7, mounts=True), known))

    assert [mount.path for mount in held] == ["/var/log", "/var/log/my app", "/var/log/archive", "/var/log/central"]
    assert [mount.ours for mount in held] == [True, True, False, False]
    assert [mount.path for mount in disk.holders(disk.Place("/tmp", "temporary", 10), known)] == ["/tmp"]
    assert not next(mount for mount in known if mount.path == "/tmp").ours


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("size", "available", "inodes", "phrase"),
    [
        (1000 * MIB, 49 * MIB, 100, "is 96 % full (49 of 1000 MiB available)"),
        (1000 * MIB, 50 * MIB, 100, ""),
        (16 * MIB, 0, 100, "is 100 % full (0 of 16 MiB available)"),
        (16 * MIB, 1 * MIB, 100, "is 94 % full (1 of 16 MiB available)"),
        (16 * MIB, 2 * MIB, 100, ""),
        (200 * MIB, 15 * MIB, 100, "is 93 % full (15 of 200 MiB available)"),
        (8 * 1024 * 1024 * MIB, 10 * 1024 * MIB, 100, ""),
        (8 * 1024 * 1024 * MIB, 9 * 1024 * MIB, 100, "is 100 % full (9216 of 8388608 MiB available)"),
        (1000 * MIB, 500 * MIB, 0, "has 0 of 1000 inodes left"),
    ],
)
def test_short_of_room(size: int, available: int, inodes: int, phrase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = os.statvfs_result((MIB, MIB, size // MIB, 0, available // MIB, 1000, 0, inodes, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: room)

    assert disk.room("/").shortage == phrase
    assert (max(disk.room("/").missing) > 0) == bool(phrase)


def test_what_is_short_gets_twice_what_it_needs_and_nothing_else_does() -> None:
    assert disk.Room(1000 * MIB, 10 * MIB, 1000, 500).missing == (90 * MIB, 0)
    assert disk.Room(1000 * MIB, 500 * MIB, 1000, 5).missing == (0, 15)


def test_the_oldest_go_and_no_more_than_it_takes(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path / str(number % 2) / f"a.log.{number}", days=20 + number)

    made = sweeper(logs(tmp_path), missing=(2 * 4096, 0))
    made.clean(logs(tmp_path))
    made.clean(logs(tmp_path))

    assert sorted(path.name for path in tmp_path.rglob("a.*")) == [f"a.log.{number}" for number in range(4)]
    made = sweeper(logs(tmp_path), missing=(0, 1))
    made.clean(logs(tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("a.*")) == [f"a.log.{number}" for number in range(3)]


def test_a_path_on_another_machine_is_told_by_the_list_of_mounts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [disk.Mount("/", "ext4", writable=True), disk.Mount("/etc", "autofs", writable=True)]
    monkeypatch.setattr(os, "stat", lambda path: pytest.fail(f"{path} was looked at"))

    assert disk.meant(["/"], "/etc/evil.example/x", known) == (
        [],
        "nothing that may be deleted lies on the file system of /etc/evil.example/x",
    )


@pytest.mark.parametrize("path", [".", "relative", "a/b", "/a/../b"])
def test_a_path_in_no_plain_form_is_not_looked_at(path: str) -> None:
    assert disk.meant(["/"], path, []) == ([], f"this is no absolute path in its plain form: {path}")


def test_a_path_whose_first_folder_is_not_here_means_all() -> None:
    assert disk.meant(["/", "/var"], "/only-in-a-container/data", []) == (["/", "/var"], "")


def test_places_give_room_in_their_order() -> None:
    assert [place.kind for place in disk.PLACES] == ["package", "journal", "log", "temporary", "temporary"]
    assert {place.kind for place in disk.PLACES} == disk.KINDS.keys()


def exchanged(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"another")


def linked(path: Path) -> None:
    """Its folder has become a link to where it is now."""
    path.parent.rename(path.parent.parent / "aside")
    path.parent.symlink_to("aside")


def written(path: Path) -> None:
    path.write_bytes(b"alive")


@pytest.mark.parametrize("becomes", [exchanged, linked, written])
def test_what_is_no_longer_what_was_found_stays(becomes: Any, tmp_path: Path) -> None:
    path = put(tmp_path / "app" / "a.log.1", days=99)
    made = sweeper(logs(tmp_path))
    (found,) = made.walk(logs(tmp_path))
    assert not found.why

    becomes(path)

    assert not made._deleted(logs(tmp_path), found)
    assert path.exists()


def test_what_was_opened_since_it_was_found_stays(tmp_path: Path) -> None:
    path = put(tmp_path / "a.log.1", days=99)
    made = sweeper(logs(tmp_path))
    (found,) = made.walk(logs(tmp_path))

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        file.close()
        assert not made._deleted(logs(tmp_path), found)

    assert made._deleted(logs(tmp_path), found)
    assert not path.exists()


def archived(head: float, tail: float, size: int = 8) -> Any:
    return disk.Archive(head * DAY, tail * DAY, size)


@pytest.mark.parametrize(
    ("journals", "missing", "days"),
    [
        # On day 100; what has a record of day 70 or later stays.
        ([archived(10, 20), archived(20, 30), archived(30, 40)], 9, 20),
        ([archived(30, 40), archived(10, 20), archived(20, 30)], 8, 10),
        ([archived(10, 20), archived(20, 30)], 1000, 20),
        ([archived(10, 20)], 0, 0),
        # One user's journal goes on for long, and what began after it is not known to be old enough.
        ([archived(10, 20), archived(20, 99), archived(30, 40)], 1000, 19),
        ([archived(10, 99), archived(20, 30)], 1000, 9),
        ([archived(10, 20), archived(0, math.inf)], 1000, -1),
        ([archived(71, 72)], 1000, 70),
    ],
)
def test_no_journal_goes_that_has_a_young_record(journals: list[Any], missing: float, days: float) -> None:
    assert disk.horizon(journals, (missing, 0), 70 * DAY) == pytest.approx(days * DAY, abs=2)


def test_archived_journals_are_read_from_their_own_heads(tmp_path: Path) -> None:
    (tmp_path / "system@1-2-3.journal").write_bytes(b"LPKSHHRH" + bytes(176) + struct.pack("<QQ", 5 * 10**6, 7 * 10**6))
    (tmp_path / "system.journal").write_bytes(b"LPKSHHRH" + bytes(192))
    (tmp_path / "user-1@5-6.journal~").write_bytes(b"LPKSHHRH")
    os.mkfifo(tmp_path / "pipe@1.journal")

    said = disk.archives(str(tmp_path))

    assert {name: one[:2] for name, one in said.items()} == {
        "system@1-2-3.journal": (5, 7),
        "user-1@5-6.journal~": (0, math.inf),
        "pipe@1.journal": (0, math.inf),
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o644, 0o755), (0o640, 0o750), (0o600, 0o700), (0o200, 0o300), (0o744, 0o755), (0o755, 0o755), (0o711, 0o711)],
)
def test_who_may_read_may_execute_and_nobody_else(before: int, after: int) -> None:
    assert modes.wanted_mode(before) == after


def refused(path: Path, *safe: Path) -> str:
    return str(modes.look(str(path), [str(one) for one in safe])["objection"])


SCRIPT = b"#!/bin/sh\nexit 0\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that may be touched: but for /tmp, above it, where everybody may write."""
    inside = modes.look.__globals__
    writers = inside["writers"]
    monkeypatch.setitem(inside, "writers", lambda found: "" if found.mode & stat.S_ISVTX else writers(found))
    path = put(tmp_path / "bin" / "job", days=0)
    path.write_bytes(SCRIPT)
    path.chmod(0o644)
    return path


def test_what_is_no_plain_safe_file_is_refused(script: Path, tmp_path: Path) -> None:
    safe = script.parent
    assert "under none of the safe directories (none)" in refused(script)
    assert "under none of the safe directories" in refused(script, tmp_path / "bi")
    assert "under none of the safe directories" in refused(script, Path("/"))
    assert "is no plain file" in refused(safe, tmp_path)
    assert "can't be looked at (No such file" in refused(safe / "gone", safe)
    assert "no absolute path in its plain form" in refused(Path("bin/job"), safe)
    assert "no absolute path in its plain form" in str(modes.look(f"{safe}/../bin/job", [str(safe)])["objection"])


def test_link_out_of_the_safe_directories_is_refused(script: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "elsewhere" / "job", days=0)
    (script.parent / "link").symlink_to(other)

    said = refused(script.parent / "link", script.parent)

    assert said == f"{script.parent}/link (which is {other}) is under none of the safe directories ({script.parent})"


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_special_bits_are_refused(bit: int, script: Path) -> None:
    script.chmod(0o644 | bit)
    if not script.stat().st_mode & bit:
        pytest.skip("this user can't set the bit")

    assert "has a setuid, setgid or sticky bit" in refused(script, script.parent)


def test_second_name_is_refused(script: Path) -> None:
    os.link(script, script.parent / "other")

    assert "has 2 names (hard links)" in refused(script, script.parent)


def test_file_or_folder_that_others_may_write_is_refused(script: Path) -> None:
    script.chmod(0o646)
    assert "can be written by everybody" in refused(script, script.parent)

    # Nothing is missing, and it is not well.
    script.chmod(0o757)
    seen = modes.look(str(script), [str(script.parent)])
    assert (seen["symptom"], seen["doubt"]) == ("", f"{script} can be written by everybody")

    script.chmod(0o644)
    script.parent.chmod(0o777)
    assert f"lies below {script.parent}, where everybody may write" in refused(script, script.parent)


@pytest.mark.parametrize("name", [".ssh/authorized_keys", ".config/systemd/user/x", "sudoers.d/x"])
def test_what_decides_who_may_log_in_is_refused(name: str, tmp_path: Path) -> None:
    path = put(tmp_path / name, days=0)

    assert "decides who may log in" in refused(path, tmp_path)


@pytest.mark.parametrize("name", ["job\x1b[2J", "job\n", "job\u202egnp", "job\udcff"])
def test_name_that_can_not_be_printed_is_refused_in_letters_that_can(name: str, tmp_path: Path) -> None:
    said = refused(put(tmp_path / name, days=0), tmp_path)

    assert "is a name with unprintable characters" in said
    assert said.isprintable()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / name)
    assert refused(link, tmp_path) == said


def test_chain_of_links_that_no_system_call_follows_is_refused(script: Path) -> None:
    """Python's own resolution recurses into it."""
    before = script
    for number in range(1500):
        after = script.parent / f"link{number}"
        after.symlink_to(before)
        before = after

    assert "can't be looked at (Too many levels of symbolic links)" in refused(before, script.parent)


def test_link_that_goes_while_it_is_resolved_is_refused(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: str) -> str:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os.path, "realpath", gone)

    assert refused(script, script.parent) == f"{script} can't be looked at (Invalid argument)"


def attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"this file system takes no {name}: {error.strerror}")


#: user::rw- user:1:rw- group::r-- mask::rw- other::r--
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, who)
    for tag, bits, who in ((1, 6, 2**32 - 1), (2, 6, 1), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 4, 2**32 - 1))
)


def test_file_with_capabilities_or_an_access_control_list_is_refused(script: Path) -> None:
    attribute(script, "security.capability", struct.pack("<5I", 0x02000001, 1 << 7, 0, 0, 0))
    assert "has capabilities" in refused(script, script.parent)

    os.removexattr(script, "security.capability")
    attribute(script, "system.posix_acl_access", ACL)
    assert "has an access control list" in refused(script, script.parent)


def test_folder_whose_access_control_list_lets_others_write_is_refused(script: Path) -> None:
    attribute(script.parent, "system.posix_acl_access", ACL.replace(struct.pack("<HH", 1, 6), struct.pack("<HH", 1, 7)))

    assert "where others by an access control list may write" in refused(script, script.parent)


# Between look and change ------------------------------------------------------------------------


def change(script: Path, seen: dict[str, Any]) -> dict[str, Any]:
    """What `set` answers for what `look` saw, as the role asks for it."""
    assert seen["objection"] == ""
    answer = modes.main("set", str(script), seen["identity"], seen["access"], seen["wanted"], str(script.parent))
    assert isinstance(answer, dict)
    return answer


def seen(script: Path) -> dict[str, Any]:
    answer = modes.main("look", str(script), str(script.parent))
    assert isinstance(answer, dict)
    return answer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host that is not to be touched."""
    path = put(tmp_path / "elsewhere" / "secret", days=0)
    path.chmod(0o640)
    return path


def test_what_was_looked_at_is_changed_once_and_back(script: Path) -> None:
    found = seen(script)

    assert change(script, found) == {"changed": True, "objection": ""}
    assert mode(script) == 0o755
    either = f"{found['wanted']},{found['access']}"
    undone = modes.main("set", str(script), found["identity"], either, found["access"], str(script.parent))
    assert undone == {"changed": True, "objection": ""}
    assert mode(script) == 0o644
    again = modes.main("set", str(script), found["identity"], either, found["access"], str(script.parent))
    assert again == {"changed": False, "objection": ""}


def test_nothing_is_set_that_is_neither_wanted_nor_was(script: Path) -> None:
    found = seen(script)

    answer = change(script, {**found, "wanted": found["access"].replace("0644", "0777")})

    assert answer == {
        "changed": False,
        "objection": f"{script} should have another owner or mode than when it was looked at",
    }
    assert mode(script) == 0o644


def test_link_in_the_files_place_changes_nothing_of_its_target(script: Path, secret: Path) -> None:
    found = seen(script)
    script.unlink()
    script.symlink_to(secret)

    answer = change(script, found)

    assert not answer["changed"]
    assert "is under none of the safe directories" in answer["objection"]
    assert mode(secret) == 0o640


def test_link_that_comes_after_the_path_was_resolved_is_not_followed(
    script: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(script)
    resolve = os.path.realpath

    def swapping(path: str) -> str:
        real = resolve(path)
        script.unlink()
        script.symlink_to(secret)
        return real

    monkeypatch.setattr(os.path, "realpath", swapping)

    assert change(script, found) == {"changed": False, "objection": f"{script} is no plain file"}
    assert mode(secret) == 0o640


def test_link_that_comes_between_the_last_look_and_opening_is_not_followed(
    script: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(script)
    look = os.stat

    def swapping(path: Any, **how: Any) -> os.stat_result:
        facts = look(path, **how)
        if path == script.name and "dir_fd" in how and not script.is_symlink():
            script.unlink()
            script.symlink_to(secret)
        return facts

    monkeypatch.setattr(os, "stat", swapping)

    answer = change(script, found)

    assert answer == {
        "changed": False,
        "objection": f"owner and mode of {script} can't be set (Too many levels of symbolic links)",
    }
    assert mode(secret) == 0o640


def test_folder_that_becomes_a_link_is_not_followed(
    script: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(script)
    secret.rename(secret.with_name(script.name))
    resolve = os.path.realpath

    def swapping(path: str) -> str:
        real = resolve(path)
        script.parent.rename(script.parent.with_name("aside"))
        script.parent.symlink_to(secret.parent)
        return real

    monkeypatch.setattr(os.path, "realpath", swapping)

    answer = change(script, found)

    assert answer == {"changed": False, "objection": f"owner and mode of {script} can't be set (Not a directory)"}
    assert mode(secret.with_name(script.name)) == 0o640


def test_link_that_comes_at_the_last_moment_gets_nothing(
    script: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode is set on what is held open, wherever its name leads by then."""
    found, aside, set_on = seen(script), script.with_name("aside"), os.fchmod

    def swapping(handle: int, wanted: int) -> None:
        script.rename(aside)
        script.symlink_to(secret)
        set_on(handle, wanted)

    monkeypatch.setattr(os, "fchmod", swapping)

    assert change(script, found) == {"changed": True, "objection": ""}
    assert (mode(aside), mode(secret)) == (0o755, 0o640)


def test_other_file_mode_or_names_than_looked_at_are_left_alone(script: Path) -> None:
    found = seen(script)
    other = put(script.with_name("other"), days=0)
    other.write_bytes(SCRIPT)
    other.chmod(0o644)

    script.chmod(0o640)
    said = change(script, found)["objection"]
    assert re.search(r"has another owner or mode than when it was looked at \(\S+:\S+ 0640\)$", said)
    script.chmod(0o644)
    os.link(script, script.with_name("second"))
    assert "has 2 names (hard links)" in change(script, found)["objection"]
    other.replace(script)
    assert "is another file than the one that was looked at" in change(script, found)["objection"]
    script.unlink()
    os.mkfifo(script)
    assert change(script, found) == {"changed": False, "objection": f"{script} is no plain file"}
    script.unlink()
    assert "can't be set (No such file or directory)" in change(script, found)["objection"]


# Whose a file is --------------------------------------------------------------------------------

LOG = "/var/log/shop/shop.log"
#: Users and groups that every Linux has.
UNIT = "Id=shop.service\nLoadState=loaded\nUser=daemon\nGroup=\nDynamicUser=no\nLogsDirectory=cart shop\n"
LINE = f"f {LOG} 0640 daemon daemon"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the host's own programs say, by their names."""
    answers: dict[str, str] = {}
    monkeypatch.setitem(modes.look.__globals__, "said", lambda name, *_, **__: answers.get(name, ""))
    return answers


@pytest.mark.parametrize(
    ("units", "lines", "overrides", "whose"),
    [
        (UNIT, "", "", ("daemon", None, "shop.service")),
        (f"LoadState=loaded\nDynamicUser=no\n\n{UNIT}", "# a comment\n\nx\n", "", ("daemon", None, "shop.service")),
        ("", LINE, "", ("daemon", 0o640, "tmpfiles.d")),
        ("", f"z {LOG} - daemon", "", ("daemon", None, "tmpfiles.d")),
        (UNIT, f"f+! {LOG} 600 daemon - - -", "", ("daemon", 0o600, "tmpfiles.d")),
        ("", "", f"root root 4755 /bin/x\ndaemon daemon 0664 {LOG}", ("daemon", 0o664, "dpkg-statoverride")),
    ],
)
def test_what_the_host_declares_is_found(
    units: str, lines: str, overrides: str, whose: tuple[str, int | None, str], told: dict[str, str]
) -> None:
    told.update({"systemctl": units, "systemd-tmpfiles": lines, "dpkg-statoverride": overrides})

    found = modes.declared(LOG)

    assert (found.user, found.mode, found.source) == whose


NOTHING = "nothing declares whose it is"


@pytest.mark.parametrize(
    ("units", "lines", "doubt"),
    [
        ("", "", NOTHING),
        (UNIT.replace("cart shop", "cart shop/sub shopping"), "", NOTHING),
        (UNIT.replace("Logs", "State"), "", NOTHING),
        (UNIT.replace("loaded", "not-found"), "", NOTHING),
        ("", f"f {LOG}.1 0640 daemon daemon\nf /var/log/*/shop.log 0640 daemon\nd /var/log/shop 0755 daemon", NOTHING),
        ("", f"f {LOG}\nf {LOG} 0640\nf {LOG} 0640 :daemon\nw {LOG} 0640 daemon", NOTHING),
        (UNIT.replace("=no", "=yes"), "", "shop.service has no user of its own"),
        (UNIT.replace("User=daemon", "User="), "", "is root's by shop.service"),
        ("", f"f {LOG} 0640 root daemon", "is root's by tmpfiles.d"),
        (UNIT, f"f {LOG} 0640 root root", "is root's by tmpfiles.d and daemon's by shop.service"),
        (UNIT + "\n" + UNIT.replace("User=daemon", "User="), "", "is daemon's by shop.service and root's by shop"),
        (UNIT, f"f {LOG} 0640 daemon bin", "is daemon's by tmpfiles.d and daemon's by shop.service"),
        (
            UNIT.replace("User=daemon", "User=no-one-at-all"),
            "",
            "by shop.service, whom this host does not know",
        ),
        ("", f"f {LOG} 0640 daemon no-group-at-all", "whom this host does not know"),
        *(
            ("", f"f {LOG} {mode} daemon daemon", f"with the mode {mode} by tmpfiles.d")
            for mode in ("0755", "4640", "0666", "0440", "0642", "~0640", ":0640", "junk", "0740", "0650")
        ),
    ],
)
def test_what_is_declared_for_nobody_for_root_or_for_two_is_doubt(
    units: str, lines: str, doubt: str, told: dict[str, str]
) -> None:
    told.update({"systemctl": units, "systemd-tmpfiles": lines})

    with pytest.raises(modes.Doubt) as error:
        modes.declared(LOG)

    assert doubt in str(error.value)


def test_host_that_can_not_say_is_doubt(tmp_path: Path) -> None:
    said = modes.said
    assert said("no-such-program-at-all") == ""
    with pytest.raises(modes.Doubt, match="false can't tell whose it is"):
        said("false")


def test_data_never_gets_an_execute_bit(script: Path, told: dict[str, str]) -> None:
    script.write_text("2026-01-01 started\n")

    found = seen(script)

    assert NOTHING in found["doubt"]
    assert found["objection"] == found["doubt"]
    assert (found["symptom"], found["wanted"]) == ("", found["access"])


def daemon(mode: int | None = None) -> Any:
    return modes.owner("daemon", "", "-" if mode is None else f"{mode:04o}", "shop.service")


def file(mode: int, uid: int = 0, gid: int = 0, size: int = 9) -> Any:
    facts = os.stat_result((stat.S_IFREG | mode, 7, 7, 1, uid, gid, size, 0, 0, 0))
    return modes.File(handle=-1, facts=facts, rights=frozenset(), noexec=False, above=[])


@pytest.mark.parametrize(
    ("found", "declared", "wanted"),
    [
        ((0, 0, 0o644), None, (1, 1, 0o644)),
        ((0, 0, 0o040), None, (1, 1, 0o640)),
        ((0, 0, 0o644), 0o640, (1, 1, 0o640)),
        ((1, 1, 0o444), None, (1, 1, 0o644)),
        # Whom nothing is denied nothing is given.
        ((1, 0, 0o600), 0o640, (1, 0, 0o600)),
        ((0, 1, 0o660), None, (0, 1, 0o660)),
        ((0, 0, 0o666), None, (0, 0, 0o666)),
    ],
)
def test_a_file_gets_its_owner_where_he_can_not_write(
    found: tuple[int, int, int], declared: int | None, wanted: tuple[int, int, int]
) -> None:
    assert modes.wanted_access(modes.Access(*found), daemon(declared)) == wanted


@pytest.mark.parametrize(
    ("real", "found", "says"),
    [
        (LOG, file(0o644), ""),
        (LOG, file(0o600, size=0), ""),
        (LOG, file(0o200, uid=1, gid=1), ""),
        (LOG, file(0o640, gid=1), ""),
        (LOG, file(0o640), "can't be read by daemon and is not empty"),
        (LOG, file(0o644, uid=2), "who is neither root nor daemon"),
        *(
            (f"/var/lib/shop/{name}", file(0o644), "is named like a secret")
            for name in (
                "tls.key",
                "a.PEM",
                "id_ed25519",
                "ssh_host_rsa_key",
                "shadow-",
                ".env",
                "private/x",
                "passwords",
            )
        ),
    ],
)
def test_what_may_be_given_to_whom(real: str, found: Any, says: str) -> None:
    said = modes.of_gift(real, found, daemon())

    assert says in said
    assert bool(said) == bool(says)


def test_nothing_is_given_where_anybody_may_link_to_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "protected_hardlinks"
    monkeypatch.setitem(modes.look.__globals__, "LINKS", str(setting))

    for value in ("0\n", None):
        if value:
            setting.write_text(value)
        else:
            setting.unlink()
        assert "may link to anybody's file" in modes.of_gift(LOG, file(0o644), daemon())


@pytest.fixture
def log(script: Path, told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log that this user can't write, and that is declared to be his, in another group."""
    mine = modes.owner(pwd.getpwuid(os.getuid()).pw_name, "", "-", "shop.service")._replace(uid=os.getuid(), gid=12345)
    monkeypatch.setitem(modes.look.__globals__, "declared", lambda path: mine)
    script.write_text("2026-01-01 started\n")
    script.chmod(0o444)
    return script


def test_owner_is_given_to_what_is_held_open(log: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, given = seen(log), []

    def swapping(handle: int, uid: int, gid: int) -> None:
        log.rename(log.with_name("aside"))
        log.symlink_to(secret)
        given.append((os.fstat(handle).st_ino, uid, gid))

    number = log.stat().st_ino
    monkeypatch.setattr(os, "fchown", swapping)
    answer = change(log, found)

    assert given == [(number, os.getuid(), 12345)]
    assert "after it was given" in answer["objection"], "the group was not really set"
    assert mode(secret) == 0o640


def test_owner_is_taken_back_where_the_mode_can_not_be_set(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, given = seen(log), []

    def failing(handle: int, wanted: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fchown", lambda handle, uid, gid: given.append((uid, gid)))
    monkeypatch.setattr(os, "fchmod", failing)
    answer = change(log, found)

    assert answer == {"changed": False, "objection": f"owner and mode of {log} can't be set (Read-only file system)"}
    assert given == [(os.getuid(), 12345), (log.stat().st_uid, log.stat().st_gid)]


# kill_zombie_process -----------------------------------------------------------------------------


def row(pid: int, *, name: str = "parent", parent: int = 1) -> Any:
    return zombies.Process(pid, f"{pid} ({name}) S {parent} " + "0 " * 17 + "4711 0")


def test_a_row_of_proc_is_read_whatever_a_process_calls_itself() -> None:
    odd = row(7, name="a) Z 1 (\x1b[2J", parent=5)

    assert (odd.pid, odd.name, odd.state, odd.parent, odd.start) == (7, "a) Z 1 (?[2J", "S", 5, 4711)


@pytest.mark.parametrize(
    ("process", "service", "told", "says"),
    [
        (row(1, parent=0), "", {}, "is PID 1"),
        (row(2, parent=0), "", {}, "is a thread of the kernel"),
        (row(90, parent=2), "", {}, "is a thread of the kernel"),
        (row(90), "ssh@3.service", {"Names": "ssh@3.service"}, "belongs to ssh@3.service, which is protected"),
        (row(90), "app.service", {"Names": "app.service sshd.service"}, "belongs to sshd.service, which is protected"),
        (row(90), "app.service", {}, "belongs to app.service, of which systemd says nothing"),
        (row(90), "app.service", {"Names": "app.service"}, ""),
        (row(90), "", {}, ""),
    ],
)
def test_who_is_told_of_a_zombie(process: Any, service: str, told: dict[str, str], says: str) -> None:
    assert zombies.objection(process, service, told, ["ssh", "sshd"]) == says


@pytest.mark.parametrize(
    ("told", "may"),
    [
        ({"MainPID": "90"}, True),
        ({"MainPID": "91"}, False),
        ({}, False),
        ({"MainPID": "90", "RequiredBy": "shop.service"}, True),
        ({"MainPID": "90", "RequiredBy": "shop.service sshd.service"}, False),
        ({"MainPID": "90", "BoundBy": "network.target"}, False),
    ],
)
def test_which_service_may_be_restarted_for_its_zombies(told: dict[str, str], may: bool) -> None:
    assert zombies.may_restart(row(90), told, ["sshd"]) is may


def test_a_zombie_that_stays_is_found_and_reaped_by_who_is_told() -> None:
    """A real child of a real parent that reaps at SIGCHLD alone."""
    script = (
        "import os, signal, time\n"
        "def reap(*_): os.waitpid(-1, os.WNOHANG)\n"
        "child = os.fork()\n"
        "if not child: os._exit(0)\n"
        "time.sleep(0.2); signal.signal(signal.SIGCHLD, reap); print(child, flush=True)\n"
        "time.sleep(60); time.sleep(60)\n"
    )
    with subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())

        mine = [one for one in zombies.staying() if one.pid == child]
        told = {"pid": parent.pid, "start": zombies.process(parent.pid).start, "zombies": len(mine)}
        sent = zombies.tell(told)
        deadline = time.monotonic() + 20
        while zombies.process(child) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        gone = zombies.process(child) is None
        parent.kill()

    assert [one.parent for one in mine] == [parent.pid]
    assert (sent, gone) == (1, True)


# reload_config -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "code", "says"),
    [
        ("nginx", "nginx -t -q", 1, "nginx -t -q says: ERROR: line 7"),
        ("php8.2-fpm", "php-fpm8.2 -t", 78, "php-fpm8.2 -t says: ERROR: line 7"),
        ("php-fpm", "php-fpm -t", 78, "php-fpm -t says: ERROR: line 7"),
        ("php-fpm", "php-fpm -t", 0, ""),
        # No such program.
        ("php-fpm", "php-fpm -t", 127, ""),
        ("orders", "", 1, ""),
    ],
)
def test_a_configuration_is_tested_by_its_service_s_own_program(
    name: str, command: str, code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run(words: tuple[str, ...], seconds: float) -> tuple[int, str]:
        asked.append(" ".join(words))
        return code, "notice: one\nERROR: line 7\n"

    monkeypatch.setitem(configurations.broken.__globals__, "run", run)

    assert configurations.broken(name) == says
    assert asked == [command] * bool(command)


# restart_network ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knows_cache", "code", "said", "sick"),
    [
        (True, 0, ". IN NS a.root-servers.net", ""),
        (True, 1, ".: resolve call failed: No appropriate name servers", "names are not resolved: .: resolve call "),
        (True, 1, ".: Name '.' does not have any RR of the requested type", ""),
        (True, 124, "", "systemd-resolved gives no answer in time"),
        # Before systemd 248.
        (False, 0, ". IN NS a.root-servers.net", ""),
        (False, 1, ".: resolve call failed: Query timed out", "names are not resolved: .: resolve call failed: Query"),
        (False, 124, "", "systemd-resolved gives no answer in time"),
    ],
)
def test_what_resolvectl_says_of_the_root_is_understood(
    knows_cache: bool, code: int, said: str, sick: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*command: str, seconds: float) -> tuple[int, str]:
        if "--cache=no" in command and not knows_cache:
            return 1, "resolvectl: unrecognized option '--cache=no'"
        return code, said

    monkeypatch.setitem(names.unresolved.__globals__, "run", run)

    answer = names.unresolved()

    assert answer.startswith(sick)
    assert bool(answer) == bool(sick)


# restart_service ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "2001:db8::a:1"])
def test_an_address_is_read_from_the_kernels_words(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    words = "".join(f"{word:08X}" for (word,) in struct.iter_unpack("=I", socket.inet_pton(family, address)))

    assert services.numeric(words) == (f"[{address}]" if ":" in address else address)


def test_who_listens_is_seen_unless_chance_chose_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server, socket.socket() as bound, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for one in (server, bound, datagrams):
            one.bind(("127.0.0.1", 0))
        server.listen()
        tcp, idle, udp = (one.getsockname()[1] for one in (server, bound, datagrams))
        wanted = {f"tcp 127.0.0.1:{tcp}", f"udp 127.0.0.1:{udp}"}

        assert not wanted & set(services.listening("self").values())
        rows = services.rows
        monkeypatch.setitem(
            services.listening.__globals__,
            "rows",
            lambda path: ["1 1"] if path.endswith("ip_local_port_range") else rows(path),
        )
        found = set(services.listening("self").values())

    assert wanted <= found
    assert f"tcp 127.0.0.1:{idle}" not in found


def test_what_a_restart_left_behind_is_of_its_own_healing_alone(tmp_path: Path) -> None:
    record = tmp_path / "folder" / "nginx.json"
    assert services.kept(str(record), "inc-1") == {}

    services.keep(str(record), {"healing": "inc-1", "MainPID": "7"})

    assert services.kept(str(record), "inc-1") == {"healing": "inc-1", "MainPID": "7"}
    assert services.kept(str(record), "inc-2") == {}
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700
    record.write_text("{")
    assert services.kept(str(record), "inc-1") == {}


# rotate_logs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "why"),
    [
        *((f"/var/log/{name}", "") for name in ("a.log", "syslog", "nginx/access.log", "catalina.out", "php-fpm.err")),
        ("/var/log/private/a.log", "lies where another program keeps its files in order"),
        ("/var/log/audit/audit.log", "lies where another program keeps its files in order"),
        *((f"/var/log/{name}", "is a security record") for name in ("auth.log", "wtmp", "btmp", "lastlog", "sudo.log")),
        *(
            (f"/var/log/{name}", "was rotated or compressed before")
            for name in ("a.log.1", "a.log.gz", "a.log-20240131")
        ),
        ("/opt/a.log", "does not lie below /var/log"),
        ("/var/log", "is under none of the safe directories (/var/log, /opt)"),
        ("/var/logs/a.log", "is under none of the safe directories (/var/log, /opt)"),
    ],
)
def test_log_is_judged_by_where_it_lies(path: str, why: str) -> None:
    assert rotate.of_path(path, ["/var/log", "/opt"]) == why


def test_writer_that_does_not_append_is_told_from_one_that_does(tmp_path: Path) -> None:
    log = put(tmp_path / "a.log", days=0)

    with log.open("rb"):
        assert rotate.writers(log.stat()) == []
        with log.open("ab"):
            assert [one.appends for one in rotate.writers(log.stat())] == [True]
            with log.open("r+b"):
                assert [one.appends for one in rotate.writers(log.stat())] == [False]


CONFIGURATION = """\
weekly
# /var/log/no.log {
include {folder}
rotate 4

"/var/log/a b.log" /var/log/app/*.log
/var/log/c.log {
  daily
  postrotate
    if true; then { echo "}"; }; fi
}
  endscript
}
compress
/var/log/d.log {
}
"""


def test_block_of_one_log_has_the_options_before_it_and_its_scripts(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "one").write_text("missingok\n/var/log/one.log {\n}\n")
    (folder / "one.dpkg-old").write_text("/var/log/old.log {\n}\n")
    main = tmp_path / "main.conf"
    main.write_text(CONFIGURATION.replace("{folder}", str(folder)))

    one, several, last = rotate.stanzas(str(main), {"one"}, [])

    assert (one.patterns, one.before) == (["/var/log/one.log"], ["weekly", "missingok"])
    assert several.patterns == ["/var/log/a b.log", "/var/log/app/*.log", "/var/log/c.log"]
    assert several.alone("/var/log/app/x.log").splitlines() == [
        *("weekly", "missingok", "rotate 4", '"/var/log/app/x.log" {', "  daily", "  postrotate"),
        *('    if true; then { echo "}"; }; fi', "}", "  endscript", "}"),
    ]
    assert several.says("postrotate")
    assert not several.says("copytruncate")
    assert last.before == ["weekly", "missingok", "rotate 4", "compress"]


@pytest.mark.parametrize("text", ["/var/log/a.log { daily }\n", "/var/log/a.log {\n", "/var/log/a.log\n"])
def test_configuration_in_another_form_is_not_guessed_at(text: str, tmp_path: Path) -> None:
    main = tmp_path / "main.conf"
    main.write_text(text)

    with pytest.raises(rotate.Unclear, match="in a form that is not understood here"):
        list(rotate.stanzas(str(main), set(), []))


def test_pattern_names_what_lies_in_its_own_folder_alone() -> None:
    assert rotate.matches("/var/log/app/a.log", "/var/log/*/a.lo[fg]")
    assert not rotate.matches("/var/log/app/a.log", "/var/log/*")
    assert not rotate.matches("/var/log/app/deep/a.log", "/var/log/*/a.log")


@pytest.fixture
def overgrown(tmp_path: Path) -> Path:
    log = tmp_path / "a.log"
    log.write_bytes(b"".join(b"%07d some words\n" % number for number in range(200_000)))
    log.chmod(0o640)
    return log


def cut(log: Path) -> tuple[list[str], str]:
    with rotate.reached(str(log)) as file:
        done: tuple[list[str], str] = rotate.cut(file)
    return done


#: Stands for the file system, of which not each can do it: cuts, but for one that appends at the same instant.
def collapse(handle: int, length: int) -> tuple[int, str]:
    path = Path(f"/proc/self/fd/{handle}")
    rest = path.read_bytes()[length:]
    path.write_bytes(rest)
    return 0, ""


def test_each_line_is_whole_in_the_log_or_its_copy(overgrown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rotate.cut.__globals__, "collapse", collapse)
    before = overgrown.read_bytes()

    assert cut(overgrown)[1] == ""

    (copy,) = overgrown.parent.glob("a.log-*.gz")
    kept, rest = gzip.decompress(copy.read_bytes()), overgrown.read_bytes()
    assert len(rest) == len(before) % os.statvfs(overgrown).f_bsize
    assert before.startswith(kept)
    assert kept.endswith(b"\n")
    assert before.endswith(rest)
    assert kept + rest.split(b"\n", 1)[1] == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ROOM_SHARE", 0.0, "there is no room for a copy of {log}"),
        ("COPY", -1.0, "{log} could not be copied within -1 s"),
        ("unpacked", lambda _: (0, 0), "the copy of {log} could not be read back"),
        ("against_cut", lambda _: "somebody came in", "somebody came in"),
        (
            "collapse",
            lambda *_: (1, "fallocate: fallocate failed: Operation not supported"),
            "the file system of {log} can't cut off the beginning of a file (Operation not supported)",
        ),
    ],
)
def test_copy_is_removed_where_nothing_was_cut_off(
    name: str, value: Any, why: str, overgrown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rotate.cut.__globals__, name, value)
    before = overgrown.read_bytes()

    with pytest.raises(rotate.Unfit, match=re.escape(why.format(log=overgrown))):
        cut(overgrown)

    assert os.listdir(overgrown.parent) == ["a.log"]
    assert overgrown.read_bytes() == before


def test_copy_stays_where_it_is_not_known_whether_the_log_was_cut(
    overgrown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rotate.cut.__globals__, "collapse", lambda *_: (124, "fallocate did not end within 20 s"))

    did, failed = cut(overgrown)

    assert did == []
    assert failed.startswith("fallocate did not end within 20 s; the copy a.log-")
    assert len(os.listdir(overgrown.parent)) == 2


def test_log_that_became_smaller_meanwhile_is_left_alone(overgrown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shrink(*_: Any) -> bool:
        os.truncate(overgrown, 100)
        return True

    monkeypatch.setitem(rotate.cut.__globals__, "against_cut", lambda _: shrink() and "")

    with pytest.raises(rotate.Unfit, match="is not any more what was copied"):
        cut(overgrown)


@pytest.mark.parametrize(
    ("looks", "sent", "left"),
    [
        ([4, 3, 0], 7, 0),
        ([4, 3, 3], 7, 3),
        ([4, 4], 4, 4),
        ([4, 3, 2, 1], 9, 1),
        ([400, 200], 400, 200),
        ([0], 0, 0),
    ],
)
def test_parents_are_told_again_only_while_that_helps_and_there_are_few(
    monkeypatch: pytest.MonkeyPatch, looks: list[int], sent: int, left: int
) -> None:
    scope, seen = zombies.run.__globals__, iter(looks)
    monkeypatch.setitem(scope, "staying", lambda: [None] * next(seen))
    monkeypatch.setitem(scope, "parents", lambda stay, _patterns: [{"why": "", "zombies": len(stay)}])
    monkeypatch.setitem(scope, "tell", lambda parent: parent["zombies"])
    monkeypatch.setitem(scope, "answer", lambda stay, _patterns: {"count": len(stay)})

    assert zombies.run("signal", []) == {"sent": sent, "before": looks[0], "count": left}
    assert next(seen, None) is None
