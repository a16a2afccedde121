"""Actions: rows of the whitelist, as the catalogue read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from orchestrator.domain.expressions import Expression, expression
from orchestrator.domain.ids import Signature
from orchestrator.domain.records import Severity

#: Tell a person, touch nothing. Always a candidate.
ESCALATE = "escalate"
#: Noise: nothing is wrong. Always a candidate.
NONE = "none"


class Risk(StrEnum):
    """What an action can cost when it was the wrong one."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


#: Steps of one healing at most: its own action, and those that follow it.
STEPS_MAX = 3


class ParameterSource(StrEnum):
    """Where values of a parameter may come from. Never free text."""

    #: Units that the evidence is about, or that it names and that exist on the host.
    UNIT = "unit"
    #: Absolute paths that the evidence names.
    PATH = "path"
    #: The same, but only to tell which file system is meant. The path itself is not touched: no rule of paths speaks.
    FILE_SYSTEM = "file_system"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of an action; name, type and text come from the role's argument spec."""

    name: str
    #: Ansible's type: str, path, bool, int.
    type: str
    required: bool
    description: str
    source: ParameterSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """When the embedded chooser picks this action.

    `match` is a Python regular expression searched in the message, ignoring case; its named groups
    capture parameters. The pattern holds only where `unless` does not match.
    """

    match: str
    unless: str | None = None
    #: What a parameter is where the match captures none: the units that a well-known port means, likeliest first.
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: The mildest severity at which this pattern makes an incident (WARNING widens detection).
    severity: Severity = Severity.ERROR
    #: Lines that it holds for; the catalogue tried them.
    examples: tuple[str, ...] = ()

    def holds(self, words: str) -> bool:
        """Whether the pattern speaks of these own words of a program."""
        return _holds(self.match, self.unless, words)


# What may be picked and what is picked are both asked of every pattern; the newest few lines cost a megabyte at most.
@lru_cache(maxsize=4096)
def _holds(match: str, unless: str | None, words: str) -> bool:
    found = compiled(match).search(words) is not None
    return found and not (unless and compiled(unless).search(words))


def compiled(text: str) -> Expression:
    """An expression of a pattern, as `Pattern` promises: ignoring case."""
    return expression(text, re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowUp:
    """What goes on once an action is done with: an action whose one required parameter is a unit."""

    action: str
    #: When, for a person.
    when: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One folder of playbooks/ bound to a role of the same name."""

    id: str
    title: str
    #: When it helps, for a person and for the model.
    when: str
    #: When it must not be used.
    not_when: str
    risk: Risk
    reversible: bool
    #: Seconds: each task, the whole run.
    task_timeout: int
    run_timeout: int
    #: Seconds to wait after the act before verify looks.
    settle_seconds: float
    #: Seconds that the signature must stay silent after `verified`.
    hold_seconds: float
    parameters: tuple[Parameter, ...] = ()
    #: Whether it helps a unit too that runs and ends, or that starts one: a job, a timer.
    jobs: bool = False
    patterns: tuple[Pattern, ...] = ()
    #: Lines that look alike, and that none of the patterns holds for.
    counter_examples: tuple[str, ...] = ()
    #: None: a healing ends with it.
    follow_up: FollowUp | None = None
    folder: Path = field(default_factory=Path)
    role: Path = field(default_factory=Path)

    def playbook(self, kind: str) -> Path:
        """The playbook of a run kind; a look and a check are verify before the act, a plan is the act in check mode."""
        return self.folder / {"look": "verify.yml", "check": "verify.yml", "plan": "act.yml"}.get(kind, f"{kind}.yml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One thing that a chooser may pick: an action with one closed choice of values a parameter."""

    action: str
    #: Parameter name -> the values that were extracted; empty for no parameters.
    values: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The chosen action or none, with what it rests on."""

    #: An action of the whitelist, `escalate` or `none`.
    action: str
    parameters: Mapping[str, str]
    reason: str
    #: `embedded`, `gemini`, `memory`, `follow_up`, `outbreak` (it was stopped before), or `person`.
    chooser: str
    #: SHA-256 over what the chooser was shown.
    shown_digest: str = ""
    #: As the model reported it; shown, never used to authorise.
    confidence: float | None = None
    #: Of the lines that the chooser was shown; empty in records of older versions.
    signatures: tuple[Signature, ...] = ()

    #: What could be chosen; None: it is not on record.
    offered: tuple[Candidate, ...] | None = None

    @property
    def acts(self) -> bool:
        """Whether anything on the whitelist was chosen."""
        return self.action not in (ESCALATE, NONE)
