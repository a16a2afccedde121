"""A run's two folders: the private one that goes with its process, and the artifacts that stay.

Everything is written before anything is started, so a full disk or a wrong owner stops a run and not a
playbook in its middle.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.act import digest, inventory, permissions
from orchestrator.act.order import Order, discard, write_json, write_text
from orchestrator.domain.actions import Action
from orchestrator.domain.hosts import Host, Permit
from orchestrator.domain.runs import PlaybookJob
from orchestrator.errors import CatalogError, InventoryError, RecordError
from orchestrator.settings import WAVE_MAX, Settings

#: Bytes that must be free before a run is started; a run's artifacts take some 100 KB.
NEEDED_BYTES = 16 * 1024 * 1024
#: Letters of the control folder: a socket's path may have 107, ssh and Ansible add up to 28.
_LONGEST_CONTROL_DIR = 79
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Waiting for a host's answer 1000 times a second costs 1.75 % of a core a run (measured), 100 do as well.
_CONFIG = "[defaults]\ninternal_poll_interval = 0.01\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Where a run's files lie."""

    private: Path
    artifacts: Path

    @classmethod
    def of(cls, run_id: str, settings: Settings) -> Workspace:
        """Raises RecordError for an id that is no plain file name."""
        if not _RUN_ID.fullmatch(run_id):
            raise RecordError(f"The run id {run_id!r} can't name a folder. Nothing was started.")
        return cls(private=settings.state_dir / "runs" / run_id, artifacts=settings.artifacts_dir / run_id)

    @property
    def marker(self) -> str:
        """Entry in the environment of every process of the run on this machine."""
        return f"ANSIBLE_HOME={self.private / 'home'}"

    def discard(self) -> None:
        """Remove the private folder and the control folder that is its alone; what is gone is gone."""
        discard(self.private)


def extra_vars(action: str, parameters: Mapping[str, str], hosts: Sequence[Host]) -> dict[str, Any]:
    """`{action}_{parameter}` for each, and what the hosts' policy says to the role.

    Several hosts share them, so the narrowest holds: directories safe and permits given on all, units protected on any.
    """
    safe = [
        path
        for path in (hosts[0].policy.safe_directories if hosts else ())
        if all(path in host.policy.safe_directories for host in hosts)
    ]
    protected = sorted(set().union(*(host.policy.protected_services for host in hosts)))
    permits = [one.value for one in Permit if hosts and all(one in host.policy.permits for host in hosts)]
    own: dict[str, Any] = {f"{action}_{name}": value for name, value in parameters.items()}
    return own | {
        "healing_safe_directories": safe,
        "healing_protected_services": protected,
        "healing_permits": permits,
    }


def bound_digest(
    folder: Path,
    role: Path,
    action: str,
    parameters: Mapping[str, str],
    hosts: Sequence[Host],
    settings: Settings,
) -> str:
    """What a verdict is bound to, over these very folders. Raises CatalogError, RecordError."""
    return digest.run_digest(
        folder,
        role,
        extra_vars(action, parameters, hosts),
        [host.name for host in hosts],
        digest.keyed(inventory.render(hosts, settings), settings.state_dir),
    )


def bound_parts(
    action: Action, parameters: Mapping[str, str], hosts: Sequence[Host], settings: Settings
) -> dict[str, str]:
    """What an approval is bound to, by part. Raises CatalogError, RecordError."""
    return digest.run_parts(
        action.folder,
        action.role,
        extra_vars(action.id, parameters, hosts),
        [host.name for host in hosts],
        digest.keyed(inventory.render(hosts, settings), settings.state_dir),
    )


