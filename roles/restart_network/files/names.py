"""Whether this host resolves names through systemd-resolved, and whether that works.

Usage: python3 -I - PATTERN...

PATTERN: units that are never touched on this host, as shell patterns. Answers one JSON object: `doubt` (why nothing can
be said or done here), `sick` (the symptom), both empty where all is well. It asks for the root's name servers, which
every resolver knows, past the cache where resolvectl can (systemd 248): an answer of any kind is one.
"""

from __future__ import annotations

import fnmatch
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence

UNIT = "systemd-resolved.service"
#: Where its stub listens (systemd-resolved.service(8)).
STUB = ("127.0.0.53", 53)
#: Seconds for one answer of the stub, and of a name server.
PATIENCE, UPSTREAM = 3.0, 8
#: What resolvectl says where a name server has answered, though not with a name.
ANSWERED = ("does not have any RR of the requested type", "not found")
PROPERTIES = "LoadState,UnitFileState,ActiveState,SubState,Result"


def run(*command: str, seconds: float) -> tuple[int, str]:
    """Exit code and both outputs; 124: it took too long, 127: there is no such program."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
            universal_newlines=True,
        )
    except subprocess.TimeoutExpired:
        return 124, ""
    except OSError:
        return 127, ""
    return done.returncode, done.stdout.strip()


def text(path: str) -> str:
    """A file's text; empty: there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def is_asked() -> bool:
    """Whether programs of this host ask systemd-resolved: by its stub, or by its module of the C library."""
    servers = [line.split()[1] for line in text("/etc/resolv.conf").splitlines() if line.startswith("nameserver ")]
    hosts = next((line for line in text("/etc/nsswitch.conf").splitlines() if line.startswith("hosts:")), "")
    return STUB[0] in servers or "resolve" in hosts.split()


def stub_answers() -> bool:
    """Whether anybody answers there; what he says does not count."""
    number = os.urandom(2)
    question = number + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">HH", 2, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(STUB)
            asking.send(question)
            return asking.recv(4096)[:2] == number
        except OSError:
            return False


def has_servers() -> bool | None:
    """Whether it knows any name server; None: it can't be told."""
    code, said = run("resolvectl", "dns", seconds=UPSTREAM)
    if code:
        return None
    return any(line.partition(":")[2].strip() for line in said.splitlines())


def look(patterns: Sequence[str]) -> dict[str, str]:
    """The answer."""
    _, said = run("systemctl", "show", f"--property={PROPERTIES}", "--", UNIT, seconds=5)
    told = {line.partition("=")[0]: line.partition("=")[2] for line in said.splitlines()}
    doubt = sick = ""
    if told.get("LoadState") != "loaded":
        doubt = f"{UNIT} is {told.get('LoadState', 'of no known state')} on this host"
    elif any(fnmatch.fnmatchcase(name, one.lower()) for one in patterns for name in (UNIT, UNIT.partition(".")[0])):
        doubt = f"{UNIT} is protected on this host"
    elif not is_asked():
        doubt = "programs of this host do not ask systemd-resolved (/etc/resolv.conf, /etc/nsswitch.conf)"
    elif told["ActiveState"] == "inactive":
        doubt = f"{UNIT} was stopped cleanly, so somebody wanted it so"
    elif told["ActiveState"] != "active":
        sick = f"{UNIT} is {told['ActiveState']} (Result={told['Result']})"
    elif not stub_answers():
        sick = f"{UNIT} runs and does not answer on {STUB[0]}"
    elif has_servers() is False:
        doubt = "systemd-resolved knows no name server; the network's configuration must give it one"
    else:
        sick = unresolved()
    return {"doubt": doubt, "sick": sick}


def unresolved() -> str:
    """What went wrong with a question to a name server; empty: it was answered."""
    question = ("--legend=no", "--type=NS", "query", ".")
    code, said = run("resolvectl", "--cache=no", *question, seconds=UPSTREAM)
    # It names an option that it does not know, in whatever language.
    if code and "--cache" in said:
        code, said = run("resolvectl", *question, seconds=UPSTREAM)
    if code == 124:
        return "systemd-resolved gives no answer in time"
    if code and not said.endswith(ANSWERED):
        last = said.splitlines()[-1] if said else f"resolvectl ended with {code}"
        return "names are not resolved: " + "".join(one if one.isprintable() else "?" for one in last)[:200]
    return ""


if __name__ == "__main__":
    json.dump(look(sys.argv[1:]), sys.stdout)
