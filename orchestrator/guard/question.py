"""What policy is asked: a decision with everything that it may be judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.actions import Action, Decision
from orchestrator.domain.fleet import FleetState
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Signature
from orchestrator.domain.verdicts import Attempt, Facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Everything that a verdict rests on; None means that it is not known."""

    decision: Decision
    #: The action of the whitelist that the decision names; None: there is none of that name.
    action: Action | None
    #: None: no host is given (explain), so host-dependent rules answer `unknown`.
    host: Host | None
    #: What inspect found; None: not looked yet.
    facts: Facts | None
    #: Act runs on the host in the last 24 hours.
    attempts: tuple[Attempt, ...]
    signatures: frozenset[Signature]
    #: Seconds, judged once at detection; None: no age limit holds (a person's trigger, an approval).
    age_seconds: float | None
    #: Why everything is stopped; None: it is not.
    stopped: str | None
    now: datetime
    #: What the other hosts do and what was tried there; None: not known.
    fleet: FleetState | None = None
    #: A person approved these very bytes.
    approved: bool = False
