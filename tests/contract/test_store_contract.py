"""What ports.Store promises, asked of the real store and of its in-memory twin alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.actions import Candidate, Decision
from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import Cursor, IncidentId, RunId, Signature
from orchestrator.domain.incidents import (
    ABSORBING,
    FLOOD,
    OPENED_MAX,
    SETTLED,
    UNDER_WAY,
    WORDINGS_MAX,
    IncidentState,
    Origin,
    Signal,
    Subject,
    SubjectKind,
)
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import HostEnd, PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome, PathFacts, UnitFacts, Verdict
from orchestrator.errors import RecordError
from orchestrator.ports import EVIDENCE_KEPT, SIGNATURES_KEPT, Store
from tests.support.stores import KINDS, one_of

NOW = datetime(2026, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)


class Clock:
    """One millisecond a look, or none at all."""

    def __init__(self) -> None:
        self.now = NOW
        self.step = timedelta(milliseconds=1)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path, clock)


def signal(
    message: str = "failed",
    *,
    unit: str = "nginx.service",
    at: datetime = NOW,
    name: str = "sig-1",
    severity: Severity = Severity.ERROR,
    age: float = 1.5,
) -> Signal:
    return Signal(
        record=LogRecord(time=at, host="web1", unit=unit, priority=3, message=message, cursor=Cursor("c1")),
        signature=Signature(name),
        template=message,
        subject=Subject(kind=SubjectKind.UNIT, name=unit),
        severity=severity,
        age=age,
    )


def opened(store: Store, *, host: str = "web1", unit: str = "nginx.service", origin: Origin = Origin.LOG) -> IncidentId:
    return store.absorb(host, "journal", [signal(unit=unit)], None, origin=origin)[0]


def job(incident: str, *hosts: str, kind: RunKind = RunKind.ACT) -> PlaybookJob:
    names = hosts or ("web1",)
    return PlaybookJob(
        run_id=RunId(f"{incident}-{kind}"),
        incident_id=IncidentId(incident),
        kind=kind,
        action="restart_service",
        playbook=Path("act.yml"),
        roles=Path("roles"),
        parameters={"service": "nginx.service"},
        hosts=tuple(Host(name=name, groups=(), connection=Connection(kind="ssh", address=name)) for name in names),
        task_timeout=30,
        run_timeout=60,
    )


def ended(run: PlaybookJob, status: RunStatus = RunStatus.SUCCEEDED) -> PlaybookResult:
    return PlaybookResult(run_id=run.run_id, status=status, rc=0, reason="said so")


def approval(incident: str, **changed: object) -> Approval:
    asked = Approval(
        id="apr-1",
        incident_id=incident,
        host="web1",
        action="restart_service",
        parameters={"service": "nginx.service"},
        digest="d" * 64,
        rule="mode",
        reason="the host is in propose mode",
        asked_at=NOW,
        expires_at=NOW + timedelta(hours=1),
    )
    return replace(asked, **changed)  # type: ignore[arg-type]  # each caller names a field


def kinds(store: Store, incident: str | None = None) -> list[str]:
    return [event.kind for event in store.events(incident_id=incident)]


# incidents ---------------------------------------------------------------------------------------


def test_a_signal_opens_an_incident_and_repeats_join_it(store: Store) -> None:
    first = opened(store)
    later = NOW + timedelta(seconds=9)

    again = store.absorb(
        "web1", "journal", [signal("worse", at=later, name="sig-2", severity=Severity.CRITICAL, age=7.0)], None
    )

    incident = store.incident(first)
    assert again == ()
    assert incident is not None
    assert (incident.count, incident.severity, incident.last_seen) == (2, Severity.CRITICAL, later)
    assert (incident.first_seen, incident.age_at_detection) == (NOW, 1.5)
    assert (incident.signature, incident.template, incident.host) == ("sig-1", "failed", "web1")
    assert (incident.state, incident.origin) == (IncidentState.OPEN, Origin.LOG)
    assert store.signatures(first) == {"sig-1", "sig-2"}
    assert [record.message for record in store.evidence(first)] == ["failed", "worse"]
    assert kinds(store) == ["incident.opened"]


def test_evidence_comes_back_as_it_was_given(store: Store) -> None:
    record = LogRecord(
        time=NOW,
        host="web1",
        unit="",
        priority=6,
        message="äöü \u2028 'quoted' %s",
        cursor=None,
        source="/var/log/x",
        unit_failure=True,
        own_session=True,
        injected=True,
    )
    (incident,) = store.absorb("web1", "/var/log/x", [replace(signal(), record=record)], None)

    assert store.evidence(incident) == (record,)


def test_hosts_and_subjects_have_incidents_of_their_own(store: Store) -> None:
    one, two = opened(store), opened(store, host="web2")
    three = opened(store, unit="cron.service")

    assert len({one, two, three}) == 3
    assert [found.id for found in store.incidents()] == [three, two, one]
    assert [found.id for found in store.incidents(host="web2")] == [two]
    assert [found.id for found in store.incidents(limit=1)] == [three]


def test_incidents_of_one_instant_are_listed_newest_first_too(store: Store, clock: Clock) -> None:
    clock.step = timedelta()
    incidents = store.absorb("web1", "journal", [signal(unit=f"{n}.service") for n in range(20)], None)

    assert [one.id for one in store.incidents()] == list(reversed(incidents))


def test_one_batch_with_several_subjects_opens_each_once(store: Store) -> None:
    batch = [signal(unit=unit) for unit in ("a.service", "b.service", "a.service")]

    incidents = store.absorb("web1", "journal", batch, Cursor("c9"))

    assert [found.count for one in incidents if (found := store.incident(one))] == [2, 1]
    assert store.cursor("web1", "journal") == "c9"


@pytest.mark.parametrize("state", sorted(ABSORBING - {IncidentState.OPEN}))
def test_an_absorbing_state_takes_repeats(store: Store, state: IncidentState) -> None:
    incident = opened(store)
    assert store.move(incident, state, "so", expected=[IncidentState.OPEN])

    assert store.absorb("web1", "journal", [signal()], None) == ()


@pytest.mark.parametrize("state", sorted(set(IncidentState) - ABSORBING))
def test_after_the_end_a_repeat_opens_a_new_incident(store: Store, state: IncidentState) -> None:
    incident = opened(store)
    assert store.move(incident, state, "so", expected=[IncidentState.OPEN])

    assert store.absorb("web1", "journal", [signal()], None) != ()


@pytest.mark.parametrize("state", sorted(UNDER_WAY))
def test_a_healing_takes_whatever_its_subject_says(store: Store, state: IncidentState) -> None:
    incident = opened(store)
    if state is not IncidentState.OPEN:
        assert store.move(incident, state, "so", expected=[IncidentState.OPEN])

    assert store.absorb("web1", "journal", [signal(name="other")], None) == ()
    assert store.signatures(incident) == {"sig-1", "other"}


@pytest.mark.parametrize("state", sorted(SETTLED))
def test_other_words_of_a_settled_subject_are_other_trouble(store: Store, state: IncidentState) -> None:
    """An error that nothing helps must not hide that the service died meanwhile."""
    settled = opened(store)
    assert store.move(settled, state, "so", expected=[IncidentState.OPEN])

    (crash,) = store.absorb("web1", "journal", [signal(name="crash"), signal()], None)

    assert store.signatures(crash) == {"crash"}
    assert [one.count for one in store.incidents()] == [1, 2]
    assert store.absorb("web1", "journal", [signal(name="crash"), signal()], None) == ()
    assert [one.count for one in store.incidents()] == [2, 3]


@pytest.mark.parametrize(
    ("state", "age", "again", "joins"),
    [
        (IncidentState.ESCALATED, 600.0, 10.0, False),
        (IncidentState.ESCALATED, 600.0, 301.0, True),
        (IncidentState.ESCALATED, 10.0, 10.0, True),
        (IncidentState.NOISE, 600.0, 10.0, True),
        (IncidentState.HEALING, 600.0, 10.0, True),
    ],
)
def test_what_was_too_old_to_act_on_hides_no_fresh_error(
    store: Store, state: IncidentState, age: float, again: float, joins: bool
) -> None:
    (old,) = store.absorb("web1", "journal", [signal(age=age)], None, fresh_seconds=300)
    assert store.move(old, state, "so", expected=[IncidentState.OPEN])

    opened_now = store.absorb("web1", "journal", [signal(age=again)], None, fresh_seconds=300)

    assert (opened_now == ()) is joins


def test_an_incident_is_as_old_as_its_youngest_record(store: Store) -> None:
    (incident,) = store.absorb("web1", "journal", [signal(age=600), signal(age=400)], None)
    store.absorb("web1", "journal", [signal(age=20), signal(age=90)], None)

    found = store.incident(incident)
    assert found is not None
    assert found.age_at_detection == 20


@pytest.mark.parametrize("failure", [True, False])
def test_a_subject_that_words_each_line_anew_opens_no_incident_a_line(store: Store, *, failure: bool) -> None:
    for number in range(WORDINGS_MAX):
        store.absorb("web1", "journal", [signal(name=f"wording-{number}")], None)
        for incident in store.incidents(states=[IncidentState.OPEN]):
            store.move(incident.id, IncidentState.ESCALATED, "so", expected=[IncidentState.OPEN])
    first = store.incidents()[-1]
    for one in store.incidents(states=[IncidentState.ESCALATED])[:-1]:
        store.move(one.id, IncidentState.OPEN, "again", expected=[IncidentState.ESCALATED])
        assert store.join(one.id, first.id, "the same")

    new = signal(name="never heard")
    new = replace(new, record=replace(new.record, unit_failure=failure))

    assert (store.absorb("web1", "journal", [new], None) == ()) is not failure


def test_a_host_that_invents_sick_things_ends_in_one_flood(store: Store) -> None:
    for number in range(OPENED_MAX):
        store.absorb("web1", "journal", [signal(unit=f"u{number}.service")], None)

    (flood,) = store.absorb("web1", "journal", [signal(unit="one-more.service")], None)
    assert store.absorb("web1", "journal", [signal(unit=f"v{number}.service") for number in range(9)], None) == ()

    found = store.incident(flood)
    assert found is not None
    assert (found.subject, found.state, found.count) == (FLOOD, IncidentState.ESCALATED, 10)
    assert str(OPENED_MAX) in found.reason
    assert len(store.incidents(limit=1000)) == OPENED_MAX + 1
    assert opened(store, host="web2") != flood
    failed = replace(signal(unit="db.service"), record=replace(signal().record, unit_failure=True))
    assert store.absorb("web1", "journal", [failed], None) != ()
    assert opened(store, unit="asked.service", origin=Origin.TRIGGER) != flood


def test_joining_hands_over_count_signatures_and_evidence(store: Store) -> None:
    taker = opened(store, unit="a.service")
    (given,) = store.absorb("web1", "journal", [signal("b", unit="b.service", name="other")] * 2, None)

    assert store.join(given, taker, "the same trouble")

    found, gone = store.incident(taker), store.incident(given)
    assert found is not None
    assert gone is not None
    assert (found.count, found.state) == (3, IncidentState.OPEN)
    assert (gone.state, gone.reason) == (IncidentState.JOINED, "the same trouble")
    assert store.signatures(taker) == {"sig-1", "other"}
    assert [record.message for record in store.evidence(taker)][-2:] == ["b", "b"]
    assert store.evidence(given) == ()
    assert store.events(incident_id=given)[-1].kind == "incident.joined"


def test_what_joined_goes_there_again_while_that_is_under_way(store: Store) -> None:
    taker = opened(store, unit="a.service")
    (given,) = store.absorb("web1", "journal", [signal(unit="b.service", name="b")], None)
    assert store.join(given, taker, "the same trouble")

    same, other = signal(unit="b.service", name="b"), signal(unit="b.service", name="another")
    assert len(store.absorb("web1", "journal", [same, same, other], None)) == 1, "other words are judged"
    assert store.absorb("web2", "journal", [same], None) != ()
    assert store.absorb("web1", "journal", [signal(unit="c.service", name="b")], None) != ()

    found = store.incident(taker)
    assert found is not None
    assert found.count == 4
    store.move(taker, IncidentState.ESCALATED, "so", expected=[IncidentState.OPEN])
    assert store.absorb("web1", "journal", [same], None) == (), "the one of its other words takes it"


def test_only_what_is_under_way_joins_and_only_what_absorbs_takes(store: Store) -> None:
    one, over = opened(store, unit="a.service"), opened(store, unit="b.service")
    store.move(over, IncidentState.HEALED, "well", expected=[IncidentState.OPEN])

    assert not store.join(one, over, "no")
    assert not store.join(over, one, "no")
    assert not store.join(one, one, "no")
    assert not store.join(one, "inc-none", "no")


def test_a_flood_is_counted_and_the_first_and_newest_records_are_kept(store: Store) -> None:
    (incident,) = store.absorb("web1", "journal", [signal("first")], None)
    for start in (0, 400):
        store.absorb("web1", "journal", [signal(str(start + n)) for n in range(400)], None)

    found, kept = store.incident(incident), store.evidence(incident, 10_000)
    assert found is not None
    assert found.count == 801
    assert [kept[0].message, kept[1].message, kept[-1].message] == ["first", "600", "799"]
    assert len(kept) == EVIDENCE_KEPT + 1
    assert [record.message for record in store.evidence(incident, 2)] == ["798", "799"]


def test_invented_signatures_are_bounded(store: Store) -> None:
    signals = [signal(name=f"sig-{n}") for n in range(SIGNATURES_KEPT + 50)]
    (incident,) = store.absorb("web1", "journal", signals, None)

    assert len(store.signatures(incident)) == SIGNATURES_KEPT


def test_a_cursor_is_kept_by_host_and_source(store: Store) -> None:
    store.absorb("web1", "journal", [], Cursor("a"))
    store.absorb("web1", "/var/log/x", [], Cursor("b"))
    store.absorb("web1", "journal", [], Cursor("c"))
    store.absorb("web1", "journal", [], None)

    assert (store.cursor("web1", "journal"), store.cursor("web1", "/var/log/x")) == ("c", "b")
    assert store.cursor("web2", "journal") is None


def test_the_ledger_tells_its_last_line(store: Store) -> None:
    assert store.newest() == 0
    opened(store)

    assert store.newest() == store.events()[-1].seq


def test_move_is_compare_and_set_with_its_event(store: Store) -> None:
    incident = opened(store)

    assert store.move(incident, IncidentState.PLANNING, "deciding", expected=[IncidentState.OPEN], actor="me")
    assert not store.move(incident, IncidentState.HEALING, "late", expected=[IncidentState.OPEN])
    assert not store.move("inc-none", IncidentState.HEALING, "none", expected=list(IncidentState))

    found, last = store.incident(incident), store.events(incident_id=incident)[-1]
    assert found is not None
    assert (found.state, found.reason) == (IncidentState.PLANNING, "deciding")
    assert (last.kind, last.host, last.text, last.actor) == ("incident.planning", "web1", "deciding", "me")
    assert kinds(store) == ["incident.opened", "incident.planning"]


def test_an_ended_incident_does_not_come_back_beside_its_successor(store: Store) -> None:
    old = opened(store)
    store.move(old, IncidentState.EXPIRED, "over", expected=[IncidentState.OPEN])
    opened(store)

    assert not store.move(old, IncidentState.HEALING, "again", expected=[IncidentState.EXPIRED])
    assert store.incident(old) == replace(store.incident(old) or pytest.fail("gone"), state=IncidentState.EXPIRED)
    assert kinds(store, old) == ["incident.opened", "incident.expired"]


def test_incidents_are_filtered_by_state_and_injection(store: Store) -> None:
    mine = opened(store)
    injected = opened(store, unit="a.service", origin=Origin.INJECTED)
    store.move(mine, IncidentState.HEALED, "well", expected=[IncidentState.OPEN])

    assert [one.id for one in store.incidents(states=[IncidentState.HEALED])] == [mine]
    assert [one.id for one in store.incidents(states=[IncidentState.OPEN], injected=False)] == []
    assert [one.id for one in store.incidents()] == [injected, mine]


def test_only_quiet_ends_expire(store: Store) -> None:
    quiet, noise, busy = (opened(store, unit=unit) for unit in ("a.service", "b.service", "c.service"))
    store.move(quiet, IncidentState.ESCALATED, "told", expected=[IncidentState.OPEN])
    store.move(noise, IncidentState.NOISE, "noise", expected=[IncidentState.OPEN])

    assert store.expire_quiet(NOW) == 0
    assert store.expire_quiet(NOW + timedelta(seconds=1)) == 2
    assert store.expire_quiet(NOW + timedelta(seconds=1)) == 0

    states = [found.state for one in (quiet, noise, busy) if (found := store.incident(one))]
    assert states == [IncidentState.EXPIRED, IncidentState.EXPIRED, IncidentState.OPEN]
    assert kinds(store, quiet)[-1] == "incident.expired"


# decisions, verdicts, approvals --------------------------------------------------------------------


@pytest.mark.parametrize(
    "offered",
    [
        None,
        (),
        (
            Candidate(action="restart_service", values={"service": ("nginx.service", "php\u2028.service")}),
            Candidate(action="free_disk_space", values={}),
        ),
    ],
)
def test_what_a_decision_was_offered_comes_back_as_it_was(store: Store, offered: tuple[Candidate, ...] | None) -> None:
    (incident,) = store.absorb("web1", "journal", [signal()], None)
    decision = Decision(
        action="restart_service", parameters={}, reason="why", chooser="fake", shown_digest="d", offered=offered
    )
    store.record_decision(incident, decision)

    assert store.decision(incident) == decision


def test_the_last_decision_stands_and_repeating_it_writes_nothing(store: Store) -> None:
    incident = opened(store)
    first = Decision(action="none", parameters={}, reason="noise", chooser="embedded")
    second = Decision(
        action="restart_service",
        parameters={"service": "nginx.service"},
        reason="it failed",
        chooser="gemini",
        shown_digest="ab",
        confidence=0.5,
    )

    assert store.decision(incident) is None
    for decision in (first, second, second):
        store.record_decision(incident, decision)

    assert store.decision(incident) == second
    assert kinds(store, incident)[1:] == ["decision.made", "decision.made"]


def test_each_verdict_is_a_line_and_the_last_stands(store: Store) -> None:
    incident = opened(store)
    facts = Facts(
        units={
            "nginx": UnitFacts(
                asked="nginx",
                id="nginx.service",
                names=("nginx.service",),
                load_state="loaded",
                active_state="failed",
                sub_state="failed",
            )
        },
        paths={"/opt/x": PathFacts(asked="/opt/x", realpath="/opt/x", type="file")},
    )
    verdict = Verdict(outcome=Outcome.ALLOWED, rule="allowed", reason="all rules hold")

    assert store.verdict(incident) is None
    store.record_verdict(incident, Verdict(outcome=Outcome.DENIED, rule="age", reason="old"), Facts())
    store.record_verdict(incident, verdict, facts)

    assert store.verdict(incident) == verdict
    assert kinds(store, incident)[1:] == ["verdict.given", "verdict.given"]


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.record_decision("inc-none", Decision(action="none", parameters={}, reason="", chooser="x")),
        lambda store: store.record_verdict("inc-none", Verdict(outcome=Outcome.DENIED, rule="x", reason=""), Facts()),
        lambda store: store.ask(approval("inc-none")),
    ],
)
def test_nothing_is_recorded_of_an_incident_that_is_not_there(store: Store, write: Callable[[Store], None]) -> None:
    with pytest.raises(RecordError, match="Nothing was written"):
        write(store)

    assert kinds(store) == []


def test_a_question_is_asked_once_and_answered_once(store: Store) -> None:
    incident = opened(store)
    asked = approval(incident)
    store.ask(asked)
    store.ask(replace(asked, digest="e" * 64))
    assert store.approval("apr-1") == asked

    done = store.answer("apr-1", Answer.APPROVED, actor="ann", reason="looked", now=NOW)
    late = store.answer("apr-1", Answer.DENIED, actor="bob", reason="no", now=NOW)

    assert late is None
    assert done == replace(asked, answer=Answer.APPROVED, answered_by="ann", answered_at=NOW, answer_reason="looked")
    assert store.approval("apr-1") == done
    assert store.answer("apr-none", Answer.DENIED, actor="bob", reason="", now=NOW) is None
    assert kinds(store, incident)[1:] == ["approval.asked", "approval.approved"]


@pytest.mark.parametrize("answer", [Answer.APPROVED, Answer.DENIED])
def test_a_lapsed_question_can_only_expire(store: Store, answer: Answer) -> None:
    incident = opened(store)
    store.ask(approval(incident, expires_at=NOW))

    assert store.answer("apr-1", answer, actor="ann", reason="late", now=NOW) is None
    assert store.answer("apr-1", Answer.EXPIRED, actor="healing-bot", reason="", now=NOW) is not None


def test_pending_is_no_answer(store: Store) -> None:
    store.ask(approval(opened(store)))

    with pytest.raises(ValueError, match="not an answer"):
        store.answer("apr-1", Answer.PENDING, actor="ann", reason="", now=NOW)


def test_questions_are_listed_newest_first(store: Store) -> None:
    incident = opened(store)
    for number in range(3):
        store.ask(approval(incident, id=f"apr-{number}", asked_at=NOW + timedelta(seconds=number)))
    store.answer("apr-1", Answer.DENIED, actor="ann", reason="no", now=NOW)

    assert [one.id for one in store.approvals()] == ["apr-2", "apr-1", "apr-0"]
    assert [one.id for one in store.approvals([Answer.PENDING])] == ["apr-2", "apr-0"]
    assert [one.id for one in store.approvals(limit=1)] == ["apr-2"]


# runs --------------------------------------------------------------------------------------------


def test_a_run_is_claimed_once(store: Store) -> None:
    run = job("inc-1")

    assert store.claim(run, signatures=frozenset()) is None
    assert store.claim(run, signatures=frozenset()) is RunStatus.RUNNING
    store.finish(ended(run), slot_shut=False)
    assert store.claim(run, signatures=frozenset()) is RunStatus.RUNNING

    assert kinds(store) == ["run.started", "run.ended"]


def test_a_host_takes_one_run_and_a_refused_claim_leaves_nothing(store: Store) -> None:
    first, second, both = job("inc-1"), job("inc-2", "web2"), job("inc-3", "web2", "web1")
    assert store.claim(first, signatures=frozenset()) is None

    assert store.claim(both, signatures=frozenset()) is RunStatus.BUSY
    assert store.run(both.run_id) is None
    assert store.claim(second, signatures=frozenset()) is None

    store.finish(ended(first), slot_shut=False)
    assert store.claim(both, signatures=frozenset()) is RunStatus.BUSY
    store.finish(ended(second), slot_shut=False)
    assert store.claim(both, signatures=frozenset()) is None


def test_a_shut_slot_stays_shut_until_it_is_opened(store: Store) -> None:
    cut, following = job("inc-1"), job("inc-2")
    store.claim(cut, signatures=frozenset())
    store.open_slot(cut.run_id)
    assert store.claim(following, signatures=frozenset()) is RunStatus.BUSY

    assert store.finish(ended(cut, RunStatus.TIMED_OUT), slot_shut=True).slot_shut
    assert store.claim(following, signatures=frozenset()) is RunStatus.BUSY

    store.open_slot(cut.run_id)
    store.open_slot(cut.run_id)
    found = store.run(cut.run_id)
    assert found is not None
    assert not found.slot_shut
    assert store.claim(following, signatures=frozenset()) is None
    assert kinds(store) == ["run.started", "run.ended", "slot.opened", "run.started"]


def test_a_run_of_several_hosts_ends_on_each_and_holds_those_that_may_still_be_at_work(store: Store) -> None:
    run = job("inc-1", "web1", "web2", "web3")
    store.claim(run, signatures=frozenset())
    ends = {
        "web1": HostEnd(status=RunStatus.SUCCEEDED),
        "web2": HostEnd(status=RunStatus.REFUSED, reason="the unit is masked"),
        "web3": HostEnd(status=RunStatus.TIMED_OUT, reason="it took long", settled=False),
    }

    done = store.finish(replace(ended(run, RunStatus.TIMED_OUT), ends=ends), slot_shut=True)

    assert done == store.run(run.run_id) == store.runs()[0] == store.shut_runs()[0]
    assert dict(done.ends) == ends
    assert (done.on("web2").status, done.on("web2").reason) == (RunStatus.REFUSED, "the unit is masked")
    assert [done.on(name).slot_shut for name in done.hosts] == [False, False, True]
    assert store.claim(job("inc-2", "web1", "web2"), signatures=frozenset()) is None
    assert store.claim(job("inc-3", "web3"), signatures=frozenset()) is RunStatus.BUSY
    store.open_slot(run.run_id)
    assert store.claim(job("inc-3", "web3"), signatures=frozenset()) is None
    found = store.run(run.run_id)
    assert found is not None
    assert not found.on("web3").slot_shut
    # What a role refused never touched its host, whatever the run did elsewhere.
    assert [len(store.attempts(name, NOW)) for name in ("web1", "web2", "web3")] == [2, 1, 2]


def test_a_run_of_several_hosts_that_was_cut_holds_them_all(store: Store) -> None:
    run = job("inc-1", "web1", "web2")
    store.claim(run, signatures=frozenset())
    done = store.finish(ended(run, RunStatus.UNKNOWN), slot_shut=True)
    assert not done.ends
    assert [done.on(name).status for name in done.hosts] == [RunStatus.UNKNOWN] * 2
    assert [store.claim(job("inc-2", name), signatures=frozenset()) for name in done.hosts] == [RunStatus.BUSY] * 2


def test_the_first_end_stands(store: Store) -> None:
    run = job("inc-1", "web1", "web2")
    store.claim(run, signatures=frozenset())
    store.started(run.run_id, 4711, 99, lease_seconds=60)

    first = store.finish(replace(ended(run), ended=NOW + timedelta(minutes=1)), slot_shut=False)
    second = store.finish(ended(run, RunStatus.UNKNOWN), slot_shut=True)

    assert first == second == store.run(run.run_id)
    assert (first.status, first.rc, first.reason) == (RunStatus.SUCCEEDED, 0, "said so")
    assert (first.pid, first.pid_start, first.hosts) == (4711, 99, ("web1", "web2"))
    assert (first.ended, first.parameters) == (NOW + timedelta(minutes=1), {"service": "nginx.service"})
    assert kinds(store) == ["run.started", "run.ended"]


def test_artifacts_are_due_of_runs_whose_process_began_and_that_are_over(store: Store) -> None:
    never, running, over = job("inc-1"), job("inc-2", "web2"), job("inc-3", "web3")
    for run in (never, running, over):
        store.claim(run, signatures=frozenset())
    for run in (running, over):
        store.started(run.run_id, 4711, 99, lease_seconds=60)
    for run in (never, over):
        store.finish(ended(run), slot_shut=False)

    assert store.artifacts_due() == {never.run_id: False, running.run_id: False, over.run_id: True}


def test_the_process_of_a_run_that_is_over_may_not_begin(store: Store) -> None:
    """Whoever gave it up and cleared its folder away must not see it start after all."""
    run = job("inc-1")
    assert not store.started(run.run_id, 4711, 99, lease_seconds=60)
    store.claim(run, signatures=frozenset())
    over = store.finish(ended(run, RunStatus.REFUSED), slot_shut=False)

    assert not store.started(run.run_id, 4711, 99, lease_seconds=60)
    assert store.run(run.run_id) == over


def test_an_end_needs_a_claim(store: Store) -> None:
    with pytest.raises(RecordError, match="inc-1-act"):
        store.finish(ended(job("inc-1")), slot_shut=False)
    with pytest.raises(ValueError, match="not an end"):
        store.finish(ended(job("inc-1"), RunStatus.RUNNING), slot_shut=False)


def test_runs_are_listed_newest_first_and_filtered(store: Store) -> None:
    check, act, other = job("inc-1", kind=RunKind.CHECK), job("inc-1"), job("inc-2", "web2")
    for run in (check, act, other):
        store.claim(run, signatures=frozenset())
        store.finish(ended(run), slot_shut=False)

    assert [one.id for one in store.runs()] == [other.run_id, act.run_id, check.run_id]
    assert [one.id for one in store.runs(incident_id="inc-1")] == [act.run_id, check.run_id]
    assert [one.id for one in store.runs(host="web2")] == [other.run_id]
    assert [one.id for one in store.runs(kinds=[RunKind.CHECK])] == [check.run_id]
    assert len(store.runs(limit=2)) == 2


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (None, True),
        (RunStatus.SUCCEEDED, True),
        (RunStatus.FAILED, True),
        (RunStatus.UNREACHABLE, True),
        (RunStatus.TIMED_OUT, True),
        (RunStatus.CANCELED, True),
        (RunStatus.UNKNOWN, True),
        (RunStatus.BUSY, False),
        (RunStatus.REFUSED, False),
    ],
)
def test_attempts_are_act_runs_that_may_have_touched_the_host(
    store: Store,
    clock: Clock,
    status: RunStatus | None,
    counts: bool,
) -> None:
    check, act = job("inc-1", kind=RunKind.CHECK), job("inc-1")
    store.claim(check, signatures=frozenset())
    store.finish(ended(check), slot_shut=False)
    store.claim(act, signatures=frozenset({Signature("sig-1"), Signature("sig-2")}))
    if status is not None:
        store.finish(ended(act, status), slot_shut=False)

    found = store.attempts("web1", NOW)

    assert len(found) == int(counts)
    for one in found:
        assert (one.action, one.parameters["service"]) == ("restart_service", "nginx.service")
        assert one.signatures == frozenset({"sig-1", "sig-2"})
    assert store.attempts("web2", NOW) == ()
    assert store.attempts("web1", clock.now + timedelta(seconds=1)) == ()


@pytest.mark.parametrize("kind", [RunKind.ACT, RunKind.ROLLBACK])
def test_nothing_that_changes_a_host_is_claimed_while_all_is_stopped(store: Store, kind: RunKind) -> None:
    run = job("inc-1", "web1", "web2", kind=kind)
    store.stop(actor="ann", reason="maintenance")

    assert store.claim(run, signatures=frozenset({Signature("sig-1")})) is RunStatus.REFUSED

    found = store.run(run.run_id)
    assert found is not None
    assert (found.status, found.hosts, found.slot_shut) == (RunStatus.REFUSED, ("web1", "web2"), False)
    assert (found.reason, found.ended) == (store.stopped(), found.started)
    assert kinds(store) == ["switch.stopped", "run.refused"]
    assert store.attempts("web1", NOW) == ()
    store.resume(actor="ann", reason="done")
    assert store.claim(run, signatures=frozenset()) is RunStatus.RUNNING, "refused for good"
    assert store.run(run.run_id) == found
    assert store.claim(job("inc-2"), signatures=frozenset()) is None, "no host is held"


@pytest.mark.parametrize("kind", [RunKind.CHECK, RunKind.VERIFY])
def test_looking_is_allowed_while_all_is_stopped(store: Store, kind: RunKind) -> None:
    store.stop(actor="ann", reason="maintenance")

    assert store.claim(job("inc-1", kind=kind), signatures=frozenset()) is None


def test_the_switch_does_not_end_what_was_claimed_before(store: Store) -> None:
    run = job("inc-1")
    store.claim(run, signatures=frozenset())
    store.stop(actor="ann", reason="maintenance")

    assert store.claim(run, signatures=frozenset()) is RunStatus.RUNNING
    assert store.shut_runs() == (store.run(run.run_id),)


def test_runs_that_hold_their_hosts_are_all_found_oldest_first(store: Store) -> None:
    running, cut, opened_again, done = (job(f"inc-{n}", f"web{n}", f"db{n}") for n in range(4))
    for run in (running, cut, opened_again, done):
        store.claim(run, signatures=frozenset())
    store.finish(ended(cut, RunStatus.TIMED_OUT), slot_shut=True)
    store.finish(ended(opened_again, RunStatus.UNKNOWN), slot_shut=True)
    store.open_slot(opened_again.run_id)
    store.finish(ended(done), slot_shut=False)
    for number in range(10, 220):
        store.claim(job(f"inc-{number}", f"web{number}"), signatures=frozenset())

    found = [one.id for one in store.shut_runs()]

    assert found[:2] == [running.run_id, cut.run_id]
    assert found[2:] == [f"inc-{number}-act" for number in range(10, 220)]


# ledger, switch, statistics ------------------------------------------------------------------------


def test_the_ledger_counts_its_lines(store: Store) -> None:
    first = store.append("one", text="a", incident_id="inc-1", host="web1", actor="me", data={"n": [1, None]})
    second = store.append("two", text="b")

    assert store.events() == (first, second)
    assert first.seq < second.seq
    assert store.events(after=first.seq) == (second,)
    assert store.events(incident_id="inc-1") == (first,)
    assert store.events(limit=1) == (first,)
    assert (first.data, first.actor, first.at.tzinfo) == ({"n": [1, None]}, "me", UTC)


def test_the_switch_says_who_and_why(store: Store) -> None:
    assert store.stopped() is None
    store.resume(actor="ann", reason="nothing was stopped")
    assert kinds(store) == []

    store.stop(actor="ann", reason="maintenance")
    assert "ann stopped all healing" in (store.stopped() or "")
    assert "maintenance" in (store.stopped() or "")

    store.stop(actor="bob", reason="still")
    assert "bob" in (store.stopped() or "")
    store.resume(actor="bob", reason="done")
    assert store.stopped() is None
    assert kinds(store) == ["switch.stopped", "switch.stopped", "switch.resumed"]


def test_the_newest_heartbeat_is_seen(store: Store, clock: Clock) -> None:
    assert store.worker_seen() is None
    for worker in ("a", "b", "a"):
        store.beat(worker)

    assert store.worker_seen() == clock.now


def test_statistics_count_attempts_by_how_their_incident_ended(store: Store) -> None:
    ends = {
        "a.service": IncidentState.HEALED,
        "b.service": IncidentState.ESCALATED,
        "c.service": IncidentState.VERIFIED,
        "d.service": IncidentState.HEALING,
    }
    for unit, state in ends.items():
        incident = opened(store, unit=unit)
        for kind in (RunKind.CHECK, RunKind.ACT):
            run = job(incident, kind=kind)
            store.claim(run, signatures=frozenset())
            store.finish(ended(run), slot_shut=False)
        store.move(incident, state, "so", expected=[IncidentState.OPEN])
    injected = opened(store, unit="e.service", origin=Origin.INJECTED)
    run = job(injected)
    store.claim(run, signatures=frozenset())
    store.finish(ended(run), slot_shut=False)
    store.move(injected, IncidentState.HEALED, "so", expected=[IncidentState.OPEN])
    opened(store, unit="never-acted.service")

    plain, whole = store.statistics(), store.statistics(injected=True)

    assert (plain.total_attempts, plain.successful, plain.failed, plain.pending) == (4, 1, 1, 2)
    assert plain.success_rate == 50.0
    assert (whole.total_attempts, whole.successful) == (5, 2)
    assert len(store.healing_seconds()) == 2
    assert len(store.healing_seconds(injected=True)) == 3


def test_a_healing_lasts_from_its_first_run_to_its_last(store: Store) -> None:
    incident = opened(store)
    began: datetime | None = None
    for kind in (RunKind.CHECK, RunKind.ACT, RunKind.VERIFY):
        run = job(incident, kind=kind)
        store.claim(run, signatures=frozenset())
        found = store.run(run.run_id)
        began = began or (found.started if found else None)
        last = (began or NOW) + timedelta(seconds=12)
        store.finish(replace(ended(run), ended=last), slot_shut=False)
    assert store.healing_seconds() == ()

    store.move(incident, IncidentState.HEALED, "so", expected=[IncidentState.OPEN])

    assert store.healing_seconds() == (12.0,)


def test_a_store_without_anything_says_so(store: Store) -> None:
    assert (store.incident("x"), store.approval("x"), store.run("x")) == (None, None, None)
    assert (store.decision("x"), store.verdict("x")) == (None, None)
    assert (store.evidence("x"), store.signatures("x"), store.events()) == ((), frozenset(), ())
    assert store.statistics().success_rate == 0.0
