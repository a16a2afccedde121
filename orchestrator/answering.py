"""The one door through which a person answers, from the command line and over HTTP alike.

An approval is compared with what would run now before it is taken: what changed since it was asked is not approved. It
is compared again right before the act.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.catalog import Catalog
from orchestrator.domain.actions import Action
from orchestrator.domain.hosts import Host
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.errors import AnswerRefused, ConfigError
from orchestrator.guard import binding
from orchestrator.guard.answering import Bar, Refusal, refusal, void
from orchestrator.ports import Fleet, Probe, Store
from orchestrator.steps import Rooms, inspect


class Readings(Protocol):
    """What is needed of the executor."""

    def digest(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> str: ...
    def parts(self, action: Action, parameters: Mapping[str, str], hosts: Sequence[Host]) -> Mapping[str, str]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Where answers are taken."""

    store: Store
    fleet: Fleet
    catalog: Catalog
    readings: Readings
    probe: Probe
    now: Callable[[], datetime]

    @classmethod
    def within(cls, rooms: Rooms) -> Desk:
        """Where the rooms of a worker are at hand."""
        return cls(
            store=rooms.store,
            fleet=rooms.fleet,
            catalog=rooms.catalog,
            readings=rooms.executor,
            probe=rooms.probe,
            now=rooms.now,
        )

    def answer(self, approval_id: str, answered: Answer, who: str, why: str) -> Approval:
        """Answer a question; the worker's sweep carries it out.

        Raises AnswerRefused where it does nothing (recorded, with who tried), ConfigError for an unknown id, and
        where the host can't be compared with what was asked: InventoryError, CatalogError, TemporaryError and
        the like. Nothing was answered then, and the question stands.
        """
        found = self._found(approval_id)
        host = self.fleet.host(found.host)
        refused = refusal(found, answered, who, host.policy, self.now())
        if refused is None and answered is Answer.APPROVED:
            gone = self._why_void(found, host)
            if gone and self.store.void(found.id, gone, actor=who, now=self.now()) is not None:
                raise AnswerRefused(void(self._found(found.id)), bar=Bar.VOID)
        if refused is None:
            done = self.store.answer(found.id, answered, actor=who, reason=why, now=self.now())
            if done is not None:
                return done
            # Somebody was faster.
            found = self._found(found.id)
            refused = refusal(found, answered, who, host.policy, self.now()) or Refusal(
                bar=Bar.ANSWERED, sentence=f"{found.id} can't be answered any more. Nothing was done."
            )
        raise self._refused(found, answered, who, refused)

    def _found(self, approval_id: str) -> Approval:
        found = self.store.approval(approval_id)
        if found is None:
            raise ConfigError(f"There is no approval {approval_id}. `healer approvals list` shows the open ones.")
        return found

    def _why_void(self, found: Approval, host: Host) -> str:
        action = self.catalog.get(found.action)
        if action is None:
            return f"Since it was asked, {found.action} was taken off the whitelist."
        parameters = {name: str(value) for name, value in found.parameters.items()}
        facts = inspect(self.probe, host, action, parameters)
        digests = self.readings.parts(action, parameters, (host,))
        return binding.why_void(found, self.readings.digest(action, parameters, (host,)), binding.parts(digests, facts))

    def _refused(self, found: Approval, answered: Answer, who: str, refused: Refusal) -> AnswerRefused:
        self.store.append(
            "approval.refused",
            incident_id=found.incident_id,
            host=found.host,
            text=f"{who} said {answered}, which does nothing: {refused.sentence}",
            actor=who,
            data={"approval": found.id, "answer": answered.value, "bar": refused.bar.value},
        )
        return AnswerRefused(refused.sentence, bar=refused.bar)
