"""What policy holds for a host and where it was set, policy tried on written cases, and breakers told to count anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml

from orchestrator.catalog import Catalog
from orchestrator.catalog.rows import StrictLoader
from orchestrator.domain.actions import Action, Decision, ParameterSource
from orchestrator.domain.fleet import FleetState
from orchestrator.domain.hosts import Host, HostPolicy
from orchestrator.domain.strict import unique_keys
from orchestrator.domain.verdicts import Facts, Outcome, PathFacts, UnitFacts, Verdict
from orchestrator.domain.windows import Recurring, Weekly
from orchestrator.errors import ConfigError, HealingError
from orchestrator.fleet_port import BREAKER_RESET
from orchestrator.fleet_state import fleet_state, groups_of
from orchestrator.guard import breaker
from orchestrator.guard.fleet import sick_groups
from orchestrator.guard.judge import ALLOWED, RULES, judge
from orchestrator.guard.question import Question
from orchestrator.ports import Event, Fleet, Store
from orchestrator.settings import SETTINGS, Settings, place_of

#: Settings that policy rests on, by how their names begin.
SETTINGS_OF_POLICY = ("budget_", "fleet_", "breaker_", "approval_", "outbreak_", "max_parallel_")
DEFAULT = "default"
#: Where a value comes from that no file sets.
RECORD = "the record"
#: The rule that denies parameters that an action does not take.
WHITELIST = "whitelist"
#: What an unset variable means, where no value says it.
UNSET = {
    "actions": "all",
    "windows": "always",
    "hold_seconds": "the action's own",
    "approvers": "whoever may answer at all",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyValue:
    """One value that holds."""

    name: str
    #: Plain data.
    value: Any
    #: `default`, file and line, or `the record`.
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyCase:
    """One question to policy, and the verdict that is wanted."""

    #: File and line.
    place: str
    name: str
    host: str
    action: str
    parameters: Mapping[str, str]
    #: None: the host is not inspected.
    facts: Facts | None
    at: datetime
    approved: bool
    #: Seconds; None: no age limit holds.
    age: float | None
    #: None: any.
    outcome: Outcome | None
    rule: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """A case with the verdict that policy gives."""

    case: PolicyCase
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether it is the wanted one."""
        wanted = (self.case.outcome or self.verdict.outcome, self.case.rule or self.verdict.rule)
        return wanted == (self.verdict.outcome, self.verdict.rule)


def values_of(host: Host, settings: Settings) -> tuple[PolicyValue, ...]:
    """Every value that a verdict about the host may rest on, with its place."""
    found = []
    for field in fields(HostPolicy):
        variable, value = f"healing_{field.name}", getattr(host.policy, field.name)
        shown = UNSET[field.name] if value is None and field.name in UNSET else _plain(value)
        found.append(PolicyValue(name=variable, value=shown, where=host.origins.get(variable, DEFAULT)))
    return (*found, *values_of_fleet(settings))


def values_of_fleet(settings: Settings) -> tuple[PolicyValue, ...]:
    """Those of them that span hosts, with their places."""
    found = []
    for row in SETTINGS:
        if row.name.startswith(SETTINGS_OF_POLICY):
            where = place_of(row.name, settings.config_file) or DEFAULT
            found.append(PolicyValue(name=row.name, value=_plain(getattr(settings, row.name)), where=where))
    return tuple(found)


