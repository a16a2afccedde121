"""A fleet whose hosts misbehave under a real `healer serve`: the ways to misbehave, and the stage of those tests."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lab.fleet import Lab
from orchestrator import app as wiring
from orchestrator.domain.incidents import FINAL, Incident
from orchestrator.domain.runs import Run, RunKind, RunStatus
from orchestrator.ports import Store
from orchestrator.settings import HOME
from tests.acceptance.conftest import Healer, end, free_port, start
from tests.support.fleets import fleet
from tests.support.limits import WIDE_LINES
from tests.support.waiting import wait_for

log = logging.getLogger(__name__)

#: Seconds. Bounds every wait; nothing asserts how fast a thing was.
PATIENCE = 400.0

#: Between preflight and change: as long as the host's file stands, the act is in its middle.
_MIDDLE = """
- name: Take as long as the test wants
  ansible.builtin.command:
    argv:
      - timeout
      - "50"
      - sh
      - -c
      - >-
        trap '' TERM; test -e /run/linger || exit 0; touch /run/middle;
        for i in $(seq 3000); do test -e /run/linger || exit 0; sleep 0.1; done
  changed_when: false
"""
_TEMPORARY = "/tmp /var/tmp /home/healer"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One way to misbehave, and the way back."""

    name: str
    begin: Callable[[Healer, str], object]
    mend: Callable[[Healer, str], object]
    #: Nobody can reach the host meanwhile, so that it can't even tell what is wrong with it.
    away: bool = False
    #: Shell that the host needs before all.
    prepare: str = "true"


def _shell(name: str, begin: str, mend: str, *, away: bool = False, prepare: str = "true") -> Trouble:
    """Both by a command on the host, past SSH and network."""
    return Trouble(
        name=name,
        begin=lambda healer, host: healer.lab.execute(host, begin),
        mend=lambda healer, host: healer.lab.execute(host, mend),
        away=away,
        prepare=prepare,
    )


#: sshd stops answering with its connections open.
FROZEN = _shell("sshd frozen", "pkill -STOP -x sshd", "pkill -CONT -x sshd", away=True)
NETWORK = _shell("network gone", "ip link set eth0 down", "ip link set eth0 up", away=True)
REBOOT = Trouble(
    name="reboot",
    begin=lambda healer, host: healer.lab.halt(host),
    mend=lambda healer, host: healer.lab.boot(host),
    away=True,
)
#: Set up anew, so that its open connections are gone too; a person compares and enrols.
HOST_KEY = Trouble(
    name="host key changed",
    begin=lambda healer, host: healer.lab.execute(
        host,
        "rm /etc/ssh/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; "
        "pkill -KILL -x sshd; systemctl reset-failed ssh; systemctl restart ssh",
    ),
    mend=lambda healer, host: healer("trust", host, "--replace", "--yes"),
    away=True,
)
#: Every folder in which Ansible's modules could unpack themselves.
DISK = _shell(
    "disk full",
    f"fill() {{ for d in {_TEMPORARY}; do cat /dev/zero >>$d/full; done 2>/dev/null; true; }}; fill; "
    # And what a module gives back as it ends.
    f"systemd-run --quiet --unit=filler sh -c 'while :; do for d in {_TEMPORARY}; do cat /dev/zero >>$d/full; done "
    "2>/dev/null; sleep 0.05; done'",
    f"systemctl stop filler; for d in {_TEMPORARY}; do rm $d/full; done",
    prepare="cp -a /home/healer /var/lib/home; "
    f"for d in {_TEMPORARY}; do mount -t tmpfs -o size=4m,mode=1777 tmpfs $d; done; "
    "cp -a /var/lib/home/. /home/healer/; chmod 0755 /home/healer",
)
SUDO = _shell("sudo revoked", "mv /etc/sudoers.d/healer /var/lib/rule", "mv /var/lib/rule /etc/sudoers.d/healer")
PYTHON = _shell("Python gone", "mv /usr/bin/python3 /usr/bin/gone", "mv /usr/bin/gone /usr/bin/python3")


