"""The sick thing that a record speaks of."""

from __future__ import annotations

import re

from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import Subject, SubjectKind
from orchestrator.domain.records import LogRecord
from orchestrator.domain.speech import named_paths, own_words

#: Units that carry other things' words: what they run is sick, not they. Without suffix and instance.
_CARRIERS = re.compile(r"(?i)(?:|kernel|unknown|-|cron|crond|anacron|atd|init|systemd|syslog|user|session(?:-\w+)?)")
_SUFFIX = re.compile(r"\.(?:service|scope|slice|socket|timer|path|mount|automount|swap|target|device)$")


def _stem(unit: str) -> str:
    return _SUFFIX.sub("", unit).split("@", 1)[0]


def is_carrier(unit: str) -> bool:
    """Whether a unit's records mostly speak of other things (cron, sessions, the kernel, nobody)."""
    return unit.endswith((".scope", ".slice")) or _CARRIERS.fullmatch(_stem(unit)) is not None


def subject(record: LogRecord, signature: Signature) -> Subject:
    """The record's unit; for a carrier the path that it names, else the signature.

    A carrier of which PID 1 itself says that it failed is the sick thing after all.
    """
    unit, words = record.unit, own_words(record.message)
    speaks_of_itself = record.unit_failure or (unit.endswith(".service") and words.startswith(f"{unit}: "))
    if unit and (not is_carrier(unit) or (speaks_of_itself and not unit.endswith((".scope", ".slice")))):
        name = unit if _SUFFIX.search(unit) else f"{unit}.service"
        return Subject(kind=SubjectKind.UNIT, name=name)
    paths = named_paths(words)
    # The first of several is mostly the shell or the program; what failed stands last.
    if paths:
        return Subject(kind=SubjectKind.PATH, name=paths[-1])
    return Subject(kind=SubjectKind.SIGNATURE, name=signature)
