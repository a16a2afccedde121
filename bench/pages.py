"""How long the dashboard's pages and the lists of /api/v1 take over a year of healings, and how large they are.

Usage: .venv/bin/python bench/pages.py [HEALINGS [HOSTS [FOLDER]]]; 100,000 healings on 300 hosts where nothing is
given. The store is made in FOLDER and kept there for the next time; without one it is made anew and removed. The real
server answers over HTTP from a process of its own. Prints the median and the 95th percentile of 20 requests, the size,
and what is slower than the bar of 200 ms; then what 50 people at the Now page cost while the ledger is written.
"""

from __future__ import annotations

import math
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
from served import Served, served, timed
from stock import fill, host

from orchestrator.record.store import open_store

BAR_MS, TIMES = 200.0, 20
#: Pages of 500 that are skipped to come deep into a list.
DEEP = 30
VIEWERS, SECONDS = 50, 10

LISTS = ("incidents", "outbreaks", "decisions", "healings", "runs", "approvals", "memory", "audit")
FILTERED = (
    *("incidents?host=HOST", "incidents?state=escalated", "incidents?state=healed&host=HOST", "incidents?text=kind+77"),
    *("incidents?text=nowhere", "incidents?level=CRITICAL", "incidents?action=clear_cache&host=HOST"),
    *("incidents?chooser=gemini", "incidents?signature=SIGNATURE", "incidents?since=SINCE&until=UNTIL"),
    *("incidents?outbreak=OUTBREAK", "healings?host=HOST", "healings?action=clear_cache", "healings?state=expired"),
    *("decisions?chooser=gemini", "runs?host=HOST", "runs?action=clear_cache", "runs?status=failed", "runs?kind=act"),
    *("runs?status=timed_out", "runs?action=none", "runs?incident=INCIDENT", "approvals?answer=pending"),
    *("approvals?host=HOST", "approvals?answer=denied", "audit?host=HOST", "audit?kind=run", "audit?people=true"),
    *("audit?kind=run.nothing", "audit?actor=ann", "audit?actor=nobody", "audit?since=SINCE&until=UNTIL"),
    *("audit?incident=INCIDENT", "outbreaks?host=HOST"),
)
PAGES = (
    *("/", "/parts/now", "/incidents", "/incidents?group=open", "/incidents?group=waiting", "/incidents?group=healed"),
    *("/incidents?group=quiet", "/incidents?host=HOST", "/incidents?text=kind+77", "/incidents?text=nowhere"),
    *("/incidents?host=HOST&group=waiting", "/incidents/INCIDENT", "/outbreaks", "/outbreaks/OUTBREAK", "/approvals"),
    *("/approvals?all=true", "/approvals/APPROVAL", "/runs", "/runs?host=HOST", "/runs?action=clear_cache"),
    *("/runs?host=HOST&action=clear_cache", "/runs/RUN", "/actions", "/memory", "/memory/SIGNATURE", "/statistics"),
    *("/statistics?days=7", "/statistics?days=90", "/hosts/HOST", "/audit", "/audit?lines=people", "/audit?kind=run"),
    *("/audit?lines=healings&since=DAY&until=DAY", "/audit?host=HOST", "/audit?actor=nobody"),
)
ONES = (
    *("status", "hosts", "hosts/HOST", "hosts/HOST/policy", "incidents/INCIDENT", "incidents/INCIDENT/exchange"),
    *("runs/RUN", "approvals/APPROVAL", "outbreaks/OUTBREAK", "actions", "memory/SIGNATURE", "statistics"),
    *("statistics?days=400", "health", "health?host=HOST"),
)
OLDER = ("/api/auto-healer/status", "/api/auto-healer/history?limit=50", "/api/auto-healer/statistics", "/metrics")


def names(client: httpx.Client) -> dict[str, str]:
    """What stands for the words in capitals."""

    def first(path: str, key: str = "id") -> str:
        return str(client.get(f"/api/v1/{path}").json()["items"][0][key])

    healed = client.get("/api/v1/healings?state=healed").json()["items"][0]["incident"]
    incident = healed["id"]
    day = f"{datetime.fromisoformat(healed['first_seen']) - timedelta(days=60):%Y-%m-%d}"
    return {
        "HOST": host(0),
        "INCIDENT": incident,
        "RUN": f"{incident}-act",
        "OUTBREAK": first("outbreaks"),
        "APPROVAL": first("approvals"),
        "SIGNATURE": f"{0:016x}",
        "SINCE": f"{day}T00:00:00Z",
        "UNTIL": f"{day}T12:00:00Z",
        "DAY": day,
    }


