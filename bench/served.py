"""The real server over HTTP in a process of its own, so that its memory and processor time can be told."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
from stock import host

from api.main import create_app
from api.serve import Server
from api.state import ApiState
from orchestrator import catalog
from orchestrator import settings as settings_module
from orchestrator.domain.hosts import Connection as Link
from orchestrator.domain.hosts import Host, HostPolicy, Mode
from orchestrator.ports import SourceState
from orchestrator.record.store import open_store
from orchestrator.testing import FakeFleet

TOKEN = "token-of-the-bench"  # noqa: S105  # of a server that lives for a minute
GROUPS = 10


class Served:
    """A server's process and its address."""

    def __init__(self, pid: int, url: str) -> None:
        self.url, self._pid = url, pid

    def client(self) -> httpx.Client:
        """Signed in as an admin."""
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=120)

    def megabytes(self, what: str) -> float:
        """VmRSS: what is in memory now. VmHWM: the most since `forget_peak`."""
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
        raise LookupError(what)

    def forget_peak(self) -> None:
        """From here on."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    def processor(self) -> float:
        """Seconds of it since the start."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(folder: Path, hosts: int) -> Iterator[Served]:
    """Over `folder`/healer.sqlite and `folder`/artifacts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, hosts, theirs), daemon=True)
    process.start()
    port = ours.recv()
    try:
        yield Served(process.pid or 0, f"http://127.0.0.1:{port}")
    finally:
        ours.send(None)
        process.join(20)


def _serve(folder: Path, hosts: int, pipe: Connection[Any, Any]) -> None:
    store = open_store(f"sqlite:///{folder / 'healer.sqlite'}")
    actions = catalog.load(settings_module.HOME / "playbooks", settings_module.HOME / "roles").actions
    names = [host(number) for number in range(hosts)]
    link = {name: Link(kind="ssh", address=name) for name in names}
    fleet = FakeFleet(
        *(
            Host(name=name, groups=(f"group{at % GROUPS}",), connection=link[name], policy=HostPolicy(mode=Mode.AUTO))
            for at, name in enumerate(names)
        )
    )
    states = tuple(SourceState(host=name, state="connected") for name in names)
    state = ApiState(
        store=store,
        fleet=fleet,
        settings=replace(settings_module.load(None, {}), state_dir=folder),
        token=TOKEN,
        trigger=_never,
        answer=_never,
        answer_outbreak=_never,
        look=_never,
        reading=lambda: states,
        actions=tuple(actions.values()),
    )
    # Streams that are open at the end are cut, which is worth no traceback here.
    logging.disable()
    server = Server(create_app(state), "127.0.0.1", 0)
    server.start()
    pipe.send(server.port)
    pipe.recv()
    server.stop()
    store.close()


def _never(*given: Any, **named: Any) -> Any:
    raise NotImplementedError


def timed(client: httpx.Client, path: str, times: int) -> tuple[list[float], httpx.Response]:
    """Milliseconds of each request, the first one left out: it opens connections and compiles templates."""
    answer = client.get(path)
    answer.raise_for_status()
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        client.get(path)
        took.append(1000 * (time.perf_counter() - begun))
    return sorted(took), answer
