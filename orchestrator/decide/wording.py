"""The fixed words of the prompt, read from prompt.md. Their version is recorded with every question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from orchestrator.errors import ConfigError

PROMPT = Path(__file__).with_name("prompt.md")
#: What a question holds the place of.
PLACES = frozenset({"actions", "unit", "mark", "evidence"})
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
def wording(path: Path = PROMPT) -> Wording:
    """The words of a file, read once. Raises ConfigError for one that is no prompt: those of this package are one."""
    try:
        found = _SHAPE.fullmatch(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The prompt {path} can't be read: {error}.") from error
    if found is None:
        raise ConfigError(
            f"The prompt {path} is not accepted: it holds a line `Version: WORD`, then `# System`, then `# Question`."
        )
    question = Template(found["question"])
    if not question.is_valid() or set(question.get_identifiers()) != PLACES:
        places = ", ".join(f"${one}" for one in sorted(PLACES))
        raise ConfigError(f"The prompt {path} is not accepted: its question names exactly {places}.")
    return Wording(version=found["version"], system=found["system"], question=question)
