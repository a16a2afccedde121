"""What an answer is bound to, by part: each part moves with what it is made of, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.act.readings import Readings
from orchestrator.domain.hosts import HostPolicy
from tests.support.act_stage import Stage, local_host

PARAMETERS = {"word": "x"}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("playbook", lambda folder, role: (folder / "act.yml").write_text("[]\n")),
        ("playbook", lambda folder, role: (folder / "more.yml").write_text("[]\n")),
        ("role", lambda folder, role: (role / "tasks" / "main.yml").write_text("[]\n")),
        ("role", lambda folder, role: (role / "files").mkdir() or (role / "files" / "x.py").write_text("")),
    ],
)
def test_a_changed_file_moves_its_part_alone(tmp_path: Path, part: str, change: Callable[[Path, Path], object]) -> None:
    stage = Stage(tmp_path / "stage", {})
    action, host = stage.action("mend", "[]"), local_host()
    readings = Readings(stage.settings)
    before, whole = readings.parts(action, PARAMETERS, (host,)), readings.digest(action, PARAMETERS, (host,))

    change(action.folder, action.role)

    after = readings.parts(action, PARAMETERS, (host,))
    assert {one for one in after if after[one] != before[one]} == {part}
    assert readings.digest(action, PARAMETERS, (host,)) != whole


def test_parameters_hosts_policy_and_inventory_have_parts_of_their_own(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage", {})
    action, host = stage.action("mend", "[]"), local_host()
    readings = Readings(stage.settings)
    before = readings.parts(action, PARAMETERS, (host,))

    def moved(parameters: dict[str, str], *hosts: object) -> set[str]:
        after = readings.parts(action, parameters, hosts)  # type: ignore[arg-type]
        return {one for one in after if after[one] != before[one]}

    safe = replace(host, policy=HostPolicy(safe_directories=("/srv",)))
    assert moved(PARAMETERS, host) == set()
    assert moved({"word": "y"}, host) == {"parameters"}
    assert moved(PARAMETERS, safe) == {"policy"}
    assert moved(PARAMETERS, local_host(ansible_user="eve")) == {"inventory"}
    assert moved(PARAMETERS, local_host("there")) == {"hosts", "inventory"}
