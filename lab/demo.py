"""`make demo`: boot three real hosts, break them as production breaks, and heal them while one watches.

Exit code 0 only if every fault ended as it should and nothing else was done to any host.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.errors import LabError
from lab.fleet import Lab
from orchestrator import app as wiring
from orchestrator.domain.incidents import FINAL, Incident, IncidentState
from orchestrator.domain.runs import RunKind
from orchestrator.domain.verdicts import Answer
from orchestrator.errors import HealingError
from orchestrator.ports import Event, Store

HOLD_SECONDS = 5
#: Seconds. The slowest healing takes about ten; two minutes, on whatever machine, say that something is wrong.
PATIENCE = 120.0

VARIABLES = {"healing_mode": "auto", "healing_hold_seconds": HOLD_SECONDS}
HOST_VARIABLES = {"web3": {"healing_mode": "propose"}}

#: The ledger's events that are shown, and what each is called here.
STAGES = {
    "incident.opened": "detected",
    "decision.made": "decided",
    "verdict.given": "judged",
    "approval.asked": "asks",
    "approval.approved": "approved",
    "run.ended": "ran",
    "healing.note": "note",
    "incident.verified": "verified",
    "incident.healed": "healed",
    "incident.already_well": "well",
    "incident.escalated": "told",
    "incident.expired": "expired",
    "incident.noise": "noise",
    "incident.joined": "joined",
}


@dataclass
class Expected:
    """One fault and how it must end."""

    host: str
    fault: str
    what: str
    #: The action that must heal it; '' where nothing may act.
    action: str
    broken_at: float = 0.0
    incident: Incident | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def end(self) -> IncidentState:
        return IncidentState.HEALED if self.action else IncidentState.ESCALATED

    @property
    def met(self) -> bool:
        return self.incident is not None and self.incident.state is self.end


def faults() -> list[Expected]:
    """Three hosts, three kinds of trouble, and one error that must not be acted on."""
    return [
        Expected("web1", "nginx-killed", "a service is killed", "restart_service"),
        Expected("web2", "disk-full-rotated", "old logs fill a file system", "free_disk_space"),
        Expected("web3", "unit-noexec", "a script lost its execute bit", "fix_permissions"),
        Expected("web1", "cert-expired", "a certificate has expired", ""),
    ]


class Demo:
    """One showing, with its own store; fleet and store are kept."""

    def __init__(self, labs: Path, name: str) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.folder = labs / f"{name}-healing"
        self.lab = Lab(name, labs)
        self.expected = faults()
        self.config = self.folder / "healer.toml"
        self.healer = Path(sys.executable).parent / "healer"
        self.approving: dict[str, subprocess.Popen[bytes]] = {}
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.began:6.1f} s[/dim]  ", end="")
        self.console.print(text, markup=False)

    def run(self) -> int:
        """The whole showing; returns the exit code."""
        self.say("three real hosts (systemd, journald, sshd, nginx) in containers ...")
        if self.lab.status():
            self.say("taking down the fleet of the last demo: its journals still tell of its faults ...")
            self.lab.down()
        self.lab.up(3, variables=VARIABLES, host_variables=HOST_VARIABLES)
        self.say("web1 and web2: healing_mode auto, set in the demo's inventory. web3: propose, it asks first.")
        self.say(f"hold time {HOLD_SECONDS} s here (30 s by default): an error must stay silent that long.")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700, parents=True)
        self.config.write_text(
            f'inventory = "{self.lab.inventory}"\nstate_dir = "state"\nknown_hosts = "{self.lab.known_hosts}"\n'
            # Two hosts of one group are healed side by side, to be seen; by default half of a group.
            f"api_port = {_port()}\nfleet_group_percent = 100\n",
            encoding="utf-8",
        )
        with self.serving():
            store = wiring.open_record(wiring.settings(self.config))
            after = store.newest()
            self.break_all()
            self.watch(store, after)
            return self.summary(store)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """`healer serve` as a process of its own, ended at the end."""
        with (self.folder / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                [self.healer, "--config", self.config, "serve"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
            try:
                self.wait_until_read(process)
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def wait_until_read(self, process: subprocess.Popen[bytes]) -> None:
        log = self.folder / "serve.log"
        deadline = time.monotonic() + 30
        while "http://" not in log.read_text(encoding="utf-8", errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"healer serve did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
            time.sleep(0.1)
        self.say("healer serve follows three journals; REST on the loopback address. Now break things:")

    def break_all(self) -> None:
        def one(expected: Expected) -> None:
            self.lab.break_(expected.fault, expected.host)
            expected.broken_at = time.monotonic()

        def one_host(host: str) -> None:
            for expected in self.expected:
                if expected.host == host:
                    one(expected)

        # A host's faults go one after the other: they share its systemd.
        hosts = {expected.host for expected in self.expected}
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(one_host, sorted(hosts)))
        for expected in self.expected:
            self.say(f"{expected.host}: {expected.what} ({expected.fault})")

    def watch(self, store: Store, after: int) -> None:
        """Print each step as it happens, answer the one question, until all is decided."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event in store.events(after=after):
                after = event.seq
                self.show(event)
            self.match(store)
            for approval in store.approvals((Answer.PENDING,)):
                self.approve(approval.id, approval.host)
            if all(one.incident is not None and one.incident.state in FINAL for one in self.expected):
                break
            time.sleep(0.1)
        for event in store.events(after=after):
            self.show(event)
        if any(answering.wait(timeout=30) for answering in self.approving.values()):
            raise LabError("healer approvals approve failed; see above.")

    def show(self, event: Event) -> None:
        if not event.incident_id or event.kind not in STAGES:
            return
        self.say(f"{event.host}  {STAGES[event.kind]:<9} {event.text[:150]}")

    def approve(self, approval_id: str, host: str) -> None:
        """As a person would, once; what happens meanwhile is shown meanwhile."""
        if approval_id in self.approving:
            return
        reason = "the operator has looked at it"
        self.say(f"{host}  $ healer approvals approve {approval_id} --reason '{reason}'")
        self.approving[approval_id] = subprocess.Popen(
            [self.healer, "--config", self.config, "approvals", "approve", approval_id, "--reason", reason],
            stdout=subprocess.DEVNULL,
        )

    def match(self, store: Store) -> None:
        """Which incident belongs to which fault: by host and by the action that was picked."""
        for incident in store.incidents(limit=100):
            decision = store.decision(incident.id)
            if decision is None or incident.state is IncidentState.JOINED:
                continue
            for expected in self.expected:
                picked = decision.action if decision.acts else ""
                if expected.host == incident.host and expected.action == picked:
                    expected.incident = incident
                    expected.seconds.setdefault("detected", self.since(expected, incident.first_seen))
                    if incident.state in (IncidentState.VERIFIED, IncidentState.HEALED):
                        expected.seconds.setdefault("verified", time.monotonic() - expected.broken_at)
                    if incident.state in FINAL:
                        expected.seconds.setdefault("ended", time.monotonic() - expected.broken_at)

    @staticmethod
    def since(expected: Expected, moment: datetime) -> float:
        return max(0.0, time.monotonic() - expected.broken_at - (time.time() - moment.timestamp()))

    def summary(self, store: Store) -> int:
        """The table, what was not expected, and how to look further."""
        table = Table("host", "what broke", "wanted", "became", "verified", "ended", box=None, pad_edge=False)
        for one in self.expected:
            became = one.incident.state if one.incident else "not seen"
            wanted = one.action or "tell a person"
            table.add_row(
                one.host,
                one.what,
                wanted,
                f"[green]{became}[/green]" if one.met else f"[red]{became}: WRONG[/red]",
                f"{one.seconds['verified']:.1f} s" if "verified" in one.seconds else "",
                f"{one.seconds['ended']:.1f} s" if "ended" in one.seconds else "",
            )
        self.console.print()
        self.console.print(table)
        acts = [run for run in store.runs(limit=1000) if run.kind is RunKind.ACT]
        wanted_acts = sorted((one.host, one.action) for one in self.expected if one.action)
        surprise = sorted((run.hosts[0], run.action) for run in acts) != wanted_acts
        if surprise:
            self.say(f"NOT as it should be: these acts ran: {[(run.hosts, run.action) for run in acts]}")
        good = all(one.met for one in self.expected) and not surprise
        if good:
            self.console.print("\nAll is as it should be, and nothing else was done to any host.", style="green")
        healer, config = _short(self.healer), _short(self.config)
        lab = f"--name {self.lab.name}"
        if self.folder.parent != Path.cwd() / ".lab":
            lab += f" --state-dir {self.folder.parent}"
        self.console.print(
            f"""
Artifacts of each run: {_short(self.folder / "state" / "artifacts")}
The fleet and the store are kept. Look further:
  {healer} -c {config} incidents list
  {healer} -c {config} incidents show ID
  {healer} -c {config} runs list
  {healer} -c {config} serve          and in another terminal:
  {healer} lab break nginx-killed web1 {lab}
Clean up:
  {healer} lab down {lab}
""",
            markup=False,
        )
        if not good:
            self.console.print(f"The demo did NOT end as it should. Log: {self.folder / 'serve.log'}", style="red")
        return 0 if good else 1


def _port() -> int:
    """The usual port, or any free one where somebody has it."""
    for port in (8420, 0):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise LabError("There is no free port on the loopback address.")


def _short(path: Path) -> str:
    """As one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main() -> int:
    """Run the demo; its files go to the checkout's .lab unless told otherwise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="demo", help="name of the lab (default: demo)")
    parser.add_argument("--state-dir", type=Path, help="folder for all files (default: .lab of the checkout)")
    given = parser.parse_args()
    checkout = Path(__file__).resolve().parent.parent
    demo = Demo(given.state_dir.absolute() if given.state_dir else checkout / ".lab", given.name)
    try:
        return demo.run()
    except (LabError, HealingError, subprocess.CalledProcessError) as error:
        demo.console.print(f"demo: {error}", style="red", markup=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
