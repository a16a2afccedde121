"""One fleet of three real hosts and one `healer serve`, used as a person uses them: by command line and HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from lab.fleet import Lab
from tests.support.fleets import fleet
from tests.support.limits import WIDE_LINES

ROOT = Path(__file__).resolve().parents[2]
HEALER = Path(sys.executable).parent / "healer"
#: Seconds. Bounds every wait; nothing asserts how fast a thing was.
PATIENCE = 90.0
T = TypeVar("T")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests recorded, also those of other processes."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", ()):
            if name == "table":
                terminalreporter.write_line(str(value))


def wait_for(look: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """The first true answer; fails with `what` after the limit."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}; last answer: {answer!r}")
        time.sleep(0.4)


@dataclass(frozen=True, kw_only=True)
class Healer:
    """The command line over one config file."""

    config: Path
    lab: Lab
    port: int

    def __call__(
        self, *arguments: str, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}  # noqa: TID251
        done = subprocess.run(
            [str(HEALER), "--config", str(self.config), *arguments],
            capture_output=True,
            text=True,
            input=stdin,
            env={**environment, "COLUMNS": "200"},
            timeout=180,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"healer {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def incidents(self, host: str) -> list[dict[str, Any]]:
        return list(self.json("incidents", "list", "--host", host, "--limit", "1000"))

    @property
    def state(self) -> Path:
        return self.config.parent / "state"

    def http(self, *, token: bool = False) -> httpx.Client:
        headers = {"Authorization": f"Bearer {(self.state / 'token').read_text().strip()}"} if token else {}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=90)


def start(healer: Healer) -> subprocess.Popen[bytes]:
    """`healer serve` as a process; returns when it follows the fleet and answers HTTP."""
    log = healer.config.parent / "serve.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(HEALER), "--config", str(healer.config), "serve"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )

    def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"healer serve ended: {log.read_text()}")
        try:
            return httpx.get(f"http://127.0.0.1:{healer.port}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers, "healer serve answers HTTP", 30)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def configured(folder: Path, lab: Lab, more: str = "") -> Healer:
    """A config file for the lab's hosts, with limits that no test meets by chance."""
    config, port = folder / "healer.toml", free_port()
    config.write_text(
        f'inventory = "{lab.inventory}"\nstate_dir = "state"\nknown_hosts = "{lab.known_hosts}"\n'
        f"api_port = {port}\n{more}{WIDE_LINES}"
    )
    return Healer(config=config, lab=lab, port=port)


@pytest.fixture(scope="session")
def healer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healer]:
    folder = tmp_path_factory.mktemp("healer")
    variables = {"healing_mode": "auto", "healing_hold_seconds": 5, "healing_cooldown_seconds": 1}
    of_hosts = {"web1": {"healing_permits": ["restart_zombie_parent"]}, "web3": {"healing_mode": "propose"}}
    with fleet("accept", folder / "lab", variables=variables, host_variables=of_hosts) as lab:
        yield configured(folder, lab, "inject_errors = true\n")


@pytest.fixture(scope="session")
def serving(healer: Healer) -> Iterator[Healer]:
    process = start(healer)
    try:
        yield healer
    finally:
        end(process)