def prepare(job: PlaybookJob, settings: Settings) -> tuple[Workspace, str]:
    """Make both folders; the second answer is the digest of the private copies.

    Raises RecordError (nothing can be written), CatalogError, InventoryError. Leaves nothing behind then.
    """
    space = Workspace.of(job.run_id, settings)
    if not job.hosts:
        raise InventoryError(f"The run {job.run_id} names no host, so nothing was started.")
    for sentence in permissions.problems(settings):
        raise RecordError(f"{sentence} Nothing was started.")
    draft = draft_of(space.artifacts)
    try:
        for folder in (settings.state_dir, space.private.parent, space.artifacts.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _need_room(folder)
        # Fails where it exists: whoever revoked this run made it, so that it can't start any more.
        space.private.mkdir(mode=0o700)
    except OSError as error:
        raise _unwritable(job, error) from error
    done = False
    try:
        value = _fill_private(job, settings, space)
        _fill_artifacts(job, settings, space, draft)
        draft.rename(space.artifacts)
        done = True
    except OSError as error:
        raise _unwritable(job, error) from error
    finally:
        if not done:
            shutil.rmtree(draft, ignore_errors=True)
            space.discard()
    return space, value


def _unwritable(job: PlaybookJob, error: OSError) -> RecordError:
    where = f" ({error.filename})" if error.filename else ""
    return RecordError(
        f"The record of run {job.run_id} can't be written{where}: {error.strerror}. "
        "Nothing was started; make room or correct the owner, then try again."
    )


def _need_room(folder: Path) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if free < NEEDED_BYTES:
        raise OSError(28, f"only {free // 1024} KiB are free and a run needs {NEEDED_BYTES // 1024}", str(folder))


def _fill_private(job: PlaybookJob, settings: Settings, space: Workspace) -> str:
    private = space.private
    role = private / "roles" / job.action
    digest.copy_tree(job.playbook.parent, private / "project")
    role.parent.mkdir(mode=0o700)
    digest.copy_tree(job.roles / job.action, role)
    if not (private / "project" / job.playbook.name).is_file():
        raise CatalogError(f"{job.playbook} does not exist, so {job.action} can't be run as {job.kind}.")
    for name in ("inventory", "env", "home", "tmp", "collections"):
        (private / name).mkdir(mode=0o700)
    text = inventory.render(job.hosts, settings)
    write_text(private / "inventory" / "hosts.yml", text)
    extra = extra_vars(job.action, job.parameters, job.hosts) | {"healing_run_id": job.run_id}
    write_text(private / "env" / "extravars", inventory.dump(extra))
    write_text(private / "ansible.cfg", _CONFIG)
    secrets = inventory.secrets(job.hosts, settings)
    control, own = _control_dir(digest.keyed(text, settings.state_dir), settings)
    order = Order(
        run_id=job.run_id,
        kind=job.kind,
        hosts=tuple(host.name for host in job.hosts),
        playbook=job.playbook.name,
        run_timeout=job.run_timeout,
        artifacts=str(space.artifacts),
        store_url=settings.database_url,
        lease=settings.run_lease_seconds,
        renewal=settings.run_renewal_seconds,
        control_dir=str(control),
        control_dir_private=own,
        environment=environment(job, settings, space, control),
        secrets=secrets,
    )
    try:
        order.write(private)
    except OSError:
        # Nothing else knows of it.
        if own:
            control.rmdir()
        raise
    return bound_digest(private / "project", role, job.action, job.parameters, job.hosts, settings)


def _fill_artifacts(job: PlaybookJob, settings: Settings, space: Workspace, draft: Path) -> None:
    draft.mkdir(mode=0o700)
    shutil.copytree(space.private / "project", draft / "playbook")
    shutil.copytree(space.private / "roles", draft / "roles")
    (draft / "job_events").mkdir(mode=0o700)
    write_json(
        draft / "parameters.json",
        {
            "run_id": job.run_id,
            "incident_id": job.incident_id,
            "kind": job.kind,
            "action": job.action,
            "playbook": job.playbook.name,
            "parameters": dict(job.parameters),
            "digest": job.digest,
            "task_timeout": job.task_timeout,
            "run_timeout": job.run_timeout,
        },
    )
    write_json(
        draft / "hosts.json",
        {
            "hosts": {host.name: inventory.recorded(host, settings) for host in job.hosts},
            "inventory_hmac_sha256": digest.keyed(inventory.render(job.hosts, settings), settings.state_dir),
        },
    )


def environment(job: PlaybookJob, settings: Settings, space: Workspace, control: Path) -> dict[str, str]:
    """The playbook's environment: the allowlisted one, and Ansible's settings.

    ANSIBLE_CONFIG names our own file, so that no ansible.cfg of the user or the machine changes a run.
    """
    private = space.private
    return dict(settings.child_environment) | {
        "ANSIBLE_CONFIG": str(private / "ansible.cfg"),
        "ANSIBLE_HOME": str(private / "home"),
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_ROLES_PATH": str(private / "roles"),
        "ANSIBLE_COLLECTIONS_PATH": str(private / "collections"),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "False",
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
        "ANSIBLE_TASK_TIMEOUT": str(job.task_timeout),
        "ANSIBLE_FORKS": str(min(len(job.hosts), WAVE_MAX)),
        "ANSIBLE_TIMEOUT": str(max(1, round(settings.connect_timeout_seconds))),
        "ANSIBLE_SSH_RETRIES": "0",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
    }


def draft_of(artifacts: Path) -> Path:
    """Where a run's artifacts are made, to be put in place whole."""
    return artifacts.with_name(f".{artifacts.name}.part")


def control_prefix(state_dir: Path) -> str:
    """How the names of control folders outside of this state directory begin: whose they are."""
    return f"hb-{hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:8]}-"


def _control_dir(inventory_digest: str, settings: Settings) -> tuple[Path, bool]:
    """A short folder for ssh's sockets: kept connections save 0.2 s a run. One for each inventory.

    Under a long state_dir it is the run's own, below the system's folder for temporary files.
    """
    control = settings.state_dir / "ssh" / inventory_digest[:8]
    if len(str(control)) <= _LONGEST_CONTROL_DIR:
        control.parent.mkdir(mode=0o700, exist_ok=True)
        control.mkdir(mode=0o700, exist_ok=True)
        return control, False
    return Path(tempfile.mkdtemp(prefix=control_prefix(settings.state_dir))), True
