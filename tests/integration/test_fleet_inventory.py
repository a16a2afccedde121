"""The inventory as real Ansible resolves it, in the real child process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.domain.hosts import Mode
from orchestrator.errors import InventoryError
from orchestrator.fleet.inventory import InventoryFleet

ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent", "LANG": "C.UTF-8"}

Write = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files below a fresh folder; the folder's path."""

    def files(texts: Mapping[str, str]) -> Path:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return files


def fleet(inventory: Path, **environment: str) -> InventoryFleet:
    return InventoryFleet(inventory, ENVIRONMENT | environment, timeout=60)


def refusal(inventory: Path, **environment: str) -> str:
    with pytest.raises(InventoryError) as caught:
        fleet(inventory, **environment).hosts()
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def vaulted(folder: Path, text: str) -> str:
    """An inline vault value for YAML, encrypted by ansible-vault with the password in folder/secret."""
    (folder / "secret").write_text("open sesame\n", encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible.cli.vault", "encrypt_string"),
            *("--vault-password-file", str(folder / "secret"), "--stdin-name", "ansible_password"),
        ],
        input=text,
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_an_ini_file_with_groups_ports_and_typed_values(write: Write) -> None:
    folder = write(
        {
            "hosts.ini": "db1\n[web]\nweb1 ansible_host=192.0.2.1 ansible_port=2222 healing_mode=auto\nweb2\n"
            "[web:vars]\nhealing_max_attempts=2\nhealing_actions=['restart_service']\n"
            "healing_log_files=[{'path': '/var/log/x.log', 'unit': 'x'}]\n[prod:children]\nweb\n"
        }
    )

    db1, web1, web2 = fleet(folder / "hosts.ini").hosts()

    assert (db1.groups, db1.connection.address, db1.policy.mode) == (("ungrouped",), "db1", Mode.PROPOSE)
    assert (web1.groups, web1.connection.address, web1.connection.port) == (("prod", "web"), "192.0.2.1", 2222)
    assert (web1.policy.mode, web2.policy.mode) == (Mode.AUTO, Mode.PROPOSE)
    assert (web2.policy.max_attempts, web2.policy.actions) == (2, frozenset({"restart_service"}))
    assert [(file.path, file.unit) for file in web2.log_files] == [("/var/log/x.log", "x.service")]
    assert web1.variables == {"ansible_host": "192.0.2.1", "ansible_port": 2222}


def test_group_and_host_vars_beside_the_inventory_in_ansibles_precedence(write: Write) -> None:
    folder = write(
        {
            "inventory/hosts.yml": "all:\n  children:\n    web: {hosts: {web1: , web2: }}\n"
            "    prod: {hosts: {web1: }}\n",
            "inventory/group_vars/all.yml": "healing_mode: off\nhealing_hold_seconds: 5\n",
            "inventory/group_vars/web.yml": "healing_mode: propose\n",
            "inventory/host_vars/web2.yml": "healing_mode: auto\n",
        }
    )

    web1, web2 = fleet(folder / "inventory").hosts()

    assert (web1.groups, web1.policy.mode, web1.policy.hold_seconds) == (("prod", "web"), Mode.PROPOSE, 5.0)
    assert web2.policy.mode is Mode.AUTO


def test_a_bare_off_in_yaml_is_off(write: Write) -> None:
    folder = write({"hosts.yml": "all: {hosts: {web1: {healing_mode: off}}}\n"})

    assert fleet(folder / "hosts.yml").host("web1").policy.mode is Mode.OFF


def test_an_inventory_plugin_groups_hosts_and_the_groups_variables_count(write: Write) -> None:
    folder = write(
        {
            "inventory/1-hosts.ini": "web1 role=front\nweb2 role=back\n",
            "inventory/2-built.yml": "plugin: ansible.builtin.constructed\nstrict: true\n"
            "keyed_groups: [{key: role, prefix: tier}]\ncompose: {ansible_host: inventory_hostname ~ '.example.com'}\n",
            "inventory/group_vars/tier_front.yml": "healing_mode: auto\n",
        }
    )

    web1, web2 = fleet(folder / "inventory").hosts()

    assert (web1.groups, web1.policy.mode) == (("tier_front",), Mode.AUTO)
    assert (web2.connection.address, web2.policy.mode) == ("web2.example.com", Mode.PROPOSE)


