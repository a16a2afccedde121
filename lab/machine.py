"""The controller itself: root's rights, the lock, who has a lab here, and the one kernel limit labs need.

What labs share on a machine lies in `/run/healing-lab`, belongs to root, and goes with the last lab.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError

ROOM = Path("/run/healing-lab")
LABS = ROOM / "labs"

Say = Callable[[str], None]

#: systemd and what runs under it take 7 inotify instances a host (measured); the machine's own programs the rest.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_PER_HOST = 8
INOTIFY_OF_THE_MACHINE = 64
INOTIFY_RAISED = 1024

_PROGRAMS = {
    "podman": "podman",
    "crun": "crun",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
_SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def os_release() -> dict[str, str]:
    """The controller's own /etc/os-release as a mapping without quotes."""
    rows = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    pairs = (row.split("=", 1) for row in rows if "=" in row and not row.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def missing_packages(found: Callable[[str], bool], release: int) -> list[str]:
    """Debian packages to install, given which programs exist and Debian's release number."""
    missing = [package for program, package in _PROGRAMS.items() if not found(program)]
    if "podman" in missing:
        missing += ["containernetworking-plugins"] if release < 13 else ["netavark", "aardvark-dns"]
    return missing


def require_programs() -> None:
    """Raise LabError with the exact apt command if a program that labs need is missing."""
    number = os_release().get("VERSION_ID", "")
    release = int(number) if number.isdigit() else 13
    missing = missing_packages(lambda program: shutil.which(program, path=_SBIN) is not None, release)
    if missing:
        raise LabError(
            "The lab needs programs that are not installed here. "
            f"Install them with: apt-get install --no-install-recommends {' '.join(missing)}"
        )


def as_root(
    arguments: Sequence[str],
    *,
    timeout: float = 60.0,
    check: bool = True,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program as root and return what it answered, as text.

    `timeout` is in seconds. Raises LabError when it is over, when root's rights are out of reach, and, with
    `check`, when the program failed; its last words are in the sentence.
    """
    command = [*_becoming_root(), *arguments]
    shown = " ".join(arguments[:6])
    try:
        answer = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"The program {command[0]} is not installed or not on PATH.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{shown} ...` did not end within {timeout:g} s.") from error
    if command[0] == "sudo" and answer.returncode and answer.stderr.startswith("sudo:"):
        raise LabError("The lab needs root: run this as root, or allow your user to use sudo without a password.")
    if check and answer.returncode:
        words = (answer.stderr.strip() or answer.stdout.strip())[-600:]
        raise LabError(f"`{shown} ...` failed with code {answer.returncode}: {words}")
    return answer


def _becoming_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo", path=_SBIN) is None:
        raise LabError("The lab needs root: run this as root, or install sudo.")
    return ["sudo", "-n"]


@contextmanager
def lock(say: Say, *, timeout: float = 600.0) -> Iterator[None]:
    """Hold the machine for one change of its labs. Raises LabError after `timeout` seconds of waiting.

    The lock is on the folder /run itself: it leaves no file, and root and others can share it.
    """
    handle = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline, told = time.monotonic() + timeout, False
        while not _locked(handle):
            if not told:
                say("waiting for another lab command on this machine")
                told = True
            if time.monotonic() > deadline:
                raise LabError(f"Another lab command has held this machine for {timeout:g} s; end it first.")
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def registered() -> dict[str, Path]:
    """Names of the labs that are up on this machine, or were when it was cut off -> their own folders."""
    if not LABS.is_dir():
        return {}
    return {entry.name: Path(entry.read_text(encoding="utf-8").strip()) for entry in LABS.iterdir()}


def exists(folder: Path) -> bool:
    """Whether a lab's folder is still there; one that we may not look into is."""
    try:
        return folder.exists()
    except PermissionError:
        return True


def register(name: str, folder: Path) -> None:
    """Note that the lab of that folder is up. The caller holds the lock and has made sure of the name."""
    if registered().get(name) != folder:
        as_root(["mkdir", "-p", str(LABS)])
        as_root(["tee", str(LABS / name)], stdin=f"{folder}\n")


def unregister(name: str) -> None:
    """Give the name back."""
    if (LABS / name).exists():
        as_root(["rm", "-f", str(LABS / name)])


def make_room_for(hosts: int, say: Say) -> None:
    """Raise fs.inotify.max_user_instances if `hosts` hosts, of all labs together, need more than there are."""
    now = int(INOTIFY.read_text())
    needed = hosts * INOTIFY_PER_HOST + INOTIFY_OF_THE_MACHINE
    if needed <= now:
        return
    raised = max(needed, INOTIFY_RAISED)
    memo = ROOM / "inotify"
    first = memo.read_text().split()[0] if memo.exists() else str(now)
    say(f"raising fs.inotify.max_user_instances from {now} to {raised} for {hosts} hosts; `lab down` restores it")
    as_root(["mkdir", "-p", str(ROOM)])
    as_root(["tee", str(memo)], stdin=f"{first} {raised}\n")
    as_root(["tee", str(INOTIFY)], stdin=f"{raised}\n")


def restore(say: Say) -> None:
    """Undo what labs changed on the machine. For the last lab alone."""
    memo = ROOM / "inotify"
    if memo.exists():
        first, raised = memo.read_text().split()
        # Somebody else's later value is not ours to undo.
        if INOTIFY.read_text().strip() == raised:
            as_root(["tee", str(INOTIFY)], stdin=f"{first}\n")
            say(f"restored fs.inotify.max_user_instances to {first}")
    if ROOM.exists():
        as_root(["rm", "-rf", "--one-file-system", str(ROOM)])
