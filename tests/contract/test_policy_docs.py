"""docs/policy.md lists the rules of the code, in the code's order."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.guard.judge import RULES

POLICY = Path(__file__).parents[2] / "docs" / "policy.md"


def test_the_documented_rules_are_those_of_the_code_in_their_order() -> None:
    rules = POLICY.read_text(encoding="utf-8").split("## Rules", 1)[1].split("## ", 1)[0]

    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", rules, flags=re.MULTILINE)

    assert documented == [(rule.name, rule.outcome.value) for rule in RULES]


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in RULES]

    assert len(set(names)) == len(names)
