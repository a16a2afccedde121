"""The one door to podman.

podman needs cgroup v2 on /sys/fs/cgroup. Where the machine has it there, podman is called as it is. On a mixed
machine (v1 with a v2 mount beside it) every podman command of every lab enters one persistent mount namespace in
which cgroup2 is mounted on that path; the machine's own mounts stay untouched. It must be the same namespace for all
commands, because podman remembers mounts that exist only there.
"""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.machine import ROOM, as_root

LAB_LABEL = "healing-bot.lab"
HOST_LABEL = "healing-bot.host"
FOLDER_LABEL = "healing-bot.folder"

_NAMESPACES = ROOM / "namespace"
_MOUNT = _NAMESPACES / "mnt"
#: podman lowers its own limits to these, so a container can't be given more where CAP_SYS_RESOURCE is missing.
_LIMITS = {"nofile": (resource.RLIMIT_NOFILE, 1048576), "nproc": (resource.RLIMIT_NPROC, 32768)}


@dataclass(frozen=True, kw_only=True)
class Container:
    """One host's container, as the runtime sees it now."""

    name: str
    lab: str
    host: str
    #: The lab's own folder, which says whose it is.
    folder: Path
    #: 0 when it does not run.
    pid: int
    #: Whether podman can start it again. After a cut-off it can't: it holds on to processes that are gone.
    startable: bool

    @property
    def running(self) -> bool:
        """Whether its first process lives."""
        return self.pid > 0