def deep(client: httpx.Client, name: str) -> str | None:
    """The URL of a page far down; None where the list is short."""
    path: str | None = f"/api/v1/{name}?limit=500"
    for _ in range(DEEP):
        path = client.get(path or "").json()["next"]
        if path is None:
            return None
    cursor = parse_qs(urlsplit(path or "").query)["cursor"][0]
    return str(httpx.URL(f"/api/v1/{name}", params={"cursor": cursor}))


def viewers(server: Served, folder: Path) -> None:
    """People at the Now page, each with its stream, loading the part anew once a second as a browser does."""
    store, stop = open_store(f"sqlite:///{folder / 'healer.sqlite'}"), threading.Event()
    loads: list[float] = []

    def look() -> None:
        told, last = threading.Event(), 0.0
        with server.client() as client, client.stream("GET", "/api/v1/stream") as stream:

            def follow() -> None:
                try:
                    for line in stream.iter_lines():
                        if line.startswith("data:"):
                            told.set()
                except (httpx.HTTPError, RuntimeError):
                    return

            reader = threading.Thread(target=follow, daemon=True)
            reader.start()
            with server.client() as pages:
                while not stop.is_set():
                    if told.wait(0.2) and time.monotonic() - last >= 1:
                        told.clear()
                        last = begun = time.monotonic()
                        pages.get("/parts/now").raise_for_status()
                        loads.append(1000 * (time.monotonic() - begun))
            stream.close()

    people = [threading.Thread(target=look, daemon=True) for _ in range(VIEWERS)]
    server.forget_peak()
    before, began = server.megabytes("VmRSS"), server.processor()
    for one in people:
        one.start()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        store.append("api.called", text="a line of the ledger")
        time.sleep(0.1)
    used, peak = server.processor() - began, server.megabytes("VmHWM")
    stop.set()
    for one in people:
        one.join(20)
    store.close()
    loads.sort()
    print(f"\n{VIEWERS} people at the Now page for {SECONDS} s, ten lines a second: {len(loads)} loads,", end=" ")
    print(f"median {at(loads, 50):.0f} ms, p95 {at(loads, 95):.0f} ms;", end=" ")
    print(f"server {100 * used / SECONDS:.0f} % of one processor, {peak - before:+.0f} MB at most")


def at(values: list[float], percent: int) -> float:
    """The nearest rank of sorted values."""
    return values[max(0, math.ceil(percent / 100 * len(values)) - 1)] if values else math.nan


def main() -> None:
    """Fill, serve, ask, print."""
    given = sys.argv[1:]
    healings, hosts = int(given[0]) if given else 100_000, int(given[1]) if len(given) > 1 else 300
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(given[2]) if len(given) > 2 else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "healer.sqlite").exists():
            begun = time.monotonic()
            fill(folder / "healer.sqlite", healings, hosts, datetime.now(UTC))
            print(f"made in {time.monotonic() - begun:.0f} s")
        print(f"{healings} healings on {hosts} hosts, {(folder / 'healer.sqlite').stat().st_size / 1e6:.0f} MB")
        with served(folder, hosts) as server:
            with server.client() as client:
                slow = ask(client)
            viewers(server, folder)
    print(f"\nslower than {BAR_MS:.0f} ms: {', '.join(slow) or 'nothing'}")


def ask(client: httpx.Client) -> list[str]:
    """Every page; those that are slow."""
    words, slow = names(client), []
    lists = [f"/api/v1/{name}" for name in LISTS]
    far = [path for name in LISTS if (path := deep(client, name))]
    others = [f"/api/v1/{path}" for path in (*FILTERED, *ONES)]
    print(f"{'median':>8} {'p95':>8} {'size':>9}")
    for path in (*PAGES, *lists, *far, *others, *OLDER):
        asked = path
        for word, value in words.items():
            asked = asked.replace(word, value)
        took, answer = timed(client, asked, TIMES)
        mark = " " if at(took, 95) < BAR_MS else "!"
        print(f"{at(took, 50):5.0f} ms {at(took, 95):5.0f} ms {len(answer.content) / 1000:6.1f} kB {mark} {path[:90]}")
        slow += [path] if mark == "!" else []
    return slow


if __name__ == "__main__":
    main()
