"""The example inventory: it parses as it is, and each commented line is a variable with its default."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.hosts import HostPolicy
from orchestrator.errors import InventoryError
from orchestrator.fleet.inventory import InventoryFleet
from orchestrator.fleet.variables import KNOWN
from orchestrator.settings import HOME

EXAMPLE = HOME / "inventory"
ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def test_the_example_as_it_is_lists_no_host_and_says_so() -> None:
    with pytest.raises(InventoryError, match="lists no host"):
        InventoryFleet(EXAMPLE, ENVIRONMENT).hosts()


def test_with_every_comment_taken_away_it_means_the_defaults(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "inventory")
    hosts, policy = tmp_path / "inventory/hosts.yml", tmp_path / "inventory/group_vars/all.yml"
    hosts.write_text(
        hosts.read_text(encoding="utf-8").replace("      hosts: {}\n", "").replace("      # ", "      "),
        encoding="utf-8",
    )
    lines = policy.read_text(encoding="utf-8").splitlines()
    policy.write_text(
        "\n".join(line.removeprefix("#") for line in lines if line.startswith("#healing_")), encoding="utf-8"
    )

    web1, web2, controller = InventoryFleet(tmp_path / "inventory", ENVIRONMENT).hosts()

    assert [one.text for one in web1.policy.windows or ()] == [
        "Mon..Fri 22:00-06:00 Europe/Berlin",
        "0 3 1 * * for 90m UTC",
    ]
    assert web1.policy.approvers == frozenset({"cli:ann", "api:pager"})
    assert replace(web1.policy, windows=HostPolicy().windows, approvers=HostPolicy().approvers) == HostPolicy(
        actions=frozenset({"restart_service", "fix_permissions", "free_disk_space"}), hold_seconds=30.0
    )
    assert (web1.connection.user, web1.connection.become) == ("healer", True)
    assert web1.connection.ssh_arguments == ("-J", "healer@bastion.example.com")
    assert (web2.connection.port, controller.connection.kind) == (2222, "local")


def test_every_variable_stands_in_the_example() -> None:
    text = (EXAMPLE / "group_vars/all.yml").read_text(encoding="utf-8")

    assert [name for name in KNOWN if f"\n#{name}:" not in text] == []
