"""Storms of errors, failures, restarts and clock jumps over the real order of a healing: what no sequence ever does.

Time that passes and a clock that is set forward can't be told apart. A clock that is set back can, and frees nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Mode
from orchestrator.domain.ids import ApprovalId, apply_id, approval_id, run_id
from orchestrator.domain.incidents import UNDER_WAY, IncidentState
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Outcome, Verdict
from orchestrator.domain.windows import read_window
from orchestrator.fleet_port import BREAKER_RESET
from orchestrator.fleet_state import fleet_state, groups_of
from orchestrator.guard import breaker
from tests.unit.test_healing import NOON
from tests.unit.test_turns import SETTINGS, Fleet

DAY = timedelta(hours=24)
HOSTS = tuple(f"{group}{number}" for group in ("web", "db") for number in range(1, 5))
TIDY = Decision(action="tidy", parameters={}, reason="", chooser="fake")
#: Open half of the day in which the storm begins.
WINDOW = read_window("06:00-18:00 UTC")
LIMITS: dict[str, int | float] = {
    "budget_host_per_day": 2,
    "budget_action_per_day": 3,
    "budget_fleet_per_day": 5,
    "fleet_hosts_max": 3,
    "fleet_group_percent": 50,
    "breaker_least_attempts": 3,
    "breaker_last_attempts": 6,
    "breaker_failed_percent": 50,
    "breaker_cooldown_seconds": 1800.0,
}


class Storm(RuleBasedStateMachine):
    """A fleet of eight hosts in two groups, one of which has a window; every step of a healing is a rule of its own."""

    @initialize(
        mode=st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.AUTO, Mode.PROPOSE]), sick=st.sampled_from([75, 100, 100])
    )
    def begin(self, mode: Mode, sick: int) -> None:
        self.limits = LIMITS | {"fleet_sick_percent": sick}
        self.fleet = Fleet(dict(self.limits), mode=mode, windows={"db": (WINDOW,)}, chosen={"db": TIDY})
        self.mode = mode
        #: Time that really passed, and when each act began in it: host, action.
        self.real = NOON
        self.acts: list[tuple[datetime, str, str]] = []
        #: Admitted and not yet acted, acted and not yet over.
        self.admitted: list[str] = []
        self.acted: list[str] = []
        self.stopped = False
        self.shut: list[str] = []

    # what happens ---------------------------------------------------------------------------------

    @rule(host=st.sampled_from(HOSTS))
    def fails(self, host: str) -> None:
        """An error, planned at once; a settled one of before is forgotten."""
        store = self.fleet.store
        for old in store.incidents(host=host, limit=100):
            if old.state in UNDER_WAY:
                return
            if old.state is IncidentState.ESCALATED:
                store.move(old.id, IncidentState.EXPIRED, "", expected=[IncidentState.ESCALATED])
        self.fleet.fail(host)
        self.fleet.engine._waiting.clear()

    @rule(
        hosts=st.lists(st.sampled_from(HOSTS), min_size=1, unique=True, max_size=4),
        healed=st.booleans(),
        shut=st.booleans(),
    )
    def fail_and_are_healed(self, hosts: list[str], *, healed: bool, shut: bool) -> None:
        """The whole way of some, one after the other."""
        for host in hosts:
            self.fails(host)
            self.is_judged_again(host)
            if host in self.admitted:
                self.act(host, shut=shut)
            if host in self.acted:
                self.end(host, healed=healed)

    @rule(hosts=st.lists(st.sampled_from(HOSTS), min_size=2, unique=True, max_size=6))
    def fail_at_once(self, hosts: list[str]) -> None:
        """All are planned, and ask to be let in one after the other."""
        for host in hosts:
            self.fails(host)
        for host in hosts:
            self.is_judged_again(host)

    @rule(host=st.sampled_from(HOSTS), yes=st.booleans())
    def is_answered(self, host: str, *, yes: bool) -> None:
        """Whoever waits for a person gets an answer."""
        incident = self.fleet.incidents.get(host)
        if incident is None or self.fleet.state(host) is not IncidentState.PLANNING:
            return
        self.fleet.healing.ask(incident)
        if self.fleet.state(host) is IncidentState.PENDING_APPROVAL:
            given = Answer.APPROVED if yes else Answer.DENIED
            self.fleet.store.answer(
                ApprovalId(approval_id(incident)), given, actor="ann", reason="so", now=self.fleet.now[0]
            )
            if not yes:
                self.fleet.healing.escalate(incident, "denied")

    @rule(host=st.sampled_from(HOSTS))
    def is_judged_again(self, host: str) -> None:
        """The beginning of `apply`; as after a crash in it, this may happen again before the act."""
        incident = self.fleet.incidents.get(host)
        if incident is None or host in self.acted:
            return
        # Once it was told to wait, only its turn begins it again.
        if self.fleet.healing.apply_id(incident) == apply_id(incident) or self.fleet.outcome(host) is Outcome.ALLOWED:
            self.judge(host)

    def judge(self, host: str) -> None:
        going = self.fleet.healing._judge_again(self.fleet.incidents[host])
        if host in self.admitted:
            self.admitted.remove(host)
        verdict = self.fleet.store.verdict(self.fleet.incidents[host])
        if going and verdict is not None and verdict.outcome is Outcome.ALLOWED:
            self.admitted.append(host)
            self.let_in(host, verdict)

    def let_in(self, host: str, verdict: Verdict) -> None:
        assert not self.stopped
        approved = self.fleet.store.approval(approval_id(self.fleet.incidents[host]))
        if approved is None or approved.answer is not Answer.APPROVED:
            assert self.mode is Mode.AUTO
            assert host.startswith("web") or WINDOW.open(self.fleet.now[0])

    @rule()
    def sweeps(self) -> None:
        """Those whose turn it is are judged again."""
        for host in self.fleet.turns():
            self.judge(host)
        self.fleet.engine._waiting.clear()

    @precondition(lambda self: self.admitted)
    @rule(data=st.data(), shut=st.booleans())
    def acts_on(self, data: st.DataObject, *, shut: bool) -> None:
        """One that was let in acts; where it is cut, its host may still be at work."""
        self.act(data.draw(st.sampled_from(self.admitted)), shut=shut)

    def act(self, host: str, *, shut: bool = False) -> None:
        incident = self.fleet.incidents[host]
        job_id = run_id(incident, RunKind.ACT)
        self.admitted.remove(host)
        if host in self.fleet.store.held_hosts():
            self.fleet.healing.escalate(incident, "busy")
            return
        self.fleet.executor.endings[RunKind.ACT] = RunStatus.TIMED_OUT if shut else RunStatus.SUCCEEDED
        finish = self.fleet.store.finish
        self.fleet.store.finish = lambda result, *, slot_shut: finish(result, slot_shut=shut)  # type: ignore[method-assign]
        try:
            self.fleet.healing._act(incident)
        finally:
            self.fleet.store.finish = finish  # type: ignore[method-assign]
        run = self.fleet.store.run(job_id)
        assert run is not None
        if run.status is RunStatus.REFUSED:
            assert self.stopped
            return
        assert not self.stopped
        self.acted.append(host)
        self.acts.append((self.real, host, run.action))
        if shut:
            self.shut.append(job_id)

    @precondition(lambda self: self.acted)
    @rule(data=st.data(), healed=st.booleans())
    def is_over(self, data: st.DataObject, *, healed: bool) -> None:
        self.end(data.draw(st.sampled_from(self.acted)), healed=healed)

    def end(self, host: str, *, healed: bool) -> None:
        self.acted.remove(host)
        way = (IncidentState.VERIFIED, IncidentState.HEALED) if healed else (IncidentState.ESCALATED,)
        for state in way:
            self.fleet.store.move(self.fleet.incidents[host], state, "", expected=list(UNDER_WAY))

    @precondition(lambda self: self.shut)
    @rule()
    def is_found_idle(self) -> None:
        self.fleet.store.open_slot(self.shut.pop())  # type: ignore[arg-type]  # a run's id

    @rule(minutes=st.sampled_from([1, 5, 31, 120, 600, 1445]))
    def time_passes(self, minutes: int) -> None:
        self.real += timedelta(minutes=minutes)
        self.fleet.now[0] += timedelta(minutes=minutes)

    @rule(hours=st.sampled_from([1, 13, 30, 100]))
    def clock_is_set_back(self, hours: int) -> None:
        before = self.breakers()
        self.fleet.now[0] -= timedelta(hours=hours)
        assert all(after >= was for after, was in zip(self.breakers(), before, strict=True))

    @rule()
    def restarts(self) -> None:
        """Nothing but the record is left: whoever stood before stands as before."""
        before, stopped = self.breakers(), self.fleet.store.stopped()
        self.fleet.restart()
        assert (self.breakers(), self.fleet.store.stopped()) == (before, stopped)

    @precondition(lambda self: len(self.acts) in (1, 4))
    @rule()
    def somebody_stops_everything(self) -> None:
        self.fleet.store.stop(actor="ann", reason="storm")
        self.stopped = True

    @precondition(lambda self: self.stopped)
    @rule()
    def somebody_starts_it_again(self) -> None:
        self.fleet.store.resume(actor="ann", reason="over")
        self.stopped = False

    @rule(action=st.sampled_from(["", "restart_service", "tidy"]))
    def somebody_resets_a_breaker(self, action: str) -> None:
        self.fleet.store.append(BREAKER_RESET, text="", data={"action": action})

    # what never happens ---------------------------------------------------------------------------

    def breakers(self) -> list[int]:
        """How each stands: 0 closed, 1 half-open, 2 open."""
        limited = replace(SETTINGS, **self.limits)  # type: ignore[arg-type]  # numbers by name
        state = fleet_state(self.fleet.store, self.fleet.hosts, limited, self.fleet.now[0])
        since = [
            breaker.opened(attempts, state.limits)
            for action in ("restart_service", "tidy")
            for _, attempts in breaker._scopes(state, action)
        ]
        cooled = [one is not None and breaker._cooled(one, self.fleet.now[0], state.limits) for one in since]
        return [0 if one is None else 1 if cool else 2 for one, cool in zip(since, cooled, strict=True)]

    @invariant()
    def no_more_hosts_at_once_than_may_be(self) -> None:
        at_work = {one.host for one in self.fleet.store.places() if one.admitted} | self.fleet.store.held_hosts()
        assert len(at_work) <= LIMITS["fleet_hosts_max"]
        for group in ("web", "db"):
            assert len(at_work & groups_of(self.fleet.hosts)[group]) <= 2

    @invariant()
    def no_more_acts_than_the_budgets_in_any_rolling_day(self) -> None:
        recent = [(host, action) for at, host, action in self.acts if at > self.real - DAY]
        assert len(recent) <= LIMITS["budget_fleet_per_day"]
        for action in ("restart_service", "tidy"):
            assert sum(one == action for _, one in recent) <= LIMITS["budget_action_per_day"]
        for host in HOSTS:
            assert sum(one == host for one, _ in recent) <= LIMITS["budget_host_per_day"]

    @invariant()
    def the_kill_switch_lifts_by_nobody_but_a_person(self) -> None:
        assert (self.fleet.store.stopped() is not None) == self.stopped

    @invariant()
    def who_was_let_in_is_on_record(self) -> None:
        on_record = {one.host for one in self.fleet.store.places() if one.admitted and not one.acted}
        assert on_record == set(self.admitted)


Storm.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
test_no_sequence = Storm.TestCase
