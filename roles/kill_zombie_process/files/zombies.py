"""Zombies that stay, and the parents that do not reap them.

Usage: python3 -I - look|signal PATTERN...

PATTERN: units that are never touched, as shell patterns of names without suffix and instance. `signal` tells each
parent that may be told, by SIGCHLD, that a child of its has ended, and looks again. Answers one JSON object.
"""

from __future__ import annotations

import fnmatch
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: Seconds between two looks. Every process is a zombie for an instant: who is one at both looks stays one.
PATIENCE = 2.0
#: Seconds between two signals to one parent: they don't queue, and some reap one child a signal.
PAUSE = 0.02
#: Zombies and parents that are named; the rest is counted.
NAMED = 5
SIGNALS = 500
#: A busy host wakes the parent late, and signals of between melt into one: it is told again while that helps.
ROUNDS = 3
#: The pid whose children are the kernel's threads.
KERNEL = 2
#: What systemd stops together with a unit, and targets that a host falls apart without.
STOPS_WITH_IT = ("RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf")
VITAL = (
    *("basic.target", "emergency.target", "local-fs.target", "network-online.target", "network-pre.target"),
    *("network.target", "rescue.target", "sockets.target", "sysinit.target"),
)


class Process:
    """A row of /proc."""

    def __init__(self, pid: int, text: str) -> None:
        before, _, after = text.rpartition(")")
        fields = after.split()
        self.pid, self.name = pid, shown(before.partition("(")[2])
        self.state, self.parent, self.start = fields[0], int(fields[1]), int(fields[19])

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start


def shown(name: str) -> str:
    """A process chooses its name, an escape sequence too."""
    return "".join(one if one.isprintable() else "?" for one in name)


def process(pid: int) -> Process | None:
    """The process of that id; None: gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return Process(pid, file.read())
    except OSError:
        return None


def zombies() -> dict[tuple[int, int], Process]:
    """Every zombie that is there now, by pid and start."""
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {one.key: one for one in found if one is not None and one.state == "Z"}


def staying() -> list[Process]:
    """Those that were zombies a while ago and still are."""
    before = zombies()
    if not before:
        return []
    time.sleep(PATIENCE)
    return [one for key, one in sorted(zombies().items()) if key in before]


def unit(pid: int) -> str:
    """The service that systemd put the process in; empty: none, such as a login or a container."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" or controllers == "name=systemd":
            # The outermost: what a container's own systemd has below its scope is the container's.
            for part in path.split("/"):
                if part.endswith((".service", ".scope")):
                    return part if part.endswith(".service") else ""
    return ""


def asked(service: str) -> dict[str, str]:
    """What systemd says of the service; empty: it can't be told."""
    command = ["systemctl", "show", f"--property=Names,MainPID,{','.join(STOPS_WITH_IT)}", "--", service]
    try:
        told = subprocess.run(command, stdout=subprocess.PIPE, timeout=5, check=True, universal_newlines=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return {line.partition("=")[0]: line.partition("=")[2] for line in told.splitlines()}


def protected(names: Iterable[str], patterns: Sequence[str]) -> str:
    """The first of these units that is never touched; empty: none is."""
    for name in names:
        stem = name.rpartition(".")[0].partition("@")[0]
        if any(fnmatch.fnmatchcase(one.lower(), each.lower()) for each in patterns for one in (stem, name)):
            return name
    return ""


def objection(parent: Process, service: str, told: Mapping[str, str], patterns: Sequence[str]) -> str:
    """Why the parent is left alone; empty: it may be told."""
    if parent.pid == 1:
        return "is PID 1"
    if KERNEL in (parent.pid, parent.parent):
        return "is a thread of the kernel"
    if service and not told:
        return f"belongs to {service}, of which systemd says nothing"
    name = protected([service, *told.get("Names", "").split()], patterns)
    return f"belongs to {name}, which is protected" if name else ""


def may_restart(parent: Process, told: Mapping[str, str], patterns: Sequence[str]) -> bool:
    """Whether it is its service's main process, and nothing protected or vital would stop with that."""
    dependants = [name for key in STOPS_WITH_IT for name in told.get(key, "").split()]
    return told.get("MainPID") == str(parent.pid) and not protected(dependants, [*patterns, *VITAL])


def parents(stay: Iterable[Process], patterns: Sequence[str]) -> list[dict[str, Any]]:
    """The parents of these zombies, each with its unit and what speaks against it."""
    found: dict[int, dict[str, Any]] = {}
    for one in stay:
        if one.parent not in found:
            parent = process(one.parent)
            if parent is None:
                continue
            service = unit(parent.pid)
            told = asked(service) if service else {}
            why = objection(parent, service, told, patterns)
            found[one.parent] = {
                "pid": parent.pid,
                "start": parent.start,
                "name": parent.name,
                "unit": service,
                "restart": not why and may_restart(parent, told, patterns),
                "why": why,
                "zombies": 0,
            }
        found[one.parent]["zombies"] += 1
    return list(found.values())


def tell(parent: Mapping[str, Any]) -> int:
    """SIGCHLD, once for each of its zombies; how many were sent."""
    sent = 0
    for _ in range(min(parent["zombies"], SIGNALS)):
        now = process(parent["pid"])
        if now is None or now.start != parent["start"]:
            break
        try:
            os.kill(now.pid, signal.SIGCHLD)
        except OSError:
            break
        sent += 1
        time.sleep(PAUSE)
    return sent


def answer(stay: Sequence[Process], patterns: Sequence[str]) -> dict[str, Any]:
    """What stays, whose it is, and which services would have to be restarted."""
    known = parents(stay, patterns)
    names = [f"[{one.name}] ({one.pid})" for one in stay[:NAMED]]
    owners = [
        f"{one['name']} ({one['pid']}{', ' + one['unit'] if one['unit'] else ''})"
        + (f", which {one['why']}" if one["why"] else "")
        for one in known[:NAMED]
    ]
    return {
        "count": len(stay),
        "named": names,
        "owners": owners,
        "touchable": sum(not one["why"] for one in known),
        "units": sorted({one["unit"] for one in known if one["restart"]}),
    }


def run(mode: str, patterns: Sequence[str]) -> dict[str, Any]:
    """The answer to `look` or `signal`."""
    stay = left = staying()
    if mode == "look":
        return answer(stay, patterns)
    sent = 0
    for _ in range(ROUNDS):
        told = sum(tell(one) for one in parents(left, patterns) if not one["why"])
        before, left = len(left), staying() if left else []
        sent += told
        if not told or not 0 < len(left) < before or sent + len(left) > SIGNALS:
            break
    return {"sent": sent, "before": len(stay), **answer(left, patterns)}


if __name__ == "__main__":
    json.dump(run(sys.argv[1], sys.argv[2:]), sys.stdout)
