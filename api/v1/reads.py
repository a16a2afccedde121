"""GET: everything that is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from api.described import MISSING
from api.errors import ApiError
from api.roles import needs
from api.routes.status import monitoring
from api.state import ApiState, State
from api.v1 import shapes
from api.v1.queries import ActionName, HostName, MinLevel, Paged, SignatureName, Span, host_named, listed, missing
from api.v1.shapes import ROOT, List
from orchestrator.domain import ids
from orchestrator.domain.access import Role
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import UNDER_WAY, Incident, IncidentState
from orchestrator.domain.pages import ApprovalFilter, EventFilter, IncidentFilter, Page, RunFilter
from orchestrator.domain.runs import Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Verdict
from orchestrator.record import artifacts, review

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])

#: Records of an incident that are shown with it.
EVIDENCE = 200
#: Incidents under way, and such that wait for a person, that hosts are counted by.
COUNTED = 10_000

States = Annotated[list[IncidentState], Query(alias="state", description="one or several")]


@router.get("")
def root() -> dict[str, Any]:
    """Where everything is."""
    names = (
        *("status", "hosts", "incidents", "outbreaks", "decisions", "healings", "runs", "approvals", "actions"),
        *("policy", "memory", "statistics", "health", "audit", "stream", "openapi.json"),
    )
    return {"name": "healing-bot", "links": {name.partition(".")[0]: f"{ROOT}/{name}" for name in names}}


@router.get("/status")
def status(state: State) -> shapes.StatusShape:
    """Whether it works, and whether it may."""
    return shapes.StatusShape(
        monitoring=monitoring(state), stopped=state.store.stopped(), hosts=len(state.fleet.hosts())
    )


@router.get("/hosts")
def hosts(state: State) -> List[shapes.HostShape]:
    """Every host of the inventory, by name."""
    shaped = _hosts(state)
    return List(items=[shaped(host) for host in sorted(state.fleet.hosts(), key=lambda one: one.name)], next=None)


@router.get("/hosts/{name}", responses=MISSING)
def host(name: str, state: State) -> shapes.HostShape:
    """One host."""
    return _hosts(state)(host_named(state, name))


def _hosts(state: ApiState) -> Callable[[Host], shapes.HostShape]:
    reading = {one.host: one for one in state.reading()}
    under_way = Counter(one.host for one in state.store.incidents(states=sorted(UNDER_WAY), limit=COUNTED))
    escalated = Counter(one.host for one in state.store.incidents(states=(IncidentState.ESCALATED,), limit=COUNTED))
    return lambda one: shapes.host(one, reading.get(one.name), under_way[one.name], escalated[one.name])


def _among(
    span: Span,
    signature: SignatureName = None,
    outbreak: Annotated[str | None, Query(max_length=64, description="in which it has, or had, a place")] = None,
) -> IncidentFilter:
    return IncidentFilter(since=span.since, until=span.until, signature=signature, outbreak_id=outbreak)


def _incidents(
    among: Annotated[IncidentFilter, Depends(_among)],
    host: HostName = None,
    states: States = [],  # noqa: B006  # FastAPI copies it
    level: MinLevel = None,
    text: Annotated[str | None, Query(max_length=200, description="part of the subject or of the line")] = None,
    action: ActionName = None,
    chooser: Annotated[str | None, Query(max_length=64)] = None,
    injected: bool = True,
) -> IncidentFilter:
    return replace(
        among,
        host=host,
        states=states,
        severity=level,
        text=text,
        action=action,
        chooser=chooser,
        injected=injected,
    )


Incidents = Annotated[IncidentFilter, Depends(_incidents)]


@router.get("/incidents")
def incidents(request: Request, state: State, page: Paged, wanted: Incidents) -> List[shapes.IncidentShape]:
    """What is or was sick."""
    return listed(request, lambda: state.store.page_incidents(wanted, page), shapes.incident)


@router.get("/incidents/{incident_id}", responses=MISSING)
def incident(incident_id: str, state: State) -> shapes.IncidentWhole:
    """One incident with all that belongs to it."""
    store = state.store
    found = store.incident(incident_id)
    if found is None:
        raise missing("incident", f"{ROOT}/incidents")
    asked, decision, verdict = (
        store.approval(ids.approval_id(IncidentId(incident_id))),
        store.decision(incident_id),
        store.verdict(incident_id),
    )
    member = store.membership(incident_id)
    whose = {"outbreak": f"{ROOT}/outbreaks/{member.outbreak_id}"} if member else {}
    return shapes.IncidentWhole(
        incident=shapes.incident(found),
        evidence=[shapes.RecordShape.model_validate(one) for one in store.evidence(incident_id, EVIDENCE)],
        decision=shapes.DecisionShape.model_validate(decision) if decision else None,
        verdict=shapes.verdict(verdict),
        approval=shapes.approval(asked) if asked else None,
        runs=[shapes.run(one) for one in store.runs(incident_id=incident_id)],
        links={
            "host": f"{ROOT}/hosts/{found.host}",
            "events": f"{ROOT}/audit?incident={incident_id}&sort=oldest",
            "exchange": f"{ROOT}/incidents/{incident_id}/exchange",
            "memory": f"{ROOT}/memory/{found.signature}",
            "runs": f"{ROOT}/runs?incident={incident_id}",
            **whose,
        },
    )


@router.get("/decisions")
def decisions(request: Request, state: State, page: Paged, wanted: Incidents) -> List[shapes.HealingShape]:
    """What was chosen for each incident, also where nothing is to be done."""
    return listed(request, lambda: state.store.page_decisions(wanted, page), _healing)


@router.get("/healings")
def healings(request: Request, state: State, page: Paged, wanted: Incidents) -> List[shapes.HealingShape]:
    """Incidents that an action was chosen for."""
    acting = replace(wanted, acts=True)
    return listed(request, lambda: state.store.page_decisions(acting, page), _healing)


def _healing(one: tuple[Incident, Decision, Verdict | None]) -> shapes.HealingShape:
    found, decision, verdict = one
    return shapes.HealingShape(
        incident=shapes.incident(found),
        decision=shapes.DecisionShape.model_validate(decision),
        verdict=shapes.verdict(verdict),
    )


def _runs(
    span: Span,
    host: HostName = None,
    incident: Annotated[str | None, Query(max_length=64)] = None,
    kind: Annotated[list[RunKind], Query()] = [],  # noqa: B006  # FastAPI copies it
    status: Annotated[list[RunStatus], Query()] = [],  # noqa: B006
    action: ActionName = None,
) -> RunFilter:
    return RunFilter(
        since=span.since,
        until=span.until,
        host=host,
        incident_id=incident,
        kinds=kind,
        statuses=status,
        action=action,
    )


@router.get("/runs")
def runs(
    request: Request, state: State, page: Paged, wanted: Annotated[RunFilter, Depends(_runs)]
) -> List[shapes.RunShape]:
    """Executions of playbooks."""
    return listed(request, lambda: state.store.page_runs(wanted, page), shapes.run)


def _run(state: ApiState, run_id: str) -> Run:
    found = state.store.run(run_id)
    if found is None:
        raise missing("run", f"{ROOT}/runs")
    return found


@router.get("/runs/{run_id}", responses=MISSING)
def run(
    run_id: str,
    state: State,
    after: Annotated[int, Query(ge=0, le=2**53, description="tasks behind the event of that number")] = 0,
    limit: Annotated[int, Query(ge=1, le=review.TASKS, description="tasks")] = 200,
) -> shapes.RunWhole:
    """How it ended, task by task, and which files it left; of very many files, those that are no events."""
    found = _run(state, run_id)
    left = review.left(artifacts.folder_of(state.settings.artifacts_dir, found.id), after, limit)
    here = f"{ROOT}/runs/{found.id}"
    whose = "outbreak" if ids.is_outbreak(found.incident_id) else "incident"
    return shapes.RunWhole(
        run=shapes.run(found),
        tasks=[shapes.TaskShape.model_validate(one) for one in left.tasks],
        next=None if left.next is None else f"{here}?after={left.next}&limit={limit}",
        files=[shapes.FileShape.model_validate(one) for one in left.files],
        files_left_out=left.file_count - len(left.files),
        links={
            whose: f"{ROOT}/{whose}s/{found.incident_id}",
            "events": f"{here}/events",
            "stdout": f"{here}/stdout",
            "artifacts": f"{here}/artifacts",
        },
    )


@router.get(
    "/runs/{run_id}/stdout",
    response_class=Response,
    responses={**MISSING, 200: {"content": {"text/plain": {}}, "description": "as it came"}},
)
def stdout(run_id: str, state: State) -> StreamingResponse:
    """Ansible's own output, as it came: with the colours of a terminal, and whatever a host wrote into it."""
    said = artifacts.output(artifacts.folder_of(state.settings.artifacts_dir, _run(state, run_id).id))
    return StreamingResponse(said, media_type="text/plain; charset=utf-8")


