"""How a service is, whether it stays so, and its restart. Runs on the host, as root.

Usage: python3 -I - look UNIT PROPERTIES
       python3 -I - watch UNIT PROPERTIES RECORD HEALING
       python3 -I - restart UNIT RECORD HEALING [TRIGGER...]

One JSON object on standard output. `look`: systemd's PROPERTIES; `Failed`, which of the sockets, timers and paths that
start the service are failed; and `Rests`. `watch`: the same after a moment; `Before` and `BeforePID`, its restarts by
systemd and its main process before; and `Silent`, where it listened before and nobody does now. `restart`: `listened`.

What a restart leaves behind is kept in RECORD for the watch of the same HEALING.
Python 3.8 and the standard library alone: it runs on whatever host there is.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from typing import Any, Iterator

#: Seconds that a unit on its way (starting, stopping, reloading) gets to arrive, and a started one to listen again.
PATIENCE = 10
#: systemd's default pause before an automatic restart is 0.1 s: who crashes at its start shows within a second.
MOMENT = 1.0
#: Seconds to find out where it listens: a restart must not wait for it.
LOOKING = 5.0
#: Addresses that are kept; a service with more is no ordinary one.
MOST = 50
#: Of a row of /proc/net: listening, and for UDP bound and not connected.
STATES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
#: In a row of /proc/net/unix: it accepts connections.
ACCEPTS = 0x10000


def show(unit: str, properties: str) -> dict[str, str]:
    """What systemd says of a unit; what it does not name is missing."""
    command = ["systemctl", "show", "--all", f"--property={properties}", "--", unit]
    told = subprocess.run(command, stdout=subprocess.PIPE, timeout=5, check=True, universal_newlines=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def look(unit: str, properties: str) -> dict[str, Any]:
    """What `look` answers."""
    said: dict[str, Any] = dict(show(unit, properties))
    # Only a service has a type and a result.
    kind, result = said.get("Type"), said.get("Result")
    states = {one: show(one, "ActiveState")["ActiveState"] for one in said["TriggeredBy"].split()}
    said["Failed"] = [one for one, state in states.items() if state == "failed"]
    # Resting is well: a one-shot, or what a socket, timer or path that waits will start, that ended without a fault.
    well = result == "success" and not said["Failed"] and (kind == "oneshot" or "active" in states.values())
    said["Rests"] = said["ActiveState"] == "inactive" and well
    return said


def watch(unit: str, properties: str, record: str, healing: str) -> dict[str, Any]:
    """What `watch` answers."""
    for _ in range(PATIENCE):
        state = show(unit, "ActiveState,SubState")
        # One that waits for its next automatic restart has crashed.
        if state["SubState"].startswith("auto-restart") or state["ActiveState"] in ("active", "inactive", "failed"):
            break
        time.sleep(1)
    before = kept(record, healing) or show(unit, "NRestarts,MainPID")
    if state["ActiveState"] == "active":
        time.sleep(MOMENT)
    silent = quiet(unit, before["listened"]) if before.get("listened") else []
    said = look(unit, properties)
    return {**said, "Before": before.get("NRestarts", ""), "BeforePID": before.get("MainPID", ""), "Silent": silent}


def quiet(unit: str, listened: list[str]) -> list[str]:
    """Where nobody listens, of these addresses; some services take their time."""
    for _ in range(PATIENCE):
        state = show(unit, "ActiveState,MainPID")
        pid = state["MainPID"] if state.get("MainPID", "0") != "0" else "self"
        missing = sorted(set(listened) - set(listening(pid).values()))
        if not missing or state["ActiveState"] != "active":
            return missing
        time.sleep(1)
    return missing


def restart(unit: str, record: str, healing: str, triggers: list[str]) -> dict[str, Any]:
    """What `restart` answers. Its failures are forgotten first, else the start limit refuses the start.

    What starts it goes first: a socket can't start once its service runs. All in one, for a host that is lost in the
    middle would be left with a unit that looks stopped on purpose.
    """
    state = show(unit, "ActiveState,ControlGroup")
    listened = held(state["ControlGroup"])
    if os.path.exists(record):
        os.unlink(record)
    systemctl("reset-failed", unit, *triggers)
    code = systemctl("start", *triggers) if triggers else 0
    # At rest it needs no start: that is its trigger's.
    if code == 0 and state["ActiveState"] != "inactive":
        code = systemctl("restart", unit)
    if code:
        sys.exit(code)
    keep(record, {"healing": healing, "listened": listened, **show(unit, "NRestarts,MainPID")})
    return {"listened": listened}


def systemctl(verb: str, *units: str) -> int:
    """Its exit code; what it complains of goes to standard error."""
    return subprocess.run(["systemctl", verb, "--", *units], stdout=subprocess.DEVNULL, check=False).returncode


def kept(record: str, healing: str) -> dict[str, Any]:
    """What this healing's restart left behind; nothing where there was none."""
    try:
        with open(record, encoding="utf-8") as file:
            told: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return told if told["healing"] == healing else {}


