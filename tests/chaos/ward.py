"""The hosts, past SSH: units that fall ill, and the list in which the role counts each of its starts.

What is asked and told here goes through the hosts' namespaces, so it works while a network is cut or sshd is frozen.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, cast

from lab.fleet import Lab
from lab.network import Network
from lab.podman import Podman
from tests.chaos.judge import Patient

SYMPTOMS, STARTS = "/var/lib/patients", "/var/lib/patients.starts"
UNIT = """\
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'if [ -e /var/lib/patients/%i ]; then echo "ERROR: the patient is sick" >&2; exit 1; fi'
"""
_END = "--- that was all, and its status was "


class Shell:
    """A root shell on a host that stays: entering a host anew for each command would cost more than the command."""

    def __init__(self, pid: int) -> None:
        """`pid`: the host's first process."""
        enter = ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", "sh"]
        self._process = subprocess.Popen(
            enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._turn = threading.Lock()

    def run(self, command: str) -> str:
        """What it printed; whether it failed is for the reader to see."""
        with self._turn:
            say, hear = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
            say.write(f"{{\n{command}\n}} </dev/null\necho '{_END}'$?\n")
            say.flush()
            lines = list(itertools.takewhile(lambda line: _END not in line, iter(hear.readline, "")))
        return "".join(lines)

    def close(self) -> None:
        """The host stays."""
        self._process.kill()
        self._process.communicate()


class Ward:
    """All hosts of a lab. Each patient is a unit that never was before."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        pids = {one.host: one.pid for one in Podman().containers(lab.name)}
        self.addresses = {host.name: host.address for host in lab.status()}
        self._shells = {name: Shell(pids[name]) for name in self.addresses}
        self._numbers = itertools.count(1)
        for shell in self._shells.values():
            shell.run(
                f"mkdir -p {SYMPTOMS}; touch {STARTS}; cat > /etc/systemd/system/patient@.service <<'END'\n{UNIT}END\n"
                "systemctl daemon-reload"
            )

    def close(self) -> None:
        """Leave the hosts alone."""
        for shell in self._shells.values():
            shell.close()

    def run(self, host: str, command: str) -> str:
        """As root; what it printed."""
        return self._shells[host].run(command)

    def fall_ill(self, host: str, *, seconds: float = 0.3, resists: bool = False) -> Patient:
        """A new patient whose mending takes so long, and is in vain where it resists."""
        return self.relapse((host, f"patient@{next(self._numbers)}.service"), seconds=seconds, resists=resists)

    def relapse(self, patient: Patient, *, seconds: float = 0.3, resists: bool = False) -> Patient:
        """The unit fails, and says so, in the host's journal."""
        host, unit = patient
        number = unit.removeprefix("patient@").removesuffix(".service")
        symptom = f"{seconds} {'resists' if resists else ''}"
        self.run(host, f"echo {symptom} > {SYMPTOMS}/{number}; systemctl start {unit}")
        return patient

    def starts(self, hosts: Sequence[str]) -> Counter[str]:
        """How often each run was started there, by its id."""
        return Counter(word for host in hosts for word in self.run(host, f"cat {STARTS}").split())

    def forget(self, hosts: Sequence[str]) -> None:
        """An orchestrator that begins anew finds no patient of a former one: neither journal lines nor starts."""
        for host in hosts:
            self.run(
                host,
                f"journalctl --rotate; journalctl --vacuum-time=1ms; : > {STARTS}; rm -f {SYMPTOMS}/*; "
                "systemctl reset-failed",
            )

    def freeze_sshd(self, host: str, *, frozen: bool) -> None:
        """Every sshd of the host stops where it is, or goes on."""
        self.run(host, f"pkill -{'STOP' if frozen else 'CONT'} -x sshd")

    def cut(self, host: str, *, cut: bool) -> None:
        """The host's cable: nothing passes, and nobody is told."""
        cable = f"{Network(self.lab.name).bridge}.{host.removeprefix('web')}"
        subprocess.run(["ip", "link", "set", cable, "down" if cut else "up"], check=True)

    def mend_all(self) -> None:
        """No row leaves a cable or an sshd as it broke it, however it ended."""
        for host in self.addresses:
            self.freeze_sshd(host, frozen=False)
            self.cut(host, cut=False)


def with_word(word: str, pids: Iterable[int]) -> list[int]:
    """Those of `pids` whose command line has the word."""
    found = []
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if word in words:
            found.append(pid)
    return found


def require_root() -> None:
    """Raises SystemExit: mounts, cables and namespaces are root's."""
    if os.geteuid() != 0:
        raise SystemExit("chaos: it cuts cables and fills file systems, so it needs root: sudo scripts/chaos ...")
