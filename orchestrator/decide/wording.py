"""The fixed words of the prompt, read from prompt.md. Their version is recorded with every question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

PROMPT = Path(__file__).with_name("prompt.md")
_SHAPE = re.compile(
    r"Version: (?P<version>\S+)\n\n# System\n\n(?P<system>.+)\n\n# Question\n\n(?P<question>.+)\n", re.S
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """What stays the same from question to question."""

    #: Raised with every change of the words; a test compares.
    version: str
    system: str
    #: With the places `$actions`, `$unit`, `$mark` and `$evidence`.
    question: Template


@cache
def wording() -> Wording:
    """The words of this package, read once."""
    found = _SHAPE.fullmatch(PROMPT.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{PROMPT} is not Version, # System and # Question, in this order")
    return Wording(version=found["version"], system=found["system"], question=Template(found["question"]))
