"""Folders, files and sockets that runs make, and that should be gone after them."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from orchestrator.act import permissions, processes, workspace
from orchestrator.act.executor import START_SECONDS
from orchestrator.act.leftovers import judgement
from orchestrator.act.leftovers.clearing import Kind
from orchestrator.act.leftovers.judgement import FileFacts, Judgement
from orchestrator.act.order import Order, discard, is_vouched
from orchestrator.domain.runs import PACKED, Run
from orchestrator.settings import Settings

#: Seconds that a live ssh may take to answer that it listens.
_CONNECT = 0.5
#: How the name of a private directory ends that is put aside to be removed.
_DEAD = ".dead"


class Runs(Protocol):
    """What is needed of the store."""

    def run(self, run_id: str) -> Run | None: ...
    def artifacts_due(self) -> Mapping[str, bool]: ...


class LeftFiles:
    """Looks anew at each question."""

    def __init__(self, settings: Settings, store: Runs, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix time, as files do."""
        self._settings, self._store, self._clock = settings, store, clock
        self._runs, self._artifacts = settings.state_dir / "runs", settings.artifacts_dir

    def kinds(self) -> tuple[Kind, ...]:
        """In the order in which they are cleared."""
        return (
            Kind(
                name="private directory",
                names=lambda: _names(self._runs, _is_plain),
                judge=self._of_private,
                clear=self._discard,
            ),
            Kind(
                name="cancel mark",
                names=lambda: _names(self._runs, lambda name: name.endswith(".cancel")),
                judge=self._of_mark,
                clear=lambda name: _remove(self._runs / name),
            ),
            Kind(
                name="dead directory",
                names=lambda: _names(self._runs, lambda name: name.endswith(_DEAD)),
                judge=self._of_dead,
                clear=lambda name: _remove(self._runs / name),
            ),
            Kind(
                name="draft of artifacts",
                names=lambda: _names(self._artifacts, lambda name: not _is_plain(name)),
                judge=self._of_draft,
                clear=lambda name: _remove(self._artifacts / name),
            ),
            Kind(
                name="ssh socket",
                names=self._sockets,
                judge=self._of_socket,
                clear=lambda name: _remove(Path(name)),
            ),
            Kind(name="ssh folder", names=self._controls, judge=self._of_control, clear=self._clear_control),
        )

    def artifacts(self) -> tuple[Judgement, ...]:
        """What is told of artifacts: none of them is ever cleared here."""
        before = self._store.artifacts_due()
        names = _names(self._artifacts, _is_plain)
        folders = [name for name in names if not name.endswith(PACKED)]
        left = frozenset(name.removesuffix(PACKED) for name in names)
        known = self._store.artifacts_due().keys()
        missing = frozenset(run_id for run_id, due in before.items() if due and run_id not in left)
        unsafe = (permissions.problem(self._artifacts / name) for name in sorted(folders))
        odd = tuple(Judgement(ok=False, text=sentence) for sentence in unsafe if sentence)
        return (*odd, *judgement.of_artifacts(left - known, missing))

    def _of_private(self, name: str) -> Judgement | None:
        folder = self._runs / name
        facts = self._file(folder, name, odd=permissions.problem(folder))
        if facts is None:
            return None
        users = tuple(one.pid for one in processes.of_runs(self._runs) if one.run_id == name and not one.connection)
        return judgement.of_file(replace(facts, users=users, vouched=is_vouched(folder)))

    def _discard(self, name: str) -> str:
        # Put aside first: from here on nobody can begin in it, and it goes whole, now or at the next try.
        folder = self._runs / name
        aside = folder.with_name(f".{name}{_DEAD}")
        folder.rename(aside)
        discard(aside)
        return "removed"

    def _of_dead(self, name: str) -> Judgement | None:
        facts = self._file(self._runs / name)
        if facts is None:
            return None
        return judgement.of_file(replace(facts, of="put aside to be removed"), recorded=False)

    def _of_mark(self, name: str) -> Judgement | None:
        run_id = name.removeprefix(".").removesuffix(".cancel")
        facts = self._file(self._runs / name, run_id)
        return judgement.of_file(facts, recorded=False) if facts else None

    def _of_draft(self, name: str) -> Judgement | None:
        path = self._artifacts / name
        run_id = name.removeprefix(".").removesuffix(".part")
        facts = self._file(path, run_id, odd=permissions.problem(path))
        if facts is None or name != workspace.draft_of(self._artifacts / run_id).name:
            return None
        return judgement.of_file(facts)

    # ssh's control sockets ------------------------------------------------------------------------

    def _sockets(self) -> list[str]:
        control = self._settings.state_dir / "ssh"
        return [str(control / folder / name) for folder in _names(control) for name in _names(control / folder)]

    def _of_socket(self, name: str) -> Judgement | None:
        path = Path(name)
        facts = self._file(path)
        if facts is None or not path.is_socket() or _listens(path):
            return None
        return Judgement(
            ok=False,
            text="the ssh that kept a connection here is gone",
            fix="--fix removes it",
            dead=facts.age >= START_SECONDS,
            recorded=False,
        )

    def _controls(self) -> list[str]:
        prefix, folder = workspace.control_prefix(self._settings.state_dir), Path(tempfile.gettempdir())
        return [str(folder / name) for name in _names(folder, lambda name: name.startswith(prefix))]

    def _of_control(self, name: str) -> Judgement | None:
        path = Path(name)
        # Anybody may make a folder of this name there: what isn't ours alone is not ours to judge.
        facts = None if permissions.problem(path) else self._file(path)
        if facts is None or name in self._ordered() or any(_listens(path / one) for one in _names(path)):
            return None
        users = tuple(sorted(processes.marked(f"ANSIBLE_SSH_CONTROL_PATH_DIR={name}")))
        return judgement.of_file(replace(facts, of="named by no run's order", users=users), recorded=False)

    def _ordered(self) -> frozenset[str]:
        """Control folders that a run's order names."""
        found = set()
        for name in _names(self._runs):
            try:
                found.add(Order.read(self._runs / name).control_dir)
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return frozenset(found)

    @staticmethod
    def _clear_control(name: str) -> str:
        path = Path(name)
        for one in _names(path):
            if not _listens(path / one):
                (path / one).unlink(missing_ok=True)
        path.rmdir()
        return "removed"

    def _file(self, path: Path, run_id: str = "", *, odd: str = "") -> FileFacts | None:
        """None where it is gone."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        age = self._clock() - max(found.st_mtime, found.st_ctime)
        return FileFacts(age=age, odd=odd, run=self._store.run(run_id) if run_id else None)


def _is_plain(name: str) -> bool:
    return not name.startswith(".")


def _remove(path: Path) -> str:
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
    return "removed"


def _names(folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> list[str]:
    """Entries of a folder; none where it is not there."""
    try:
        return [name for name in os.listdir(folder) if wanted(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _listens(path: Path) -> bool:
    """Whether a process answers at this socket; True where that can't be told."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(_CONNECT)
            asked.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:
        return True
    return True
