"""What the executor hands to a run's supervisor, and what it gets back: two small files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator import locks
from orchestrator.domain.ids import RunId
from orchestrator.domain.runs import HostEnd, PlaybookResult, RunKind, RunStatus

#: Files of the private directory.
JOB, PERMIT = "job.json", "permit"
#: Its lock is held for as long as the supervisor lives: also where its pid can't be seen, as from another container.
VOUCHER = "voucher"
#: The last file of a run's artifacts: where it stands, all others do.
RESULT = "result.json"
#: What the executor writes to the supervisor's standard input once the run's pid is recorded.
GO = b"go\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Everything that the supervisor needs; job.json holds it, mode 0600, for the run's time alone."""

    run_id: str
    kind: str
    #: Names of exactly the hosts that must be processed.
    hosts: tuple[str, ...]
    #: File name inside the private project folder.
    playbook: str
    #: Seconds.
    run_timeout: int
    artifacts: str
    #: The store that keeps the run's lease, for how many seconds, and seconds between two renewals.
    store_url: str
    lease: float
    renewal: float
    #: Folder of ssh's control sockets, and whether it is this run's alone and goes with it.
    control_dir: str
    control_dir_private: bool
    #: The playbook's environment: the allowlisted one and Ansible's settings.
    environment: Mapping[str, str]
    #: Never to be written anywhere.
    secrets: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Raises OSError."""
        write_json(folder / JOB, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Order:
        """Raises OSError, ValueError."""
        data = json.loads((folder / JOB).read_text(encoding="utf-8"))
        return cls(**(data | {"hosts": tuple(data["hosts"]), "secrets": tuple(data["secrets"])}))

    @property
    def run_kind(self) -> RunKind:
        """What the run is for."""
        return RunKind(self.kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A result with what only the run's own process could know."""

    result: PlaybookResult
    #: False: the host may still be at work.
    settled: bool

    def write(self, artifacts: Path) -> None:
        """Raises OSError."""
        result = self.result
        data = {
            "run_id": result.run_id,
            "status": result.status,
            "rc": result.rc,
            "reason": result.reason,
            "changed": result.changed,
            "settled": self.settled,
            "started": result.started.isoformat() if result.started else None,
            "ended": result.ended.isoformat() if result.ended else None,
            "ends": {host: asdict(end) for host, end in result.ends.items()},
        }
        write_json(artifacts / RESULT, data)

    @classmethod
    def read(cls, artifacts: Path) -> Ended | None:
        """None where there is no result, or none that can be understood."""
        try:
            data = json.loads((artifacts / RESULT).read_text(encoding="utf-8"))
            result = PlaybookResult(
                run_id=RunId(str(data["run_id"])),
                status=RunStatus(data["status"]),
                rc=data["rc"],
                reason=str(data["reason"]),
                changed=data["changed"] is True,
                started=datetime.fromisoformat(data["started"]) if data["started"] else None,
                ended=datetime.fromisoformat(data["ended"]) if data["ended"] else None,
                ends={host: _host_end(end) for host, end in data.get("ends", {}).items()},
            )
            return cls(result=result, settled=data["settled"] is True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _host_end(data: Mapping[str, Any]) -> HostEnd:
    return HostEnd(status=RunStatus(data["status"]), reason=str(data["reason"]), settled=data["settled"] is True)


def discard(private: Path, *, keep: str = "") -> None:
    """Remove a run's private folder, and the control folder that its order names as its alone.

    `keep`: a file in it that stays, and the folder with it. What is gone is gone; a folder without an order that can
    be read has no control folder that is known.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        order = Order.read(private)
        if order.control_dir_private:
            shutil.rmtree(order.control_dir, ignore_errors=True)
    if not keep:
        shutil.rmtree(private, ignore_errors=True)
        return
    for path in private.iterdir():
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def is_vouched(private: Path) -> bool:
    """Whether the supervisor of this private folder lives, wherever it is seen from; True where that can't be told."""
    try:
        return locks.is_locked(private / VOUCHER)
    except OSError:
        return True


def cancel_mark(private: Path) -> Path:
    """The file that asks a run to end: beside its private folder, so that it can be made before there is one."""
    return private.with_name(f".{private.name}.cancel")


def write_json(path: Path, data: Any) -> None:
    """Write aside, flush to the disk, put in place. Raises OSError."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n")


def write_text(path: Path, text: str, *, flush: bool = True) -> None:
    """Write aside, flush to the disk, put in place: readable by the owner alone. Raises OSError.

    A host may answer with half of a character pair, which UTF-8 does not know: it is written as `\\udc80`.
    """
    draft = path.with_name(f".{path.name}.part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        if flush:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
