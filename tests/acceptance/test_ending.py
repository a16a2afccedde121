"""How `healer serve` ends on a real host: what runs is finished, or goes on at the next start; nothing begins twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.incidents import FINAL
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.record.store import SqlStore, open_store
from tests.acceptance.conftest import HEALER, Healer, configured, wait_for
from tests.support.fleets import fleet

LOG = "/var/log/quiet.log"
STARTED = "journalctl --unit nginx.service --output cat | grep --count '^Started nginx'"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healer]:
    """Two hosts; of web2 a log file is followed too."""
    folder = tmp_path_factory.mktemp("ending")
    variables = {"healing_mode": "auto", "healing_hold_seconds": 3, "healing_cooldown_seconds": 1}
    of_hosts = {"web2": {"healing_log_files": [{"path": LOG, "unit": "quiet.service"}]}}
    with fleet("ending", folder / "lab", 2, variables=variables, host_variables=of_hosts) as lab:
        yield configured(folder, lab)


@pytest.fixture
def store(one: Healer) -> Iterator[SqlStore]:
    one.state.mkdir(mode=0o700, exist_ok=True)
    made = open_store(f"sqlite:///{one.state}/healer.sqlite")
    yield made
    made.close()


class Told:
    """A service manager that hears what its service says."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, list[str]()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(str(path))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while (words := self._door.recv(4096).decode()) != "over":
            self.lines += words.splitlines()

    def hears(self, line: str) -> bool:
        return line in self.lines

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.sendto(b"over", str(self.path))
        self._listener.join()
        self._door.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def serve(one: Healer, systemd: Told) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `healer serve`; none outlives its test."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        systemd.lines.clear()
        environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}  # noqa: TID251
        process = subprocess.Popen(
            [str(HEALER), "--config", str(one.config), "serve"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment | {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "1500000"},
        )
        started.append(process)
        wait_for(lambda: systemd.hears("READY=1"), "healer serve is ready")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def broken(one: Healer, store: SqlStore) -> str:
    """The id of a new incident whose act runs now."""
    before = {incident.id for incident in store.incidents(host="web1")}
    one.lab.break_("nginx-killed", "web1")

    def acting() -> str:
        runs = [run for run in store.runs(host="web1", kinds=[RunKind.ACT]) if run.status is RunStatus.RUNNING]
        return next((run.incident_id for run in runs if run.pid and run.incident_id not in before), "")

    return wait_for(acting, "the act runs")


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def story(store: SqlStore, incident: str) -> dict[str, int]:
    """How often each kind of line stands in the ledger of an incident."""
    found: dict[str, int] = {}
    for event in store.events(incident_id=incident):
        found[event.kind] = found.get(event.kind, 0) + 1
    return found


def state(store: SqlStore, incident: str) -> str:
    found = store.incident(incident)
    return "" if found is None else str(found.state)


def healed(store: SqlStore, incident: str) -> dict[str, int]:
    wait_for(lambda: state(store, incident) == "healed", f"{incident} is healed")
    return story(store, incident)


def starts(one: Healer) -> int:
    return int(one.lab.execute("web1", STARTED, check=False).stdout)


def test_what_runs_is_finished_before_it_ends(
    one: Healer, store: SqlStore, systemd: Told, serve: Callable[[], subprocess.Popen[str]]
) -> None:
    process = serve()
    wait_for(lambda: systemd.hears("WATCHDOG=1"), "systemd is told that it lives")
    incident = broken(one, store)
    before = starts(one)

    process.send_signal(signal.SIGTERM)
    said = ended(process)

    assert "running healings may finish within 120 s" in said
    assert "interrupted" not in said
    assert systemd.hears("STOPPING=1")
    assert state(store, incident) == "verified"
    assert "healing.interrupted" not in story(store, incident)
    process = serve()
    assert healed(store, incident)["run.started"] == 3
    assert starts(one) <= before + 1
    process.send_signal(signal.SIGTERM)
    ended(process)


def test_a_second_signal_hurries_and_the_next_start_goes_on(
    one: Healer, store: SqlStore, systemd: Told, serve: Callable[[], subprocess.Popen[str]]
) -> None:
    process = serve()
    before = starts(one)
    incident = broken(one, store)

    process.send_signal(signal.SIGTERM)
    wait_for(lambda: systemd.hears("STOPPING=1"), "it drains")
    process.send_signal(signal.SIGTERM)
    said = ended(process)

    assert f"interrupted, and to be gone on with at the next start: {incident}-apply" in said
    assert state(store, incident) == "healing"
    process = serve()
    lines: dict[str, Any] = healed(store, incident)
    assert (lines["healing.interrupted"], lines["run.started"]) == (1, 3)
    assert starts(one) == before + 1
    process.send_signal(signal.SIGTERM)
    ended(process)


def logs(one: Healer, *, age: int) -> None:
    """The service's own log states an error that is so many seconds old."""
    when = f"$(date --utc --date='{age} seconds ago' +%Y-%m-%dT%H:%M:%SZ)"
    line = f"{when} web2 systemd[1]: quiet.service: Failed with result 'signal'."
    one.lab.execute("web2", f'echo "{line}" >> {LOG}')


def told(store: SqlStore, known: Collection[str]) -> Any:
    """An incident of the service that has ended, and is none of those."""
    found = (one for one in store.incidents(host="web2") if one.id not in known and one.state in FINAL)
    return next((one for one in found if one.subject.name == "quiet.service"), None)


@pytest.fixture
def quiet(one: Healer) -> None:
    """A service of web2 that writes to its log file alone; not even systemd says of it that it failed."""
    unit = "[Service]\nExecStart=/bin/sleep infinity\nLogLevelMax=emerg\n[Install]\nWantedBy=multi-user.target"
    one.lab.execute(
        "web2",
        f"printf '{unit}\n' > /etc/systemd/system/quiet.service; touch {LOG}; systemctl enable --now quiet.service",
    )


@pytest.mark.usefixtures("quiet")
def test_what_was_logged_while_nobody_listened_is_found_and_too_old_to_act_on(
    one: Healer, store: SqlStore, serve: Callable[[], subprocess.Popen[str]]
) -> None:
    process = serve()
    wait_for(lambda: store.cursor("web2", LOG), "its log is followed")
    process.send_signal(signal.SIGTERM)
    ended(process)

    one.lab.execute("web2", "systemctl kill --signal=KILL quiet.service")
    logs(one, age=600)
    process = serve()
    standing = wait_for(lambda: told(store, ()), "the old error is looked at")
    assert (standing.state, [run.kind for run in store.runs(incident_id=standing.id)]) == ("escalated", ["check"])
    assert "Nothing was done, but the check says that it still stands: " in standing.reason
    assert one.lab.execute("web2", "systemctl is-failed quiet.service").stdout.strip() == "failed"

    # The same error again, and fresh: what was too old hides it not.
    logs(one, age=0)
    fresh = wait_for(lambda: told(store, {standing.id}), "the fresh error is healed")
    assert (fresh.state, fresh.reason) == ("healed", "verified, and silent for 3 s")
    # Else it would take the next old one as a repeat of what a person was told already.
    one("incidents", "close", standing.id, "--reason", "seen")
    process.send_signal(signal.SIGTERM)
    ended(process)

    logs(one, age=600)
    process = serve()
    over = wait_for(lambda: told(store, {standing.id, fresh.id}), "the old error is looked at")
    assert over.state == "expired"
    assert over.reason.endswith("Nothing was done, and the check finds it well.")
    process.send_signal(signal.SIGTERM)
    ended(process)