def values_of_now(
    store: Store, hosts: Iterable[Host], settings: Settings, actions: Iterable[str], now: datetime
) -> tuple[PolicyValue, ...]:
    """What keeps every host from being healed at this moment, whatever else holds. Raises StoreUnavailable."""
    fleet = fleet_state(store, hosts, settings, now)
    found = {
        "stopped": store.stopped() or "no",
        "sick_groups": [f"{group}: {many} of {all_}" for group, many, all_ in sick_groups(fleet, fleet.sick)],
        "open_breakers": [name for name, is_open in breaker.standing(fleet, sorted(actions)) if is_open],
    }
    return tuple(PolicyValue(name=name, value=value, where=RECORD) for name, value in found.items())


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(str(one) for one in value)
    if isinstance(value, tuple):
        return [one.text if isinstance(one, Weekly | Recurring) else _plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def reset_breaker(store: Store, action: str, *, actor: str, reason: str) -> Event:
    """Have the breaker of an action ('': of the fleet, and with it every action's) count anew from now on."""
    whose = f"of {action}" if action else "of the fleet"
    return store.append(
        BREAKER_RESET,
        text=f"{actor} had the breaker {whose} count anew: {reason}",
        actor=actor,
        data={"action": action, "reason": reason},
    )


def try_cases(
    cases: Iterable[PolicyCase], *, fleet: Fleet, catalog: Catalog, settings: Settings
) -> tuple[CaseResult, ...]:
    """Each case judged by the real inventory and settings, as if nothing had been done and nothing else went on."""
    state = FleetState(limits=settings.fleet_limits, groups=groups_of(fleet.hosts()))
    return tuple(CaseResult(case=case, verdict=_verdict(case, fleet, catalog, state)) for case in cases)


def _verdict(case: PolicyCase, fleet: Fleet, catalog: Catalog, state: FleetState) -> Verdict:
    return judge(
        Question(
            decision=Decision(action=case.action, parameters=case.parameters, reason="", chooser="test"),
            action=catalog.get(case.action),
            host=fleet.host(case.host),
            facts=case.facts,
            attempts=(),
            signatures=frozenset(),
            age_seconds=case.age,
            stopped=None,
            now=case.at,
            fleet=state,
            approved=case.approved,
        )
    )


def read_cases(path: Path, *, fleet: Fleet, catalog: Catalog, now: datetime) -> tuple[PolicyCase, ...]:
    """The cases of a YAML list, or of JSON lines. Raises ConfigError: file, line, what is accepted."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The file of cases {path} can't be read: {error}.") from error
    cases = tuple(
        _Case(f"{path}, line {line}", given, now).read(fleet, catalog)
        for line, given in (_json_lines(path, text) if path.suffix == ".jsonl" else _yaml_list(path, text))
    )
    if not cases:
        raise ConfigError(f"{path} holds no case. Accepted: a YAML list, or JSON lines in a file that ends in .jsonl.")
    return cases


def _json_lines(path: Path, text: str) -> list[tuple[int, Any]]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append((number, json.loads(line, object_pairs_hook=unique_keys)))
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{path}, line {number}: this is no JSON ({error}).") from error
    return found


def _yaml_list(path: Path, text: str) -> list[tuple[int, Any]]:
    loader = StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None and not isinstance(node, yaml.SequenceNode):
            raise ConfigError(f"{path}, line {node.start_mark.line + 1}: accepted is a list of cases.")
        listed = node.value if node else []
        return [(one.start_mark.line + 1, loader.construct_object(one, deep=True)) for one in listed]
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{where}: {error.problem}. Accepted is a list of cases as YAML.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    finally:
        loader.dispose()


_KEYS = ("case", "host", "action", "parameters", "facts", "at", "age", "approved", "outcome", "rule")
_UNIT = {one.name: one for one in fields(UnitFacts)}
_PATH = {one.name: one for one in fields(PathFacts)}


class _Case:
    """One case as it is written; every complaint names its line."""

    def __init__(self, place: str, given: Any, now: datetime) -> None:
        self._place, self._now = place, now
        if not isinstance(given, dict):
            self._wrong("this is no case", f"a mapping of {', '.join(_KEYS)}")
        self._given: dict[str, Any] = given
        for key in given:
            if key not in _KEYS:
                near = get_close_matches(str(key), _KEYS, n=1)
                self._wrong(f"there is no key {key!r}", f"{near[0]} (did you mean that?)" if near else ", ".join(_KEYS))

    def _wrong(self, what: str, accepted: str) -> NoReturn:
        raise ConfigError(f"{self._place}: {what}; accepted: {accepted}.")

    def read(self, fleet: Fleet, catalog: Catalog) -> PolicyCase:
        """The case, for hosts and actions that there are."""
        host, name = self._text("host"), self._text("action")
        try:
            fleet.host(host)
        except HealingError as error:
            raise ConfigError(f"{self._place}: {error}") from error
        action = catalog.get(name)
        if action is None:
            near = get_close_matches(name, catalog.actions, n=1)
            hint = f"{near[0]} (did you mean that?)" if near else ", ".join(sorted(catalog.actions))
            self._wrong(f"there is no action {name!r}", hint)
        parameters = self._given.get("parameters", {})
        if not isinstance(parameters, dict) or not all(isinstance(one, str) for one in parameters.values()):
            self._wrong(f"parameters is {parameters!r}", "a mapping of names to texts")
        outcome, rule = self._outcome(), self._rule()
        if outcome is None and rule is None:
            self._wrong("nothing is expected", "outcome, rule, or both")
        if rule != WHITELIST:
            self._declared(action, parameters)
        return PolicyCase(
            place=self._place,
            name=str(self._given.get("case", "")) or f"{name} on {host}",
            host=host,
            action=name,
            parameters=parameters,
            facts=self._facts(action, parameters),
            at=self._at(),
            approved=self._approved(),
            age=self._age(),
            outcome=outcome,
            rule=rule,
        )

    def _declared(self, action: Action, given: Mapping[str, str]) -> None:
        """A misspelt parameter is denied by the first of all rules: a case that wants `denied` would pass untried."""
        names = [one.name for one in action.parameters]
        accepted = f"{', '.join(names) or 'none'}; or expect rule: {WHITELIST}"
        for name in given:
            if name not in names:
                self._wrong(f"{action.id} takes no parameter {name!r}", accepted)
        for one in action.parameters:
            if one.required and one.name not in given:
                self._wrong(f"{action.id} needs the parameter {one.name}", accepted)

    def _text(self, key: str) -> str:
        value = self._given.get(key)
        if not isinstance(value, str) or not value:
            self._wrong(f"{key} is {value!r}" if key in self._given else f"{key} is missing", "a name")
        return value

    def _outcome(self) -> Outcome | None:
        value = self._given.get("outcome")
        if value is not None and value not in set(Outcome):
            self._wrong(f"outcome is {value!r}", ", ".join(Outcome))
        return None if value is None else Outcome(value)

    def _rule(self) -> str | None:
        value, known = self._given.get("rule"), [ALLOWED, *(rule.name for rule in RULES)]
        if value is not None and value not in known:
            near = get_close_matches(str(value), known, n=1)
            self._wrong(f"there is no rule {value!r}", f"{near[0]} (did you mean that?)" if near else ", ".join(known))
        return value

    def _at(self) -> datetime:
        value = self._given.get("at", self._now)
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            moment = None
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            self._wrong(f"at is {value!r}", "a time with its zone, such as 2026-03-02T23:00:00+01:00")
        return moment

    def _approved(self) -> bool:
        value = self._given.get("approved", False)
        if not isinstance(value, bool):
            self._wrong(f"approved is {value!r}", "true or false")
        return value

    def _age(self) -> float | None:
        value = self._given.get("age", 0)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            self._wrong(f"age is {value!r}", "seconds, or null for no limit")
        return None if value is None else float(value)

    def _facts(self, action: Action, parameters: Mapping[str, str]) -> Facts | None:
        """What inspect is taken to find: everything well, but for what the case says; None where it says null."""
        given = self._given.get("facts", {})
        if given is None:
            return None
        if not isinstance(given, dict) or not given.keys() <= {"unit", "path"}:
            self._wrong(f"facts is {given!r}", "null, or a mapping with unit and path")
        units, paths = {}, {}
        for one in action.parameters:
            value = parameters.get(one.name)
            if value is None:
                continue
            if one.source is ParameterSource.UNIT:
                units[value] = self._unit(value, given.get("unit", {}))
            elif one.source is ParameterSource.PATH:
                paths[value] = self._path(value, given.get("path", {}))
        return Facts(units=units, paths=paths)

    def _unit(self, name: str, given: Any) -> UnitFacts:
        full = name if "." in name else f"{name}.service"
        well = {"asked": name, "id": full, "names": (full,)}
        state = {"load_state": "loaded", "active_state": "failed", "sub_state": "failed"}
        return UnitFacts(**{**well, **state, **self._known(given, _UNIT, "facts.unit")})

    def _path(self, name: str, given: Any) -> PathFacts:
        well = {"asked": name, "realpath": name, "type": "file", "owner": "root", "group": "root", "mode": "0644"}
        return PathFacts(**{**well, **self._known(given, _PATH, "facts.path")})

    def _known(self, given: Any, known: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Fields of facts, each of the type that inspect gives."""
        if not isinstance(given, dict):
            self._wrong(f"{what} is {given!r}", f"a mapping of {', '.join(known)}")
        found: dict[str, Any] = {}
        for key, value in given.items():
            if key not in known:
                self._wrong(f"{what} has {key!r}", ", ".join(known))
            kind = str(known[key].type).partition("[")[0]
            listed = kind == "tuple" and isinstance(value, list) and all(isinstance(one, str) for one in value)
            if not listed and type(value).__name__ != kind:
                self._wrong(
                    f"{what}.{key} is {value!r}", "a list of texts" if kind == "tuple" else f"a value of {kind}"
                )
            found[key] = tuple(value) if listed else value
        return found
