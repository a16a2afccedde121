"""What a finished run and fresh records say of a healing.

Fails closed: whatever is not plainly well is not healed. The idea of a settle and a hold time follows
SREGym's oracles, which call only a *sustained* recovery one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from orchestrator.domain.actions import Action
from orchestrator.domain.hosts import HostPolicy
from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import Signal
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import PlaybookResult, Run, RunStatus

#: Seconds. A rare error is not waited for longer than this before a healing counts.
LONGEST_HOLD = 3600.0


#: Ends of an act after which a verify that passes counts, however far the act came. A cancel was a person's wish.
TAKEN_AS_IT_IS = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.UNREACHABLE, RunStatus.UNKNOWN}
)


class Check(StrEnum):
    """What the verify playbook said before anything was done."""

    WELL = "well"
    SICK = "sick"
    CANNOT_TELL = "cannot_tell"


class Next(StrEnum):
    """What follows an act or a verify run."""

    VERIFY = "verify"
    HOLD = "hold"
    ROLLBACK = "rollback"
    ESCALATE = "escalate"


def after_check(result: PlaybookResult) -> Check:
    """Only a pass is well, only a verify that says `sick:` is sick."""
    return {RunStatus.SUCCEEDED: Check.WELL, RunStatus.SICK: Check.SICK}.get(result.status, Check.CANNOT_TELL)


def after_act(result: PlaybookResult) -> Next:
    """A run that changed nothing escalates; one that may have changed something is looked at, never repeated."""
    if result.status in (RunStatus.REFUSED, RunStatus.BUSY):
        return Next.ESCALATE
    return Next.VERIFY


def after_verify(action: Action, act: RunStatus, verify: PlaybookResult) -> Next:
    """Held only when act and verify both succeeded (or a cut act turned out well); else undone where it can be."""
    well = verify.status is RunStatus.SUCCEEDED
    if well and act in TAKEN_AS_IT_IS:
        return Next.HOLD
    if verify.status is RunStatus.BUSY:
        return Next.ESCALATE
    return Next.ROLLBACK if action.reversible else Next.ESCALATE


def why_not_healed(act: Run, verify: Run | None) -> str:
    """What a person is told after a verify that did not lead to a hold; None: it could not begin."""
    if verify is None:
        return cannot_tell(act, "it still held the host's slot")
    if verify.status is RunStatus.SUCCEEDED:
        return f"{_ended(act)}, so it is not called healed, though verify finds it well"
    if verify.status is RunStatus.SICK:
        return f"{_ended(act)} and did not heal it: {verify.reason}; it was not repeated"
    # Sudo that is gone, say, fails both in the same words: once is enough.
    same = _complaint(act) == _complaint(verify)
    return cannot_tell(replace(act, reason="") if same else act, f"verify ended as {verify.status}{_because(verify)}")


def cannot_tell(act: Run, why: str) -> str:
    """What a person is told where nobody could look whether an act helped. Ends with `why`, which may be a command."""
    return f"{_ended(act)}; it was not repeated, and whether it helped can't be told: {why}"


def _ended(act: Run) -> str:
    return f"{act.action} ended as {act.status}{_because(act)}"


def _complaint(run: Run) -> str:
    """Its reason without the task that it begins with."""
    return run.reason.partition(": ")[2] if run.reason.startswith("task ") else run.reason


def _because(run: Run) -> str:
    return f" ({run.reason.rstrip('.')})" if run.reason else ""


def hold_seconds(action: Action, policy: HostPolicy, records: Sequence[LogRecord]) -> float:
    """Whole seconds: the host's hold time, else the action's, but at least the mean period of the error."""
    hold = action.hold_seconds if policy.hold_seconds is None else policy.hold_seconds
    times = sorted(record.time for record in records)
    if len(times) > 1:
        hold = max(hold, (times[-1] - times[0]).total_seconds() / (len(times) - 1))
    return min(math.ceil(hold), LONGEST_HOLD)


def relapse(signals: Sequence[Signal], signatures: frozenset[Signature]) -> Signal | None:
    """The first fresh signal that carries a signature of the incident; None: silence."""
    return next((signal for signal in signals if signal.signature in signatures), None)
