"""verify's judgement: only what is plainly well is held, and nothing is repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.actions import Action, Risk
from orchestrator.domain.hosts import HostPolicy
from orchestrator.domain.ids import IncidentId, RunId, Signature
from orchestrator.domain.incidents import Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookResult, Run, RunKind, RunStatus
from orchestrator.verify import judgement
from orchestrator.verify.judgement import Check, Next

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def action(*, reversible: bool = False, hold_seconds: float = 30) -> Action:
    return Action(
        id="restart_service",
        title="",
        when="",
        not_when="",
        risk=Risk.LOW,
        reversible=reversible,
        task_timeout=30,
        run_timeout=60,
        settle_seconds=1,
        hold_seconds=hold_seconds,
    )


def result(status: RunStatus) -> PlaybookResult:
    return PlaybookResult(run_id=RunId("r"), status=status)


def record(after: float) -> LogRecord:
    return LogRecord(time=NOON + timedelta(seconds=after), host="web1", unit="a.service", priority=3, message="x")


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_check_is_well_or_sick_only_in_its_own_words(status: RunStatus) -> None:
    expected = {RunStatus.SUCCEEDED: Check.WELL, RunStatus.SICK: Check.SICK}.get(status, Check.CANNOT_TELL)

    assert judgement.after_check(result(status)) is expected


@pytest.mark.parametrize(
    ("status", "following"),
    [
        (RunStatus.SUCCEEDED, Next.VERIFY),
        (RunStatus.FAILED, Next.VERIFY),
        (RunStatus.TIMED_OUT, Next.VERIFY),
        (RunStatus.UNKNOWN, Next.VERIFY),
        (RunStatus.CANCELED, Next.VERIFY),
        (RunStatus.UNREACHABLE, Next.VERIFY),
        (RunStatus.REFUSED, Next.ESCALATE),
        (RunStatus.BUSY, Next.ESCALATE),
    ],
)
def test_whatever_may_have_changed_a_host_is_looked_at(status: RunStatus, following: Next) -> None:
    assert judgement.after_act(result(status)) is following


@pytest.mark.parametrize("verify", [status for status in RunStatus if status is not RunStatus.SUCCEEDED])
def test_a_verify_that_does_not_pass_never_holds(verify: RunStatus) -> None:
    for reversible in (True, False):
        for act in RunStatus:
            following = judgement.after_verify(action(reversible=reversible), act, result(verify))

            assert following in (Next.ROLLBACK, Next.ESCALATE)
            assert reversible or following is Next.ESCALATE


def test_a_cut_act_that_turned_out_well_is_held_and_a_canceled_one_is_not() -> None:
    well = result(RunStatus.SUCCEEDED)

    for cut in (RunStatus.UNKNOWN, RunStatus.UNREACHABLE, RunStatus.TIMED_OUT, RunStatus.FAILED):
        assert judgement.after_verify(action(), cut, well) is Next.HOLD
    assert judgement.after_verify(action(), RunStatus.CANCELED, well) is Next.ESCALATE


@pytest.mark.parametrize(
    ("own", "policy", "seen", "seconds"),
    [
        (30, None, [], 30),
        (30, 5, [], 5),
        (30, 5, [0], 5),
        (30, 5, [0, 60, 120], 60),
        (30, 0, [0, 0, 0], 0),
        (30, 5, [120, 0, 60], 60),
        (30, 5, [0, 86400], judgement.LONGEST_HOLD),
    ],
)
def test_hold_is_the_hosts_or_the_actions_and_at_least_the_seen_period(
    own: float, policy: float | None, seen: list[float], seconds: float
) -> None:
    records = [record(at) for at in seen]

    assert judgement.hold_seconds(action(hold_seconds=own), HostPolicy(hold_seconds=policy), records) == seconds


def test_only_a_signature_of_the_incident_is_a_relapse() -> None:
    def signal(name: str) -> Signal:
        return Signal(
            record=record(0),
            signature=Signature(name),
            template="",
            subject=Subject(kind=SubjectKind.UNIT, name="a.service"),
            severity=Severity.ERROR,
            age=0,
        )

    mine = frozenset({Signature("mine")})

    assert judgement.relapse([], mine) is None
    assert judgement.relapse([signal("other")], mine) is None
    assert judgement.relapse([signal("other"), signal("mine")], mine) is not None


def run(kind: RunKind, status: RunStatus, reason: str = "") -> Run:
    return Run(
        id=RunId(kind),
        incident_id=IncidentId("inc"),
        kind=kind,
        action="restart_service",
        parameters={},
        hosts=("web1",),
        status=status,
        started=NOON,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("act", "verify", "told"),
    [
        (
            (RunStatus.SUCCEEDED, ""),
            (RunStatus.SICK, "nginx.service is failed"),
            "restart_service ended as succeeded and did not heal it: nginx.service is failed; it was not repeated",
        ),
        (
            (RunStatus.UNREACHABLE, "task Restart it: the SSH connection to web1 broke"),
            (RunStatus.SICK, "nginx.service is failed"),
            "restart_service ended as unreachable (task Restart it: the SSH connection to web1 broke) and did not heal "
            "it: nginx.service is failed; it was not repeated",
        ),
        (
            (RunStatus.FAILED, "task Restart it: no sudo."),
            (RunStatus.FAILED, "task Watch: no sudo."),
            "restart_service ended as failed; it was not repeated, and whether it helped can't be told: verify ended "
            "as failed (task Watch: no sudo)",
        ),
        (
            (RunStatus.TIMED_OUT, "late"),
            None,
            "restart_service ended as timed_out (late); it was not repeated, and whether it helped can't be told: it "
            "still held the host's slot",
        ),
        (
            (RunStatus.CANCELED, ""),
            (RunStatus.SUCCEEDED, ""),
            "restart_service ended as canceled, so it is not called healed, though verify finds it well",
        ),
    ],
)
def test_a_person_is_told_what_is_known_and_what_is_not(
    act: tuple[RunStatus, str], verify: tuple[RunStatus, str] | None, told: str
) -> None:
    looked = run(RunKind.VERIFY, *verify) if verify else None

    assert judgement.why_not_healed(run(RunKind.ACT, *act), looked) == told