def needs_namespace() -> bool:
    """Whether /sys/fs/cgroup is anything but cgroup2."""
    answer = subprocess.run(
        ["stat", "--file-system", "--format=%T", "/sys/fs/cgroup"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() != "cgroup2fs"


def mount_points() -> list[tuple[str, str]]:
    """(mount point, file system type) of this process' mounts, oldest first."""
    rows = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [(row.split()[4], row.split(" - ", 1)[1].split()[0]) for row in rows]


class Podman:
    """podman on this machine. `open` before the first command of a change, `close` after the last lab."""

    def __init__(self) -> None:
        self._apart = needs_namespace()

    def open(self) -> None:
        """Make the namespace, or repair what a cut-off left of it; nothing on a cgroup v2 machine."""
        if not self._apart or self._alive():
            return
        self._forget_namespace()
        as_root(["mkdir", "-p", str(_NAMESPACES)])
        as_root(["mount", "--bind", str(_NAMESPACES), str(_NAMESPACES)])
        # A namespace file can't be kept on a mount that is shared with other namespaces.
        as_root(["mount", "--make-private", str(_NAMESPACES)])
        as_root(["touch", str(_MOUNT)])
        # slave: later mounts of the machine, where it shares any, stay visible to podman; ours never go back.
        as_root(
            [
                *("unshare", f"--mount={_MOUNT}", "--propagation", "slave"),
                *("mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"),
            ]
        )

    def close(self) -> None:
        """Remove the namespace and podman's empty cgroup. For the last lab alone."""
        if not self._apart:
            return
        if self._alive():
            remains = "rmdir /sys/fs/cgroup/libpod_parent/* /sys/fs/cgroup/libpod_parent"
            as_root([*self._entry(), "sh", "-c", remains], check=False)
        self._forget_namespace()

    def run(
        self,
        *arguments: str,
        timeout: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """One podman command; see `as_root` for what is returned and raised."""
        entry = self._entry() if self._apart else []
        return as_root([*entry, "podman", *arguments], timeout=timeout, check=check, stdin=stdin)

    def containers(self, lab: str | None = None) -> list[Container]:
        """The containers of one lab or of all, asked from the runtime and not from podman's memory."""
        label = LAB_LABEL if lab is None else f"{LAB_LABEL}={lab}"
        answer = self.run("ps", "--all", "--sync", "--filter", f"label={label}", "--format", "json")
        rows = json.loads(answer.stdout or "[]") or []
        return sorted((_container(row) for row in rows), key=lambda one: one.name)

    def start_host(self, *, name: str, lab: str, host: str, image: str, folder: Path, timeout: float = 60.0) -> None:
        """Create and boot one host of the lab in `folder`; its hosts/`host` becomes the host's read-only /etc/lab."""
        self.run(
            *("run", "--detach", "--name", name, "--hostname", host),
            *("--label", f"{LAB_LABEL}={lab}", "--label", f"{HOST_LABEL}={host}"),
            *("--label", f"{FOLDER_LABEL}={folder}"),
            # systemd as PID 1 needs its own cgroup and mounts; the device filter would need eBPF.
            *("--systemd=always", "--privileged"),
            # No pids controller on a mixed machine.
            *("--pids-limit", "0"),
            *_limits(),
            # lab.network plugs the host in: same on podman's old and new network code, no NAT, no sysctl, no DNS.
            *("--network", "none", "--no-hosts"),
            *("--log-driver", "none", "--pull", "never"),
            *("--mount", f"type=bind,source={folder / 'hosts' / host},target=/etc/lab,ro=true"),
            *(image, "/sbin/init"),
            timeout=timeout,
        )

    def start_again(self, container: Container) -> bool:
        """Boot a stopped host with what is on its disk. False, and the container removed, if podman can't."""
        done = self.run("start", container.name, timeout=120, check=False).returncode == 0
        if not done:
            self.remove([container.name])
        return done

    def remove(self, names: Sequence[str]) -> None:
        """Remove containers, whatever state a cut-off left them in. Raises LabError if one stays."""
        if not names:
            return
        self.run("rm", "--force", "--time", "0", "--volumes", *names, timeout=180, check=False)
        left = self._existing(names)
        if left:
            # podman believes that they run, their processes are gone: let it clean up first.
            self.run("container", "cleanup", *left, timeout=120, check=False)
            self.run("rm", "--force", "--time", "0", "--volumes", *left, timeout=180, check=False)
            left = self._existing(names)
        if left:
            raise LabError(f"podman can't remove {', '.join(left)}; look with: podman ps --all")

    def _existing(self, names: Sequence[str]) -> list[str]:
        answer = self.run("ps", "--all", "--format", "{{.Names}}")
        return sorted(set(names) & set(answer.stdout.split()))

    def _entry(self) -> list[str]:
        # podman asks for its working directory, which must exist in the namespace.
        return ["nsenter", f"--mount={_MOUNT}", "--wd=/", "--"]

    def _alive(self) -> bool:
        return (str(_MOUNT), "nsfs") in mount_points()

    def _forget_namespace(self) -> None:
        for point, _ in reversed(mount_points()):
            if point in (str(_MOUNT), str(_NAMESPACES)):
                as_root(["umount", point])
        if _NAMESPACES.exists():
            as_root(["rm", "-rf", "--one-file-system", str(_NAMESPACES)])


def runs_in(pid: int, container: str) -> bool:
    """Whether the process lives and belongs to the container: a number of a former life may be another's by now."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _container(row: Mapping[str, Any]) -> Container:
    pid, labels = int(row.get("Pid") or 0), row["Labels"]
    lives = row["State"] == "running" and runs_in(pid, row["Id"])
    return Container(
        name=row["Names"][0],
        lab=labels[LAB_LABEL],
        host=labels[HOST_LABEL],
        folder=Path(labels.get(FOLDER_LABEL, "/")),
        pid=pid if lives else 0,
        startable=row["State"] in ("exited", "stopped", "created"),
    )


def _limits() -> list[str]:
    given = []
    for name, (which, most) in _LIMITS.items():
        _, hard = resource.getrlimit(which)
        value = most if hard == resource.RLIM_INFINITY else min(hard, most)
        given += ["--ulimit", f"{name}={value}:{value}"]
    return given
