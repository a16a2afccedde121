"""Approvals on a real host: asked with what would change, approved and healed; and void, with what changed since."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Healer, end, free_port, start, wait_for
from tests.support.fleets import fleet

SCRIPT = "/usr/local/bin/stock-sync"


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healer]:
    """One host that is asked about, and playbooks and roles that may be changed."""
    folder = tmp_path_factory.mktemp("approvals")
    for name in ("playbooks", "roles"):
        shutil.copytree(ROOT / name, folder / name)
    variables = {"healing_mode": "propose", "healing_hold_seconds": 1, "healing_cooldown_seconds": 1}
    with fleet("approvals", folder / "lab", 1, variables=variables) as lab:
        config, port = folder / "healer.toml", free_port()
        config.write_text(
            f'inventory = "{lab.inventory}"\nstate_dir = "state"\nknown_hosts = "{lab.known_hosts}"\n'
            f'playbooks_dir = "playbooks"\nroles_dir = "roles"\napi_port = {port}\n'
        )
        healer = Healer(config=config, lab=lab, port=port)
        process = start(healer)
        try:
            yield healer
        finally:
            end(process)


class Story:
    """What a person types and reads; `pytest -s` prints it."""

    def __init__(self, healer: Healer) -> None:
        self._healer = healer

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = self._healer(*arguments, check=False)
        sys.stdout.write(f"\n$ healer {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def question(healer: Healer, action: str, but: str = "") -> dict[str, Any]:
    """The open question about an action, other than `but`, once it is asked."""

    def asked() -> dict[str, Any] | None:
        found = healer.json("approvals", "list")
        return next((one for one in found if one["action"] == action and one["id"] != but), None)

    return wait_for(asked, f"a question about {action}")


def test_a_person_sees_what_would_change_approves_it_and_it_is_healed(asking: Healer) -> None:
    story = Story(asking)
    asking.lab.break_("nginx-killed", "web1")
    asked = question(asking, "restart_service")

    shown = story("approvals", "show", asked["id"])
    story("approvals", "approve", asked["id"], "--reason", "looked at it")
    wait_for(lambda: asking.json("incidents", "show", asked["incident_id"])["incident"]["state"] == "healed", "healed")
    again = story("approvals", "approve", asked["id"], "--reason", "once more", code=78)

    assert "would restart nginx.service" in shown
    assert "was approved already" in again
    runs = [one for one in asking.json("runs", "list") if one["incident_id"] == asked["incident_id"]]
    assert [one["kind"] for one in reversed(runs)] == ["look", "plan", "check", "act", "verify"]
    assert asking.lab.execute("web1", "systemctl is-active nginx").stdout.strip() == "active"


def test_what_changed_since_it_was_asked_is_void_and_says_what(asking: Healer) -> None:
    story = Story(asking)
    asking.lab.break_("unit-noexec", "web1")
    first = question(asking, "fix_permissions")
    shown = story("approvals", "show", first["id"])
    role = asking.config.parent / "roles" / "fix_permissions" / "tasks" / "main.yml"
    role.write_text(f"{role.read_text()}# somebody worked on it\n")
    sys.stdout.write("\n(somebody changes the role fix_permissions)\n")

    void = story("approvals", "approve", first["id"], "--reason", "looked at it", code=78)

    assert f"would set owner, group and mode of {SCRIPT}" in shown
    assert f"{first['id']} is void. Since it was asked, the role fix_permissions changed." in void

    # The next error asks anew, about what is there now.
    second = question(asking, "fix_permissions", but=first["id"])
    asking.lab.execute("web1", f"mv {SCRIPT} /opt/elsewhere && ln -s /etc/hostname {SCRIPT}")
    sys.stdout.write(f"\n(the next error asks anew; then somebody puts a link where {SCRIPT} was)\n")

    void = story("approvals", "approve", second["id"], "--reason", "looked at it", code=78)

    assert f"Since it was asked, {SCRIPT} on web1 is now a link to /etc/hostname." in void
    story("approvals", "show", second["id"])
    story("approvals", "list", "--all")
    acted = [one for one in asking.json("runs", "list") if (one["kind"], one["action"]) == ("act", "fix_permissions")]
    assert acted == []
    for one in (first, second):
        ended = asking.json("incidents", "show", one["incident_id"])["incident"]
        assert ended["state"] == "expired"
        assert ended["reason"].startswith(f"{one['id']} is void. ")
