"""Heals outbreaks: one canary, then growing waves, each a playbook run, until all verified or one did not.

A wave is a durable workflow whose steps may run again after a crash. Who is in it stands in the store, and each step
asks there; a playbook starts at most once by its run id, which the wave's number is part of. The store lets no other
run touch a host that a wave holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from orchestrator.domain import ids
from orchestrator.domain.actions import Action
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import Member, MemberEnd, Outbreak, OutbreakState, wave_size
from orchestrator.domain.runs import PlaybookResult, Run, RunKind
from orchestrator.domain.verdicts import Outcome
from orchestrator.errors import HealingError, InventoryError, RecordError, StoreUnavailable, TemporaryError
from orchestrator.follow_up import FollowUps
from orchestrator.healing import Healing
from orchestrator.steps import AFTER_ACT, BUSY_PAUSE, BUSY_TRIES, PASSING, Rooms
from orchestrator.turns import Turns
from orchestrator.verify import judgement
from orchestrator.verify.judgement import Check, Next

#: Seconds between two looks for members of a wave, and how many: an hour in which nobody could be taken ends it.
TAKE_PAUSE, TAKE_TRIES = 5.0, 720
#: Sweeps in a row that find no workflow of a wave that was begun: it is lost.
LOST = 30
#: Verdicts that a member leaves its outbreak by. Whatever else is not `allowed` is asked again later.
REFUSING = frozenset({Outcome.DENIED, Outcome.NEEDS_APPROVAL, Outcome.UNKNOWN})

T = TypeVar("T")


class Waves(FollowUps, Turns):
    """The workflow of one wave, by its id, and what begins it."""

    def __init__(self, rooms: Rooms, healing: Healing) -> None:
        super().__init__(rooms)
        self._healing = healing
        #: Waves that were handed to the engine, and how many sweeps in a row found them gone.
        self._begun: dict[str, int] = {}
        #: Members whose host could not be asked, and how often in a row.
        self._silent: dict[str, int] = {}

    def sweep(self) -> None:
        """Begin the next wave of each outbreak under way; stop one whose wave is gone."""
        due = {self._next(one): one for one in self._store.outbreaks(states=(OutbreakState.HEALING,), limit=1000)}
        self._begun = {wave: gone for wave, gone in self._begun.items() if wave in due}
        for wave, outbreak in due.items():
            if wave not in self._begun:
                self._rooms.engine.start("wave", wave, wave)
                self._begun[wave] = 0
                continue
            self._begun[wave] = 0 if self._rooms.engine.alive(wave) else self._begun[wave] + 1
            if self._begun[wave] > LOST:
                self._give_up(outbreak.id, "its wave ended in the middle; look at its runs and at the hosts")

    def _next(self, outbreak: Outbreak) -> str:
        """The wave that goes on, else the one after the last."""
        going_on = any(one.held for one in self._store.members(outbreak.id))
        return ids.wave_id(outbreak.id, outbreak.wave if going_on else outbreak.wave + 1)

    def wave(self, workflow_id: str) -> None:
        """Take, check, act once, settle, verify; then hold as usual, and stop the outbreak where one did not verify."""
        outbreak_id, number = ids.wave_of(workflow_id)
        if not self._do("take", self._take, outbreak_id, number):
            return
        following: Any = {}
        cursors: Any = {}
        if self._do("check", self._check, outbreak_id, number):
            settle = self._do("act", self._act, outbreak_id, number)
            if isinstance(settle, float):
                self._do("settle", self._settle, outbreak_id, settle)
                cursors = self._do("position", self._positions, outbreak_id, number)
                following = self._do("verify", self._verify, outbreak_id, number)
        starts: Any = self._do("close", self._close, outbreak_id, number, following or {}, cursors or {})
        for workflow, name, incident_id, host, delay in starts or ():
            self._rooms.engine.start(workflow, name, incident_id, host=host or None, delay=delay)
        well: Any = self._do("well", self._well, outbreak_id, number)
        for incident_id in well or ():
            self._follow(incident_id)

    # taking -----------------------------------------------------------------------------------------

    def _take(self, outbreak_id: str, number: int) -> list[str]:
        """The hosts of the wave; none: the outbreak is over."""
        for _ in range(TAKE_TRIES):
            outbreak, why = self._outbreak(outbreak_id), self._why_stop(outbreak_id)
            if outbreak.state is not OutbreakState.HEALING or why:
                self._stop(outbreak_id, why or outbreak.reason)
                why = why or outbreak.reason
                self._leave(self._held(outbreak_id, number), f"outbreak {outbreak_id} was stopped: {why}")
                return []
            self._fill(outbreak, number)
            hosts = [one.host for one in self._held(outbreak_id, number)]
            if hosts:
                names = ", ".join(hosts)
                text = f"wave {number}: {outbreak.action} on {names}"
                self._store.append(
                    "outbreak.wave", incident_id=outbreak_id, host=",".join(hosts), text=text, data={"wave": number}
                )
                return hosts
            if self._store.end_outbreak(outbreak_id):
                return []
            self._pause(TAKE_PAUSE)
        self._stop(outbreak_id, "nobody of those who wait could be taken into a wave for an hour")
        return []

    def _why_stop(self, outbreak_id: str) -> str:
        if stopped := self._store.stopped():
            return f"all healing is stopped: {stopped}"
        for one in self._store.members(outbreak_id):
            incident = self._store.incident(one.incident_id)
            if one.ending is MemberEnd.FAILED:
                return f"{one.host} did not verify"
            if one.ending is MemberEnd.VERIFIED and incident and incident.state is IncidentState.ESCALATED:
                return f"{one.host} verified, but the error came back"
        return ""

    def _fill(self, outbreak: Outbreak, number: int) -> None:
        """Take members one by one, each judged anew, until the wave is full or policy lets nobody in for now."""
        members = self._store.members(outbreak.id)
        verified = len({one.wave for one in members if one.ending is MemberEnd.VERIFIED})
        size = wave_size(verified, self._rooms.settings.outbreak_wave_max)
        taken = [one for one in members if one.held and one.wave == number]
        for one in members:
            if len(taken) >= size:
                return
            if not one.waits or (taken and not self._alike(one, taken[0])):
                continue
            outcome = self._ask_policy(one)
            if outcome is Outcome.ALLOWED and self._store.take_member(one.incident_id, number):
                taken.append(one)
            elif outcome is not None and outcome is not Outcome.ALLOWED and outcome not in REFUSING:
                return

    def _alike(self, member: Member, first: Member) -> bool:
        """Whether a role is told the same of both hosts' policy: one run tells it once."""
        try:
            one, other = (self._rooms.fleet.host(of.host).policy for of in (member, first))
        except InventoryError:
            # Told of when it is asked for.
            return True
        return (set(one.safe_directories), set(one.protected_services), set(one.permits)) == (
            set(other.safe_directories),
            set(other.protected_services),
            set(other.permits),
        )

    def _ask_policy(self, member: Member) -> Outcome | None:
        """The verdict, which a member that is refused has left by; None: it has left, or can't be asked now."""
        incident = self._incident(member.incident_id)
        if incident.state is IncidentState.PLANNING:
            return None
        if incident.state is not IncidentState.HEALING:
            self._store.end_member(incident.id, MemberEnd.LEFT, f"it is {incident.state} by now")
            return None
        try:
            decision = self._decision(incident.id)
            digest = self._digest(incident.id)
            facts = self._inspect(incident.id, decision)
            verdict = self._admit(incident.id, decision, facts, digest, approved=False)
        except (StoreUnavailable, RecordError):
            raise
        except HealingError as error:
            self._silent[incident.id] = self._silent.get(incident.id, 0) + 1
            if not isinstance(error, TemporaryError) or self._silent[incident.id] > len(PASSING):
                self._leave([member], str(error))
            return None
        if verdict.outcome in REFUSING:
            self._leave([member], f"refused by rule {verdict.rule} right before acting: {verdict.reason}")
        return verdict.outcome

    # check, act, verify -----------------------------------------------------------------------------

    def _check(self, outbreak_id: str, number: int) -> list[str]:
        """The hosts that are sick; those that are well, or can't be told, leave."""
        members = self._held(outbreak_id, number)
        result = self._run_wave(outbreak_id, number, RunKind.CHECK, members)
        for one in members:
            end = result.on(one.host)
            check = judgement.after_check(end)
            if check is Check.WELL:
                why = "the check found it well; nothing was done"
                self._move(one.incident_id, IncidentState.ALREADY_WELL, why)
                self._store.end_member(one.incident_id, MemberEnd.WELL, why)
            elif check is Check.CANNOT_TELL:
                self._leave([one], f"the check can't tell ({end.status}): {end.reason}")
        return [one.host for one in self._held(outbreak_id, number)]

    def _act(self, outbreak_id: str, number: int) -> float | None:
        """Seconds to settle where somebody was acted on; the kill switch is asked with the run's own row."""
        members, digest = self._as_judged(outbreak_id, number)
        if not members:
            return None
        result = self._run_wave(outbreak_id, number, RunKind.ACT, members, digest)
        for one in members:
            end = result.on(one.host)
            if judgement.after_act(end) is Next.ESCALATE:
                self._fail(one, f"nothing was changed: {end.reason or end.status}")
        return float(self._deed(outbreak_id).settle_seconds) if self._held(outbreak_id, number) else None

    def _as_judged(self, outbreak_id: str, number: int) -> tuple[list[Member], str]:
        """Members whose bytes are those that they were judged for, and the digest of what runs on all of them.

        That digest is taken first: what changes after it differs from it, or from what was judged.
        """
        begun = self._act_of(outbreak_id, number) is not None
        while members := self._held(outbreak_id, number):
            outbreak, hosts = self._outbreak(outbreak_id), [self._rooms.fleet.host(one.host) for one in members]
            digest = self._rooms.executor.digest(self._deed(outbreak_id), outbreak.parameters, hosts)
            changed = [one for one in members if self._digest(one.incident_id) != self._judged_digest(one.incident_id)]
            if begun or not changed:
                return members, digest
            self._leave(changed, "playbook, role, parameters or host variables changed since it was judged")
        return [], ""

    def _settle(self, outbreak_id: str, seconds: float) -> bool:
        self._pause(seconds)
        return True

    def _positions(self, outbreak_id: str, number: int) -> dict[str, str]:
        """Where each host's journal ends, by incident; a host that does not come back is not called well."""
        found: dict[str, str] = {}
        said: dict[str, str] = {}
        for pause in (*AFTER_ACT, None):
            missing = [one for one in self._held(outbreak_id, number) if one.incident_id not in found]
            for one in missing:
                try:
                    found[one.incident_id] = self._rooms.probe.position(self._rooms.fleet.host(one.host))
                except (StoreUnavailable, RecordError):
                    raise
                except HealingError as error:
                    said[one.incident_id] = str(error)
            if len(found) == len(self._held(outbreak_id, number)):
                break
            if pause is not None:
                self._pause(pause)
        for one in self._held(outbreak_id, number):
            if one.incident_id not in found:
                self._fail_acted(one, said[one.incident_id])
        return found

    def _verify(self, outbreak_id: str, number: int) -> dict[str, str]:
        """What follows for each member, by incident."""
        for _ in range(BUSY_TRIES):
            act = self._act_of(outbreak_id, number)
            if act is None or not act.slot_shut:
                break
            self._pause(BUSY_PAUSE)
        for one in self._held(outbreak_id, number):
            if act is not None and act.on(one.host).slot_shut:
                self._fail_acted(one, "it still held the host's slot")
        members = self._held(outbreak_id, number)
        if not members or act is None:
            return {}
        result = self._run_wave(outbreak_id, number, RunKind.VERIFY, members)
        action = self._deed(outbreak_id)
        return {
            one.incident_id: judgement.after_verify(action, act.on(one.host).status, result.on(one.host))
            for one in members
        }

    def _run_wave(
        self, outbreak_id: str, number: int, kind: RunKind, members: Sequence[Member], digest: str = ""
    ) -> PlaybookResult:
        """As a healing's own run."""
        hosts = tuple(self._rooms.fleet.host(one.host) for one in members)
        parameters = self._outbreak(outbreak_id).parameters
        run_id = ids.run_id(ids.wave_id(outbreak_id, number), kind)
        job = self._job(run_id, outbreak_id, kind, self._deed(outbreak_id), parameters, hosts, digest)
        signatures = frozenset().union(*(self._store.signatures(one.incident_id) for one in members))
        return self._play(job, signatures)

    # the end of a wave ------------------------------------------------------------------------------

    def _close(
        self, outbreak_id: str, number: int, following: Mapping[str, str], cursors: Mapping[str, str]
    ) -> list[list[object]]:
        """What is to be started next: workflow, id, incident, host, delay. The stop comes first: no wave slips by."""
        members = {one.incident_id: one for one in self._store.members(outbreak_id) if one.wave == number}
        failed = [
            one.host
            for one in members.values()
            if one.ending is MemberEnd.FAILED or following.get(one.incident_id, Next.HOLD) != Next.HOLD
        ]
        if failed:
            self._stop(outbreak_id, f"wave {number}: {', '.join(failed)} did not verify")
        starts: list[list[object]] = []
        for incident_id, then in following.items():
            one = members[IncidentId(incident_id)]
            if then == Next.HOLD:
                seconds = self._healing.begin_hold(incident_id, cursors[incident_id])
                self._store.end_member(incident_id, MemberEnd.VERIFIED, "verified")
                starts.append(["hold", ids.hold_id(one.incident_id), incident_id, "", seconds])
            elif then == Next.ROLLBACK:
                self._store.end_member(incident_id, MemberEnd.FAILED, self._why_not_verified(one))
                starts.append(["rollback", ids.rollback_id(one.incident_id), incident_id, one.host, 0.0])
            else:
                self._fail(one, self._why_not_verified(one))
        if not failed:
            self._store.end_outbreak(outbreak_id)
        return starts

    def _well(self, outbreak_id: str, number: int) -> list[str]:
        """Incidents of the wave that had nothing to be done: what died of them may be left."""
        members = self._store.members(outbreak_id)
        return [one.incident_id for one in members if one.wave == number and one.ending is MemberEnd.WELL]

    def _why_not_verified(self, member: Member) -> str:
        wave = ids.wave_id(member.outbreak_id, member.wave)
        act = self._store.run(ids.run_id(wave, RunKind.ACT))
        verify = self._store.run(ids.second_run_id(wave, RunKind.VERIFY)) or self._store.run(
            ids.run_id(wave, RunKind.VERIFY)
        )
        if act is None:
            return "the action has no record; look at the host"
        return judgement.why_not_healed(act.on(member.host), verify.on(member.host) if verify else None)

    def _stop(self, outbreak_id: str, why: str) -> None:
        """No further wave; a person is told of each host that waits."""
        self._store.stop_outbreak(outbreak_id, why)
        waiting = [one for one in self._store.members(outbreak_id) if one.waits]
        self._leave(waiting, f"outbreak {outbreak_id} was stopped: {why}")

    def _give_up(self, outbreak_id: str, sentence: str) -> bool:
        """The outbreak stops, and whoever was in a wave is told of as far as it came; or, of a next step, its own."""
        if self._store.outbreak(outbreak_id) is None:
            return super()._give_up(outbreak_id, sentence)
        self._stop(outbreak_id, sentence)
        for one in self._store.members(outbreak_id):
            if one.held:
                self._fail_acted(one, sentence)
        return False

    def _leave(self, members: Sequence[Member], why: str) -> None:
        for one in members:
            self.escalate(one.incident_id, f"nothing was done: {why}")
            self._store.end_member(one.incident_id, MemberEnd.LEFT, why)

    def _fail(self, member: Member, why: str) -> None:
        self.escalate(member.incident_id, why)
        self._store.end_member(member.incident_id, MemberEnd.FAILED, why)

    def _fail_acted(self, member: Member, why: str) -> None:
        act = self._act_of(member.outbreak_id, member.wave)
        acted = act is not None and member.host in act.hosts
        self._fail(
            member, judgement.cannot_tell(act.on(member.host), why) if act and acted else f"nothing was done: {why}"
        )

    def _held(self, outbreak_id: str, number: int) -> list[Member]:
        return [one for one in self._store.members(outbreak_id) if one.held and one.wave == number]

    def _act_of(self, outbreak_id: str, number: int) -> Run | None:
        return self._store.run(ids.run_id(ids.wave_id(outbreak_id, number), RunKind.ACT))

    def _outbreak(self, outbreak_id: str) -> Outbreak:
        found = self._store.outbreak(outbreak_id)
        if found is None:
            raise LookupError(f"no outbreak {outbreak_id}")
        return found

    def _deed(self, outbreak_id: str) -> Action:
        return self._rooms.catalog.actions[self._outbreak(outbreak_id).action]