@router.get(
    "/runs/{run_id}/artifacts",
    response_class=Response,
    responses={**MISSING, 200: {"content": {"application/gzip": {}}, "description": "a .tar.gz"}},
)
def archive(run_id: str, state: State) -> StreamingResponse:
    """Everything that the run left, as one .tar.gz."""
    found = _run(state, run_id)
    folder = artifacts.folder_of(state.settings.artifacts_dir, found.id)
    whole = artifacts.archive(folder)
    if whole is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND, "not_found", "The run left nothing, or retention has removed what it left."
        )
    headers = {"content-disposition": f'attachment; filename="{found.id}.tar.gz"'}
    return StreamingResponse(whole, media_type="application/gzip", headers=headers)


@router.get("/runs/{run_id}/events", responses=MISSING)
def events(
    request: Request,
    run_id: str,
    state: State,
    after: Annotated[int, Query(ge=0, le=2**53, description="the number of the last one that is known")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> List[shapes.RunEventShape]:
    """Ansible's own events, in order, as far as the run came; one that is very large has no data."""
    folder = artifacts.folder_of(state.settings.artifacts_dir, _run(state, run_id).id)
    found = artifacts.events(folder, after, limit + 1)
    shown = found[:limit]
    asked = request.url.include_query_params(after=shown[-1][0]) if len(found) > limit else None
    return List(items=[shapes.run_event(*one) for one in shown], next=f"{asked.path}?{asked.query}" if asked else None)


@router.get("/approvals")
def approvals(
    request: Request,
    state: State,
    page: Paged,
    span: Span,
    host: HostName = None,
    answer: Annotated[list[Answer], Query()] = [],  # noqa: B006
) -> List[shapes.ApprovalShape]:
    """Questions to a person."""
    wanted = ApprovalFilter(since=span.since, until=span.until, host=host, answers=answer)
    return listed(request, lambda: state.store.page_approvals(wanted, page), shapes.approval)


@router.get("/approvals/{approval_id}", responses=MISSING)
def approval(approval_id: str, state: State) -> shapes.ApprovalShape:
    """One question."""
    found = state.store.approval(approval_id)
    if found is None:
        raise missing("approval", f"{ROOT}/approvals")
    return shapes.approval(found)


@router.get("/actions")
def actions(state: State) -> List[shapes.ActionShape]:
    """The whitelist: everything that can ever be done to a host."""
    return List(items=[shapes.action(one) for one in state.actions], next=None)


@router.get("/actions/{action_id}", responses=MISSING)
def action(action_id: str, state: State) -> shapes.ActionShape:
    """One row of the whitelist."""
    found = next((one for one in state.actions if one.id == action_id), None)
    if found is None:
        raise missing("action", f"{ROOT}/actions")
    return shapes.action(found)


def _events(
    span: Span,
    host: HostName = None,
    incident: Annotated[str | None, Query(max_length=64, description="or an outbreak")] = None,
    kind: Annotated[str | None, Query(max_length=64, description="such as run.started, or run for all of them")] = None,
    actor: Annotated[str | None, Query(max_length=255)] = None,
    people: Annotated[
        bool | None, Query(description="true: what people and clients did; false: what healing-bot did by itself")
    ] = None,
) -> EventFilter:
    return EventFilter(
        since=span.since,
        until=span.until,
        host=host,
        incident_id=incident,
        kind=kind,
        actor=actor,
        people=people,
    )


@router.get("/audit")
def audit(
    request: Request, state: State, page: Paged, wanted: Annotated[EventFilter, Depends(_events)]
) -> List[shapes.EventShape]:
    """Lines of the ledger: who did what and when."""
    return listed(request, lambda: state.store.page_events(wanted, page), shapes.event)


@router.get("/looks/{seq}", responses=MISSING)
def look(seq: Annotated[int, Path(ge=1, le=2**53)], state: State) -> shapes.LookShape:
    """One pass over a host that was asked for with POST heal."""
    asked = next(iter(state.store.events(after=seq - 1, limit=1)), None)
    if asked is None or asked.seq != seq or asked.kind != "look.asked":
        raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "No pass over a host was asked for under this number.")
    ended = state.store.page_events(
        EventFilter(kind="look.ended", host=asked.host), Page(after=str(seq), oldest_first=True, limit=500)
    )
    end = next((one for one in ended.items if one.data.get("asked") == seq), None)
    return shapes.LookShape(
        host=asked.host,
        ended=end is not None,
        text=end.text if end else "it is still being looked at",
        incidents=list(end.data.get("incidents", ())) if end else [],
    )


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    """This description."""
    described: dict[str, Any] = request.app.openapi()
    return described
