"""Idle cost of `healer serve`, side by side in one run: with 3 and with 30 hosts, and what the imports alone take.

Usage: .venv/bin/python bench/idle.py [SECONDS]. Needs root (it boots labs). Prints CPU as percent of one core and
memory as proportional set size.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from lab.fleet import Lab

BIN = Path(sys.executable).parent
TICKS = 100


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def megabytes(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def imports(statement: str) -> float:
    code = f"{statement}\nprint(next(l.split()[1] for l in open('/proc/self/smaps_rollup') if l.startswith('Pss:')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def serve(hosts: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lab = Lab(f"idle-{hosts}", root / "lab")
        port = 18000 + hosts
        began = time.monotonic()
        lab.up(hosts)
        booted = time.monotonic() - began
        (root / "healer.toml").write_text(
            f'inventory = "{lab.inventory}"\nknown_hosts = "{lab.known_hosts}"\n'
            f'state_dir = "state"\napi_port = {port}\n'
        )
        process = subprocess.Popen([BIN / "healer", "-c", root / "healer.toml", "serve"], stdout=subprocess.DEVNULL)
        try:
            for _ in range(300):
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            time.sleep(10)  # what connecting costs is not idling
            before = cpu_seconds(process.pid)
            time.sleep(seconds)
            used = cpu_seconds(process.pid) - before
            print(
                f"{hosts:3} hosts (booted in {booted:.1f} s): {100 * used / seconds:5.2f} % of a core, "
                f"{megabytes(process.pid):6.1f} MB"
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            lab.down()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    bare = imports("pass")
    print(f"bare Python {bare:.1f} MB; each of these in a process of its own, beyond that:")
    for name in ("sqlalchemy", "paramiko", "fastapi, uvicorn", "dbos", "google.genai", "ansible_runner"):
        print(f"  import {name:<18} {imports(f'import {name}') - bare:6.1f} MB")
    for hosts in (3, 30):
        serve(hosts, seconds)


if __name__ == "__main__":
    main()
