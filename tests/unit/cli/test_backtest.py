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


def test_each_class_has_its_interval_plain_and_cross_validated(config: str, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(CASES.read_text(encoding="utf-8").splitlines()[:12]), encoding="utf-8")

    table = ask(config, str(few), "--cross-validate").splitlines()
    scored = json.loads(ask(config, str(few), "--cross-validate", "--json"))
    plain = json.loads(ask(config, str(few), "--json"))

    assert table[0].split() == [
        *("class", "cases", "right", "95", "%", "acceptable", "wrong", "harmful", "cross-validated", "95", "%"),
    ]
    for row, line in zip(scored["by_class"], table[1:], strict=False):
        for column in ("right", "cross_validated"):
            figure = row[column]
            low, high = figure["interval"]
            assert f"{figure['hits']} of {figure['total']} ({figure['percent']:.1f} %)" in line
            assert f"{low:.1f} to {high:.1f}" in line
        assert row["right"]["hits"] == scored["classes"][row["class"]]["right"]
    assert sum(row["cross_validated"]["total"] for row in scored["by_class"]) == 12
    assert {row["cross_validated"] for row in plain["by_class"]} == {None}


def test_a_figure_of_no_line_has_no_percent(config: str, tmp_path: Path) -> None:
    benign = [line for line in CASES.read_text(encoding="utf-8").splitlines() if '"class": "benign"' in line]
    few = tmp_path / "few.jsonl"
    few.write_text(benign[0], encoding="utf-8")

    (line,) = [one for one in ask(config, str(few)).splitlines() if one.startswith("right action")]

    assert line.split() == ["right", "action", "0", "of", "0"]


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
