"""Runs, and the review of one: what each task did on each host, in which order, and for how long."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.pages.incidents import following, paged
from api.pages.site import STDOUT_SHOWN, gone, page
from api.roles import needs
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.domain.ids import is_outbreak
from orchestrator.domain.pages import RunFilter
from orchestrator.domain.runs import RunStatus
from orchestrator.errors import RecordError
from orchestrator.record import artifacts, review
from orchestrator.record.artifacts import Task
from orchestrator.record.review import Left

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Tasks on one page: a browser draws them at once.
TASKS = 200


@router.get("/runs")
def runs(request: Request, state: State, host: str = "", action: str = "") -> HTMLResponse:
    """Newest first."""
    wanted = RunFilter(host=host or None, action=action or None)
    found = state.store.page_runs(wanted, paged(request))
    return page(
        request,
        "runs.html",
        stopped=state.store.stopped(),
        runs=found.items,
        next=following(request, found.next),
        host=host,
        action=action,
        hosts=sorted(one.name for one in state.fleet.hosts()),
        actions=[one.id for one in state.actions],
    )


@router.get("/runs/{run_id}")
def run(request: Request, run_id: str, state: State, after: int = 0) -> HTMLResponse:
    """One run, with the tasks behind an event."""
    found = state.store.run(run_id)
    if found is None:
        raise gone("run")
    folder = artifacts.folder_of(state.settings.artifacts_dir, found.id)
    problem, left = "", Left()
    try:
        left = review.left(folder, after, TASKS)
    except RecordError as error:
        problem = str(error)
    shown = lines(left.tasks, left.counts if after or left.next else {}, found.started, found.ended)
    counts = sum((Counter(dict(line.counts)) for line in shown), Counter[str]())
    return page(
        request,
        "run.html",
        problem=problem,
        left=left,
        stopped=state.store.stopped(),
        run=found,
        of_outbreak=is_outbreak(found.incident_id),
        running=found.status is RunStatus.RUNNING,
        lines=shown,
        ends={host: found.on(host) for host in found.hosts},
        counts=counts.most_common(),
        after=after,
        last_stdout=left.cut or len(left.stdout) > STDOUT_SHOWN,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """A task on its host's line of time, in percent of the run."""

    task: Task
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """One host of a run: how its tasks ended, and those that are shown."""

    host: str
    counts: list[tuple[str, int]]
    bars: list[Bar]


def lines(
    tasks: Sequence[Task], counted: Mapping[str, Mapping[str, int]], started: datetime, ended: datetime | None
) -> list[Line]:
    """A line of time for each host of the tasks; `counted`: of all its tasks, where others are not among these."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for task in tasks:
        counts[task.host][task.outcome] += 1
    starts = [task.started for task in tasks if task.started]
    ends = [task.started + timedelta(seconds=task.seconds) for task in tasks if task.started]
    began = min([started, *starts])
    whole = (max([*ends, ended or started]) - began).total_seconds() or 1.0
    bars: dict[str, list[Bar]] = defaultdict(list)
    for task in tasks:
        after = (task.started - began).total_seconds() if task.started else 0.0
        # A host's clock is not ours, but what is drawn stays inside.
        left = min(99.0, max(0.0, 100 * after / whole))
        bars[task.host].append(Bar(task, left, min(100 - left, max(1.0, 100 * task.seconds / whole))))
    return [Line(host, Counter(counted.get(host, counts[host])).most_common(), found) for host, found in bars.items()]
