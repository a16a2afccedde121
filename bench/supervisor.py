"""What one more run costs on the controller: start and memory of its supervisor before the playbook, side by side.

Usage: .venv/bin/python bench/supervisor.py [TIMES]. Prints the median start in ms and the proportional set size in MB
of a process that has imported each and waits; the last line is what a supervisor is kept free of.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

CASES = {
    "bare Python": "pass",
    "ansible_runner": "import ansible_runner.runner",
    "the supervisor": "import orchestrator.supervise",
    "+ SQLAlchemy": "import orchestrator.supervise, sqlalchemy",
}


def once(statement: str) -> tuple[float, float]:
    """Seconds until it waits, and its megabytes."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{statement}\nprint(flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    cast(IO[str], process.stdout).readline()
    took = time.monotonic() - begun
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    process.communicate("\n")
    return took, next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def main(times: int) -> None:
    """Round by round, so that what else the machine does meets all alike."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for _ in range(times):
        for name, statement in CASES.items():
            found[name].append(once(statement))
    base = statistics.median(took for took, _ in found["bare Python"])
    for name, measured in found.items():
        took = statistics.median(seconds for seconds, _ in measured)
        size = statistics.median(megabytes for _, megabytes in measured)
        print(f"{name:16}{took * 1000:6.0f} ms ({took / base:4.1f} x bare)  {size:5.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
