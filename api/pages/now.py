"""Now: what is sick, what is being done, what waits for a person. And what of it changes while one looks."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from api.outbreaks import HOSTS_MAX, OPEN_FOR
from api.pages.live import Live
from api.pages.site import page, part
from api.roles import needs
from api.routes.status import monitoring
from api.scores import UNWELL, of_hosts, tone_of
from api.state import ApiState, State
from orchestrator.domain.access import Role
from orchestrator.domain.ids import is_outbreak
from orchestrator.domain.incidents import UNDER_WAY, Incident, IncidentState
from orchestrator.domain.outbreaks import MemberEnd, Outbreak, OutbreakState
from orchestrator.domain.pages import ApprovalFilter, EventFilter, Page
from orchestrator.domain.runs import Run, RunStatus
from orchestrator.domain.verdicts import Answer
from orchestrator.ports import ApiStore

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Rows of a list on this page, and of those that were healed; the other pages have the rest.
SHOWN, HEALED = 30, 10
#: For which an outbreak that has ended may be shown.
LATELY = timedelta(hours=24)
WORST = ("bad", "asks", "plain", "busy", "good")


@dataclass(frozen=True, slots=True)
class Struck:
    """An outbreak: its hosts, how many of them verified, and how many are asked about."""

    outbreak: Outbreak
    hosts: int
    verified: int
    asked: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A host in the grid."""

    name: str
    score: int
    #: good, busy, asks, bad or plain, and the same in a word.
    tone: str
    word: str


@router.get("/")
async def now(request: Request, state: State) -> HTMLResponse:
    """The whole page."""
    live: Live = request.app.state.live
    return await run_in_threadpool(_whole, request, state, await live.text(patient=False))


def _whole(request: Request, state: ApiState, live: Markup) -> HTMLResponse:
    return page(request, "now.html", stopped=state.store.stopped(), live=live)


@router.get("/parts/now")
async def parts(request: Request) -> HTMLResponse:
    """What of it changes."""
    live: Live = request.app.state.live
    return HTMLResponse(await live.text(patient=True))


def rendered(state: ApiState) -> Markup:
    """What changes, for whoever looks."""
    return part("parts/now.html", **_now(state))


def _now(state: ApiState) -> dict[str, Any]:
    store = state.store
    under_way = store.incidents(states=sorted(UNDER_WAY), limit=1000)
    escalated = store.incidents(states=(IncidentState.ESCALATED,), limit=1000)
    approvals = store.approvals((Answer.PENDING,), limit=SHOWN)
    healing = [one for one in under_way if one.state is not IncidentState.PENDING_APPROVAL]
    groups = _grid(state, (*under_way, *escalated))
    return {
        "monitoring": monitoring(state),
        "groups": groups,
        "summary": _summary(groups),
        "sick": {one.id: one for one in under_way},
        "doing": _doing(store),
        "healing": healing[:SHOWN],
        "healing_more": max(0, len(healing) - SHOWN),
        "approvals": approvals,
        "escalated": escalated[:SHOWN],
        "escalated_more": max(0, len(escalated) - SHOWN),
        "recent": _healed_lately(store),
        "hosts": len(state.fleet.hosts()),
        "outbreaks": _outbreaks(store),
    }


def _healed_lately(store: ApiStore) -> list[tuple[Incident, datetime]]:
    """With when they were healed, the last first: one that was opened long ago may be among them."""
    ends = store.page_events(EventFilter(kind=f"incident.{IncidentState.HEALED}"), Page(limit=HEALED)).items
    found = ((store.incident(one.incident_id), one.at) for one in ends)
    return [(one, at) for one, at in found if one is not None and one.state is IncidentState.HEALED]


def _outbreaks(store: ApiStore) -> list[Struck]:
    """Those under way, those that were stopped lately, and those whose hosts are asked about."""
    since, told = datetime.now(UTC) - LATELY, []
    for one in store.outbreaks(limit=SHOWN):
        lately = one.ended_at is None or one.ended_at >= since
        waiting = ApprovalFilter(signature=one.signature, answers=(Answer.PENDING,), since=one.opened_at - OPEN_FOR)
        asked = len(store.page_approvals(waiting, Page(limit=HOSTS_MAX)).items) if lately else 0
        if asked or (lately and one.state in (OutbreakState.HEALING, OutbreakState.STOPPED)):
            members = store.members(one.id)
            verified = sum(member.ending is MemberEnd.VERIFIED for member in members)
            told.append(Struck(one, len(members) + asked, verified, asked))
    return told


def _summary(groups: list[tuple[str, list[Cell]]]) -> list[tuple[tuple[str, str], int]]:
    """How many hosts are how, the worst first: tone and word, and the number."""
    found = Counter((cell.tone, cell.word) for _, cells in groups for cell in cells)
    return sorted(found.items(), key=lambda one: (WORST.index(one[0][0]), -one[1]))


def _doing(store: ApiStore) -> dict[str, Run]:
    """What runs now, by the incident that it is for; of a wave, by the hosts."""
    running = [run for run in store.shut_runs() if run.status is RunStatus.RUNNING]
    waves = {host: run for run in running if is_outbreak(run.incident_id) for host in run.hosts}
    return {**waves, **{run.incident_id: run for run in running}}


def _grid(state: ApiState, standing: tuple[Incident, ...]) -> list[tuple[str, list[Cell]]]:
    """Hosts by their first group, as the inventory has them, each with its health."""
    scored = of_hosts(state, datetime.now(UTC))
    worst: dict[str, str] = {}
    for incident in standing:
        known = worst.get(incident.host)
        if incident.state is IncidentState.ESCALATED or known is None:
            worst[incident.host] = incident.state.value
    reading = {one.host: one.state for one in state.reading()}
    groups: dict[str, list[Cell]] = defaultdict(list)
    for host in state.fleet.hosts():
        score = scored[host.name].score
        word = worst.get(host.name, "")
        away = reading.get(host.name, "") == "down"
        shown = "not reached" if away else word.replace("_", " ") or ("well" if score >= UNWELL else "was sick")
        cell = Cell(host.name, score, "plain" if away else _tone(word, score), shown)
        groups[next((group for group in host.groups if group != "all"), "ungrouped")].append(cell)
    return sorted(groups.items())


def _tone(word: str, score: int) -> str:
    """How a host is shown that stands so; '': nothing is sick there now."""
    if word == IncidentState.ESCALATED or tone_of(score) == "bad":
        return "bad"
    if word and word != IncidentState.PENDING_APPROVAL:
        return "busy"
    return "asks" if word else tone_of(score)
