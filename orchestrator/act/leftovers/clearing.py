"""One pass over all that may be left: told, and cleared where it is provably dead.

Each thing is judged by what stands right before it is touched, never by a list that was made earlier: beside it a
worker may start a run at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from orchestrator.act.leftovers.judgement import Judgement
from orchestrator.errors import HealingError
from orchestrator.ports import Check


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One sort of leftover: where it is found, how one is judged, and how it is cleared."""

    name: str
    names: Callable[[], Iterable[str]]
    #: Observes afresh; None: nothing is to be said of it. Raises StoreUnavailable, RecordError.
    judge: Callable[[str], Judgement | None]
    #: Returns what was done. Raises OSError, HealingError.
    clear: Callable[[str], str]


class Ledger(Protocol):
    """What is needed of the store."""

    def append(self, kind: str, *, text: str, actor: str, data: Mapping[str, Any]) -> object: ...


def checks(kinds: Iterable[Kind], ledger: Ledger, *, fix: bool, actor: str) -> Iterator[Check]:
    """A line for each thing of each kind, in the kinds' order: one thing's end makes the next one dead.

    With `fix`, what is provably dead is cleared on the way. Raises StoreUnavailable, RecordError.
    """
    for kind in kinds:
        for name in sorted(kind.names()):
            judged = kind.judge(name)
            if judged is None:
                continue
            check = Check(name=f"{kind.name} {name}", ok=judged.ok, text=judged.text, fix=judged.fix)
            yield _cleared(kind, name, check, judged, ledger, actor) if fix and judged.dead else check


def _cleared(kind: Kind, name: str, check: Check, judged: Judgement, ledger: Ledger, actor: str) -> Check:
    """The deed, on record before it is done, and done only if it is still called for by then."""
    if judged.recorded:
        text = f"{check.name}, {judged.text}: {judged.fix}"
        ledger.append("doctor.fixed", text=text, actor=actor, data={"what": kind.name, "name": name})
    again = kind.judge(name)
    if again is None or not again.dead:
        return replace(check, ok=None, fix="it changed in this very moment, so it was left alone")
    try:
        done = kind.clear(name)
    except (OSError, HealingError) as error:
        return replace(check, fix=f"it could not be cleared: {error}")
    left = kind.judge(name)
    if left is None:
        return replace(check, ok=True, fix="", fixed=done)
    return Check(name=check.name, ok=left.ok, text=left.text, fix=left.fix, fixed=done)
