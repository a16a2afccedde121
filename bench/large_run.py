"""What the review of one very large run takes: time of each page, and memory of the server.

Usage: .venv/bin/python bench/large_run.py [EVENTS]; 50,000 where nothing is given. A run with so many events on
30 hosts and 5 MB of output is written as ansible-runner leaves it, and asked for over HTTP: as its folder, then packed
as retention packs it. Prints the median of five requests, the size, and by how much the server's memory rose at most.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from served import Served, served, timed
from stock import fill, host

from orchestrator.record import schema
from orchestrator.record.shelf import Shelf

HOSTS, TIMES, OUTPUT = 30, 5, 5_000_000


def write(folder: Path, number: int, now: datetime) -> None:
    """Every second event tells the end of a task; the last one has the sum."""
    events = folder / "job_events"
    events.mkdir(parents=True)
    for at in range(1, number):
        start = now + timedelta(milliseconds=at)
        data = {"task": f"task {at // HOSTS}", "host": host(at % HOSTS), "start": start.isoformat(), "duration": 0.1}
        result = {"changed": at % 3 == 0, "stdout": "x" * 600, "invocation": {"module_args": {"name": "y" * 300}}}
        kind = "runner_on_ok" if at % 2 else "runner_on_start"
        event = {"uuid": f"u{at}", "counter": at, "event": kind, "event_data": {**data, "res": result}}
        (events / f"{at}-u{at}.json").write_text(json.dumps(event))
    counted = {host(one): number // 2 // HOSTS for one in range(HOSTS)}
    stats = {"event": "playbook_on_stats", "event_data": {"ok": counted, "processed": dict.fromkeys(counted, 1)}}
    (events / f"{number}-u{number}.json").write_text(json.dumps(stats))
    line = f"\x1b[0;32mok: [{host(1)}] => (item=something)\x1b[0m\n"
    (folder / "stdout").write_text(line * (OUTPUT // len(line)))
    (folder / "parameters.json").write_text('{"playbook": "act.yml"}')


def ask(server: Served, run: str, number: int) -> None:
    """Each way to look at it."""
    here = f"/api/v1/runs/{run}"
    paths = (
        *(f"/runs/{run}", f"/runs/{run}?after={number // 2}", here, f"{here}?after={number // 2}&limit=1000"),
        *(f"{here}/events", f"{here}/events?after={number // 2}&limit=200", f"{here}/stdout", f"{here}/artifacts"),
    )
    for path in paths:
        with server.client() as client:
            # What a first request loads once is no part of it.
            client.get(f"/runs/{run}")
            server.forget_peak()
            before = server.megabytes("VmRSS")
            took, answer = timed(client, path, TIMES)
            rose = server.megabytes("VmHWM") - before
        shown = path.replace(run, "RUN")
        print(f"{statistics.median(took):6.0f} ms {len(answer.content) / 1000:8.1f} kB {rose:+6.1f} MB  {shown}")


def main() -> None:
    """Write, serve, ask, pack, ask."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "healer.sqlite", 500, HOSTS, now)
        engine = sa.create_engine(f"sqlite:///{folder / 'healer.sqlite'}")
        with engine.connect() as connection:
            run = str(connection.execute(sa.select(schema.RUN.c.id).limit(1)).scalar())
        engine.dispose()
        write(folder / "artifacts" / run, number, now)
        with served(folder, HOSTS) as server:
            print(f"{number} events, in a folder")
            ask(server, run, number)
            begun = time.monotonic()
            Shelf(folder / "artifacts").pack(run)
            print(f"packed in {time.monotonic() - begun:.0f} s")
            ask(server, run, number)


if __name__ == "__main__":
    main()
