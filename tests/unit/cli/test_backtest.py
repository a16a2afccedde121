"""`healer backtest`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, InventoryError
from tests.support.typed import typed

CASES = Path(__file__).parents[2] / "cases" / "backtest" / "incidents.jsonl"


def ask(config: str, *arguments: str) -> str:
    return typed(config, "backtest", *arguments)


def test_a_file_is_scored_by_class_with_intervals(config: str, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(CASES.read_text(encoding="utf-8").splitlines()[:12]), encoding="utf-8")

    table = ask(config, str(few), "--cross-validate", "--wrong")
    scored = json.loads(ask(config, str(few), "--cross-validate", "--json"))

    assert all(word in table for word in ("right action", "harmful", "cross-validated", "ms a line", "95 %"))
    assert sum(sum(grades.values()) for grades in scored["classes"].values()) == 12
    assert [one["name"] for one in scored["figures"]] == [one["name"] for one in scored["cross_validated"]]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "FILE of labelled cases, or --since"),
        ((str(CASES), "--since", "30d"), "one of the two"),
        (("--since", "30"), "no span.*12h, 30d, 8w"),
        (("--since", "0d"), "no span"),
        (("--since", "30d"), "There is no store"),
        ((str(CASES), "--chooser", "gemini"), "GEMINI_API_KEY"),
        (("gone.jsonl",), "can't be read"),
        ((str(CASES), "--prompt", "prompt.md"), "GEMINI_API_KEY"),
    ],
)
def test_what_cannot_be_is_a_sentence(config: str, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ask(config, *arguments)


@pytest.mark.usefixtures("store")
def test_a_policy_that_is_not_there_judges_nothing(config: str) -> None:
    with pytest.raises(InventoryError, match=r"new/hosts.yml does not exist"):
        ask(config, "--since", "30d", "--inventory", "new/hosts.yml")
