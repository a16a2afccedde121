"""What a playbook's events say of its run. Pure, and fails closed: what is not plainly right is not success.

The return code alone proves nothing: "no hosts matched" ends with 0, so does a callback that never loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.act.complaints import plain
from orchestrator.domain.runs import UNSETTLED, HostEnd, RunKind, RunStatus
from orchestrator.domain.speech import printable

Event = Mapping[str, Any]

#: Letters of a reason: it is a sentence in a table, the whole message is in the events.
REASON_LIMIT = 500
#: How a verify playbook says that the symptom is there, and a role's preflight that it changed nothing.
SICK, REFUSED = "sick: ", "refused: "
#: How ansible-playbook ends where hosts failed (2), were unreachable (4), or both: their own events say which.
_RC_OF_HOSTS = frozenset({2, 4, 6})
_NOT_BELIEVED = HostEnd(status=RunStatus.FAILED, reason="the run failed as a whole, so no host of it is called well")
#: Runs of a verify playbook.
_LOOKING = frozenset({RunKind.LOOK, RunKind.CHECK, RunKind.VERIFY})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How the playbook's process ended."""

    #: None: it was cut, and nobody knows how far it came.
    rc: int | None
    timed_out: bool = False
    canceled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the run was."""

    status: RunStatus
    #: One sentence, at most REASON_LIMIT letters; empty for success.
    reason: str = ""
    #: A task changed something, as far as the events tell.
    changed: bool = False
    #: False: a host may still be at work.
    settled: bool = True
    #: Of each host, where there are several and the playbook came to its end.
    ends: Mapping[str, HostEnd] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Failure:
    host: str
    task: str
    message: str

    def __str__(self) -> str:
        return f"task {self.task}: {self.message}" if self.task else self.message


def judge(kind: RunKind, hosts: Sequence[str], events: Sequence[Event], ending: Ending) -> Outcome:
    """Status, reason and whether anything changed, of a run that was to process exactly `hosts`.

    `events` are ansible-runner's job events in order. A task that ran into its limit makes the run
    TIMED_OUT even where the playbook rescued it: the host may go on with it (tried).
    """
    whole = _end(kind, hosts, events, ending)
    ends = _ends(kind, hosts, events, ending) if len(hosts) > 1 else {}
    settled = all(end.settled for end in ends.values()) if ends else whole.settled
    return Outcome(status=whole.status, reason=whole.reason, changed=_changed(kind, events), settled=settled, ends=ends)


def _end(kind: RunKind, hosts: Sequence[str], events: Sequence[Event], ending: Ending) -> HostEnd:
    status, reason = _status(kind, hosts, events, ending)
    settled = status not in UNSETTLED
    if status is RunStatus.UNREACHABLE:
        settled = not _reached(events)
    return HostEnd(status=status, reason=_bounded(reason), settled=settled)


def _ends(kind: RunKind, hosts: Sequence[str], events: Sequence[Event], ending: Ending) -> dict[str, HostEnd]:
    """Each host judged by its own events alone; empty for a run that was cut, of which nothing is known of any."""
    stats = _stats(events)
    if ending.canceled or ending.timed_out or ending.rc is None or stats is None:
        return {}
    failed = bool(stats.get("failures") or stats.get("dark"))
    if _extra(hosts, stats) or (ending.rc != 0 and not (failed and ending.rc in _RC_OF_HOSTS)):
        # Something is wrong that no host's own events tell of, so none is believed.
        end = _end(kind, hosts, events, ending)
        return dict.fromkeys(hosts, end if end.status is not RunStatus.SUCCEEDED else _NOT_BELIEVED)
    return {host: _end(kind, (host,), _of(host, events), Ending(rc=0)) for host in hosts}


def _of(host: str, events: Sequence[Event]) -> list[Event]:
    """The events of one host, with those that are of none, and the statistics of that host alone."""
    own: list[Event] = []
    for event in events:
        if _is(event, "playbook_on_stats"):
            counts = {
                key: {host: of[host]} for key, of in _data(event).items() if isinstance(of, Mapping) and host in of
            }
            own.append({**event, "event_data": counts})
        elif _data(event).get("host", host) == host:
            own.append(event)
    return own


def _status(kind: RunKind, hosts: Sequence[str], events: Sequence[Event], ending: Ending) -> tuple[RunStatus, str]:
    if ending.canceled:
        return RunStatus.CANCELED, "The run was canceled" + _while(events)
    if ending.timed_out:
        return RunStatus.TIMED_OUT, "The run's time limit ended it" + _while(events)
    stats = _stats(events)
    if ending.rc is None or stats is None:
        said = _last_words(events)
        return RunStatus.UNKNOWN, f"The playbook ended without a result{f': {said}' if said else ''}"
    late = next((event for event in events if _result(event).get("timedout")), None)
    if late is not None:
        return RunStatus.TIMED_OUT, f"{_failure(late)}; the host may still be at work"
    dark = [event for event in events if _is(event, "runner_on_unreachable")]
    if stats.get("dark") or dark:
        return RunStatus.UNREACHABLE, str(_failure(dark[-1])) if dark else "a host was unreachable"
    failed = _fatal(events, stats)
    if failed:
        return _failed(kind, failed, stats, events)
    wrong = _processed(hosts, stats)
    if wrong:
        return RunStatus.FAILED, wrong
    if ending.rc != 0:
        return RunStatus.FAILED, f"ansible-playbook ended with {ending.rc}: {_last_words(events)}".rstrip(": ")
    return RunStatus.SUCCEEDED, ""


def _failed(
    kind: RunKind, failed: Sequence[_Failure], stats: Mapping[str, Any], events: Sequence[Event]
) -> tuple[RunStatus, str]:
    """SICK and REFUSED only where that is all there is to say: one failure a host, each with the word."""
    once = all(int(count) == 1 for count in dict(stats.get("failures") or {}).values())
    if once and kind in _LOOKING and _all_say(SICK, failed):
        return RunStatus.SICK, failed[0].message.removeprefix(SICK)
    # A role that says "refused" after it changed something is not believed.
    clean = once and not _changed(kind, events)
    if clean and kind not in _LOOKING and _all_say(REFUSED, failed):
        return RunStatus.REFUSED, failed[0].message.removeprefix(REFUSED)
    return RunStatus.FAILED, str(failed[0])


def _all_say(word: str, failed: Sequence[_Failure]) -> bool:
    return all(failure.message.startswith(word) for failure in failed)


def _fatal(events: Sequence[Event], stats: Mapping[str, Any]) -> list[_Failure]:
    """The failure that ended each failed host: its last one, for those before were rescued."""
    last: dict[str, Event] = {}
    for event in events:
        if _is(event, "runner_on_failed") and not _data(event).get("ignore_errors"):
            last[str(_data(event).get("host", ""))] = event
    items = {
        str(_data(event).get("task_uuid")): event for event in reversed(events) if _is(event, "runner_item_on_failed")
    }
    found = []
    for host in sorted(dict(stats.get("failures") or {})):
        fatal = last.get(host)
        if fatal is None:
            found.append(_Failure(host, "", f"{host} failed, and no event says why"))
            continue
        # A loop's own message is "One or more items failed"; its first failed item says what.
        found.append(_failure(items.get(str(_data(fatal).get("task_uuid")), fatal)))
    return found


def _stats(events: Sequence[Event]) -> Mapping[str, Any] | None:
    return next((_data(event) for event in reversed(events) if _is(event, "playbook_on_stats")), None)


def _extra(hosts: Sequence[str], stats: Mapping[str, Any]) -> list[str]:
    seen: set[str] = set()
    for key in ("processed", "ok", "changed", "skipped", "failures", "dark", "rescued", "ignored"):
        seen |= set(dict(stats.get(key) or {}))
    return sorted(seen - set(hosts))


def _processed(hosts: Sequence[str], stats: Mapping[str, Any]) -> str:
    """Empty where exactly the intended hosts were processed."""
    extra = _extra(hosts, stats)
    if extra:
        return f"{', '.join(extra)} was processed and was not meant to be"
    ok = dict(stats.get("ok") or {})
    missing = sorted(host for host in hosts if int(ok.get(host, 0)) < 1)
    return f"{', '.join(missing)} was not processed" if missing else ""


def _failure(event: Event) -> _Failure:
    data, result = _data(event), _result(event)
    said = str(result.get("msg") or result.get("censored") or result.get("stderr") or "no message")
    host = str(data.get("host", ""))
    return _Failure(
        host,
        str(data.get("task", "")),
        plain(said, host, str(result.get("module_stderr") or result.get("stderr") or "")),
    )


def _changed(kind: RunKind, events: Sequence[Event]) -> bool:
    if kind is RunKind.PLAN:
        # In check mode they say what they would have changed.
        return False
    for event in events:
        if _is(event, "playbook_on_stats") and any(dict(_data(event).get("changed") or {}).values()):
            return True
        if _is(event, "runner_on_ok") and _result(event).get("changed") is True:
            return True
    return False


def _reached(events: Sequence[Event]) -> bool:
    """Whether any task came back from a host before it could not be reached any more."""
    return any(_is(event, "runner_on_ok") or _is(event, "runner_on_failed") for event in events)


def _while(events: Sequence[Event]) -> str:
    tasks = [_data(event).get("task") for event in events if _is(event, "playbook_on_task_start")]
    return f" during task {tasks[-1]}" if tasks else " before its first task"


def _last_words(events: Sequence[Event]) -> str:
    """What Ansible printed outside of tasks: its first error, else the last line (of a traceback, say)."""
    said = [str(event.get("stdout", "")) for event in events if event.get("event") in ("error", "verbose")]
    lines = [" ".join(line.split()) for text in said for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(("[ERROR]", "ERROR!"))), lines[-1] if lines else "")


def _is(event: Event, name: str) -> bool:
    return event.get("event") == name


def _data(event: Event) -> Mapping[str, Any]:
    data = event.get("event_data")
    return data if isinstance(data, Mapping) else {}


def _result(event: Event) -> Mapping[str, Any]:
    result = _data(event).get("res")
    return result if isinstance(result, Mapping) else {}


def _bounded(reason: str) -> str:
    """A host wrote much of it, and a terminal will show it."""
    reason = printable(reason)
    return reason if len(reason) <= REASON_LIMIT else f"{reason[: REASON_LIMIT - 3]}..."