def keep(record: str, told: dict[str, Any]) -> None:
    """Leave it behind for the watch."""
    os.makedirs(os.path.dirname(record), mode=0o700, exist_ok=True)
    with open(record, "w", encoding="utf-8") as file:
        json.dump(told, file)


def held(group: str) -> list[str]:
    """Where the processes of a control group listen, as far as there is time to find out."""
    end = time.monotonic() + LOOKING
    addresses: set[str] = set()
    tables: dict[str, dict[str, str]] = {}
    for pid in members(group):
        if time.monotonic() > end:
            break
        try:
            network = os.readlink(f"/proc/{pid}/ns/net")
            links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue  # It has ended, or closed one meanwhile.
        if network not in tables:
            tables[network] = listening(pid)
        known = (tables[network].get(link[8:-1], "") for link in links if link.startswith("socket:["))
        # A socket with the process' own number in its name has another one after the restart.
        own = re.compile(rf"unix .*(?<!\d){pid}(?!\d)")
        addresses |= {one for one in known if one and not own.match(one)}
    return sorted(addresses)[:MOST]


def members(group: str) -> Iterator[str]:
    """The processes of a control group and of those below it."""
    for pid in filter(str.isdigit, os.listdir("/proc") if group else ()):
        for row in rows(f"/proc/{pid}/cgroup"):
            number, controllers, path = row.split(":", 2)
            if (number == "0" or controllers == "name=systemd") and f"{path}/".startswith(f"{group}/"):
                yield pid
                break


def listening(pid: str) -> dict[str, str]:
    """Inode -> address of every socket that listens in the network of a process, but for what only chance names."""
    found = {}
    low, high = (int(one) for one in rows("/proc/sys/net/ipv4/ip_local_port_range")[0].split())
    for protocol, state in STATES.items():
        for row in rows(f"/proc/{pid}/net/{protocol}")[1:]:
            fields = row.split()
            host, _, port = fields[1].partition(":")
            if fields[3] == state and not low <= int(port, 16) <= high:
                found[fields[9]] = f"{protocol[:3]} {numeric(host)}:{int(port, 16)}"
    for row in rows(f"/proc/{pid}/net/unix")[1:]:
        fields = row.split(None, 7)
        if len(fields) == 8 and int(fields[3], 16) & ACCEPTS and fields[7].startswith(("/run/", "/var/run/")):
            found[fields[6]] = f"unix {shown(fields[7])}"
    return found


def numeric(words: str) -> str:
    """An address as people write it, of the kernel's words of 32 bits in the machine's order."""
    packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    return (
        socket.inet_ntop(socket.AF_INET, packed)
        if len(packed) == 4
        else f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"
    )


def rows(path: str) -> list[str]:
    """A file's lines; none where it is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def shown(path: str) -> str:
    """A path that every terminal and log can take."""
    return "".join(one if one.isprintable() else "?" for one in path)


def main(mode: str, unit: str, *rest: str) -> dict[str, Any]:
    """The answer to a command line."""
    if mode == "look":
        return look(unit, *rest)
    if mode == "watch":
        return watch(unit, *rest)
    record, healing, *triggers = rest
    return restart(unit, record, healing, triggers)


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
