"""Tells a store what happened, step by step, on a clock that moves as it is told; and leaves what runs would leave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.detect.signature import signature
from orchestrator.domain import ids
from orchestrator.domain.actions import Action, Decision
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import IncidentId, RunId
from orchestrator.domain.incidents import IncidentState, Origin, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome, Verdict
from orchestrator.record.artifacts import folder_of
from orchestrator.record.store import SqlStore

#: Of a terminal, by how a task ended, as Ansible colours them.
_COLOURS = {"ok": "32", "changed": "33", "failed": "31", "skipped": "36"}
_EVENTS = {"failed": "runner_on_failed", "skipped": "runner_on_skipped"}


class Clock:
    """Stands still until it is moved; ends at the time when it was made."""

    def __init__(self) -> None:
        self.now = self.end = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def on(self, seconds: float) -> None:
        """So much later."""
        self.now += timedelta(seconds=seconds)

    def before_end(self, minutes: float) -> None:
        """So much before the end."""
        self.now = self.end - timedelta(minutes=minutes)


@dataclass(frozen=True, slots=True)
class Step:
    """One task of a run. `outcome`: ok, changed, failed or skipped. `diff`: what `--diff` prints of it."""

    name: str
    outcome: str = "ok"
    seconds: float = 0.3
    message: str = ""
    diff: str = ""
    #: What its module was called with, and what its command printed.
    arguments: Mapping[str, str] = field(default_factory=dict)
    printed: str = ""


@dataclass(kw_only=True)
class Story:
    """Where it is told to."""

    store: SqlStore
    #: The store's own.
    clock: Clock
    artifacts: Path
    hosts: Mapping[str, Host]
    actions: Mapping[str, Action]

    def trouble(
        self,
        host: str,
        unit: str,
        *lines: str,
        path: str = "",
        severity: Severity = Severity.ERROR,
        origin: Origin = Origin.LOG,
        asked_by: str = "",
    ) -> Told:
        """An incident that these lines open. `path`: it is about that instead of the unit."""
        subject = Subject(kind=SubjectKind.PATH if path else SubjectKind.UNIT, name=path or unit)
        signals = []
        for line in lines:
            name, template = signature(unit, line)
            record = LogRecord(time=self.clock(), host=host, unit=unit, priority=3, message=line)
            signals.append(
                Signal(record=record, signature=name, template=template, subject=subject, severity=severity, age=0.4)
            )
            self.clock.on(0.2)
        (opened,) = self.store.absorb(host, "journal", signals, None, origin=origin, asked_by=asked_by)
        return Told(story=self, id=opened, host=host)


@dataclass(kw_only=True)
class Told:
    """An incident as far as it is told."""

    story: Story
    id: IncidentId
    host: str
    action: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: The wave that its runs belong to, and the other hosts of that.
    wave: str = ""
    along: tuple[str, ...] = ()

    def chosen(
        self,
        action: str,
        reason: str,
        parameters: Mapping[str, str] | None = None,
        *,
        chooser: str = "embedded",
        confidence: float | None = None,
        shown_digest: str = "7c" * 32,
    ) -> Told:
        """By a chooser, half a second later."""
        self.story.clock.on(0.5)
        self.action, self.parameters = action, dict(parameters or {})
        self.story.store.record_decision(
            self.id,
            Decision(
                action=action,
                parameters=self.parameters,
                reason=reason,
                chooser=chooser,
                shown_digest=shown_digest,
                confidence=confidence,
                signatures=tuple(sorted(self.story.store.signatures(self.id))),
            ),
        )
        return self

    def judged(self, outcome: Outcome, rule: str, reason: str) -> Told:
        """By policy."""
        self.story.clock.on(0.3)
        self.story.store.record_verdict(self.id, Verdict(outcome=outcome, rule=rule, reason=reason), Facts())
        return self

    def allowed(self) -> Told:
        """By policy, and so it is in its host's queue."""
        reason = f"No rule has anything against {self.action} on {self.host}."
        self.judged(Outcome.ALLOWED, "allowed", reason)
        return self.moved(IncidentState.HEALING, reason)

    def asked(self, rule: str, reason: str, changes: str, *, hours: float = 24, asked_by: str = "") -> Told:
        """Whether it may be done."""
        self.judged(Outcome.NEEDS_APPROVAL, rule, reason)
        now = self.story.clock()
        self.story.store.ask(
            Approval(
                id=self.approval,
                incident_id=self.id,
                host=self.host,
                action=self.action,
                parameters=self.parameters,
                digest="9f3a41c07be2d856" * 4,
                rule=rule,
                reason=reason,
                asked_at=now,
                expires_at=now + timedelta(hours=hours),
                asked_by=asked_by,
                changes=changes,
            )
        )
        return self.moved(IncidentState.PENDING_APPROVAL, f"waits for an answer to {self.approval}")

    def answered(self, answer: Answer, actor: str, reason: str) -> Told:
        """By a person."""
        given = self.story.store.answer(self.approval, answer, actor=actor, reason=reason, now=self.story.clock())
        assert given is not None
        return self

    def begins(self, kind: RunKind) -> RunId:
        """A run that goes on."""
        job = PlaybookJob(
            run_id=RunId(self.run(kind)),
            incident_id=IncidentId(ids.wave_of(self.wave)[0] if self.wave else self.id),
            kind=kind,
            action=self.action,
            playbook=self.story.actions[self.action].playbook(kind),
            roles=Path("roles"),
            parameters=self.parameters,
            hosts=tuple(self.story.hosts[name] for name in (self.host, *self.along)),
            task_timeout=30,
            run_timeout=120,
        )
        assert self.story.store.claim(job, signatures=self.story.store.signatures(self.id)) is None
        return job.run_id

    def ran(
        self,
        kind: RunKind,
        *steps: Step,
        status: RunStatus = RunStatus.SUCCEEDED,
        reason: str = "",
        keep: bool = True,
    ) -> Told:
        """A run that has ended. `keep`: what it left is there."""
        made, began = self.begins(kind), self.story.clock()
        self.story.clock.on(sum(step.seconds for step in steps) or 1.0)
        good = status is RunStatus.SUCCEEDED
        changed = any(step.outcome == "changed" for step in steps)
        result = PlaybookResult(run_id=made, status=status, rc=0 if good else 2, reason=reason, changed=changed)
        self.story.store.finish(result, slot_shut=False)
        if keep:
            playbook = self.story.actions[self.action].playbook(kind)
            leave(folder_of(self.story.artifacts, made), self.host, playbook, began, steps)
        return self

    def moved(self, to: IncidentState, reason: str) -> Told:
        """To another state, from whichever it is in."""
        assert self.story.store.move(self.id, to, reason, expected=list(IncidentState))
        return self

    def healed(self, hold: float = 30) -> Told:
        """Verified, then silent."""
        self.moved(IncidentState.VERIFIED, f"verified; must stay silent for {hold:g} s")
        self.story.clock.on(hold)
        return self.moved(IncidentState.HEALED, f"verified, and silent for {hold:g} s")

    @property
    def approval(self) -> str:
        """The id of its question."""
        return ids.approval_id(self.id)

    def run(self, kind: RunKind) -> str:
        """The id of its run of a kind."""
        return ids.run_id(self.wave or self.id, kind)


