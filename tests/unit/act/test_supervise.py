"""A run's process is kept small, and fit to be forked from a warm one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: Libraries of the worker: each costs memory and start-up once a run, or holds connections and threads.
WORKERS_OWN = ("sqlalchemy", "dbos", "paramiko", "fastapi", "uvicorn", "typer", "rich", "pydantic", "google", "ansible")

LOADED = """
import sys, threading
before = threading.active_count()
import orchestrator.supervise
print(threading.active_count() - before, *(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_it_loads_nothing_of_the_worker_and_starts_no_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *WORKERS_OWN], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["0"]
