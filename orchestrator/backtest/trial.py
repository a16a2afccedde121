"""Labelled lines through detect, candidates and a chooser, as `healer explain` asks it; plain and cross-validated.

Cross-validation of a chooser that has no training but was written with lines at hand: a case is decided as if no
expression existed that speaks of this case alone. Each expression of a pattern or rule that no other case of the file
matches is left out for it, so what is left is knowledge that at least one other line bears out.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from orchestrator.backtest.cases import LabelledCase
from orchestrator.backtest.score import Answered
from orchestrator.catalog import Catalog
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.decide.rules import Knowledge, Rule, knowledge
from orchestrator.domain.expressions import Expression
from orchestrator.domain.speech import own_words
from orchestrator.explain import explain
from orchestrator.ports import Chooser


def tried(cases: Sequence[LabelledCase], catalog: Catalog, chooser: Chooser, now: datetime) -> tuple[Answered, ...]:
    """One answer a case, in order."""
    return tuple(_asked(case, catalog, chooser, now) for case in cases)


def crossed(cases: Sequence[LabelledCase], catalog: Catalog, now: datetime) -> tuple[Answered, ...]:
    """The embedded chooser's answers, each without what speaks of that case alone."""
    alone = _Alone(cases, catalog)
    answers = []
    for case in cases:
        patterns, expressions = alone.patterns[case.id], alone.expressions[case.id]
        known = _without(knowledge(), expressions) if expressions else knowledge()
        actions = {
            name: replace(action, patterns=tuple(one for one in action.patterns if one.match not in patterns))
            for name, action in catalog.actions.items()
        }
        answers.append(_asked(case, replace(catalog, actions=actions), EmbeddedChooser(known), now))
    return tuple(answers)


def _asked(case: LabelledCase, catalog: Catalog, chooser: Chooser, now: datetime) -> Answered:
    began = time.perf_counter()
    (answer,) = explain([case.asked], catalog=catalog, chooser=chooser, fleet=None, now=now)
    taken = time.perf_counter() - began
    decision = answer["decision"]
    return Answered(
        case=case, action=decision["action"], params=decision["params"], reason=decision["reason"], seconds=taken
    )


class _Alone:
    """By case: the expressions that no other case matches."""

    def __init__(self, cases: Sequence[LabelledCase], catalog: Catalog) -> None:
        words = {case.id: own_words(case.message) for case in cases}
        lowered = {case: said.casefold() for case, said in words.items()}
        whole = {case.id: case.message.casefold() for case in cases}
        self.patterns: Mapping[str, set[str]] = defaultdict(set)
        self.expressions: Mapping[str, set[Expression]] = defaultdict(set)
        for pattern in (one for action in catalog.actions.values() for one in action.patterns):
            case = _only(words, pattern.holds)
            if case:
                self.patterns[case].add(pattern.match)
        known = knowledge()
        for rules, said in ((known.rules, lowered), (known.attacks, whole)):
            for expression in {one for rule in rules for one in rule.any}:
                case = _only(said, expression.search)
                if case:
                    self.expressions[case].add(expression)


def _only(words: Mapping[str, str], holds: Callable[[str], object]) -> str:
    """The one case of which it holds; '' where it holds of none or of several."""
    matching = [case for case, said in words.items() if holds(said)]
    return matching[0] if len(matching) == 1 else ""


def _without(known: Knowledge, left_out: set[Expression]) -> Knowledge:
    def kept(rules: Sequence[Rule]) -> tuple[Rule, ...]:
        cut = (replace(rule, any=tuple(one for one in rule.any if one not in left_out)) for rule in rules)
        return tuple(rule for rule in cut if rule.any)

    return replace(known, rules=kept(known.rules), attacks=kept(known.attacks))
