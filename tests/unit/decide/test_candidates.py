"""What is offered to a chooser: values out of a program's own words, and of the incident's own unit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.candidates import VALUES_MAX, as_unit, candidates, is_service, short_unit
from orchestrator.domain.actions import Action, Parameter, ParameterSource, Pattern, Risk
from orchestrator.domain.speech import plain_path
from tests.support.decide_case import record


def action(name: str, *patterns: Pattern, required: bool = True, **parameters: ParameterSource) -> Action:
    return Action(
        id=name,
        title=name,
        when="",
        not_when="",
        risk=Risk.LOW,
        reversible=False,
        task_timeout=1,
        run_timeout=1,
        settle_seconds=0,
        hold_seconds=0,
        parameters=tuple(
            Parameter(name=key, type="str", required=required, description="", source=source)
            for key, source in parameters.items()
        ),
        patterns=patterns,
    )


RESTART = action(
    "restart",
    Pattern(match=r"is (?P<service>[\w.@-]+) running\?", unless="docker"),
    Pattern(match="crashed"),
    service=ParameterSource.UNIT,
)
FIX = action("fix", Pattern(match=r"denied: (?P<path>/\S+)"), path=ParameterSource.PATH)
FREE = action("free")


def offered(
    *messages: str,
    unit: str = "app.service",
    units: Collection[str] | None = None,
    actions: Sequence[Action] = (RESTART, FIX, FREE),
) -> dict[str, dict[str, tuple[str, ...]]]:
    found = candidates(actions, unit, [record(message, unit) for message in messages], units)
    return {one.action: dict(one.values) for one in found}


def services(*messages: str, unit: str = "app.service", units: Collection[str] | None = None) -> tuple[str, ...]:
    return offered(*messages, unit=unit, units=units).get("restart", {}).get("service", ())


def paths(*messages: str) -> tuple[str, ...]:
    return offered(*messages).get("fix", {}).get("path", ())


def test_an_action_without_parameters_is_always_offered() -> None:
    assert offered() == {"restart": {"service": ("app",)}, "free": {}}
    assert offered(unit="") == {"free": {}}


def test_an_action_is_left_out_where_a_required_parameter_has_no_value() -> None:
    assert "fix" not in offered("boom")
    assert "fix" in offered("denied: /opt/a")


def test_an_action_stays_where_only_an_optional_parameter_has_no_value() -> None:
    optional = action("fix", required=False, path=ParameterSource.PATH)

    assert offered("boom", actions=[optional]) == {"fix": {}}


def test_an_optional_parameter_may_be_left_out_where_it_has_a_value() -> None:
    optional = action("fix", required=False, path=ParameterSource.PATH)

    found = candidates([optional], "app.service", [record("denied: /opt/a")], None)

    assert [dict(one.values) for one in found] == [{}, {"path": ("/opt/a",)}]


def test_candidates_come_in_the_order_of_the_actions() -> None:
    assert list(offered("denied: /opt/a", actions=[FREE, FIX, RESTART])) == ["free", "fix", "restart"]


@pytest.mark.parametrize(
    ("unit", "message", "names"),
    [
        ("app.service", "boom", ("app",)),
        ("app", "boom", ("app",)),
        ("a@1.service", "boom", ("a@1",)),
        ("logrotate.timer", "boom", ("logrotate.timer",)),
        ("", "boom", ()),
        ("kernel", "boom", ()),
        ("init.scope", "boom", ()),
        ("session-3.scope", "boom", ()),
        ("user@1000.service", "boom", ()),
        ("mnt.mount", "boom", ()),
        ("-x", "boom", ()),
        ("a b", "boom", ()),
        (r"a\x2db.service", "boom", ()),
        ("a" * 300, "boom", ()),
        ("cron.service", "boom", ()),
        ("cron.service", "cron.service: Failed", ("cron",)),
        ("app.service", "web.service is down", ("app", "web")),
        ("app.service", "web.service, db.socket and x.timer.", ("app", "web", "db.socket", "x.timer")),
        ("app.service", "app.service is down", ("app",)),
        ("app.service", "/lib/systemd/system/web.service is bad", ("app",)),
        ("app.service", "https://web.service/ and a@web.service.d", ("app",)),
        ("app.service", "web.mount and web.scope", ("app",)),
        ("app.service", "is redis running?", ("app", "redis")),
        ("app.service", "is Redis running?", ("app", "redis")),
        ("app.service", "is docker running?", ("app",)),
        ("app.service", "is redis.scope running?", ("app",)),
        ("App.service", "boom", ("App",)),
    ],
)
def test_services_are_the_incidents_own_then_captured_then_named_ones(
    unit: str, message: str, names: tuple[str, ...]
) -> None:
    assert services(message, unit=unit) == names


@pytest.mark.parametrize(
    ("units", "names"),
    [
        (None, ("app", "redis", "web")),
        ([], ()),
        (["app.service"], ("app",)),
        (["app", "web.service", "more.service"], ("app", "web")),
        (["redis.service"], ("redis",)),
    ],
)
def test_only_units_of_the_host_are_offered_where_they_are_known(
    units: list[str] | None, names: tuple[str, ...]
) -> None:
    assert services("web.service: is redis running?", units=units) == names


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (["denied: /opt/a.sh"], ("/opt/a.sh",)),
        (["cannot open /opt/b"], ("/opt/b",)),
        (["in /opt/b denied: /opt/a"], ("/opt/a", "/opt/b")),
        (["denied: /opt//a/./b/"], ("/opt/a/b",)),
        (["denied: /opt/../etc/shadow"], ()),
        (["denied: /opt/a;reboot"], ()),
        (["denied: /opt/%2e%2e/a"], ()),
        (["denied: relative/a"], ()),
        (["denied: /opt/old", "denied: /opt/new"], ("/opt/new", "/opt/old")),
        (["denied: /opt/a", "denied: /opt/b", "denied: /opt/a"], ("/opt/b", "/opt/a")),
    ],
)
def test_paths_are_captured_then_named_ones_newest_first_normal_and_plain(
    messages: list[str], found: tuple[str, ...]
) -> None:
    assert paths(*messages) == found


def test_a_listing_is_cut() -> None:
    assert len(paths(*(f"denied: /opt/{n}" for n in range(50)))) == VALUES_MAX
    assert len(services(*(f"u{n}.service" for n in range(50)))) == VALUES_MAX


@pytest.mark.parametrize(
    "carrier",
    [
        'boom user_agent="{}"',
        'boom {{"comment": "{}"}}',
        "boom user='{}'",
        'boom, client: 203.0.113.9, request: "GET /{}", host: "{}"',
        "GET /?q={}",
        '203.0.113.9 - - [01/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 12 "{}"',
        "Invalid user {} from 203.0.113.9 port 22",
        "(root) CMD ({})",
        "bob : COMMAND={}",
        'boom {{"msg":"{{\\"title\\":\\"{}\\"}}"}}',
    ],
)
@pytest.mark.parametrize(
    "value", ["denied: /opt/evil.sh", "evil.service", "is evil running?", "x /opt/evil.sh evil.timer x"]
)
def test_nothing_that_a_stranger_wrote_is_offered(carrier: str, value: str) -> None:
    assert offered(carrier.format(value, value)) == offered("boom")


@pytest.mark.parametrize(
    ("captured", "unit", "meant"),
    [
        ("redis", "app", "redis"),
        ("Redis", "app", "redis"),
        ("MySQL", "MySQL.service", "MySQL"),
        ("App.service", "x", "App"),
        ("App.socket", "x", "App.socket"),
        ("PHP8.2-FPM", "x", "php8.2-fpm"),
    ],
)
def test_a_captured_name_is_in_small_letters_unless_it_is_a_units_own(captured: str, unit: str, meant: str) -> None:
    assert as_unit(captured, unit) == meant


@pytest.mark.parametrize(
    ("name", "short"), [("nginx.service", "nginx"), ("nginx", "nginx"), ("a.timer", "a.timer"), (".service", "")]
)
def test_a_short_name_has_no_service_behind_it(name: str, short: str) -> None:
    assert short_unit(name) == short


def test_a_pattern_ignores_case_and_holds_only_without_its_exception() -> None:
    assert Pattern(match="a+b").holds("xxAABxx")
    assert not Pattern(match="a+b", unless="c").holds("aab C")
    assert not Pattern(match="a+b").holds("b")


PIECES = st.sampled_from(["denied: ", "/opt/a", "/..", "a.service", "is x running?", " ", "'", "\n", "\\", "%"])
TEXTS = st.text(max_size=80) | st.lists(PIECES | st.characters(), max_size=12).map("".join)


@given(st.lists(TEXTS, max_size=6), TEXTS, st.none() | st.lists(TEXTS, max_size=4))
def test_whatever_is_offered_is_few_plain_and_each_once(
    messages: list[str], unit: str, units: list[str] | None
) -> None:
    for values in offered(*messages, unit=unit, units=units).values():
        for name, found in values.items():
            assert 1 <= len(found) <= VALUES_MAX
            assert len(set(found)) == len(found)
            assert all(plain_path(one) == one if name == "path" else is_service(one) for one in found)
