"""One orchestrator over hosts of its own, with a state of its own: started, killed, started again, and judged."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lab.inventory import inventory_text
from orchestrator.act import processes
from orchestrator.act.order import PERMIT
from orchestrator.domain.incidents import FINAL, Incident, IncidentState
from orchestrator.domain.runs import Run, RunKind, RunStatus
from orchestrator.record.store import SqlStore, open_store
from tests.chaos.judge import Observation, Patient, Verdict, judge
from tests.chaos.process import Nursery, Process, cold
from tests.chaos.ward import Ward
from tests.support.limits import WIDE

HERE = Path(__file__).resolve().parent
HEALER = Path(sys.executable).parent / "healer"
#: Seconds. A run's process that can't renew for 6 s ends its playbook: a busy machine may take one of them.
LEASE, RENEWAL = 16, 1
#: Seconds from the last thing that was done until nothing may be under way any more: a lease, a run's limit (20 s), the
#: 15 s that a run without a process is waited for, and as much again for what follows it.
PATIENCE = 180.0
#: Seconds between two looks whether somebody wrote to the store, and between two at all else.
LOOK, LOOK_ANYWAY = 0.05, 0.5
T = TypeVar("T")
Drive = Callable[[], None]

HEALED = frozenset({IncidentState.HEALED})
#: What a cut act may come to: verify judges, and what it finds sick is rolled back and handed to a person.
HEALED_OR_TOLD = HEALED | {IncidentState.ESCALATED}


class RowError(Exception):
    """The row could not be carried out, or something beside the verdict is wrong. One sentence."""


@dataclass(kw_only=True)
class Tally:
    """A line of the table, as it grows."""

    times: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    #: From the kill, or the start after it, to the next thing that happened to an incident.
    seconds: list[float] = field(default_factory=list)
    #: How the incidents ended.
    ends: Counter[str] = field(default_factory=Counter)
    #: Boundaries that healings passed, and at which one was killed.
    seen: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)

    @property
    def to_go_on(self) -> str:
        """Median and worst."""
        return f"{statistics.median(self.seconds):.1f} / {max(self.seconds):.1f}" if self.seconds else "-"


def _nothing() -> None:
    """The default drive."""


class Lane:
    """What a row works with. `hosts`: the last one asks a person first (propose), all others act (auto)."""

    def __init__(
        self,
        ward: Ward,
        nursery: Nursery,
        hosts: Sequence[str],
        folder: Path,
        *,
        seed: str,
        stops: Callable[[], bool],
        proposes: bool = True,
    ) -> None:
        """`stops`: whether the suite's time is over; no wait goes on then."""
        self.ward, self.hosts, self.folder = ward, tuple(hosts), folder
        self._nursery = nursery
        self.acting = self.hosts[:-1] if proposes else self.hosts
        self.asking = self.hosts[-1]
        self.random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
        self.tally = Tally()
        self.state = folder / "state"
        self._stops = stops
        self._process: Process | None = None
        self._store: SqlStore | None = None
        self._versions: sqlite3.Connection | None = None
        self._fallen: Counter[Patient] = Counter()
        self._armed, self._passed = folder / "armed", folder / "passed"
        self._settings: dict[str, object] = {}
        #: What is undone at the end, last first.
        self.cleanup = contextlib.ExitStack()
        self.state.mkdir(mode=0o700, parents=True)
        self.arm()
        self._passed.touch()
        ward.forget(hosts)
        self.configure()

    # the orchestrator -----------------------------------------------------------------------------

    def configure(self, *, hold: float = 1.0, **settings: object) -> None:
        """Settings of the next start, on top of what a lane needs; and the seconds to hold."""
        lab = self.ward.lab
        inventory = self.folder / "hosts.yml"
        mode = {host: {"healing_mode": "auto" if host in self.acting else "propose"} for host in self.hosts}
        inventory.write_text(
            inventory_text(
                {host: self.ward.addresses[host] for host in self.hosts},
                key=lab.key,
                known_hosts=lab.known_hosts,
                variables={"healing_cooldown_seconds": 0, "healing_hold_seconds": hold},
                host_variables=mode,
            )
        )
        self._settings = {
            "inventory": str(inventory),
            "state_dir": str(self.state),
            "known_hosts": str(lab.known_hosts),
            "playbooks_dir": str(HERE / "playbooks"),
            "roles_dir": str(HERE / "roles"),
            "api_port": self._settings.get("api_port") or _free_port(),
            "connect_timeout_seconds": 3.0,
            "run_lease_seconds": float(LEASE),
            "run_renewal_seconds": float(RENEWAL),
            "max_parallel_healings": 4,
            **WIDE,
        } | settings
        self.config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in self._settings.items()))

    @property
    def config(self) -> Path:
        """healer.toml."""
        return self.folder / "healer.toml"

    @property
    def log(self) -> Path:
        """What every orchestrator of the lane said."""
        return self.folder / "serve.log"

    @property
    def arguments(self) -> list[str]:
        """Of `healer`."""
        return ["--config", str(self.config), "serve"]

    def start(self, *, watched: bool = False, clock: Mapping[str, str] | None = None) -> None:
        """Start the orchestrator; whether it comes up shows in what it does. It ends with this process.

        `watched`: one that dies at the armed boundary, and is forked; `clock`: the environment in which it sees another
        time. Else as an operator starts it.
        """
        # Made here, so that it can be read at any time; the folder may have been mounted over.
        self._store = self._store or open_store(f"sqlite:///{self.state / 'healer.sqlite'}")
        if watched:
            self._process = self._nursery.fork(self.arguments, log=self.log, armed=self._armed, passed=self._passed)
        elif clock:
            program = [sys.executable, "-m", "tests.chaos.shifted"]
            self._process = cold([*program, *self.arguments], self.log, environment() | dict(clock))
        else:
            self._process = cold([str(HEALER), *self.arguments], self.log, environment())

    @property
    def pid(self) -> int:
        """Of the orchestrator."""
        if self._process is None:
            raise RowError("the orchestrator was not started")
        return self._process.pid

    @property
    def is_dead(self) -> bool:
        """Whether the orchestrator ended."""
        return self._process is None or self._process.poll() is not None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """At once, unless it is dead already."""
        if self._process is not None:
            self._process.send_signal(number)
            if number is signal.SIGKILL:
                self._process.wait()

    def end(self) -> None:
        """Nothing of the lane is alive afterwards: its runs end where they can't renew, and are killed here."""
        self.kill(signal.SIGCONT)
        self.kill()
        for run in self.holding():
            kill_run(run)
        if self._store is not None:
            self._store.close()
        self.cleanup.close()

    # boundaries -----------------------------------------------------------------------------------

    def arm(self, *names: str, but: Sequence[str] = ()) -> None:
        """The watched orchestrator dies at the first boundary that one of these patterns fits, `but` for these."""
        draft = self._armed.with_suffix(".part")
        draft.write_text(json.dumps({"at": names, "but": list(but)}))
        draft.replace(self._armed)

    def passed(self) -> list[str]:
        """The boundaries passed since this was asked before."""
        names = self._passed.read_text().splitlines()
        self._passed.write_text("")
        return names

    # patients and what the store knows of them ----------------------------------------------------

    def fall_ill(self, host: str, *, seconds: float = 0.3, resists: bool = False) -> Patient:
        """See Ward.fall_ill."""
        patient = self.ward.fall_ill(host, seconds=seconds, resists=resists)
        self._fallen[patient] += 1
        return patient

    def fallen(self, patient: Patient) -> int:
        """How often it fell ill."""
        return self._fallen[patient]

    def relapse(self, patient: Patient) -> None:
        """It falls ill again."""
        self._fallen[self.ward.relapse(patient)] += 1

    @property
    def store(self) -> SqlStore:
        """To be read."""
        if self._store is None:
            raise RowError("the orchestrator was not started")
        return self._store

    def incidents(self, patient: Patient) -> list[Incident]:
        """Its own, newest first."""
        found = self.store.incidents(host=patient[0], limit=10_000)
        return [one for one in found if one.subject.name == patient[1]]

    def run(self, patient: Patient, kind: RunKind) -> Run | None:
        """The newest of that kind."""
        ids = {one.id for one in self.incidents(patient)}
        found = self.store.runs(host=patient[0], kinds=(kind,), limit=10_000)
        return next((run for run in found if run.incident_id in ids), None)

    def is_running(self, patient: Patient, kind: RunKind) -> Run | None:
        """A run of that kind that has a process."""
        run = self.run(patient, kind)
        return run if run is not None and run.status is RunStatus.RUNNING and run.pid else None

    def holding(self) -> list[Run]:
        """Runs that are open, or whose slot is shut."""
        return list(self._store.shut_runs()) if self._store is not None else []

    # waiting --------------------------------------------------------------------------------------

    def wait_for(
        self, look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE, drive: Drive = _nothing
    ) -> T:
        """The first true answer. Raises RowError; `drive` is what a person or fate does meanwhile."""
        found = self.look_for(look, seconds=seconds, drive=drive)
        if not found:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise RowError(f"not within {seconds:g} s: {what}. The orchestrator's last words:\n{tail}")
        return found

    def look_for(self, look: Callable[[], T | None], *, seconds: float, drive: Drive = _nothing) -> T | None:
        """The first true answer; None after so many seconds. Raises RowError where the suite's time is over."""
        deadline, seen, again = time.monotonic() + seconds, -1, 0.0
        while True:
            now, written = time.monotonic(), self._written()
            # To ask the store anew where nobody wrote to it would cost as much as a healing.
            if written != seen or now > again or self.is_dead:
                seen, again = written, now + LOOK_ANYWAY
                drive()
                answer = look()
                if answer:
                    return answer
            if self._stops():
                raise RowError("the suite's time was over before the row was done")
            if now > deadline:
                return None
            time.sleep(LOOK)

    def rest(self, seconds: float, *, drive: Drive = _nothing) -> None:
        """Let time pass."""
        self.look_for(lambda: None, seconds=seconds, drive=drive)

    def _written(self) -> int:
        """Another number whenever somebody wrote to the store."""
        if self._store is None:
            return 0
        if self._versions is None:
            self._versions = sqlite3.connect(self.state / "healer.sqlite", check_same_thread=False)
            self.cleanup.callback(self._versions.close)
        return int(self._versions.execute("PRAGMA data_version").fetchone()[0])

    def is_over(self, patients: Sequence[Patient]) -> bool:
        """Whether each has an incident, and nothing is under way."""
        states: dict[Patient, set[IncidentState]] = {}
        for one in self.store.incidents(limit=100_000):
            states.setdefault((one.host, one.subject.name), set()).add(one.state)
        ended = all(patient in states and states[patient] <= FINAL for patient in patients)
        return ended and not self.holding() and not self._left_over()

    def has_moved(self, after: int) -> bool:
        """Whether anything happened to an incident since the ledger's line `after`."""
        return any(event.incident_id for event in self.store.events(after=after, limit=1000))

    def go_on(self, patients: Sequence[Patient], before: int, since: float, *, drive: Drive = _nothing) -> None:
        """Wait for the next event of an incident after the ledger's line `before`; note how long it took.

        To come to the boundary at which it dies next is to go on as well.
        """
        if self.is_over(patients):
            return
        if self.look_for(lambda: self.has_moved(before) or self.is_dead, seconds=PATIENCE, drive=drive):
            self.tally.seconds.append(time.monotonic() - since)

    def settle(
        self,
        patients: Sequence[Patient],
        accepted: frozenset[IncidentState] = HEALED,
        *,
        drive: Drive = _nothing,
        seconds: float = PATIENCE,
    ) -> None:
        """Wait until it is over, or should be; judge these patients, and every run of the lane."""
        self.look_for(lambda: self.is_over(patients) or self.is_dead, seconds=seconds, drive=drive)
        if self.is_dead:
            self.wait_for(lambda: None, "the orchestrator ended by itself", seconds=0)
        seen = self.observe(patients)
        self.tally.verdict.add(judge(seen, dict.fromkeys(patients, accepted)))
        own = [one for one in seen.incidents if (one.host, one.subject.name) in patients]
        self.tally.ends.update(one.state.value for one in own if one.state is not IncidentState.JOINED)

    def observe(self, patients: Sequence[Patient]) -> Observation:
        """What both sides say now."""
        return Observation(
            fallen={patient: self._fallen[patient] for patient in patients},
            incidents=self.store.incidents(limit=100_000),
            runs=self.store.runs(limit=100_000),
            holding=[run.id for run in self.holding()],
            starts=self.ward.starts(self.hosts),
            left_over=self._left_over(),
        )

    def _left_over(self) -> list[str]:
        """Private folders of runs. One that holds a permit alone keeps a run that was given up from ever starting."""
        folder = self.state / "runs"
        found: dict[str, list[str]] = {}
        # A run may remove its own at any moment.
        with contextlib.suppress(FileNotFoundError):
            found = {path.name: os.listdir(path) for path in folder.iterdir()}
        return sorted(name for name, content in found.items() if content != [PERMIT])


@contextlib.contextmanager
def lane(*arguments: object, **options: object) -> Iterator[Lane]:
    """A lane that is ended whatever happens."""
    made = Lane(*arguments, **options)  # type: ignore[arg-type]  # handed on as they are
    try:
        yield made
    finally:
        made.end()


def kill_run(run: Run) -> None:
    """kill -9 of the run's own process; of no other that got its number."""
    if run.pid and run.pid_start:
        processes.send(run.pid, run.pid_start, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment() -> dict[str, str]:
    """Of a process of ours: nothing of the caller's own settings."""
    return {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}  # noqa: TID251
