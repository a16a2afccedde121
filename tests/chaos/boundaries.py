"""The instants of a healing at which a crash is worth trying, as the orchestrator passes them.

Installed inside the orchestrator's own process, which then notes each boundary that it passes and dies, by SIGKILL, at
the first one that is armed. A name is `STEP: WHAT WHEN`: the recorded step in which it lies, what is being done there
(the step itself, a transaction of the store, a queueing, a part of starting a run), and on which side of it we are.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from orchestrator.act import workspace
from orchestrator.act.executor import RunnerExecutor
from orchestrator.engine import DurableEngine
from orchestrator.record.store import SqlStore

#: Transactions of the store that a healing makes.
TRANSACTIONS = (
    *("absorb", "move", "join", "open_step", "record_decision", "record_verdict", "ask", "answer", "void"),
    *("claim", "started", "finish", "open_slot", "append"),
    *("outbreak_for", "join_outbreak", "take_member", "end_member", "end_outbreak", "stop_outbreak"),
)
#: Others that write: a heartbeat, a sweep over what is quiet, a person's switch, and retention.
BESIDE_HEALING = (
    *("beat", "expire_quiet", "stop", "resume"),
    *("artifacts_removed", "prune_incidents", "release_ledger", "delete_released", "shrink"),
    *("add_token", "revoke_token", "token_used", "keyed", "answer_keyed"),
    *("open_session", "close_session"),
    *("record_word", "withdraw_word"),
    # Killed there, people are told twice.
    "record_told",
    # The suite asks no model. Killed there, a step asks again, and the question is on record twice.
    "record_exchange",
)
#: Between these and the word GO a run is on record, but its playbook can't have begun.
BEFORE_GO = ("claim after", "run prepared", "run spawned", "started before", "started after")
#: Threads of the worker that write outside of steps; all others feed records in.
SWEEPS = ("sweep", "round")

At = Callable[[str], None]
_here = threading.local()


class Boundaries:
    """Notes what is passed in the file `passed`, and dies at what the file `armed` names.

    That is JSON: `at`, patterns of names, and `but`, names at which we do not die, for somebody did already.
    """

    def __init__(self, armed: Path, passed: Path) -> None:
        self._armed, self._passed = armed, passed

    def at(self, what: str) -> None:
        """We stand at a boundary; does not return where it is armed."""
        name = f"{_context()}: {what}"
        with self._passed.open("a", encoding="utf-8") as notes:
            notes.write(f"{name}\n")
        armed = json.loads(self._armed.read_text(encoding="utf-8"))
        if name not in armed["but"] and any(fnmatchcase(name, pattern) for pattern in armed["at"]):
            os.kill(os.getpid(), signal.SIGKILL)


def _context() -> str:
    thread = threading.current_thread().name
    return thread if thread in SWEEPS else getattr(_here, "step", "feed")


def install(at: At) -> None:
    """Put `at` around everything that is a boundary, in this process."""
    _wrap_steps(at)
    for name in TRANSACTIONS:
        _wrap(SqlStore, name, at, _of_transaction(name))
    _wrap(DurableEngine, "start", at, lambda workflow, *_: f"queue {workflow}")
    _wrap(RunnerExecutor, "_spawn", at, lambda *_: "run spawned", before=False)
    go, prepare = RunnerExecutor._go, workspace.prepare

    def go_and_tell(*arguments: Any) -> None:
        go(*arguments)
        at("run go")

    def prepare_and_tell(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        at("run prepared")
        return prepared

    setattr(RunnerExecutor, "_go", staticmethod(go_and_tell))  # noqa: B010  # nobody else may assign it
    setattr(workspace, "prepare", prepare_and_tell)  # noqa: B010


def _wrap_steps(at: At) -> None:
    step = DurableEngine.step

    def told(self: DurableEngine, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        def inside(*given: Any) -> Any:
            _here.step = name
            at("step begins")
            answer = function(*given)
            at("step ended, not recorded")
            return answer

        answer = step(self, name, inside, *arguments)
        # Also where it was recorded by a former process, and is not run again.
        _here.step = name
        at("step recorded")
        return answer

    DurableEngine.step = told  # type: ignore[method-assign]  # that is what this file is for


def _wrap(owner: type, name: str, at: At, word: Callable[..., str], *, before: bool = True) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def told(self: Any, *arguments: Any, **options: Any) -> Any:
        what = word(*arguments)
        side = " after" if before else ""
        if what and before:
            at(f"{what} before")
        answer = function(self, *arguments, **options)
        if what:
            at(f"{what}{side}")
        return answer

    setattr(owner, name, told)


def _of_transaction(name: str) -> Callable[..., str]:
    def word(*arguments: Any) -> str:
        if name == "absorb":
            # A cursor that moves over lines without an error is no part of a healing.
            return name if arguments[2] else ""
        return f"{name} {arguments[{'move': 1, 'append': 0}[name]]}" if name in ("move", "append") else name

    return word
