"""Which candidates come first where a model can't be shown all: no learning, no chance, the same order each time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from orchestrator.domain.actions import Action, Candidate
from orchestrator.domain.records import LogRecord
from orchestrator.domain.speech import own_words

_WORD = re.compile(r"[a-z]{3,32}")


def by_relevance(
    candidates: Sequence[Candidate], actions: Sequence[Action], records: Sequence[LogRecord]
) -> tuple[Candidate, ...]:
    """The most relevant first; what is equally so stays in the catalogue's order.

    First those with a pattern that holds for a line; then by the words that the action's texts share with the lines,
    each the heavier the fewer actions have it. Only a program's own words count.
    """
    said = tuple(dict.fromkeys(own_words(record.message) for record in records))
    lines = frozenset(word for words in said for word in _words(words))
    texts = {action.id: _words(_text(action)) for action in actions}
    spread = Counter(word for words in texts.values() for word in words)
    fitting = {
        action.id for action in actions for pattern in action.patterns if any(pattern.holds(words) for words in said)
    }

    def rank(candidate: Candidate) -> tuple[bool, float]:
        shared = sorted(texts.get(candidate.action, frozenset()) & lines)
        return candidate.action not in fitting, -sum(1 / spread[word] for word in shared)

    return tuple(sorted(candidates, key=rank))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _text(action: Action) -> str:
    examples = (example for pattern in action.patterns for example in pattern.examples)
    described = (parameter.description for parameter in action.parameters)
    return " ".join((action.id.replace("_", " "), action.title, action.when, *described, *examples))
