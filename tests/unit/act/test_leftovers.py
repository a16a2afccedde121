"""What is dead and what is not, from facts alone; and that nothing is touched but what is dead at that very moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.act.executor import START_SECONDS
from orchestrator.act.leftovers import judgement
from orchestrator.act.leftovers.clearing import Kind, checks
from orchestrator.act.leftovers.judgement import FileFacts, Judgement, ProcessFacts, RunFacts, WorkerFacts
from orchestrator.act.processes import Process
from orchestrator.domain.ids import IncidentId, RunId
from orchestrator.domain.runs import Run, RunKind, RunStatus
from orchestrator.errors import RecordError

THEN = datetime(2026, 1, 31, 8, tzinfo=UTC)
OLD = START_SECONDS * 10
NOBODY = WorkerFacts(alive=False)
WORKING = WorkerFacts(alive=True, pid="77", silent=0.4)
HUNG = WorkerFacts(alive=True, pid="77", silent=90, hangs=True)


def run(status: RunStatus = RunStatus.RUNNING, **changes: Any) -> Run:
    over = status is not RunStatus.RUNNING
    made = Run(
        id=RunId("inc-1-act"),
        incident_id=IncidentId("inc-1"),
        kind=RunKind.ACT,
        action="restart_service",
        parameters={},
        hosts=("web1", "web2"),
        status=status,
        started=THEN,
        ended=THEN if over else None,
        pid=4711,
        pid_start=99,
        lease_until=0.0,
        lease_left=52.0,
    )
    return replace(made, **changes)


def facts(found: Run, **changes: Any) -> RunFacts:
    given: dict[str, Any] = {"age": OLD, "alive": False, "vouched": False, "worker": NOBODY} | changes
    return RunFacts(run=found, **given)


# runs -----------------------------------------------------------------------------------------------


def test_a_run_whose_process_lives_is_well_and_says_who_since_when_and_for_how_long() -> None:
    judged = judgement.of_run(facts(run(), alive=True))

    assert (judged.ok, judged.dead) == (True, False)
    assert judged.text == (
        "act of restart_service on web1, web2, running since 2026-01-31 08:00:00 UTC by pid 4711, lease left 52 s"
    )


def test_a_run_whose_process_is_gone_is_dead_and_a_worker_s_to_end() -> None:
    alone, beside = judgement.of_run(facts(run())), judgement.of_run(facts(run(), worker=WORKING))

    assert (alone.ok, alone.dead, alone.recorded) == (False, True, True)
    assert alone.text.endswith("its process 4711 is gone")
    assert alone.fix.startswith("--fix ends it by the result that it left, else as unknown")
    assert (beside.ok, beside.dead) == (False, False)
    assert beside.fix.startswith("the healer serve that works here (pid 77) ends it")
    assert "that hangs (pid 77)" in judgement.of_run(facts(run(), worker=HUNG)).fix
    assert not judgement.of_run(facts(run(), worker=HUNG)).dead


@pytest.mark.parametrize(
    ("found", "changes"),
    [
        (run(), {"alive": True}),
        (run(lease_left=-3.0), {"alive": True}),
        (run(), {"vouched": True}),
        (run(), {"age": START_SECONDS - 1}),
        (run(pid=None), {"age": START_SECONDS - 1}),
        (run(), {"age": -600.0}),
    ],
    ids=["it lives", "it hangs", "it lives elsewhere", "it is young", "it is being started", "the clock was set back"],
)
def test_what_is_not_proven_dead_is_left_alone(found: Run, changes: Mapping[str, Any]) -> None:
    assert not judgement.of_run(facts(found, **changes)).dead


def test_a_process_that_lives_and_does_not_renew_hangs() -> None:
    alone = judgement.of_run(facts(run(lease_left=-3.0), alive=True))
    beside = judgement.of_run(facts(run(lease_left=-3.0), alive=True, worker=WORKING))

    assert "has not renewed its lease that ended 3 s ago: it hangs" in alone.text
    assert (alone.ok, beside.ok) == (False, False)
    assert "kill -9 4711" in alone.fix
    assert beside.fix == "the healer serve that works here ends it"


def test_a_run_that_never_got_a_process_is_ended_as_refused() -> None:
    judged = judgement.of_run(facts(run(pid=None)))

    assert judged.dead
    assert judged.fix == "--fix ends it by the result that it left, else as refused"


def test_a_shut_slot_says_whose_since_when_and_what_opens_it() -> None:
    judged = judgement.of_run(facts(run(RunStatus.UNKNOWN, slot_shut=True)))

    assert "web1, web2, unknown: the slot of its hosts is shut since 2026-01-31 08:00:00 UTC, and opens" in judged.text
    assert (judged.ok, judged.dead, judged.recorded) == (False, True, False)


# files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [None, run(RunStatus.UNKNOWN), run(RunStatus.SUCCEEDED)])
def test_a_file_of_a_run_that_is_over_or_unknown_is_dead(found: Run | None) -> None:
    judged = judgement.of_file(FileFacts(age=OLD, run=found))

    assert judged is not None
    assert (judged.ok, judged.dead) == (False, True)


@pytest.mark.parametrize(
    "seen",
    [
        FileFacts(age=OLD, run=run()),
        FileFacts(age=START_SECONDS - 1),
        FileFacts(age=-600.0),
        FileFacts(age=OLD, users=(4711,)),
        FileFacts(age=OLD, vouched=True),
        FileFacts(age=OLD, odd="/x is a symbolic link."),
    ],
    ids=["its run runs", "young", "the clock was set back", "in use", "in use elsewhere", "none of ours"],
)
def test_a_file_that_may_be_in_use_is_left_alone(seen: FileFacts) -> None:
    judged = judgement.of_file(seen)

    assert judged is None or not judged.dead


# processes ------------------------------------------------------------------------------------------


def process(**changes: Any) -> Process:
    made = Process(pid=4712, started=5, name="python3", run_id="inc-1-act", supervisor=False, connection=False)
    return replace(made, **changes)


def of_process(found: Run | None, what: Process | None = None, **changes: Any) -> Judgement | None:
    given: dict[str, Any] = {"age": OLD, "ended": OLD} | changes
    return judgement.of_process(ProcessFacts(process=what or process(), run=found, **given))


@pytest.mark.parametrize("status", [RunStatus.UNKNOWN, RunStatus.TIMED_OUT, RunStatus.CANCELED])
def test_a_process_of_a_run_that_was_cut_is_dead(status: RunStatus) -> None:
    judged = of_process(run(status))

    assert judged is not None
    assert (judged.ok, judged.dead) == (False, True)


def test_a_supervisor_of_any_run_that_is_over_is_dead() -> None:
    judged = of_process(run(RunStatus.SUCCEEDED), process(supervisor=True))

    assert judged is not None
    assert judged.dead


def test_what_a_run_may_have_started_on_purpose_is_told_and_left_alone() -> None:
    """A service that an act restarted on this very machine has its environment from the run."""
    for found in (run(RunStatus.SUCCEEDED), run(RunStatus.FAILED), None):
        judged = of_process(found)
        assert judged is not None
        assert (judged.ok, judged.dead) == (None, False)
        assert "kill 4712" in judged.fix


@pytest.mark.parametrize(
    ("found", "what", "changes"),
    [
        (run(), process(), {}),
        (run(), process(supervisor=True), {}),
        (run(RunStatus.UNKNOWN), process(connection=True), {}),
        (run(RunStatus.UNKNOWN), process(), {"ended": START_SECONDS - 1}),
        (None, process(), {"age": START_SECONDS - 1}),
    ],
    ids=["its run runs", "its supervisor", "a kept connection", "it may be ending", "young"],
)
def test_a_process_that_has_a_use_is_not_mentioned(
    found: Run | None, what: Process, changes: Mapping[str, Any]
) -> None:
    assert of_process(found, what, **changes) is None


# worker and artifacts -------------------------------------------------------------------------------


def test_a_worker_that_hangs_is_told_and_never_ended() -> None:
    judged = judgement.of_worker(HUNG)

    assert (judged.ok, judged.dead) == (False, False)
    assert "pid 77 holds the lock and last beat 90 s ago" in judged.text
    assert "kill -9 77" in judged.fix
    assert judgement.of_worker(WORKING).ok
    assert judgement.of_worker(NOBODY).ok


def test_artifacts_are_told_and_never_cleared() -> None:
    found = judgement.of_artifacts(frozenset(f"a{n}" for n in range(9)), frozenset({"b"}))

    assert [one.text.split(":")[0] for one in found] == ["a0, a1, a2, a3, a4 and 4 more", "b"]
    assert all(one.ok is None and not one.dead for one in found)
    assert judgement.of_artifacts(frozenset(), frozenset()) == ()


# the pass -------------------------------------------------------------------------------------------

DEAD = Judgement(ok=False, text="it is dead", fix="--fix removes it", dead=True)
USED = Judgement(ok=None, text="it is in use")


class Things:
    """Leftovers whose state changes at each look, and a ledger."""

    def __init__(self, *looks: Judgement | None, refusing: bool = False) -> None:
        self.looks, self.refusing = list(looks), refusing
        self.done: list[str] = []
        self.kind = Kind(name="thing", names=lambda: ["a"], judge=lambda _: self.looks.pop(0), clear=self.clear)

    def clear(self, name: str) -> str:
        self.done.append(f"cleared {name}")
        return "removed"

    def append(self, kind: str, *, text: str, actor: str, data: Mapping[str, Any]) -> None:
        if self.refusing:
            raise RecordError("The store is full.")
        self.done.append(f"{kind} {text} by {actor}")


def test_a_deed_is_on_record_before_it_is_done() -> None:
    things = Things(DEAD, DEAD, None)
    (check,) = checks([things.kind], things, fix=True, actor="cli:ann")

    assert things.done == ["doctor.fixed thing a, it is dead: --fix removes it by cli:ann", "cleared a"]
    assert (check.name, check.ok, check.text, check.fixed) == ("thing a", True, "it is dead", "removed")


def test_without_fix_nothing_is_done() -> None:
    things = Things(DEAD)
    (check,) = checks([things.kind], things, fix=False, actor="cli:ann")

    assert things.done == []
    assert (check.ok, check.fix, check.fixed) == (False, "--fix removes it", "")


def test_what_comes_to_life_in_the_last_moment_is_left_alone() -> None:
    for again in (USED, None):
        things = Things(DEAD, again)
        (check,) = checks([things.kind], things, fix=True, actor="cli:ann")
        assert "cleared a" not in things.done
        assert (check.ok, check.fixed) == (None, "")


def test_what_can_t_be_recorded_is_not_done() -> None:
    things = Things(DEAD, DEAD, refusing=True)
    with pytest.raises(RecordError):
        list(checks([things.kind], things, fix=True, actor="cli:ann"))
    assert things.done == []


def test_a_deed_that_fails_says_so_and_the_pass_goes_on() -> None:
    things = Things(DEAD, DEAD, USED)

    def refuse(_: str) -> str:
        raise PermissionError(13, "Permission denied", "/x")

    broken = replace(things.kind, clear=refuse)
    told = list(checks([broken, things.kind], things, fix=True, actor="cli:ann"))
    assert [one.ok for one in told] == [False, None]
    assert told[0].fix.startswith("it could not be cleared: [Errno 13]")
