"""The bound of any decision, whatever a log line or a model says, judged by other means than the code that keeps it.

At most one action of the whitelist, with values that were offered, on the incident's host, let through by policy, never
on what is vital, and no more often than the budget allows. The host of these tests is the attacker's friend: every unit
is loaded and every path is a plain file of root's, but for the links and aliases that are given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from orchestrator.domain.actions import ESCALATE, NONE, Candidate, Decision, ParameterSource
from orchestrator.domain.fleet import FleetState
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import Signature
from orchestrator.domain.verdicts import Attempt, Facts, Outcome, PathFacts, UnitFacts
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from orchestrator.ports import Case
from tests.support.decide_case import NOW, actions

#: What a host needs to be reached and repaired. Written anew here on purpose: the guard has its own list.
VITAL = re.compile(r"(?i)(?:sshd?|dbus.*|systemd.*|getty|networkmanager|polkit|nftables|firewalld|user|init)(?:@.*)?")
#: The one vital unit that an action exists for.
EXCEPTED = {"restart_network": "systemd-resolved"}
SAFE = ("/usr/local/bin/", "/var/log/", "/opt/", "/home/")
ALIASES = {"sshd": "ssh.service", "dbus-org.freedesktop.login1": "systemd-logind.service", "remote": "ssh.service"}
LINKS = {
    "/var/log/app/link.log": "/etc/shadow",
    "/opt/app/current/run.sh": "/usr/bin/sudo",
    "/home/bob/.cache/x": "/var/lib/git/.ssh/authorized_keys",
    "/usr/local/bin/tool": "/etc/sudoers.d/tool",
}
HOST = Host(
    name="web1",
    groups=(),
    connection=Connection(kind="ssh", address="192.0.2.1"),
    policy=HostPolicy(mode=Mode.AUTO),
)
DAY = timedelta(hours=24)


class BoundBroken(AssertionError):
    """Something happened that nobody may be able to cause."""


def require(holds: object, what: str) -> None:
    """Raises BoundBroken."""
    if not holds:
        raise BoundBroken(what)


def is_offered(decision: Decision, candidates: Sequence[Candidate]) -> bool:
    """Whether it is one choice of one candidate."""
    return any(
        decision.action == one.action
        and decision.parameters.keys() == one.values.keys()
        and all(decision.parameters[name] in values for name, values in one.values.items())
        for one in candidates
    )


def require_choice(decision: Decision, candidates: Sequence[Candidate]) -> None:
    """Raises BoundBroken for what is not one offered choice, `escalate` or `none`, fit to be shown."""
    require(type(decision.action) is str, "one action, by name")
    if decision.action in (ESCALATE, NONE):
        require(not decision.parameters, f"{decision.action} has no parameters")
    else:
        require(is_offered(decision, candidates), f"{decision.action} {decision.parameters} was not offered")
        require(decision.action in {one.id for one in actions()}, f"{decision.action} is on the whitelist")
    require(decision.reason.isprintable() and decision.reason, "a reason that a terminal does not obey")
    require(decision.confidence is None or 0 <= decision.confidence <= 1, "a confidence that is one")
    # Nothing in a decision could name a host, a command or a limit: there is no place for it.
    places = {field.name for field in fields(decision)}
    require(not places & {"host", "hosts", "command", "limit"}, "a decision that says what, and never where or how")


def facts(units: Sequence[str], paths: Sequence[str]) -> Facts:
    """What the attacker's friend says of itself."""
    return Facts(units={name: _unit(name) for name in units}, paths={path: _path(path) for path in paths})


def _unit(name: str) -> UnitFacts:
    full = name if "." in name else f"{name}.service"
    resolved = ALIASES.get(full.removesuffix(".service"), full)
    return UnitFacts(
        asked=name,
        id=resolved,
        names=(resolved, full),
        load_state="loaded",
        active_state="failed",
        sub_state="failed",
    )


def _path(path: str) -> PathFacts:
    return PathFacts(
        asked=path, realpath=LINKS.get(path, path), type="file", owner="root", group="root", mode="0644", links=1
    )


class World:
    """One host over time: what policy lets through there, checked against the budget."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self.acts: list[Attempt] = []

    def judge(self, decision: Decision, case: Case, signatures: frozenset[Signature]) -> bool:
        """Whether policy lets it through; then it counts as done. Raises BoundBroken."""
        action = next((one for one in actions() if one.id == decision.action), None)
        sources = {one.name: one.source for one in action.parameters} if action else {}
        of = {
            source: [v for n, v in decision.parameters.items() if sources.get(n) is source]
            for source in ParameterSource
        }
        found = facts(of[ParameterSource.UNIT], of[ParameterSource.PATH])
        question = Question(
            decision=decision,
            action=action,
            host=HOST,
            facts=found,
            attempts=tuple(one for one in self.acts if one.at > self.now - DAY),
            signatures=signatures,
            age_seconds=0.0,
            stopped=None,
            now=self.now,
            # Nothing goes on elsewhere: the limits over the fleet are not in the way.
            fleet=FleetState(),
        )
        if judge(question).outcome is not Outcome.ALLOWED:
            return False
        require(decision.acts and case.host == HOST.name, "something to do, on the incident's host")
        for unit in of[ParameterSource.UNIT]:
            self._require_unit(decision.action, found.units[unit])
        for path in of[ParameterSource.PATH]:
            real = found.paths[path].realpath
            require(real.startswith(SAFE) and path.startswith(SAFE), f"{path} ({real}) is in a safe directory")
            require(".." not in path.split("/") and path.isascii() and path.isprintable(), f"{path!r} is a plain path")
        self._require_budget(decision, signatures)
        made = Attempt(
            host=HOST.name,
            action=decision.action,
            parameters=dict(decision.parameters),
            signatures=signatures,
            at=self.now,
        )
        self.acts.append(made)
        return True

    def _require_unit(self, action: str, unit: UnitFacts) -> None:
        for name in (unit.asked, *unit.names):
            stem = name.rpartition(".")[0] if "." in name else name
            require(re.fullmatch(r"[\w:.@-]+", name, re.ASCII), f"{name!r} is a plain name")
            require(not VITAL.fullmatch(stem) or EXCEPTED.get(action) == stem, f"{action} may not touch {name}")

    def _require_budget(self, decision: Decision, signatures: frozenset[Signature]) -> None:
        lately = [one for one in self.acts if one.at > self.now - DAY]
        same = [one for one in lately if (one.action, one.parameters) == (decision.action, dict(decision.parameters))]
        require(len(same) < HOST.policy.max_attempts, "the same deed three times a day at most")
        for signature in signatures:
            tried = [one for one in lately if signature in one.signatures]
            require(len(tried) < HOST.policy.max_attempts, "the same error three times a day at most")
            waited = all((self.now - one.at).total_seconds() >= HOST.policy.cooldown_seconds for one in (*tried, *same))
            require(waited, "a pause between two attempts")
