"""Facts of units and paths: what is not understood allows nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collect.inspection import build_script, is_path, is_unit, parse

SSH = (
    "Id=ssh.service\nNames=ssh.service sshd.service\nLoadState=loaded\n"
    "ActiveState=active\nSubState=running\nRefuseManualStart=no\n"
)
FILE = "regular file\troot\tadm\t640\t1\t0"
WAY = "0\t755\troot\t/var/log\n0\t755\troot\t/var\n0\t755\troot\t/\n"


def unit(index: int, shown: str = SSH, reverse: str = "") -> list[str]:
    return [f"U {index}", shown, reverse]


def path(index: int, real: str = "/var/log/a", status: str = FILE, dangling: str = "", way: str = WAY) -> list[str]:
    return [f"P {index}", real, status, dangling, way]


def answer(*fields: str) -> bytes:
    return "\0".join([*fields, "E", ""]).encode("utf-8", "surrogateescape")


def test_an_alias_gives_the_units_own_id_and_its_dependants_without_itself() -> None:
    facts = parse(answer(*unit(0, reverse="sshd.service\nb.service\na.service\nssh.service\n")), ["sshd"], [])

    found = facts.units["sshd"]
    assert (found.asked, found.id, found.load_state, found.active_state) == ("sshd", "ssh.service", "loaded", "active")
    assert found.names == ("ssh.service", "sshd.service")
    assert found.required_by == ("a.service", "b.service")


@pytest.mark.parametrize(
    ("told", "job"),
    [
        ("Type=notify\nTriggeredBy=\n", False),
        ("Type=simple\nTriggeredBy=shop.socket\n", False),
        ("Type=oneshot\n", True),
        ("Type=simple\nTriggeredBy=shop.socket shop.timer\n", True),
        # Not told, as by a systemd that does not know the unit.
        ("", True),
    ],
)
def test_a_job_runs_and_ends_or_is_started_by_a_timer(told: str, job: bool) -> None:
    assert parse(answer(*unit(0, SSH + told)), ["ssh"], []).units["ssh"].job is job


@pytest.mark.parametrize("shown", ["", "Id=ssh.service\n", "LoadState=loaded\n", "Id=\nLoadState=loaded\n", "noise"])
def test_a_unit_that_is_not_told_is_invalid(shown: str) -> None:
    assert parse(answer(*unit(0, shown)), ["sshd"], []).units["sshd"].load_state == "invalid"


def test_a_unit_that_was_never_asked_for_is_invalid_and_a_path_is_missing() -> None:
    facts = parse(answer(), ["a b"], ["relative"])

    assert facts.units["a b"].load_state == "invalid"
    assert facts.paths["relative"].type == "missing"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (path(0), "file"),
        (path(0, status=FILE.replace("regular file", "regular empty file")), "file"),
        (path(0, status=FILE.replace("regular file", "directory")), "directory"),
        (path(0, status=FILE.replace("regular file", "fifo")), "other"),
        (path(0, real="", status="", dangling="dangling"), "other"),
        (path(0, status=""), "other"),
        (path(0, status="regular file\troot"), "other"),
        (path(0, real="", status=""), "missing"),
    ],
)
def test_a_path_is_of_one_kind(fields: list[str], kind: str) -> None:
    assert parse(answer(*fields), [], ["/var/log/a"]).paths["/var/log/a"].type == kind


def test_a_path_has_realpath_owner_and_mode() -> None:
    found = parse(answer(*path(0, real="/srv/real")), [], ["/var/log/a"]).paths["/var/log/a"]

    assert (found.realpath, found.owner, found.group, found.mode, found.links) == (
        "/srv/real",
        "root",
        "adm",
        "0640",
        1,
    )


@pytest.mark.parametrize(
    ("way", "writable"),
    [
        (WAY, ""),
        ("0\t1777\troot\t/tmp\n", "/tmp"),
        ("0\t775\troot\t/var/log\n0\t755\troot\t/\n", "/var/log"),
        ("1000\t755\ta\t/home/a\n", "/home/a"),
        ("0\t755\troot\t/a\n0\t757\troot\t/with\ttab\n", "/with\ttab"),
        ("garbage\n", "garbage"),
        ("0\tx\troot\t/a\n", "/a"),
    ],
)
def test_the_first_directory_that_others_can_write_is_named(way: str, writable: str) -> None:
    assert parse(answer(*path(0, way=way)), [], ["/p"]).paths["/p"].writable_parent == writable


def test_the_owners_own_directory_is_not_others() -> None:
    own = path(0, status="regular file\tshop\tshop\t644\t1\t1000", way="1000\t755\tshop\t/home/shop\n")

    assert parse(answer(*own), [], ["/p"]).paths["/p"].writable_parent == ""


SHOP = "User=shop\nDynamicUser=no\nLoadState=loaded\nLogsDirectory=cart shop\nStateDirectory=\n"


@pytest.mark.parametrize(
    ("declared", "folder", "writable"),
    [
        (SHOP, "999\t755\tshop\t/var/log/shop", ""),
        (f"LoadState=loaded\n\n{SHOP}", "999\t755\tshop\t/var/log/cart", ""),
        (SHOP.replace("shop\nState", "\nState") + "CacheDirectory=shop\n", "999\t755\tshop\t/var/cache/shop", ""),
        (SHOP, "999\t755\tshop\t/var/lib/shop", "/var/lib/shop"),
        (SHOP, "999\t775\tshop\t/var/log/shop", "/var/log/shop"),
        (SHOP, "998\t755\teve\t/var/log/shop", "/var/log/shop"),
        (SHOP, "999\t755\tshop\t/var/log/shop/sub", "/var/log/shop/sub"),
        (SHOP, "999\t755\tshop\t/opt/shop", "/opt/shop"),
        (SHOP.replace("loaded", "not-found"), "999\t755\tshop\t/var/log/shop", "/var/log/shop"),
        (SHOP.replace("DynamicUser=no", "DynamicUser=yes"), "999\t755\tshop\t/var/log/shop", "/var/log/shop"),
        (SHOP + "\n" + SHOP.replace("User=shop", "User=cart"), "999\t755\tshop\t/var/log/shop", "/var/log/shop"),
        (SHOP.replace("User=shop", "User="), "999\t755\tshop\t/var/log/shop", "/var/log/shop"),
        ("", "999\t755\tshop\t/var/log/shop", "/var/log/shop"),
    ],
)
def test_a_services_own_declared_folder_is_not_others(declared: str, folder: str, writable: str) -> None:
    facts = parse(answer("D", declared, *path(0, way=f"{folder}\n{WAY}")), [], ["/p"])

    assert facts.paths["/p"].writable_parent == writable


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"E",
        b"U 0\0",
        answer("X 0", "", ""),
        answer(*unit(7)),
        answer("U x", "", ""),
        answer("P 0", "/a"),
        answer("P 0", "/a", "", ""),
        answer(*path(0, status="regular file\ta\tb\t644\tx\t0")),
        answer(*path(0, way="0\t999\troot\t/a\n")),
        answer("D"),
        answer() + b"more",
    ],
)
def test_an_answer_that_is_none_gives_no_facts(raw: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse(raw, ["a"], ["/p"])


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_answer_gives_facts_or_one_of_two_errors(fields: list[str]) -> None:
    with contextlib.suppress(ValueError, IndexError):
        parse("\0".join([*fields, "E", ""]).encode("utf-8", "surrogatepass"), ["a"], ["/p"])


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("nginx", True),
        ("nginx.service", True),
        ("getty@tty1.service", True),
        ("dev-disk-by\\x2duuid.device", True),
        ("a" * 247, True),
        ("a" * 248, False),
        ("", False),
        ("-M.service", False),
        ("a b", False),
        ("a;b", False),
        ("a*", False),
        ("../a", False),
        ("a\n", False),
        ("é", False),
    ],
)
def test_only_what_systemd_could_know_is_asked_for(name: str, valid: bool) -> None:
    assert is_unit(name) == valid
    assert ("\nunit 0 " in build_script([name], [])) == valid


@pytest.mark.parametrize(
    ("asked", "valid"),
    [
        ("/", True),
        ("/var/log/it's a $(file)", True),
        ("/opt/é", True),
        ("var", False),
        ("", False),
        ("/a/../b", False),
        ("/a/./b", False),
        ("/a//b", False),
        ("/a/", False),
        ("//a", True),
        ("/a\nb", False),
        ("/a\0b", False),
        ("/" + "a" * 4096, False),
    ],
)
def test_only_plain_absolute_paths_are_asked_for(asked: str, valid: bool) -> None:
    assert is_path(asked) == valid
    assert ("\npath 0 " in build_script([], [asked])) == valid


def test_names_stand_quoted_in_the_script() -> None:
    script = build_script(["nginx"], ["/opt/$(reboot) 'x'"])

    assert "unit 0 nginx.service\n" in script
    assert """path 0 '/opt/$(reboot) '"'"'x'"'"''\n""" in script
    assert script.endswith("printf 'E\\0'")
