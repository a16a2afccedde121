"""Memory: what healed this very error before is chosen again, without asking anybody.

It is put before another chooser, which is asked wherever memory is not sure. It rests on recorded healings alone, picks
nothing but what is offered for this case, and is judged by policy like any other choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.domain.actions import ESCALATE, Decision
from orchestrator.domain.ids import Signature
from orchestrator.domain.precedents import Chosen, Precedents, Word
from orchestrator.ports import Case, Chooser


class MemoryChooser:
    """Asks precedents first, then the chooser behind it; a person's word binds both."""

    def __init__(self, behind: Chooser, precedents: Callable[[Signature], Precedents], *, healed_times: int) -> None:
        self.name = behind.name
        self._behind, self._precedents, self._healed_times = behind, precedents, healed_times

    def choose(self, case: Case) -> Decision:
        """As ports.Chooser; raises what the store or the chooser behind raises."""
        known = [self._precedents(one) for one in dict.fromkeys(case.signatures)]
        words = [one.word for one in known if one.word]
        pinned = {word.pinned for word in words if word.pinned}
        sight = frozenset(case.signatures)
        what = self._agreed(known, pinned, sight) if pinned else self._proven(known, sight)
        if what is None or not _is_offered(case, what) or _forbidden(words, what[0]):
            return bound(self._behind.choose(case), words)
        action, parameters = what
        return Decision(
            action=action,
            parameters=dict(parameters),
            reason=_pinned_reason(known, what) if pinned else _learned_reason(known, what, sight),
            chooser="memory",
            shown_digest=_digest(known),
        )

    def _agreed(self, known: Sequence[Precedents], pinned: set[Chosen], sight: frozenset[Signature]) -> Chosen | None:
        """What a person pinned, where nothing speaks for something else: another pin, or what other lines taught."""
        what = next(iter(pinned)) if len(pinned) == 1 else None
        for one in known:
            taught = self._taught(one, sight)
            if taught and what not in taught and not (one.word and one.word.pinned):
                return None
        return what

    def _proven(self, known: Sequence[Precedents], sight: frozenset[Signature]) -> Chosen | None:
        """What healed every kind of line in sight often enough. A line that is new may be the cause of the others."""
        taught = [self._taught(one, sight) for one in known]
        common = set[Chosen].intersection(*taught) if taught else set()
        return next(iter(common)) if len(common) == 1 else None

    def _taught(self, one: Precedents, sight: frozenset[Signature]) -> set[Chosen]:
        return {what for what, healed in one.learned(sight).items() if healed >= self._healed_times}


def _is_offered(case: Case, what: Chosen) -> bool:
    """Whether the case's own evidence has these very values: memory brings none of its own."""
    action, parameters = what
    return any(
        candidate.action == action
        and candidate.values.keys() == dict(parameters).keys()
        and all(value in candidate.values[name] for name, value in parameters)
        for candidate in case.candidates
    )


def _forbidden(words: Sequence[Word], action: str) -> Word | None:
    return next((word for word in words if word.forbids(action)), None)


def bound(decision: Decision, words: Sequence[Word]) -> Decision:
    """The decision of whoever made it, unless a person forbade that for a line in sight: then a person is told."""
    word = _forbidden(words, decision.action) if decision.acts else None
    if word is None:
        return decision
    reason = f"{decision.chooser} chose {decision.action}, which {word.actor} forbade for this error: {word.reason}"
    return replace(decision, action=ESCALATE, parameters={}, reason=reason)


def _learned_reason(known: Sequence[Precedents], what: Chosen, sight: frozenset[Signature]) -> str:
    """Of the line that is proven least."""
    least = min(known, key=lambda one: one.learned(sight)[what])
    healed = least.learned(sight)[what]
    last = next(deed for deed in least.done(what) if deed.shown <= sight)
    return f"chosen from memory: {healed} of {healed} healed, the last one on {last.host} ({last.incident_id})"


def _pinned_reason(known: Sequence[Precedents], what: Chosen) -> str:
    one, word = next((one, one.word) for one in known if one.word and one.word.pinned == what)
    done = one.done(what)
    failed = (
        f"; the last one, on {done[0].host} ({done[0].incident_id}), did not" if done and not done[0].healed else ""
    )
    return (
        f"chosen from memory, pinned by {word.actor} ({word.reason}): {sum(deed.healed for deed in done)} of "
        f"{len(done)} healed{failed}"
    )


def _digest(known: Sequence[Precedents]) -> str:
    """SHA-256 over the signatures and the healings that it was chosen by."""
    shown = [[one.signature, [deed.incident_id for deed in one.deeds]] for one in known]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()
