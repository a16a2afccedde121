"""Starts orchestrators that die at boundaries, without the two seconds of processor that importing them takes.

`python -m tests.chaos.nursery`: one process of one thread with everything imported. A line on its standard input, JSON
with `log`, `armed`, `passed` (see Boundaries) and `arguments`, forks a `healer` with these arguments that writes into
that log; the answer is its pid. All of them end with it, and it ends with its standard input.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from orchestrator.cli.main import main as healer
from tests.chaos.boundaries import Boundaries, install

#: What `healer serve` imports where it first needs it.
IMPORTED_LATE = (
    *("dbos", "uvicorn", "api.main", "api.serve", "api.state", "orchestrator.catalog", "orchestrator.worker"),
    *("orchestrator.act.executor", "orchestrator.collect.follow", "orchestrator.collect.probe"),
    *("orchestrator.decide.embedded", "orchestrator.record.store"),
)
_SET_PARENT_DEATH_SIGNAL = 1


def main() -> None:
    """Until standard input ends."""
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    if threading.active_count() != 1:
        raise SystemExit("an import has started a thread, and a process of threads can't be forked")
    # Nobody waits for what is born here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _live(order: dict[str, Any]) -> None:
    """As a process of its own would; does not return."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, handle in enumerate((nothing, log, log)):
        os.dup2(handle, number)
    install(Boundaries(Path(order["armed"]), Path(order["passed"])).at)
    sys.argv = ["healer", *order["arguments"]]
    try:
        healer()
    except SystemExit as ending:
        sys.stderr.write(f"{ending.code if isinstance(ending.code, str) else ''}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