def catalog(folder: Path, task_seconds: int) -> None:
    """The real actions, but restart_service stops in its middle while the host has /run/linger, for `task_seconds`."""
    for name in ("playbooks", "roles"):
        shutil.copytree(HOME / name, folder / name)
    main = folder / "roles" / "restart_service" / "tasks" / "main.yml"
    row = folder / "playbooks" / "restart_service" / "action.yml"
    limits = re.sub(r"(?m)^(task|run)_timeout_seconds:.*\n", "", row.read_text(encoding="utf-8"))
    row.write_text(f"task_timeout_seconds: {task_seconds}\nrun_timeout_seconds: {4 * task_seconds}\n{limits}")
    text = main.read_text(encoding="utf-8")
    assert "- name: Change" in text
    main.write_text(text.replace("- name: Change", f"{_MIDDLE.strip()}\n\n- name: Change"), encoding="utf-8")


@contextmanager
def house(purpose: str, folder: Path, hosts: int, task_seconds: int = 120) -> Iterator[Stage]:
    """A lab of its own and a `healer serve` that heals it by itself."""
    catalog(folder, task_seconds)
    port = free_port()
    config = folder / "healer.toml"
    variables = {"healing_mode": "auto", "healing_hold_seconds": 1, "healing_cooldown_seconds": 1}
    with fleet(purpose, folder / "lab", hosts=hosts, variables=variables) as lab:
        config.write_text(
            f'inventory = "{lab.inventory}"\nstate_dir = "state"\nknown_hosts = "{lab.known_hosts}"\n'
            'playbooks_dir = "playbooks"\nroles_dir = "roles"\nmax_parallel_healings = 8\n'
            f"api_port = {port}\n{WIDE_LINES}"
        )
        healer = Healer(config=config, lab=lab, port=port)
        process = start(healer)
        try:
            yield Stage(healer, lab, wiring.open_record(wiring.settings(config)))
        finally:
            end(process)


@dataclass(frozen=True)
class Stage:
    """The house, as a test acts in it and looks at it."""

    healer: Healer
    lab: Lab
    store: Store

    def crash(self, host: str, unit: str) -> None:
        """A service is killed; one that is not there yet is made."""
        self.lab.execute(
            host,
            f"systemctl cat {unit} >/dev/null 2>&1 || "
            "printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' "
            f">/etc/systemd/system/{unit}; systemctl daemon-reload; systemctl enable --quiet --now {unit}; "
            f"systemctl kill --signal=KILL {unit}",
        )

    def report(self, host: str, unit: str) -> None:
        """Somebody's monitoring says what the host itself can't."""
        with self.healer.http(token=True) as client:
            client.post(
                "/api/auto-healer/heal",
                json={
                    "host": host,
                    "service": unit,
                    "message": f"{unit}: Failed with result 'signal'.",
                    "level": "ERROR",
                },
            )

    def incidents(self, host: str, unit: str) -> list[Incident]:
        return [one for one in self.store.incidents(host=host, limit=1000) if one.subject.name == unit]

    def end(self, host: str, unit: str) -> Incident:
        """The incident of the unit, once it has ended."""

        def look() -> Incident | None:
            return next((one for one in self.incidents(host, unit) if one.state in FINAL), None)

        return wait_for(look, f"{unit} of {host} has ended", PATIENCE)

    def run(self, incident: Incident, kind: RunKind) -> Run | None:
        return next(iter(self.store.runs(incident_id=incident.id, kinds=(kind,))), None)

    def act(self, host: str, unit: str) -> Run | None:
        return next((run for one in self.incidents(host, unit) if (run := self.run(one, RunKind.ACT))), None)

    def in_the_middle(self, host: str, unit: str) -> Run:
        """Break the unit, and wait until its act is in the middle."""
        self.lab.execute(host, "touch /run/linger")
        self.crash(host, unit)

        def look() -> Run | None:
            run = self.act(host, unit)
            there = run is not None and run.status is RunStatus.RUNNING
            return run if there and not self.lab.execute(host, "test -e /run/middle", check=False).returncode else None

        return wait_for(look, f"the act on {host} is in its middle", PATIENCE)

    def ended_run(self, run_id: str) -> Run:
        def look() -> Run | None:
            run = self.store.run(run_id)
            return run if run is not None and run.status is not RunStatus.RUNNING else None

        return wait_for(look, f"{run_id} has ended", PATIENCE)

    def holders(self, host: str) -> list[str]:
        """Runs that hold the host's slot."""
        return [run.id for run in self.store.shut_runs() if host in run.hosts]

    def free(self, host: str) -> bool:
        """Once no run holds the host's slot."""
        return wait_for(lambda: not self.holders(host), f"{host} is free", PATIENCE)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a person finds of one incident, and after how many seconds."""

    state: str
    reason: str
    runs: dict[str, Run]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Story:
    """One host's: it misbehaved, was put right, and was healed."""

    #: Of the healing that it cut, or that could not begin.
    met: Told
    healed: Told
    #: The act that it cut, as that ended; None: it misbehaved before the healing began.
    cut: Run | None = None
    #: The slot was held by that act alone while nobody could reach the host.
    held: bool = False


