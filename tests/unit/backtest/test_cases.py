"""A case file is read whole, or refused with file, line, field and what is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backtest.cases import read
from orchestrator.errors import ConfigError

ACTIONS = ("restart_service", "free_disk_space")
LABEL = {"action": "restart_service", "params": {"service": "nginx"}}
GOOD: dict[str, Any] = {
    "id": "one",
    "class": "service_down",
    "unit": "nginx.service",
    "message": "nginx failed",
    "priority": 3,
    "label": LABEL,
    "acceptable": [{"action": "escalate", "params": {}}],
    "must_not": [{"action": "free_disk_space", "params": {}}],
    "params_alt": [{"service": "nginx.service"}],
}


def written(tmp_path: Path, *cases: dict[str, Any] | str) -> Path:
    path = tmp_path / "cases.jsonl"
    lines = (one if isinstance(one, str) else json.dumps(one) for one in cases)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_whole_case_is_read(tmp_path: Path) -> None:
    (case,) = read(written(tmp_path, GOOD, ""), ACTIONS)

    assert (case.id, case.group, case.label.action, len(case.right)) == ("one", "service_down", "restart_service", 2)
    assert case.right[1].fits("restart_service", {"service": "nginx.service"})
    assert not case.label.fits("restart_service", {"service": "mysql"})
    assert case.must_not[0].fits("free_disk_space", {"path": "/"})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": None}, "id is missing"),
        ({"class": 3}, "class is '3'; accepted is text"),
        ({"message": ""}, "message"),
        ({"priority": 8}, "priority is 8; accepted is a number from 0"),
        ({"priority": "3"}, "priority is '3'"),
        ({"label": None}, "label is missing"),
        ({"label": "restart"}, "label holds something"),
        (
            {"label": {**LABEL, "action": "reboot"}},
            "label.action is 'reboot'; accepted are escalate,",
        ),
        ({"label": {"action": "none", "params": None}}, "label.params is missing"),
        ({"label": {"action": "none", "params": {"x": 1}}}, "label.params is no object of texts"),
        ({"acceptable": None}, "acceptable is missing"),
        ({"must_not": "none"}, "must_not is no list"),
        ({"must_not": [{"action": "restrat_service", "params": {}}]}, "must_not.action is 'restrat_service'"),
        ({"params_alt": {}}, "params_alt is no list"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = written(tmp_path, GOOD, {**GOOD, "id": "two", **changed})

    with pytest.raises(ConfigError) as caught:
        read(path, ACTIONS)

    assert f"{path}, line 2: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{not json"], "line 1: the line is no JSON"),
        (['{"id": "a", "id": "b"}'], "line 1: the line is no JSON .the key id comes twice."),
        (["[1]"], "line 1: the line is JSON but no object"),
        ([json.dumps(GOOD), json.dumps(GOOD)], "line 2: id 'one' stands in line 1 already"),
        (["", " "], "holds no case"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(written(tmp_path, *lines), ACTIONS)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read"):
        read(tmp_path / "gone.jsonl", ACTIONS)