def leave(folder: Path, host: str, playbook: Path, began: datetime, steps: Sequence[Step]) -> None:
    """Artifacts as of a run: events, Ansible's output in its colours, the playbook as it was."""
    (folder / "job_events").mkdir(parents=True)
    (folder / "playbook").mkdir()
    (folder / "playbook" / playbook.name).write_text(playbook.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "parameters.json").write_text(json.dumps({"playbook": playbook.name}), encoding="utf-8")
    said = [f"PLAY [all] {'*' * 40}"]
    for number, step in enumerate(steps, start=1):
        said_of_it: dict[str, Any] = {"msg": step.message, "changed": step.outcome == "changed"}
        result = said_of_it | {
            "diff": [{"prepared": step.diff}],
            "invocation": {"module_args": dict(step.arguments)},
            "stdout": step.printed,
        }
        data = {"task": step.name, "host": host, "start": began.isoformat(), "duration": step.seconds, "res": result}
        began += timedelta(seconds=step.seconds)
        event = {"event": _EVENTS.get(step.outcome, "runner_on_ok"), "event_data": data}
        (folder / "job_events" / f"{number}-{number:08x}.json").write_text(json.dumps(event), encoding="utf-8")
        colour = _COLOURS[step.outcome]
        word = {"failed": "fatal", "skipped": "skipping"}.get(step.outcome, step.outcome)
        said += ["", f"TASK [{step.name}] {'*' * 30}"]
        said += [f"\x1b[0;{'32' if line[:1] == '+' else '31'}m{line}\x1b[0m" for line in step.diff.splitlines()]
        tail = f": {json.dumps(said_of_it)}" if step.message else ""
        said.append(f"\x1b[0;{colour}m{word}: [{host}]{tail}\x1b[0m")
    (folder / "stdout").write_text("\n".join(said) + "\n", encoding="utf-8")
