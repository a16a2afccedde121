"""What became of each host that wrote the same error: one outbreak as pages and programs tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import run_id, wave_id
from orchestrator.domain.incidents import Incident
from orchestrator.domain.outbreaks import Member, MemberEnd, Outbreak
from orchestrator.domain.pages import ApprovalFilter, IncidentFilter, OutbreakFilter, Page
from orchestrator.domain.runs import Run
from orchestrator.domain.verdicts import Answer, Approval, Verdict
from orchestrator.ports import ApiStore

#: Hosts of one outbreak that are told of at most.
HOSTS_MAX = 1000
#: How long before an outbreak a question about its error may have been asked that is still open.
OPEN_FOR = timedelta(days=30)
#: How near an outbreak's beginning and an incident's first line are, where both are of one trouble.
NEAR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Seat:
    """One incident of an outbreak."""

    member: Member
    incident: Incident
    decision: Decision
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Wave:
    """Hosts that were, or are, healed together. `canary`: nobody had verified before, so it is one host."""

    number: int
    canary: bool
    seats: tuple[Seat, ...]
    #: Oldest first.
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """An outbreak with everybody whom its error struck."""

    outbreak: Outbreak
    #: In their order.
    waves: tuple[Wave, ...]
    #: Members that wait for a wave, or left before they were in one.
    outside: tuple[Seat, ...]
    #: Incidents of the same error that are no members: healed before, asked about, refused, or decided otherwise.
    others: tuple[Incident, ...]
    #: What people are, or were, asked about this error, each for its host. Newest first.
    questions: tuple[Approval, ...]

    @property
    def open_questions(self) -> tuple[Approval, ...]:
        """Those that nobody has answered."""
        return tuple(one for one in self.questions if one.answer is Answer.PENDING)


def tell(store: ApiStore, outbreak: Outbreak, window_seconds: float) -> Story:
    """`window_seconds`: how long before it was opened an incident may have begun that belongs to it."""
    whole = Page(limit=HOSTS_MAX, oldest_first=True)
    members = {one.incident_id: one for one in store.members(outbreak.id)}
    decided = store.page_decisions(IncidentFilter(outbreak_id=outbreak.id), whole).items
    seats = tuple(Seat(members[found.id], found, chosen, verdict) for found, chosen, verdict in decided)
    since = outbreak.opened_at - timedelta(seconds=window_seconds)
    struck = IncidentFilter(signature=outbreak.signature, since=since, until=outbreak.ended_at)
    lately = ApprovalFilter(signature=outbreak.signature, since=outbreak.opened_at - OPEN_FOR)
    asked = store.page_approvals(lately, Page(limit=HOSTS_MAX)).items
    return Story(
        outbreak=outbreak,
        waves=_waves(seats, tuple(reversed(store.runs(incident_id=outbreak.id, limit=HOSTS_MAX)))),
        outside=tuple(one for one in seats if not one.member.wave),
        others=tuple(one for one in store.page_incidents(struck, whole).items if one.id not in members),
        questions=tuple(one for one in asked if one.answer is Answer.PENDING or _during(one, outbreak)),
    )


def outbreak_of(store: ApiStore, incident: Incident) -> str:
    """The id of the outbreak that it is a member of, or that struck others with the same error then; '' where none."""
    member = store.membership(incident.id)
    if member is not None:
        return member.outbreak_id
    around = OutbreakFilter(
        signature=incident.signature, since=incident.first_seen - NEAR, until=incident.first_seen + NEAR
    )
    return next((one.id for one in store.page_outbreaks(around, Page(limit=1)).items), "")


def stands(member: Member) -> str:
    """Where a member stands, in words."""
    if member.waits:
        return "waits for a wave"
    return "its wave goes on" if member.ending is None else member.ending.value


def _during(approval: Approval, outbreak: Outbreak) -> bool:
    ended = outbreak.ended_at
    return outbreak.opened_at <= approval.asked_at and (ended is None or approval.asked_at <= ended)


def _waves(seats: Sequence[Seat], runs: Sequence[Run]) -> tuple[Wave, ...]:
    found, verified = [], False
    for number in sorted({one.member.wave for one in seats if one.member.wave}):
        inside = tuple(one for one in seats if one.member.wave == number)
        of_it = tuple(one for one in runs if one.id.startswith(run_id(wave_id(one.incident_id, number), "")))
        found.append(Wave(number, not verified, inside, of_it))
        verified = verified or any(one.member.ending is MemberEnd.VERIFIED for one in inside)
    return tuple(found)
