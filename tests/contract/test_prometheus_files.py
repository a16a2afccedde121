"""The alert rules and the Grafana dashboard name metrics that /metrics has."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import yaml

from orchestrator.domain.notices import Channel
from tests.api.conftest import Stage, heals
from tests.api.conftest import empty_store as empty_store
from tests.api.conftest import stage as stage

FOLDER = Path(__file__).parents[2] / "docs" / "prometheus"
NAME = re.compile(r"\bhealing_[a-z_]+\b")


def told(stage: Stage) -> None:
    """Something of each kind."""
    heals(stage.store, stage.open())
    stage.settings = {"notify": (Channel(name="ops", url=None),)}


def exposed(stage: Stage) -> set[str]:
    told(stage)
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


def promtool(*words: str, given: str = "") -> str:
    """What Prometheus itself says; scripts/setup installs it."""
    done = subprocess.run(["promtool", *words], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_the_rules_and_each_alert_fires_when_it_should() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    tried = (Path(__file__).parent / "alerts_test.yml").read_text(encoding="utf-8")

    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", str(FOLDER / "alerts.yml"))
    promtool("test", "rules", str(Path(__file__).parent / "alerts_test.yml"))
    assert not [rule["alert"] for rule in rules if f'alertname="{rule["alert"]}"' not in tried]


def test_prometheus_has_no_complaint_about_what_it_is_given(stage: Stage) -> None:
    told(stage)
    with stage.client() as client:
        assert promtool("check", "metrics", given=client.get("/metrics").text) == ""
