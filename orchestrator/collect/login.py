"""Who we are on a host and what we may do there, learned once a connection."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from orchestrator.collect.link import Link
from orchestrator.errors import HostUnreachable


@dataclass(frozen=True, slots=True)
class Offset:
    """How a host's clock stands to ours, also after ours was set: it is measured against what no one sets."""

    #: Host clock minus ours in seconds, when it was measured.
    measured: float = 0.0
    #: Our clock minus our steady one, then; None: not known, so ours is taken as never set.
    steady: float | None = None

    def seconds(self) -> float:
        """Host clock minus ours, in seconds, by what ours says now."""
        return self.measured if self.steady is None else self.measured + self.steady - _ahead()


def _ahead() -> float:
    return time.time() - time.monotonic()


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What the host says of our session."""

    uid: int
    user: str
    #: Where the host sees us come from; '' for a local connection.
    source: str = ""
    #: The unit or scope that our own processes run in.
    unit: str = ""
    clock: Offset = Offset()
    #: The host's offset from UTC, in minutes, for log lines that carry no zone.
    zone_minutes: int = 0
    #: Whether `sudo -n` works; None where the inventory does not ask for it (`ansible_become`).
    sudo: bool | None = None
    #: What sudo said.
    sudo_words: str = ""
    #: journalctl reads the system's journal as our user.
    journal: bool = False
    #: There is a journalctl at all.
    journalctl: bool = True
    #: It can search texts (--grep).
    grep: bool = True
    python: str = ""

    @property
    def clock_offset(self) -> float:
        """Host clock minus ours, in seconds, now."""
        return self.clock.seconds()

    @property
    def journal_root(self) -> bool:
        """Whether the journal is read through sudo."""
        return not self.journal and self.sudo is True

    @property
    def root(self) -> bool:
        """Whether questions may be asked as root through sudo."""
        return self.sudo is True and self.uid != 0


_SCRIPT = r"""
LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/sbin:/sbin
readable() { for f in /var/log/journal/*/system.journal /run/log/journal/*/system.journal; do
  if [ -r "$f" ]; then echo yes; return; fi; done; echo no; }
echo "uid=$(id -u)"
echo "user=$(id -un)"
echo "source=${SSH_CONNECTION%% *}"
echo "unit=$(sed -n 's/^\(0\|1:name=systemd\):.*\/\([^/]*\)$/\2/p' /proc/self/cgroup | tail -n 1)"
echo "zone=$(date +%z)"
echo "journal=$(readable)"
echo "journalctl=$(command -v journalctl)"
echo "features=$(journalctl --version 2>/dev/null | tr '\n' ' ')"
echo "python=$(command -v python3)"
"""
#: By its exit code: it may warn of something else (a host name that can't be resolved) and work.
_SUDO = """
if said=$(sudo -n true 2>&1 </dev/null); then echo sudo=yes; else echo "sudo=$(echo "$said" | tail -n 1)"; fi
"""


def learn(link: Link) -> Login:
    """Ask the host; two round trips. Raises HostUnreachable (no usable answer), HostTimeout."""
    become = link.host.connection.become
    answer = link.run(_SCRIPT + (_SUDO if become else ""), timeout=20)
    login = parse(answer.text, become=become, host=link.host.name)
    return replace(login, clock=clock_offset(link))


def clock_offset(link: Link) -> Offset:
    """Ask the host for its time: half of the round trip is taken as the way there."""
    before, ahead = time.monotonic(), _ahead()
    answer = link.run("date +%s.%N", timeout=10)
    after = time.monotonic()
    try:
        there = float(answer.text.strip())
    except ValueError as error:
        raise HostUnreachable(
            f"{link.host.name} does not tell its time: {answer.complaint or answer.text[:80]}"
        ) from error
    return Offset(there - ((before + after) / 2 + ahead), ahead)


def parse(text: str, *, become: bool, host: str) -> Login:
    """The answer as values. Raises HostUnreachable where it is none (a login shell that runs no scripts)."""
    told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        uid = int(told["uid"])
        zone = told["zone"]
        minutes = int(zone[0] + "1") * (int(zone[1:3]) * 60 + int(zone[3:5]))
    except (KeyError, ValueError, IndexError) as error:
        raise HostUnreachable(
            f"{host} runs no shell scripts for us: {text.strip()[:200]!r}. The login user needs a plain shell."
        ) from error
    sudo = told.get("sudo", "")
    return Login(
        uid=uid,
        user=told.get("user", ""),
        source=told.get("source", ""),
        unit=told.get("unit", ""),
        zone_minutes=minutes,
        sudo=sudo == "yes" if become else None,
        sudo_words="" if sudo == "yes" else sudo[:200],
        journal=uid == 0 or told.get("journal") == "yes",
        journalctl=bool(told.get("journalctl")),
        grep="+PCRE2" in told.get("features", ""),
        python=told.get("python", ""),
    )
