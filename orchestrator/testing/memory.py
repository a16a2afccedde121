"""Precedents in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import Signature, id_at
from orchestrator.domain.incidents import FINAL, IncidentState, Origin
from orchestrator.domain.precedents import Deed, Precedents, Word
from orchestrator.domain.runs import RunKind
from orchestrator.ports import DEEDS_KEPT
from orchestrator.testing.runs import MemoryRuns


class MemoryPrecedents(MemoryRuns):
    """The memory part of ports.Store."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._decisions: dict[str, Decision] = {}
        self._words: dict[Signature, Word] = {}

    def precedents(self, signature: Signature) -> Precedents:
        with self._lock:
            deeds = sorted(self._deeds(signature), key=lambda one: one.incident_id, reverse=True)
            return Precedents(signature=signature, deeds=tuple(deeds[:DEEDS_KEPT]), word=self._words.get(signature))

    def _deeds(self, signature: Signature) -> Iterator[Deed]:
        for run in self.runs(kinds=(RunKind.ACT,), limit=10**9):
            for owner in self._owners(run, attempted=True):
                incident, decision = self._incidents.get(owner), self._decisions.get(owner)
                if incident is None or decision is None:
                    continue
                teaches = incident.state in FINAL and incident.origin is not Origin.INJECTED and incident.step == 1
                if teaches and signature in (shown := frozenset(decision.signatures or (incident.signature,))):
                    yield Deed(
                        incident_id=incident.id,
                        host=incident.host,
                        action=run.action,
                        parameters=run.parameters,
                        healed=incident.state is IncidentState.HEALED,
                        chooser=decision.chooser,
                        at=run.started,
                        shown=shown,
                    )

    def remembered(self, limit: int = 100) -> tuple[Precedents, ...]:
        with self._lock:
            names = {name for one in self._signatures.values() for name in one} | self._words.keys()
            found = [self.precedents(name) for name in names]
            latest = {one.signature: self._latest(one) for one in found}
        known = [one for one in found if one.deeds or one.word]
        return tuple(sorted(known, key=lambda one: (latest[one.signature], one.signature), reverse=True)[:limit])

    def _latest(self, one: Precedents) -> str:
        """What sorts like the id of the incident that had it last, or that would have been opened as of its word."""
        had = [incident for incident, names in self._signatures.items() if one.signature in names]
        return max([*had, *([id_at(one.word.at)] if one.word else [])])

    def wording(self, signature: Signature) -> str | None:
        opened = [one for one in self._incidents.values() if one.signature == signature]
        if opened:
            return opened[-1].template
        return "" if any(signature in names for names in self._signatures.values()) else None

    def record_word(self, word: Word) -> Word | None:
        with self._lock:
            former = self._words.get(word.signature)
            self._words[word.signature] = word
            self.append(f"memory.{word.standing}", text=f"{word.signature}: {word.reason}", actor=word.actor)
        return former

    def withdraw_word(self, signature: Signature, *, actor: str, reason: str) -> Word | None:
        with self._lock:
            former = self._words.pop(signature, None)
            if former is not None:
                self.append("memory.released", text=f"{signature}: {reason}", actor=actor)
        return former
