"""Log lines in, one answer each: signature, decision, verdict and why. Acts on nothing, asks no host anything.

Input, one JSON object a line: `unit`, `message`, and optionally `priority` (0 to 7, also as text; 3 where it is
missing: a line that somebody asks about is taken for an error) and `host` (of the inventory). Without a host
the candidates come from the line alone, and rules that need the host answer `unknown`, never `allowed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.catalog import Catalog
from orchestrator.decide.candidates import candidates
from orchestrator.detect.detector import Detector
from orchestrator.detect.signature import signature
from orchestrator.domain.actions import ESCALATE, NONE, Decision
from orchestrator.domain.hosts import Host
from orchestrator.domain.records import LogRecord
from orchestrator.errors import HealingError
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from orchestrator.ports import Case, Chooser, Fleet

#: Bytes of one line; a longer one is a dump, and no log record.
LINE_MAX = 1_000_000
#: What a line without `priority` counts as: syslog's err.
PRIORITY_MISSING = 3
PRIORITY_MAX = 7
#: Names under which no unit speaks.
NO_UNITS = frozenset({"kernel", "unknown", "systemd", "-"})


class _BadLine(ValueError):
    """The line is no record; the text names the field and what it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    record: LogRecord
    #: None: none was given, or it is not in the inventory.
    host: Host | None
    #: One sentence where the answer is for less than what was asked.
    problem: str = ""


def explain(
    lines: Iterable[str], *, catalog: Catalog, chooser: Chooser, fleet: Fleet | None, now: datetime
) -> Iterator[dict[str, Any]]:
    """Exactly one answer for each line, in order; a line that is no record gets one with `error`.

    `decision` is the chooser's, untouched by policy; `verdict` is policy's, without history or a look at the host.
    """
    explainer = _Explainer(catalog=catalog, chooser=chooser, fleet=fleet, now=now)
    for line in lines:
        try:
            asked = explainer.read(line)
        except _BadLine as error:
            yield _unreadable(str(error), chooser.name)
        else:
            yield explainer.answer(asked)


class _Explainer:
    def __init__(self, *, catalog: Catalog, chooser: Chooser, fleet: Fleet | None, now: datetime) -> None:
        self._catalog, self._chooser, self._fleet, self._now = catalog, chooser, fleet, now
        self._actions = tuple(catalog.actions.values())
        self._detector = Detector(self._actions)
        self._hosts: dict[str, tuple[Host | None, str]] = {}

    def read(self, line: str) -> _Asked:
        """The record that a line holds. Raises _BadLine."""
        fields = _object(line)
        name = _text(fields, "host")
        host, problem = self._host(name) if name else (None, "")
        record = LogRecord(
            time=self._now,
            host=name,
            unit=_unit(_text(fields, "unit")),
            priority=_priority(fields.get("priority")),
            message=_text(fields, "message", required=True),
            source="explain",
        )
        return _Asked(record=record, host=host, problem=problem)

    def _host(self, name: str) -> tuple[Host | None, str]:
        if name not in self._hosts:
            try:
                found = self._fleet.host(name) if self._fleet else None
                problem = "" if found else f"host: there is no inventory here, so nothing is known of {name!r}."
            except HealingError as error:
                found, problem = None, f"host: {error}"
            self._hosts[name] = (found, problem)
        return self._hosts[name]

    def answer(self, asked: _Asked) -> dict[str, Any]:
        """Signature, decision and verdict of one record."""
        record = asked.record
        decision = self._decide(record)
        name, _ = signature(record.unit, record.message)
        verdict = judge(
            Question(
                decision=decision,
                action=self._catalog.actions.get(decision.action),
                host=asked.host,
                facts=None,
                attempts=(),
                signatures=frozenset({name}),
                age_seconds=None,
                stopped=None,
                now=self._now,
            )
        )
        answer: dict[str, Any] = {
            "signature": name,
            "incident": bool(self._detector.detect((record,), self._now)),
            "decision": {
                "action": decision.action,
                "params": dict(decision.parameters),
                "reason": decision.reason,
                "chooser": decision.chooser,
            },
            "verdict": {"outcome": str(verdict.outcome), "rule": verdict.rule, "reason": verdict.reason},
        }
        return {**answer, "error": asked.problem} if asked.problem else answer

    def _decide(self, record: LogRecord) -> Decision:
        offered = candidates(self._actions, record.unit, (record,), None)
        case = Case(
            incident_id="explain",
            host=record.host,
            unit=record.unit,
            records=(record,),
            candidates=offered,
            actions=self._actions,
            signatures=(signature(record.unit, record.message)[0],),
        )
        try:
            return self._chooser.choose(case)
        except HealingError as error:
            return Decision(action=ESCALATE, parameters={}, reason=str(error), chooser=self._chooser.name)


def _object(line: str) -> dict[str, Any]:
    line = line.rstrip("\r\n")
    if not line.strip():
        raise _BadLine("The line is empty; it should hold a JSON object with unit and message.")
    if len(line) > LINE_MAX:
        raise _BadLine(f"The line is longer than {LINE_MAX:,} characters; shorten message.")
    try:
        # What is no UTF-8 arrives as lone surrogates.
        line.encode("utf-8")
    except UnicodeEncodeError:
        raise _BadLine("The line is not valid UTF-8; convert it first.") from None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _BadLine(f"The line is no JSON ({str(error)[:120]}); give one object a line.") from None
    if not isinstance(found, dict):
        raise _BadLine("The line is JSON but no object; give an object with unit and message.")
    return found


def _text(fields: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = fields.get(name)
    if value is None and not required:
        return ""
    # journalctl gives a message that is no UTF-8 as a list of bytes.
    if isinstance(value, list) and value and all(type(one) is int and 0 <= one <= 255 for one in value):
        value = bytes(value).decode("utf-8", "replace")
    if not isinstance(value, str):
        raise _BadLine(f"{name} {'is missing' if value is None else 'is no text'}; it should be a string.")
    # JSON may escape half a character; it could not be printed again.
    return value.encode("utf-8", "replace").decode("utf-8")


def _unit(name: str) -> str:
    """As systemd names it, so that `nginx` and `nginx.service` are one; what is no unit stays."""
    return f"{name}.service" if name and "." not in name and name not in NO_UNITS else name


def _priority(value: Any) -> int:
    if value is None:
        return PRIORITY_MISSING
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:3])
    if type(value) is not int or not 0 <= value <= PRIORITY_MAX:
        raise _BadLine(f"priority is {str(value)[:40]!r}; it should be a number from 0 (emergency) to 7 (debug).")
    return value


def _unreadable(error: str, chooser: str) -> dict[str, Any]:
    return {
        "signature": None,
        "incident": False,
        "decision": {"action": NONE, "params": {}, "reason": error, "chooser": chooser},
        "verdict": {
            "outcome": "denied",
            "rule": "no_action",
            "reason": "The line is no record, so there is nothing to judge.",
        },
        "error": error,
    }
