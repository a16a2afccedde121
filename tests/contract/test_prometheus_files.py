"""The alert rules and the Grafana dashboard name metrics that /metrics has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.api.conftest import Stage, heals
from tests.api.conftest import empty_store as empty_store
from tests.api.conftest import stage as stage

FOLDER = Path(__file__).parents[2] / "docs" / "prometheus"
NAME = re.compile(r"\bhealing_[a-z_]+\b")


def exposed(stage: Stage) -> set[str]:
    heals(stage.store, stage.open())
    with stage.client() as client:
        text = client.get("/metrics").text
    return set(re.findall(r"^(healing_[a-z_]+)", text, re.MULTILINE))


def test_every_metric_that_the_files_name_is_there(stage: Stage) -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    board = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    named = {name for expression in asked for name in NAME.findall(expression)}

    assert len(named) > 10
    assert named <= exposed(stage)


def test_every_alert_says_what_to_do() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]

    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules)
    assert len({rule["alert"] for rule in rules}) == len(rules)