def test_where_each_policy_variable_was_set_is_known(write: Write) -> None:
    folder = write(
        {
            "hosts.ini": "[web]\nweb1 healing_mode=auto\n[web:vars]\nhealing_max_attempts=2\n",
            "group_vars/web.yml": "healing_max_risk: low\nhealing_windows:\n  - 22:00-06:00 UTC\n",
            "group_vars/all.yml": "healing_mode: auto\nhealing_max_risk: high\n",
            "host_vars/web1.yml": "---\nhealing_max_risk: \"{{ 'hi' ~ 'gh' }}\"\nhealing_mode: off\n",
        }
    )

    assert fleet(folder / "hosts.ini").host("web1").origins == {
        "healing_mode": f"{folder}/host_vars/web1.yml, line 3",
        "healing_max_attempts": f"{folder}/hosts.ini, line 4",
        "healing_max_risk": f"{folder}/host_vars/web1.yml, line 2",
        "healing_windows": f"{folder}/group_vars/web.yml, line 3",
    }


def test_a_bad_value_is_told_with_file_and_line(write: Write) -> None:
    folder = write({"hosts.ini": "[web]\nweb1\n", "group_vars/web.yml": "x: y\nhealing_windows: []\n"})

    text = refusal(folder / "hosts.ini")

    assert "web1: healing_windows is an empty list, so no window would ever open" in text
    assert f"It is set in {folder}/group_vars/web.yml, line 2" in text


def test_templates_in_connection_values_are_resolved_for_each_host(write: Write) -> None:
    folder = write(
        {
            "hosts.yml": "all:\n  hosts:\n    bastion: {ansible_host: 192.0.2.9, ansible_user: jump}\n"
            "    web1: {number: 1}\n    web2: {number: 2, ansible_user: '{{ omit }}'}\n  vars:\n"
            "    ansible_host: '192.0.2.{{ number }}'\n    ansible_port: '{{ 2200 + number }}'\n"
            "    number: 9\n    ansible_user: '{{ team | default(\"ops\") }}'\n"
            "    ansible_ssh_common_args: >-\n"
            "      -J {{ hostvars.bastion.ansible_user }}@{{ hostvars.bastion.ansible_host }}\n"
        }
    )

    web1, web2 = (fleet(folder / "hosts.yml").host(name) for name in ("web1", "web2"))

    assert (web1.connection.address, web1.connection.port, web1.connection.user) == ("192.0.2.1", 2201, "ops")
    assert web1.connection.ssh_arguments == ("-J", "jump@192.0.2.9")
    assert web2.connection.user is None


@pytest.mark.parametrize("how", ["environment", "ansible.cfg"])
def test_a_vault_password_is_decrypted_and_stays_secret(write: Write, tmp_path: Path, how: str) -> None:
    folder = write(
        {
            "inventory/hosts.yml": "all: {hosts: {web1: }}\n",
            "inventory/group_vars/all.yml": vaulted(tmp_path, "c4nary"),
            "ansible.cfg": f"[defaults]\nvault_password_file = {tmp_path / 'secret'}\n",
        }
    )
    given = {
        "environment": {"ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "secret")},
        "ansible.cfg": {"ANSIBLE_CONFIG": str(folder / "ansible.cfg")},
    }

    web1 = fleet(folder / "inventory", **given[how]).host("web1")

    assert web1.connection.password == "c4nary"
    assert web1.variables == {"ansible_password": "c4nary"}
    assert "c4nary" not in repr(web1)


def test_an_encrypted_file_of_group_variables_is_read(write: Write, tmp_path: Path) -> None:
    folder = write(
        {
            "inventory/hosts.yml": "all: {hosts: {web1: }}\n",
            "inventory/group_vars/all.yml": "healing_mode: auto\n",
            "secret": "open sesame\n",
        }
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "ansible.cli.vault", "encrypt", "--vault-password-file", str(folder / "secret")),
            str(folder / "inventory/group_vars/all.yml"),
        ],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )

    known = fleet(folder / "inventory", ANSIBLE_VAULT_PASSWORD_FILE=str(folder / "secret"))

    assert known.host("web1").policy.mode is Mode.AUTO
    assert "vault" in refusal(folder / "inventory").lower()


