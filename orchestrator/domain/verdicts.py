"""Verdicts, and the facts and history that they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.domain.ids import Signature


class Outcome(StrEnum):
    """What policy says of a decision."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NEEDS_APPROVAL = "needs_approval"
    #: Allowed, but not now: the fleet is busy. It is asked again, in turn.
    WAITS = "waits"
    #: A rule needs facts that are not there (explain without a host). Never acts.
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What policy says, by which rule, and why."""

    outcome: Outcome
    #: Stable name of the deciding rule.
    rule: str
    #: One sentence for a person.
    reason: str
    #: SHA-256 over the bytes that it was given for; '' where nothing is to run.
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitFacts:
    """What systemd says of a unit."""

    #: The name that was asked for.
    asked: str
    #: The resolved Id (an alias such as sshd.service gives ssh.service).
    id: str
    #: All names of the unit.
    names: tuple[str, ...]
    #: loaded, not-found, masked, error, bad-setting ...
    load_state: str
    active_state: str
    sub_state: str
    #: Units that would stop with it (RequiredBy, BoundBy, ConsistsOf ...), resolved.
    required_by: tuple[str, ...] = ()
    refuse_manual_start: bool = False
    #: Whether it runs and ends, or a timer starts it; True also where that is not told.
    job: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PathFacts:
    """What the host says of a path."""

    asked: str
    #: All symbolic links followed; '' where the path does not exist.
    realpath: str
    #: file, directory, other, missing.
    type: str
    owner: str = ""
    group: str = ""
    #: Four octal digits, such as 0644.
    mode: str = ""
    links: int = 1
    #: A directory on the way to it that others can write than root, the owner, and the service's user whose declared
    #: folder it is: a race on the path.
    writable_parent: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What inspect found on the host, recorded with the verdict."""

    units: Mapping[str, UnitFacts] = field(default_factory=dict)
    paths: Mapping[str, PathFacts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One act run of the past."""

    host: str
    action: str
    parameters: Mapping[str, str]
    #: Every signature that the incident had when the attempt began.
    signatures: frozenset[Signature]
    at: datetime


class Answer(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    #: What it was asked for is not there any more: playbook, role, parameters, hosts or the host's state changed.
    VOID = "void"


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A question to a person, bound to the bytes that would run."""

    id: str
    incident_id: str
    host: str
    action: str
    parameters: Mapping[str, Any]
    #: SHA-256 over action folder, role tree, parameters, host list and generated inventory.
    digest: str
    rule: str
    reason: str
    asked_at: datetime
    expires_at: datetime
    answer: Answer = Answer.PENDING
    #: Who answered, when and why; empty while pending.
    answered_by: str = ""
    answered_at: datetime | None = None
    answer_reason: str = ""
    #: Who asked for the healing; '' for a log line.
    asked_by: str = ""
    #: Whoever asked for the healing may not approve it.
    four_eyes: bool = False
    #: What it is bound to, by part: digests of what would run, and what matters of the host's state. See guard.binding.
    parts: Mapping[str, str] = field(default_factory=dict)
    #: What `--check --diff` said on the host when it was asked, bounded and redacted.
    changes: str = ""
    #: What changed since it was asked, as a sentence; '': it is not void.
    void_reason: str = ""
