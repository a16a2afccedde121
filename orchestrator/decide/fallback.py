"""A model that is away does not stop healing: after some failures in a row another chooser decides for a while."""

from __future__ import annotations

import logging
from dataclasses import replace

from orchestrator.decide.breaker import Breaker
from orchestrator.domain.actions import Decision
from orchestrator.errors import BadReply, ModelTimeout, ModelUnavailable
from orchestrator.ports import Case, Chooser

log = logging.getLogger("healing.chooser")


class FallbackChooser:
    """Asks the first chooser while the breaker lets it, else the second, and says so in the decision's reason.

    Only a service that gives no answer counts as failing. An answer that can't be used (BadReply) is one: it means no
    action, and no log line that provokes it can change who decides.
    """

    def __init__(self, first: Chooser, second: Chooser, breaker: Breaker) -> None:
        self.name = first.name
        self._first, self._second, self._breaker = first, second, breaker
        self._last = ""

    def choose(self, case: Case) -> Decision:
        """As the choosers do. Raises what the first one raised, until it has failed too often."""
        if not self._breaker.admits():
            return self._instead(case)
        try:
            decision = self._first.choose(case)
        except (ModelUnavailable, ModelTimeout) as error:
            self._last = str(error)
            self._breaker.failed()
            if not self._breaker.is_open:
                raise
            log.warning("%s decides for now: %s failed: %s", self._second.name, self.name, error)
            return self._instead(case)
        except BadReply:
            self._breaker.answered()
            raise
        self._breaker.answered()
        return decision

    def _instead(self, case: Case) -> Decision:
        decision = self._second.choose(case)
        why = f"Chosen by {self._second.name}, because {self.name} failed {self._breaker.failures} times in a row"
        return replace(decision, reason=f"{decision.reason} {why} (the last time: {self._last.rstrip('.')}).")