class Teller:
    """Makes the stories. Hosts that are away in the middle of a run stay so until another host was healed."""

    def __init__(self, stage: Stage, gone: int) -> None:
        """`gone`: how many hosts will be away together."""
        self._stage = stage
        self._all_gone = threading.Barrier(gone + 1, timeout=PATIENCE)
        self._witnessed = threading.Event()

    def middle(self, host: str, trouble: Trouble) -> Story:
        """It misbehaves in the middle of an act."""
        stage = self._stage
        stage.lab.execute(host, trouble.prepare)
        run = stage.in_the_middle(host, "billing.service")
        begun = time.monotonic()
        trouble.begin(stage.healer, host)
        held = self._away(host, run.id) if trouble.away else False
        if trouble.away:
            trouble.mend(stage.healer, host)
        stage.lab.execute(host, "rm -f /run/linger")
        met = self._told(stage.end(host, "billing.service"), begun)
        cut = stage.ended_run(run.id)
        if not trouble.away:
            trouble.mend(stage.healer, host)
        stage.free(host)
        return self._healed(host, trouble, Story(met=met, healed=met, cut=cut, held=held))

    def before(self, host: str, trouble: Trouble) -> Story:
        """It misbehaves before a healing begins."""
        stage = self._stage
        stage.lab.execute(host, trouble.prepare)
        # Known to its collector, and able to break: a host that is off can't.
        stage.crash(host, "billing.service")
        stage.end(host, "billing.service")
        trouble.begin(stage.healer, host)
        met = self._meet(host, "orders.service", report=trouble.away, crash=trouble is not REBOOT)
        trouble.mend(stage.healer, host)
        return self._healed(host, trouble, Story(met=met, healed=met))

    def _healed(self, host: str, trouble: Trouble, story: Story) -> Story:
        log.info("%s %.1f s: %s: %s", trouble.name, story.met.seconds, story.met.state, story.met.reason)
        return replace(story, healed=self._meet(host, "prices.service", report=trouble.away))

    def _away(self, host: str, run_id: str) -> bool:
        self._stage.ended_run(run_id)
        self._all_gone.wait()
        assert self._witnessed.wait(PATIENCE), "another host is healed"
        return self._stage.holders(host) == [run_id]

    def room(self, host: str) -> Told:
        """A host without room for Ansible's own files is the very one on which room must be made."""
        stage, begun = self._stage, time.monotonic()
        stage.lab.execute(host, DISK.prepare)
        DISK.begin(stage.healer, host)
        stage.lab.break_("disk-full-rotated", host)
        return self._told(stage.end(host, "shop.service"), begun)

    def witness(self, host: str) -> Told:
        """Another host, healed while the others are away."""
        self._all_gone.wait()
        try:
            return self._meet(host, "nginx.service", report=False)
        finally:
            self._witnessed.set()

    def _meet(self, host: str, unit: str, *, report: bool, crash: bool = True) -> Told:
        """Break a service; who is not read, or only later, is reported."""
        stage, begun = self._stage, time.monotonic()
        if crash:
            stage.crash(host, unit)
        if report:
            stage.report(host, unit)
        return self._told(stage.end(host, unit), begun)

    def _told(self, incident: Incident, begun: float) -> Told:
        runs = {run.kind.value: run for run in self._stage.store.runs(incident_id=incident.id)}
        seconds = time.monotonic() - begun
        return Told(state=incident.state.value, reason=incident.reason, runs=runs, seconds=seconds)
