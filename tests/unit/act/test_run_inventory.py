from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import settings as settings_module
from orchestrator.act import inventory
from orchestrator.domain.hosts import Connection, Host, Secret
from orchestrator.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "healer.toml"
    config.write_text('known_hosts = "known"\n')
    return settings_module.load(config, {"HOME": str(tmp_path), "PATH": "/bin"})


def ssh_host(**variables: Any) -> Host:
    return Host(name="web1", groups=(), connection=Connection(kind="ssh", address="web1"), variables=variables)


def read(text: str) -> Any:
    """As Ansible reads it, but for what it makes of `!unsafe`: here a tuple, to be seen."""

    class Loader(yaml.SafeLoader):
        pass

    def unsafe(loader: Loader, node: yaml.ScalarNode) -> tuple[str, Any]:
        return "unsafe", loader.construct_scalar(node)

    Loader.add_constructor("!unsafe", unsafe)
    return yaml.load(text, Loader=Loader)  # noqa: S506  # a SafeLoader


@pytest.mark.parametrize(
    "value",
    [
        "{{ 7*7 }}",
        "{% raw %}",
        "",
        "yes",
        "0644",
        "null",
        "!vault x",
        "- a",
        "'\"\\",
        "a\nb",
        "\x85\x1b",
        "ä\U0001f600",
    ],
)
def test_a_string_stays_the_very_string_and_is_marked(value: str) -> None:
    assert read(inventory.dump({"key": value, "nested": {"list": [value]}})) == {
        "key": ("unsafe", value),
        "nested": {"list": [("unsafe", value)]},
    }


def test_numbers_and_truths_stay_what_they_are() -> None:
    assert read(inventory.dump({"a": 1, "b": True, "c": None, "d": 1.5})) == {"a": 1, "b": True, "c": None, "d": 1.5}


def test_a_secret_is_a_string_like_any_other() -> None:
    assert read(inventory.dump({"key": Secret("x")})) == {"key": ("unsafe", "x")}


def test_it_names_exactly_the_permitted_hosts(settings: Settings) -> None:
    hosts = [ssh_host(), replace(ssh_host(), name="db1")]
    assert set(read(inventory.render(hosts, settings))["all"]["hosts"]) == {"web1", "db1"}


def test_the_same_hosts_give_the_same_text(settings: Settings) -> None:
    one, other = ssh_host(ansible_user="a", ansible_port=1), ssh_host(ansible_port=1, ansible_user="a")
    assert inventory.render([one], settings) == inventory.render([other], settings)


def test_our_known_hosts_comes_before_all_other_ssh_arguments(settings: Settings) -> None:
    host = ssh_host(ansible_ssh_args="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null")
    arguments = shlex.split(inventory.variables(host, settings)["ansible_ssh_args"])
    assert arguments[:4] == ["-o", "StrictHostKeyChecking=yes", "-o", f'UserKnownHostsFile="{settings.known_hosts}"']


def test_the_host_s_own_known_hosts_file_wins(settings: Settings) -> None:
    arguments = ("-o", "UserKnownHostsFile=/etc/lab/known")
    host = replace(ssh_host(), connection=Connection(kind="ssh", address="web1", ssh_arguments=arguments))
    assert '/etc/lab/known"' in shlex.split(inventory.variables(host, settings)["ansible_ssh_args"])[3]


@pytest.mark.parametrize("name", ["ansible_host_key_checking", "ansible_ssh_host_key_checking"])
def test_no_variable_switches_the_host_key_check_off(settings: Settings, name: str) -> None:
    assert inventory.variables(ssh_host(**{name: False}), settings)[name] is True


def test_what_only_the_connection_knows_is_added(settings: Settings) -> None:
    connection = Connection(
        kind="ssh", address="192.0.2.1", port=2222, user="healer", password=Secret("pw"), become=True
    )
    found = inventory.variables(replace(ssh_host(), connection=connection), settings)
    assert (found["ansible_host"], found["ansible_port"], found["ansible_user"]) == ("192.0.2.1", 2222, "healer")
    assert (found["ansible_password"], found["ansible_become"]) == ("pw", True)


def test_a_value_under_its_older_name_is_not_given_twice(settings: Settings) -> None:
    connection = Connection(kind="ssh", address="192.0.2.1", user="a")
    host = replace(ssh_host(ansible_ssh_user="a", ansible_ssh_host="192.0.2.1"), connection=connection)
    assert not {"ansible_user", "ansible_host"} & inventory.variables(host, settings).keys()


def test_a_port_that_nobody_gave_is_left_to_the_ssh_config(settings: Settings) -> None:
    assert "ansible_port" not in inventory.variables(ssh_host(), settings)


def test_another_ssh_config_is_named_and_the_usual_one_is_not(settings: Settings, tmp_path: Path) -> None:
    assert "-F" not in inventory.variables(ssh_host(), settings)["ansible_ssh_args"]
    other = tmp_path / "other"
    other.touch()
    assert f"-F {other} " in inventory.variables(ssh_host(), replace(settings, ssh_config=other))["ansible_ssh_args"]


def test_a_local_host_uses_the_python_that_we_run_on(settings: Settings) -> None:
    host = Host(name="here", groups=(), connection=Connection(kind="local", address="here"))
    assert inventory.variables(host, settings) == {
        "ansible_connection": "local",
        "ansible_host_key_checking": True,
        "ansible_ssh_host_key_checking": True,
        "ansible_python_interpreter": sys.executable,
    }


def test_only_plain_variables_are_recorded(settings: Settings) -> None:
    host = ssh_host(
        ansible_user="healer",
        ansible_password="hunter22",
        ansible_become_password="hunter23",
        ansible_ssh_common_args="-o ProxyCommand='proxy --password hunter24'",
        ansible_become_exe="sudo",
        some_other="hunter25",
    )
    assert inventory.recorded(host, settings) == {"ansible_user": "healer", "ansible_connection": "ssh"}


def test_secrets_are_found_by_name_by_type_and_in_depth(settings: Settings) -> None:
    host = ssh_host(
        ansible_become_password="one-secret",
        vault_db={"password": "two-secret", "port": 5432},
        api_token=["three-secret"],
        ansible_ssh_private_key_file="/home/healer/key",
        odd=Secret("four-secret"),
        pin_password="123",
    )
    assert set(inventory.secrets([host], settings)) == {"one-secret", "two-secret", "three-secret", "four-secret"}