def test_vault_text_that_no_password_opens_names_host_and_variable(write: Write, tmp_path: Path) -> None:
    folder = write({"hosts.yml": "all: {hosts: {web1: }}\n", "group_vars/all.yml": vaulted(tmp_path, "c4nary")})
    (folder / "wrong").write_text("open barley\n", encoding="utf-8")

    for environment in ({}, {"ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "wrong")}):
        text = refusal(folder / "hosts.yml", **environment)

        assert "web1: ansible_password can't be resolved" in text
        assert "vault" in text.lower()
        assert "$ANSIBLE_VAULT" not in text


def test_a_missing_vault_password_file_is_named(write: Write) -> None:
    folder = write({"hosts.ini": "web1\n"})

    assert "/no/such/secret" in refusal(folder / "hosts.ini", ANSIBLE_VAULT_PASSWORD_FILE="/no/such/secret")


def test_connection_defaults_of_ansible_cfg_count_where_no_variable_does(write: Write) -> None:
    folder = write(
        {
            "hosts.ini": "web1\nweb2 ansible_user=own ansible_ssh_port=22022\n",
            "ansible.cfg": "[defaults]\nremote_user = cfg\nremote_port = 2222\n"
            "[privilege_escalation]\nbecome = true\n[ssh_connection]\nssh_common_args = -J bastion\n",
        }
    )

    web1, web2 = fleet(folder / "hosts.ini", ANSIBLE_CONFIG=str(folder / "ansible.cfg")).hosts()

    assert (web1.connection.user, web1.connection.port, web1.connection.become) == ("cfg", 2222, True)
    assert web1.connection.ssh_arguments == ("-J", "bastion")
    assert (web2.connection.user, web2.connection.port) == ("own", 22022)
    assert web1.variables["ansible_ssh_common_args"] == "-J bastion"


def test_what_a_host_said_of_itself_is_no_policy(write: Write) -> None:
    folder = write({"hosts.ini": "web1 healing_mode=off\n"})
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder / "facts")}
    subprocess.run(
        [
            *(sys.executable, "-m", "ansible.cli.adhoc", "-i", str(folder / "hosts.ini"), "-c", "local", "web1"),
            *("-m", "set_fact", "-a", '{"healing_mode": "auto", "ansible_x": "y", "cacheable": true}'),
        ],
        env=ENVIRONMENT | cache | {"ANSIBLE_HOME": str(folder / "home")},
        capture_output=True,
        check=True,
    )
    assert [path for path in (folder / "facts").iterdir() if "auto" in path.read_text(encoding="utf-8")]

    web1 = fleet(folder / "hosts.ini", **cache).host("web1")

    assert (web1.policy.mode, web1.connection.address, web1.variables) == (Mode.OFF, "web1", {})


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ansible_user", "'{{ nobody_set_this }}'", "'nobody_set_this' is undefined"),
        ("healing_mode", "'{{ nobody_set_this }}'", "'nobody_set_this' is undefined"),
        ("ansible_port", "'{{ 1 +'", "ansible_port can't be resolved"),
        ("healing_mode", "!unsafe '{{ mode }}'", "stays a template"),
        ("healing_mode", "autoo", "did you mean auto"),
        ("healing_mod", "auto", "did you mean healing_mode"),
        ("ansible_password", "'$ANSIBLE_VAULT;1.1;AES256 6162'", "is still vault text"),
    ],
)
def test_a_bad_value_names_host_and_variable(write: Write, variable: str, value: str, says: str) -> None:
    folder = write({"hosts.yml": f"all:\n  hosts:\n    web1:\n      {variable}: {value}\n"})

    text = refusal(folder / "hosts.yml")

    assert text.startswith(f"web1: {variable} ")
    assert says in text


def test_all_bad_hosts_are_told_at_once(write: Write) -> None:
    lines = "".join(f"web{n} healing_mode=x{n}\n" for n in range(1, 8))

    text = refusal(write({"hosts.ini": lines}) / "hosts.ini")

    assert "web1: healing_mode" in text
    assert "web5: healing_mode" in text
    assert "and 2 more" in text


