"""A stage for runs: settings, store and executor in a fresh folder, and actions written on the spot."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from orchestrator import settings as settings_module
from orchestrator.act import processes
from orchestrator.act.executor import RunnerExecutor
from orchestrator.act.workspace import Workspace
from orchestrator.domain.actions import Action, Risk
from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import IncidentId, RunId
from orchestrator.domain.runs import PlaybookJob, RunKind
from orchestrator.ports import Probe
from orchestrator.record.store import SqlStore, open_store
from orchestrator.testing import FakeProbe

PLAY = """\
- name: A run of {action}
  hosts: {hosts}
  gather_facts: false
  environment:
    HEALING_RUN: "{{{{ healing_run_id }}}}"
  tasks:
    - name: Use the role
      ansible.builtin.import_role:
        name: {action}
"""


#: Starts a task, says so in a file, and then takes longer than any test, however busy the machine.
SLOW = """
- name: Say that it began
  ansible.builtin.copy:
    content: began
    dest: "{{ slow_mark }}"
    mode: "0600"
- name: Take long
  ansible.builtin.command: sleep 600
  changed_when: false
"""
QUICK = """
- name: Say it
  ansible.builtin.lineinfile:
    path: "{{ quick_mark }}"
    line: "{{ healing_run_id }} {{ quick_word | default('') }}"
    create: true
    mode: "0600"
"""


class Stage:
    """Everything that a run needs, in `folder`."""

    def __init__(self, folder: Path, environ: Mapping[str, str], probe: Probe | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        config = folder / "healer.toml"
        config.write_text(
            'state_dir = "state"\nplaybooks_dir = "playbooks"\nroles_dir = "roles"\nknown_hosts = "known_hosts"\n'
        )
        self.settings = settings_module.load(config, environ)
        self.settings.state_dir.mkdir(mode=0o700)
        self.store: SqlStore = open_store(self.settings.database_url)
        self.probe = probe or FakeProbe()
        self.executor = self.another()

    def another(self) -> RunnerExecutor:
        """An executor of a worker that was started anew."""
        return RunnerExecutor(self.settings, self.store, self.probe)

    def action(self, name: str, tasks: str, *, hosts: str = "all") -> Action:
        """An action whose every playbook runs these tasks of its role."""
        folder, role = self.settings.playbooks_dir / name, self.settings.roles_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        (role / "tasks").mkdir(parents=True, exist_ok=True)
        for kind in ("act", "verify", "rollback"):
            (folder / f"{kind}.yml").write_text(PLAY.format(action=name, hosts=hosts))
        (role / "tasks" / "main.yml").write_text(textwrap.dedent(tasks))
        return Action(
            id=name,
            title=name,
            when="",
            not_when="",
            risk=Risk.LOW,
            reversible=False,
            task_timeout=600,
            run_timeout=600,
            settle_seconds=0,
            hold_seconds=0,
            folder=folder,
            role=role,
        )

    def job(
        self,
        action: Action,
        kind: RunKind = RunKind.ACT,
        *,
        number: int = 1,
        hosts: tuple[Host, ...] = (),
        parameters: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> PlaybookJob:
        """A job of one local host unless told otherwise."""
        given: dict[str, Any] = {
            "run_id": RunId(f"inc-{number:04d}-{kind}"),
            "incident_id": IncidentId(f"inc-{number:04d}"),
            "kind": kind,
            "action": action.id,
            "playbook": action.playbook(kind),
            "roles": self.settings.roles_dir,
            "parameters": parameters or {},
            "hosts": hosts or (local_host(),),
            "task_timeout": action.task_timeout,
            "run_timeout": action.run_timeout,
        }
        return PlaybookJob(**(given | changes))

    def artifacts(self, job: PlaybookJob) -> Path:
        """Where the run's record is."""
        return self.settings.artifacts_dir / job.run_id

    def left(self, job: PlaybookJob) -> set[int]:
        """Processes of the run that still live on this machine."""
        return processes.marked(Workspace.of(job.run_id, self.settings).marker)

    def asleep(self, job: PlaybookJob) -> bool:
        """Whether the long task of a slow playbook is at work. Between two tasks a signal to the playbook may pass its
        next worker by: see test_act_ends."""
        return bool(processes.named("sleep", self.left(job)))

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """The store, which nobody else can write meanwhile; what is written here counts from the end on."""
        path = self.settings.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield other
            other.execute("COMMIT")

    def freeze(self, pid: int) -> None:
        """SIGSTOP it, but never as it writes: it would hold the store for good."""
        with self.locked():
            os.kill(pid, signal.SIGSTOP)
            until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")

    def end_processes(self) -> None:
        """Whatever still runs of any run: a test that failed may have stopped it in its middle."""
        runs = self.settings.state_dir / "runs"
        assert not processes.kill_all(lambda: {one.pid for one in processes.of_runs(runs)}, 5.0)

    def private(self, job: PlaybookJob) -> Path:
        """The run's private folder."""
        return Workspace.of(job.run_id, self.settings).private


def local_host(name: str = "here", **variables: Any) -> Host:
    """The machine that the tests run on."""
    return Host(
        name=name,
        groups=("all",),
        connection=Connection(kind="local", address=name),
        variables={"ansible_connection": "local", **variables},
    )


def environment(**more: str) -> dict[str, str]:
    """PATH and HOME of this process, and what a test plants."""
    return {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ} | more  # noqa: TID251


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; never for a time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.1)


def slow(stage: Stage, number: int = 1, **changes: Any) -> tuple[PlaybookJob, Path]:
    """A job that writes its mark and then takes long."""
    mark = stage.folder / f"mark-{number}"
    action = stage.action("slow", SLOW)
    return stage.job(action, number=number, parameters={"mark": str(mark)}, **changes), mark


def quick(stage: Stage, number: int = 1, **changes: Any) -> tuple[PlaybookJob, Path]:
    """A job that adds a line to its mark."""
    mark = stage.folder / "mark"
    return stage.job(stage.action("quick", QUICK), number=number, parameters={"mark": str(mark)}, **changes), mark


def fail(message: str) -> str:
    """A task that fails with these words."""
    return f"- name: Say so\n  ansible.builtin.fail:\n    msg: '{message}'\n"


def orphaned(stage: Stage, job: PlaybookJob) -> subprocess.Popen[bytes]:
    """Another orchestrator process that executes the job, to be killed."""
    code = f"""
import sys
from pathlib import Path
from typing import Any
from tests.support.act_stage import Stage, environment
from orchestrator.act.executor import RunnerExecutor
from orchestrator import settings
from orchestrator.record.store import open_store
from orchestrator.testing import FakeProbe
import pickle
job = pickle.loads(bytes.fromhex(sys.argv[1]))
loaded = settings.load(Path({str(stage.folder / "healer.toml")!r}), environment())
RunnerExecutor(loaded, open_store(loaded.database_url), FakeProbe()).execute(job)
"""
    return subprocess.Popen([sys.executable, "-c", code, pickle.dumps(job).hex()])
