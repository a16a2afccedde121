"""When a host is up: its systemd has finished booting and its sshd answers the controller."""

from __future__ import annotations

import socket
import time

from lab.errors import LabError
from lab.machine import as_root

#: Seconds. A host boots in half a second alone; thirty on two busy cores take their time.
PATIENCE = 90.0
_PAUSE = 0.05


def wait_until_ready(host: str, pid: int, address: str, *, patience: float = PATIENCE) -> None:
    """Return once the host is ready. Raises LabError that says what it still lacks after `patience` seconds."""
    deadline = time.monotonic() + patience
    _wait_for_systemd(host, pid, deadline)
    _wait_for_sshd(host, address, deadline)


def _wait_for_systemd(host: str, pid: int, deadline: float) -> None:
    entry = ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
    state = ""
    while time.monotonic() < deadline:
        left = max(1.0, deadline - time.monotonic())
        ask = ["timeout", f"{left:.1f}", "systemctl", "is-system-running", "--wait"]
        answer = as_root([*entry, *ask], timeout=left + 10, check=False)
        state = answer.stdout.strip()
        # degraded: something on the host has failed, maybe by a fault of ours; it has booted all the same.
        if state in ("running", "degraded"):
            return
        time.sleep(_PAUSE)
    raise LabError(f"The host {host} has not finished booting: systemd says {state or 'nothing'!r}.")


def _wait_for_sshd(host: str, address: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((address, 22), timeout=2) as connection:
                connection.settimeout(2)
                # Hang up as a client would, after the greeting: else sshd logs an error on a fresh host.
                connection.sendall(b"SSH-2.0-lab\r\n")
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(_PAUSE)
    raise LabError(f"The host {host} has booted, but no sshd answers at {address}.")
