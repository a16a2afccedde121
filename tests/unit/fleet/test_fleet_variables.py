"""Variables to Host: every accepted spelling, and for every bad one host, variable and what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.actions import Risk
from orchestrator.domain.hosts import Connection, Host, HostPolicy, LogFile, Mode, Permit
from orchestrator.domain.windows import read_window
from orchestrator.errors import InventoryError
from orchestrator.fleet.variables import build_host


def host(variables: dict[str, Any]) -> Host:
    return build_host("web1", ["web"], variables, actions={"restart_service", "fix_permissions"})


def test_a_host_without_variables_gets_every_careful_default() -> None:
    built = host({})

    assert built == Host(
        name="web1", groups=("web",), connection=Connection(kind="ssh", address="web1"), policy=HostPolicy()
    )
    assert built.policy.mode is Mode.PROPOSE
    assert built.policy.max_attempts == 3


@pytest.mark.parametrize(
    ("variables", "field", "value"),
    [
        ({"healing_mode": "auto"}, "mode", Mode.AUTO),
        ({"healing_mode": "off"}, "mode", Mode.OFF),
        ({"healing_mode": False}, "mode", Mode.OFF),
        ({"healing_actions": []}, "actions", frozenset()),
        ({"healing_actions": ["restart_service"]}, "actions", frozenset({"restart_service"})),
        (
            {"healing_actions": "restart_service, fix_permissions"},
            "actions",
            frozenset({"restart_service", "fix_permissions"}),
        ),
        (
            {"healing_protected_services": ["postgresql*", "vip@1.service"]},
            "protected_services",
            frozenset({"postgresql*", "vip@1.service"}),
        ),
        ({"healing_safe_directories": ["/srv/app"]}, "safe_directories", ("/srv/app",)),
        ({"healing_safe_directories": []}, "safe_directories", ()),
        ({"healing_permits": ["drop_page_cache"]}, "permits", frozenset({Permit.DROP_PAGE_CACHE})),
        ({"healing_permits": []}, "permits", frozenset()),
        ({"healing_max_risk": "low"}, "max_risk", Risk.LOW),
        ({"healing_windows": ["22:00-06:00 UTC"]}, "windows", (read_window("22:00-06:00 UTC"),)),
        ({"healing_windows": "Sat,Sun 00:00-24:00 UTC"}, "windows", (read_window("Sat,Sun 00:00-24:00 UTC"),)),
        ({"healing_max_attempts": 1}, "max_attempts", 1),
        ({"healing_max_attempts": "2"}, "max_attempts", 2),
        ({"healing_cooldown_seconds": 0}, "cooldown_seconds", 0.0),
        ({"healing_max_age_seconds": "90.5"}, "max_age_seconds", 90.5),
        ({"healing_hold_seconds": 5}, "hold_seconds", 5.0),
        (
            {"healing_approvers": ["cli:ann", "cli:DOM\\\\ann", "api", "api:pager", "web:bob"]},
            "approvers",
            frozenset({"cli:ann", "cli:DOM\\\\ann", "api", "api:pager", "web:bob"}),
        ),
        ({"healing_approvers": []}, "approvers", frozenset()),
        ({}, "approvers", None),
        ({"healing_four_eyes": "yes"}, "four_eyes", True),
        ({}, "four_eyes", False),
    ],
)
def test_a_policy_variable_is_read(variables: dict[str, Any], field: str, value: object) -> None:
    assert getattr(host(variables).policy, field) == value


def test_log_files_carry_the_full_name_of_their_unit() -> None:
    listed = [
        {"path": "/var/log/nginx/error.log", "unit": "nginx"},
        {"path": "/srv/x.log", "unit": "x@1.service"},
    ]

    assert host({"healing_log_files": listed}).log_files == (
        LogFile(path="/var/log/nginx/error.log", unit="nginx.service"),
        LogFile(path="/srv/x.log", unit="x@1.service"),
    )


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("healing_mode", "autoo", "accepted: propose, auto, off (did you mean auto?)"),
        ("healing_mode", True, "accepted: propose, auto, off"),
        ("healing_mode", None, "accepted: propose, auto, off"),
        ("healing_mode", "Auto", "accepted: propose, auto, off"),
        ("healing_typo", 1, "is no variable of healing-bot; known: healing_mode"),
        ("healing_max_attemps", 1, "did you mean healing_max_attempts?"),
        ("healing_actions", None, "is empty; accepted: a list of action names"),
        ("healing_actions", "", "accepted: a list of action names"),
        ("healing_actions", ["restart_servce"], "did you mean restart_service?"),
        ("healing_actions", ["rm -rf /"], "accepted: names as `healer actions` lists them"),
        ("healing_actions", [1], "holds 1; accepted"),
        ("healing_protected_services", {"nginx": True}, "accepted: a list of unit names"),
        ("healing_protected_services", ["a b"], "holds 'a b'"),
        ("healing_protected_services", ["web[a"], "a pattern that can't be read"),
        ("healing_protected_services", ["web]"], "a pattern that can't be read"),
        ("healing_protected_services", ["web[]x"], "a pattern that can't be read"),
        ("healing_protected_services", ["web[z-a]"], "closed and in order"),
        ("healing_protected_services", ["*a*a*a*a*a"], "with at most 4 stars"),
        ("healing_max_risk", "hgh", "is 'hgh'; accepted: low, medium, high (did you mean high?)"),
        ("healing_max_risk", 2, "accepted: low, medium, high"),
        ("healing_max_rsk", "low", "did you mean healing_max_risk?"),
        ("healing_window", [], "did you mean healing_windows?"),
        ("healing_windows", [], "no window would ever open"),
        ("healing_windows", None, "is empty; accepted: a list of windows in calendar form, such as"),
        ("healing_windows", [{"cron": "x"}], "accepted: a list of windows"),
        ("healing_windows", ["22:00-22:00 UTC"], "never opens: it ends when it begins"),
        ("healing_windows", ["10:00-11:00 UTC", "0 0 31 2 * for 1h UTC"], "no such month has a day 31"),
        ("healing_safe_directories", ["/"], "without /, .. and ~"),
        ("healing_safe_directories", ["/opt/../etc"], "holds '/opt/../etc'"),
        ("healing_safe_directories", ["opt"], "holds 'opt'"),
        ("healing_safe_directories", ["~/x"], "holds '~/x'"),
        (
            "healing_permits",
            ["drop_caches"],
            "accepted: a list of drop_page_cache, restart_zombie_parent (did you mean",
        ),
        ("healing_permits", {"drop_page_cache": True}, "accepted: a list of drop_page_cache"),
        ("healing_max_attempts", 0, "a whole number from 1 to 3"),
        ("healing_max_attempts", 4, "a whole number from 1 to 3"),
        ("healing_max_attempts", 2.5, "a whole number from 1 to 3"),
        ("healing_max_attempts", True, "a whole number from 1 to 3"),
        ("healing_max_attempts", None, "is empty"),
        ("healing_cooldown_seconds", -1, "seconds, a number from 0 to 86400"),
        ("healing_cooldown_seconds", "5m", "seconds, a number from 0 to 86400"),
        ("healing_max_age_seconds", float("nan"), "seconds, a number from 1 to 86400"),
        ("healing_hold_seconds", True, "seconds, a number from 1 to 86400"),
        ("healing_approvers", None, "is empty; accepted: a list such as cli:ann"),
        ("healing_approvers", ["ann"], "holds 'ann'; accepted: a list such as cli:ann"),
        ("healing_approvers", ["cli"], "holds 'cli'"),
        ("healing_approvers", ["ldap:ann"], "holds 'ldap:ann'"),
        ("healing_approvers", ["cli:"], "holds 'cli:'"),
        ("healing_approvers", ["cli:a b"], "holds 'cli:a b'"),
        ("healing_four_eyes", "maybe", "accepted: true or false"),
        ("healing_log_files", "/var/log/x", "is no list"),
        ("healing_log_files", [{"path": "/var/log/x"}], "unit: the unit that writes it"),
        ("healing_log_files", [{"path": "/var/log/x", "unit": ""}], "has unit ''"),
        ("healing_log_files", [{"path": "/var/log/x", "unit": "ngi*"}], "has unit 'ngi*'"),
        ("healing_log_files", [{"path": "/var/log/*.log", "unit": "x"}], "no pattern"),
        ("healing_log_files", [{"path": "x.log", "unit": "x"}], "has path 'x.log'"),
        ("healing_log_files", [{"path": "/x", "unit": "x"}, {"path": "/x", "unit": "y"}], "names /x twice"),
        ("healing_log_files", [{"path": "/x", "unit": "x", "level": 3}], "accepted: a list of"),
    ],
)
def test_a_bad_policy_value_names_host_variable_and_what_is_accepted(variable: str, value: object, says: str) -> None:
    with pytest.raises(InventoryError) as caught:
        host({variable: value})

    assert str(caught.value).startswith(f"web1: {variable} ")
    assert says in str(caught.value)


def test_a_bad_value_is_told_with_the_place_where_it_was_set() -> None:
    with pytest.raises(InventoryError, match=r"autoo.* It is set in group_vars/web.yml, line 4\.$"):
        build_host("web1", [], {"healing_mode": "autoo"}, origins={"healing_mode": "group_vars/web.yml, line 4"})


def test_a_pattern_with_brackets_and_stars_is_kept() -> None:
    listed = ["db[0-9a]*", "web[ab]", "*a*b*"]

    assert host({"healing_protected_services": listed}).policy.protected_services == set(listed)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ansible_host": "192.0.2.7"}, {"address": "192.0.2.7"}),
        ({"ansible_host": "fe80::1%eth0"}, {"address": "fe80::1%eth0"}),
        ({"ansible_port": "2222"}, {"port": 2222}),
        ({"ansible_port": 22, "ansible_ssh_port": 23}, {"port": 23}),
        ({"ansible_ssh_common_args": "-p 2022 -l ops"}, {"port": 2022, "user": "ops"}),
        ({"ansible_user": "x", "ansible_ssh_args": "-l y"}, {"user": "x"}),
        ({"ansible_private_key_file": "/k"}, {"key_file": "/k"}),
        ({"ansible_ssh_private_key_file": "~/k"}, {"key_file": "~/k"}),
        ({"ansible_password": "a", "ansible_ssh_pass": "b"}, {"password": "b"}),
        ({"ansible_ssh_pass": 1234}, {"password": "1234"}),
        ({"ansible_connection": "local"}, {"kind": "local"}),
        ({"ansible_connection": "ansible.builtin.ssh"}, {"kind": "ssh"}),
        *(({"ansible_become": word}, {"become": True}) for word in (True, "yes", "On", 1, "true")),
        *(({"ansible_become": word}, {"become": False}) for word in (False, "no", "OFF", 0, "f")),
        ({"ansible_become_pass": "s"}, {"become_password": "s"}),
        ({"ansible_sudo_pass": "t"}, {"become_password": "t"}),
        (
            {
                "ansible_ssh_extra_args": "-o c=3",
                "ansible_ssh_args": "-o 'a=1 x'",
                "ansible_ssh_common_args": "-o b=2",
            },
            {"ssh_arguments": ("-o", "a=1 x", "-o", "b=2", "-o", "c=3")},
        ),
        ({"ansible_ssh_common_args": ""}, {"ssh_arguments": ()}),
    ],
)
def test_a_connection_variable_is_read(variables: dict[str, Any], expected: dict[str, Any]) -> None:
    connection = host(variables).connection

    assert {name: getattr(connection, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ansible_host", "", "accepted: a host name or address"),
        ("ansible_host", None, "is empty; accepted: a host name or address"),
        ("ansible_host", "-oProxyCommand=reboot", "without port, blank or leading -"),
        ("ansible_host", "a b", "without port, blank or leading -"),
        ("ansible_connection", "paramiko_ssh", "accepted: ssh, local"),
        ("ansible_connection", "docker", "accepted: ssh, local"),
        ("ansible_connection", None, "accepted: ssh, local"),
        ("ansible_port", 0, "a whole number from 1 to 65535"),
        ("ansible_port", "ssh", "a whole number from 1 to 65535"),
        ("ansible_user", "-l root", "without blanks or leading -"),
        ("ansible_user", "", "accepted: a login name"),
        ("ansible_become", "maybe", "accepted: true or false"),
        ("ansible_become", 2, "accepted: true or false"),
        ("ansible_ssh_args", "-o 'open", "can't be split"),
        ("ansible_ssh_args", ["-o", "x"], "in one string"),
        ("ansible_ssh_private_key", "-----BEGIN", "accepted: ansible_ssh_private_key_file"),
        ("ansible_password", "", "has no usable value"),
        ("ansible_user", "{{ someone }}", "stays a template"),
        ("healing_mode", "{% if x %}auto{% endif %}", "stays a template"),
        ("healing_actions", ["{{ more }}"], "stays a template"),
        ("ansible_password", "$ANSIBLE_VAULT;1.1;AES256\n6162", "is still vault text"),
        ("ansible_extra", {"deep": ["$ANSIBLE_VAULT;1.1;AES256\n6162"]}, "is still vault text"),
    ],
)
def test_a_bad_connection_value_names_host_variable_and_what_is_accepted(
    variable: str, value: object, says: str
) -> None:
    with pytest.raises(InventoryError) as caught:
        host({variable: value})

    assert str(caught.value).startswith(f"web1: {variable} ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ansible_become": True, "ansible_become_method": "su"}, "ansible_become_method"),
        ({"ansible_become": True, "ansible_become_user": "deploy"}, "ansible_become_user"),
    ],
)
def test_becoming_anything_but_root_through_sudo_is_refused(variables: dict[str, Any], named: str) -> None:
    with pytest.raises(InventoryError, match=f"web1: {named} is"):
        host(variables)

    assert host(variables | {"ansible_become": False}).connection.become is False


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a b", "web[1:3]", "a,b", "", "!web1", "a/b"])
def test_a_host_name_that_would_mean_something_else_in_an_inventory_is_refused(name: str) -> None:
    with pytest.raises(InventoryError, match="its name can't be used"):
        build_host(name, [], {})


def test_a_secret_never_shows_in_an_error_or_repr() -> None:
    with pytest.raises(InventoryError) as caught:
        host({"ansible_password": "{{ 'c4nary' }}"})
    built = host({"ansible_password": "c4nary", "ansible_become_pass": "c4nary"})

    assert "c4nary" not in str(caught.value)
    assert "c4nary" not in repr(built)


def test_a_password_may_hold_single_braces_of_any_kind() -> None:
    assert host({"ansible_password": "a{{b"}).connection.password == "a{{b"


def test_variables_for_a_run_are_the_ansible_ones_without_a_way_to_skip_the_host_key_check() -> None:
    given = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_host_key_checking": False,
        "ansible_ssh_host_key_checking": False,
        "healing_mode": "auto",
    }

    assert host(given).variables == {"ansible_python_interpreter": "/usr/bin/python3"}