def test_what_a_group_has_wrong_is_said_once_for_all_its_hosts(write: Write) -> None:
    hosts = "".join(f"web{n}\n" for n in range(1, 8))
    folder = write({"hosts.ini": f"[web]\n{hosts}", "group_vars/web.yml": "healing_mod: auto\n"})

    assert refusal(folder / "hosts.ini") == (
        "web1, web2, web3 and 4 more: healing_mod is no variable of healing-bot; did you mean healing_mode? It is set "
        f"in {folder}/group_vars/web.yml, line 1. (Inventory {folder / 'hosts.ini'}.)"
    )

    (folder / "group_vars" / "web.yml").write_text("healing_mode: '{{ nobody_set_this }}'\n", encoding="utf-8")
    assert refusal(folder / "hosts.ini").count("'nobody_set_this' is undefined") == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("hosts.yml", "all:\n  hosts:\n    web1: ansible_host: x\n", "line 3"),
        ("hosts.yml", "all:\n  hosts:\n  - web1\n", 'Invalid "hosts" entry'),
        ("hosts.yml", "plugin: no.such.plugin\n", "ansible_collections.no"),
        ("hosts.ini", "[web\nweb1\n", "Ansible can't read the inventory"),
        ("hosts.ini", "[web:children]\nnone\n", "none"),
        ("hosts.ini", "", "lists no host"),
        ("hosts.yml", "all: {hosts: {}}\n", "lists no host"),
    ],
)
def test_an_inventory_that_cannot_be_used_is_one_clear_sentence(
    write: Write, name: str, content: str, says: str
) -> None:
    text = refusal(write({name: content}) / name)

    assert says in text
    assert name in text


def test_one_bad_file_of_a_folder_is_an_error_and_not_a_smaller_fleet(write: Write) -> None:
    folder = write({"inventory/a.ini": "web1\n", "inventory/b.yml": "all: [\n"})

    assert "b.yml" in refusal(folder / "inventory")


def test_a_missing_inventory_says_what_to_do(tmp_path: Path) -> None:
    assert "does not exist. Set `inventory`" in refusal(tmp_path / "none.yml")


def test_an_unknown_host_is_answered_with_near_matches(write: Write) -> None:
    known = fleet(write({"hosts.ini": "web1\nweb2\ndb1\n"}) / "hosts.ini")

    with pytest.raises(InventoryError, match=r"no host 'wbe1'\. Did you mean web1"):
        known.host("wbe1")
    with pytest.raises(InventoryError, match=r"no host 'zzz'\. It has: db1, web1, web2\."):
        known.host("zzz")


def test_the_fleet_is_read_once_and_again_when_asked(write: Write) -> None:
    folder = write({"hosts.ini": "web1\n"})
    known = fleet(folder / "hosts.ini")

    assert len(known.hosts()) == 1
    write({"hosts.ini": "web1\nweb2\n"})
    assert len(known.hosts()) == 1
    assert len(known.reload()) == 2
    write({"hosts.ini": "[broken\n"})
    with pytest.raises(InventoryError):
        known.reload()
    assert len(known.hosts()) == 2


def test_the_fleet_is_read_again_once_for_each_change_of_its_files(write: Write) -> None:
    folder = write({"hosts.ini": "web1\n", "group_vars/all.yml": "healing_mode: propose\n"})
    known = fleet(folder / "hosts.ini")
    assert known.host("web1").policy.mode == "propose"

    assert not known.refresh()
    write({"group_vars/all.yml": "healing_mode: 'off'\n"})
    assert known.refresh()
    assert not known.refresh()

    assert known.host("web1").policy.mode == "off"


def test_a_change_that_can_t_be_read_is_told_once_and_the_former_policy_stays(write: Write) -> None:
    folder = write({"hosts.ini": "web1\n", "group_vars/all.yml": "healing_mode: 'off'\n"})
    known = fleet(folder / "hosts.ini")
    known.hosts()
    write({"group_vars/all.yml": "healing_mode: perhaps\n"})

    with pytest.raises(InventoryError, match="healing_mode"):
        known.refresh()

    assert not known.refresh()
    assert known.host("web1").policy.mode == "off"


def test_a_hanging_inventory_is_ended_with_all_that_it_started(write: Write) -> None:
    folder = write({"hosts.sh": '#!/bin/sh\nsleep 600 &\necho $! > "$(dirname "$0")/pid"\nwait\n'})
    (folder / "hosts.sh").chmod(0o755)
    known = InventoryFleet(folder / "hosts.sh", ENVIRONMENT, timeout=5)

    with pytest.raises(InventoryError, match="within 5 s"):
        known.hosts()

    pid = int((folder / "pid").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the inventory's child is still alive"


def test_the_child_sees_no_more_of_the_environment_than_it_is_given(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "c4nary")
    folder = write({"hosts.yml": "all: {hosts: {web1: {ansible_x: \"{{ lookup('env', 'GEMINI_API_KEY') }}\"}}}\n"})

    assert fleet(folder / "hosts.yml").host("web1").variables == {"ansible_x": ""}
