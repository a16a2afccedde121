"""A stage for collecting: settings in a fresh folder, lab hosts as inventory entries, and a sink that remembers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.fleet import Lab
from orchestrator import settings as settings_module
from orchestrator.collect.connection import Connections
from orchestrator.collect.follow import SshCollector
from orchestrator.domain.hosts import Connection, Host, LogFile
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import LogRecord
from orchestrator.settings import Settings
from tests.support.act_stage import environment
from tests.support.waiting import wait_for


class Heard:
    """A sink, and the store of cursors behind it: what is stored is stored together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[LogRecord] = []
        self._cursors: dict[tuple[str, str], Cursor] = {}

    def __call__(self, host: Host, source: str, records: Sequence[LogRecord], cursor: Cursor | None) -> None:
        with self._lock:
            self._records += records
            if cursor is not None:
                self._cursors[host.name, source] = cursor

    def cursor(self, host: str, source: str) -> Cursor | None:
        with self._lock:
            return self._cursors.get((host, source))

    def of(self, words: str) -> list[LogRecord]:
        """Records whose message holds the words."""
        with self._lock:
            return [record for record in self._records if words in record.message]

    def all(self) -> list[LogRecord]:
        with self._lock:
            return list(self._records)


def settings_in(folder: Path, **values: Any) -> Settings:
    """Settings whose files all lie in the folder; the ssh config is there only if the test writes one."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "healer.toml"
    config.write_text('state_dir = "state"\nknown_hosts = "known_hosts"\nssh_config = "ssh_config"\n')
    (folder / "ssh_config").touch()
    return replace(settings_module.load(config, environment()), **values)


def entry(lab: Lab, name: str, *, files: Sequence[str] = (), **changes: Any) -> Host:
    """A lab host as the inventory would give it: login by the lab's key, sudo, its key in the lab's known_hosts."""
    addresses = dict(line.split()[0].split(",") for line in lab.known_hosts.read_text(encoding="utf-8").splitlines())
    connection = Connection(
        kind="ssh",
        address=addresses[name],
        user="healer",
        key_file=str(lab.key),
        become=True,
        ssh_arguments=("-o", f'UserKnownHostsFile="{lab.known_hosts}"'),
    )
    log_files = tuple(LogFile(path=path, unit="shop.service") for path in files)
    return Host(name=name, groups=("lab",), connection=replace(connection, **changes), log_files=log_files)


def states(collector: SshCollector) -> dict[str, str]:
    return {state.host: state.state for state in collector.states()}


@contextmanager
def following(settings: Settings, hosts: Sequence[Host], heard: Heard) -> Iterator[SshCollector]:
    """A collector that has connected to every host, stopped at the end with its connections."""
    connections = Connections(settings)
    collector = SshCollector(settings, connections)
    collector.start(hosts, heard, heard.cursor)
    try:
        wanted = {host.name: "connected" for host in hosts}
        wait_for(lambda: states(collector) == wanted, f"{sorted(wanted)} are followed")
        yield collector
    finally:
        collector.stop()
        connections.close()


def token() -> str:
    """A word that no other record holds."""
    return f"t{secrets.token_hex(6)}"


def say(lab: Lab, host: str, *lines: str, unit: str | None = None) -> str:
    """A service of the host prints the lines; the journal files them as priority 6. Its unit's name."""
    name = unit or f"shop-{secrets.token_hex(4)}"
    words = "\n".join(lines).replace("'", "'\\''")
    lab.execute(host, f"systemd-run --quiet --collect --wait --description=shop --unit={name} printf '%s\\n' '{words}'")
    return f"{name}.service"
