"""Written cases for policy: what is read, what is refused with its line, and what passes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator import policies, settings
from orchestrator.catalog import Catalog
from orchestrator.domain.fleet import FleetAttempt
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.errors import ConfigError
from orchestrator.testing import FakeFleet, MemoryStore
from tests.support.decide_case import actions

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CATALOG = Catalog(actions={one.id: one for one in actions()})
FLEET = FakeFleet(
    *(
        Host(
            name=name,
            groups=(),
            connection=Connection(kind="ssh", address="192.0.2.1"),
            policy=HostPolicy(mode=mode),
        )
        for name, mode in (("web1", Mode.AUTO), ("web2", Mode.OFF))
    )
)
CASE = {"host": "web1", "action": "restart_service", "parameters": {"service": "nginx"}}


def case(more: str = "") -> str:
    """A line of cases: one on web1, but for what `more` says in JSON."""
    return json.dumps({**CASE, **json.loads(f"{{{more}}}")})


def read(tmp_path: Path, text: str, name: str = "cases.jsonl") -> tuple[policies.PolicyCase, ...]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return policies.read_cases(path, fleet=FLEET, catalog=CATALOG, now=NOW)


def judged(tmp_path: Path, more: str) -> policies.CaseResult:
    cases = read(tmp_path, f"{case(more)}\n")
    return policies.try_cases(cases, fleet=FLEET, catalog=CATALOG, settings=settings.load(environ={}))[0]


@pytest.mark.parametrize(
    ("more", "passed", "rule"),
    [
        ('"outcome": "allowed"', True, "allowed"),
        ('"rule": "allowed"', True, "allowed"),
        ('"outcome": "denied"', False, "allowed"),
        ('"outcome": "allowed", "rule": "propose"', False, "allowed"),
        ('"outcome": "unknown", "facts": null', True, "facts"),
        ('"rule": "unit_state", "facts": {"unit": {"load_state": "masked"}}', True, "unit_state"),
        ('"rule": "protected_unit", "facts": {"unit": {"id": "ssh.service", "names": ["sshd.service"]}}', True, None),
        ('"rule": "age", "age": 301', True, "age"),
        ('"rule": "allowed", "age": 301, "approved": true', True, "allowed"),
        ('"rule": "allowed", "age": null', True, "allowed"),
        ('"rule": "mode", "host": "web2"', True, "mode"),
        ('"rule": "whitelist", "parameters": {"servise": "nginx"}', True, "whitelist"),
        ('"rule": "whitelist", "parameters": {}', True, "whitelist"),
        (
            '"action": "fix_permissions", "parameters": {"path": "/opt/x"}, "facts": {"path": {"mode": "4755"}}, '
            '"rule": "path_state"',
            True,
            "path_state",
        ),
    ],
)
def test_a_case_passes_with_the_wanted_verdict(tmp_path: Path, more: str, passed: bool, rule: str | None) -> None:
    result = judged(tmp_path, more)

    assert result.passed is passed, result.verdict
    assert rule in (None, result.verdict.rule)


def test_yaml_and_json_lines_are_read_alike_and_each_case_knows_its_line(tmp_path: Path) -> None:
    lines = read(tmp_path, "\n" + case('"rule": "age", "at": "2026-03-02T13:00:00+01:00"'))
    yaml = read(
        tmp_path,
        "# one\n- host: web1\n  action: restart_service\n  parameters: {service: nginx}\n"
        "  at: 2026-03-02T13:00:00+01:00\n  rule: age\n",
        "cases.yml",
    )

    assert (lines[0].place, yaml[0].place) == (f"{tmp_path}/cases.jsonl, line 2", f"{tmp_path}/cases.yml, line 2")
    assert lines[0].at == yaml[0].at == NOW
    assert lines[0].facts == yaml[0].facts
    assert (lines[0].outcome, lines[0].name) == (None, "restart_service on web1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no case"),
        ("{", "line 1: this is no JSON"),
        ('{"host": "web1", "host": "web2"}', "line 1: this is no JSON (the key host comes twice)"),
        ("[]", "line 1: this is no case; accepted: a mapping of case, host"),
        (case('"outcom": "allowed"'), "there is no key 'outcom'; accepted: outcome (did you mean that?)"),
        (case(), "nothing is expected; accepted: outcome, rule, or both"),
        (case('"outcome": "alowed"'), "outcome is 'alowed'; accepted: allowed, denied, needs_approval, waits"),
        (case('"rule": "windw"'), "there is no rule 'windw'; accepted: window"),
        ('{"action": "restart_service"}', "host is missing; accepted: a name"),
        (case('"host": "web9"'), "There is no host 'web9'"),
        (case('"action": "restart_servce"'), "there is no action 'restart_servce'; accepted: restart_service"),
        (case('"action": "rm"'), "there is no action 'rm'; accepted: clear_cache, fix_permissions"),
        (case('"parameters": {"service": 1}'), "parameters is {'service': 1}; accepted: a mapping of names"),
        (
            case('"outcome": "denied", "parameters": {"servise": "nginx"}'),
            "restart_service takes no parameter 'servise'; accepted: service; or expect rule: whitelist",
        ),
        (
            case('"outcome": "denied", "parameters": {}'),
            "restart_service needs the parameter service; accepted: service; or expect rule: whitelist",
        ),
        (case('"rule": "age", "at": "12:00"'), "at is '12:00'; accepted: a time with its zone"),
        (case('"rule": "age", "at": "2026-03-02T12:00:00"'), "accepted: a time with its zone"),
        (case('"rule": "age", "approved": 1'), "approved is 1; accepted: true or false"),
        (case('"rule": "age", "age": "old"'), "age is 'old'; accepted: seconds"),
        (case('"rule": "age", "facts": {"units": {}}'), "accepted: null, or a mapping with unit and path"),
        (case('"rule": "age", "facts": {"unit": {"load": "x"}}'), "facts.unit has 'load'; accepted: asked"),
        (case('"rule": "age", "facts": {"unit": {"names": "x"}}'), "accepted: a list of texts"),
        (
            case('"rule": "age", "facts": {"unit": {"id": 7}}'),
            "facts.unit.id is 7; accepted: a value of str",
        ),
    ],
)
def test_a_bad_case_is_told_with_file_line_and_what_is_accepted(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"cases\.jsonl") as caught:
        read(tmp_path, text)

    assert says in str(caught.value)
    assert "line 1" in str(caught.value) or "no case" in str(caught.value)


def test_a_key_that_comes_twice_in_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cases\.yml, line 4: the key outcome comes twice\."):
        read(tmp_path, "- host: web1\n  action: clear_cache\n  outcome: allowed\n  outcome: denied\n", "cases.yml")


@pytest.mark.parametrize(
    "text", ["host: web1\n", "- [", "- {at: 2026-99-99T00:00:00Z}\n", "- !!python/name:os.system x\n"]
)
def test_what_is_no_list_of_cases_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"cases\.yml"):
        read(tmp_path, text, "cases.yml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        policies.read_cases(tmp_path / "none.yml", fleet=FLEET, catalog=CATALOG, now=NOW)


def test_every_variable_of_policy_is_shown() -> None:
    shown = {one.name: one for one in policies.values_of(FLEET.host("web1"), settings.load(environ={}))}

    assert {one for one in shown if one.startswith("healing_")} >= {
        "healing_mode",
        "healing_windows",
        "healing_permits",
    }
    assert (shown["healing_mode"].value, shown["healing_mode"].where) == ("auto", "default")
    assert shown["healing_windows"].value == "always"
    assert shown["fleet_group_percent"].value == 50


def test_what_keeps_every_host_from_being_healed_is_shown() -> None:
    class Ill(MemoryStore):
        """All hosts are sick, and every attempt to restart something failed."""

        def sick_hosts(self, since: datetime) -> frozenset[str]:
            return frozenset({"web1", "web2"})

        def fleet_attempts(self, since: datetime, newest: int = 0) -> tuple[FleetAttempt, ...]:
            failed = FleetAttempt(host="web1", action="restart_service", at=NOW, ended=NOW, healed=False)
            healed = replace(failed, action="clear_cache", healed=True)
            return (*[healed] * 6, *[failed] * 6)

    def shown(store: MemoryStore) -> dict[str, object]:
        limits = replace(settings.load(environ={}), fleet_sick_hosts=2)
        values = policies.values_of_now(store, FLEET.hosts(), limits, ["restart_service", "clear_cache"], NOW)
        assert {one.where for one in values} == {"the record"}
        return {one.name: one.value for one in values}

    store = Ill(clock=lambda: NOW)
    store.stop(actor="ann", reason="moving")

    assert shown(MemoryStore(clock=lambda: NOW)) == {"stopped": "no", "sick_groups": [], "open_breakers": []}
    assert shown(store) == {
        "stopped": "ann stopped all healing at 2026-03-02 12:00:00 UTC: moving",
        "sick_groups": ["all: 2 of 2"],
        "open_breakers": ["restart_service"],
    }


def test_a_reset_is_a_line_of_the_ledger_that_history_counts_from() -> None:
    store = MemoryStore(clock=lambda: NOW)

    policies.reset_breaker(store, "restart_service", actor="ann", reason="mended")

    assert store.breaker_resets() == {"restart_service": NOW}
    assert store.events()[-1].text == "ann had the breaker of restart_service count anew: mended"
