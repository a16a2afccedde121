"""Rows in which something of ours is killed: at each boundary of each way that a healing may go, and at any instant."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial

from orchestrator.act import processes
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import Run, RunKind
from orchestrator.domain.verdicts import Answer
from tests.chaos.boundaries import BEFORE_GO, SWEEPS
from tests.chaos.judge import Patient
from tests.chaos.lane import HEALED, HEALED_OR_TOLD, PATIENCE, Lane, RowError, kill_run
from tests.chaos.ward import with_word

TOLD = frozenset({IncidentState.ESCALATED})
#: The two sides of a step that a crash tells apart: after it was recorded is before the next one.
SIDES = ("*: step begins", "*: step ended, not recorded")
#: Seconds in which a workflow ends after an incident's last move, with the start of an orchestrator that was killed.
AFTER_LAST_MOVE = 15.0
#: Seconds into a run at which the last kill at a random instant comes; a run takes a second or two.
INTO_RUN = 1.5


def _answer(answer: Answer, lane: Lane, patient: Patient) -> None:
    """What a person says, once asked."""
    for one in lane.incidents(patient):
        if one.state is IncidentState.PENDING_APPROVAL:
            for approval in lane.store.approvals((Answer.PENDING,)):
                if approval.incident_id == one.id:
                    lane.store.answer(
                        approval.id, answer, actor="chaos", reason="the chaos suite", now=datetime.now(UTC)
                    )


def _relapse(lane: Lane, patient: Patient) -> None:
    """It falls ill again within the hold time."""
    own = lane.incidents(patient)
    if own and own[0].state is IncidentState.VERIFIED and lane.fallen(patient) == 1:
        lane.relapse(patient)


def _cut(lane: Lane, patient: Patient) -> None:
    """Its act's process is killed."""
    run = lane.is_running(patient, RunKind.ACT)
    if run is not None:
        kill_run(run)


def _leave(lane: Lane, patient: Patient) -> None:
    """Nothing happens meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way that a healing may go."""

    #: How its incidents end if no kill changes that.
    ends: frozenset[IncidentState] = HEALED
    #: Whether a person is asked first.
    asks: bool = False
    seconds: float = 0.3
    resists: bool = False
    #: What a person or fate does meanwhile; called again and again.
    drive: Callable[[Lane, Patient], None] = _leave
    #: Seconds to hold, and to wait for a person.
    hold: float = 1.0
    expiry: float = 3600.0
    #: Steps whose boundaries are this way's own, others pass them as well; empty: all.
    steps: tuple[str, ...] = ()

    def fall_ill(self, lane: Lane) -> Patient:
        """A patient that goes this way; hosts take turns."""
        host = lane.asking if self.asks else lane.acting[lane.tally.times % len(lane.acting)]
        return lane.fall_ill(host, seconds=self.seconds, resists=self.resists)


#: Steps that prepare a question; those before them are made as a healing's own are.
ASKING = ("see what would change", "ask")
WAYS = {
    "healed": Way(),
    "approved": Way(
        asks=True,
        drive=partial(_answer, Answer.APPROVED),
        steps=("hand over", *ASKING, "sweep", "judge again"),
    ),
    "denied": Way(asks=True, drive=partial(_answer, Answer.DENIED), ends=TOLD, steps=("sweep",)),
    "lapsed": Way(asks=True, expiry=1.0, ends=frozenset({IncidentState.EXPIRED}), steps=("sweep",)),
    "rolled-back": Way(resists=True, ends=TOLD, steps=("verify", "rollback")),
    "relapsed": Way(drive=_relapse, hold=4.0, ends=TOLD, steps=("listen", "rollback")),
    "cut": Way(seconds=2.0, drive=_cut, ends=HEALED_OR_TOLD, steps=("act", "round")),
}


def at_boundaries(name: str, lane: Lane, size: int) -> None:
    """One healing, one kill, at each of `size` boundaries of a way."""
    way = WAYS[name]
    found = _explore(lane, way)
    own = [one for one in found if not way.steps or _step(one) in way.steps]
    for boundary in own if size >= len(own) else lane.random.sample(own, size):
        if not any(_die_at(lane, way, boundary) for _ in range(2)):
            if _step(boundary) not in SWEEPS:
                raise RowError(f"a second healing did not pass the boundary {boundary!r}")
            # Who sweeps and who waits are in a race, and the other one won it.
            lane.tally.seen.discard(boundary)


def in_turn(lane: Lane, size: int) -> None:
    """`size` healings, each killed at every recorded step, before it and before it is recorded, one after the other."""
    way = WAYS["healed"]
    lane.start(watched=True)
    for _ in range(size):
        spent: list[str] = []
        lane.arm(*SIDES)
        patient = way.fall_ill(lane)
        while _dies(lane, patient):
            spent.append(lane.passed()[-1])
            lane.arm(*SIDES, but=spent)
            _start_again(lane, [patient])
        lane.settle([patient])
        lane.tally.killed |= set(spent)
        steps = [{_step(one) for one in spent if fnmatchcase(one, side)} for side in SIDES]
        if steps[0] != steps[1] or not steps[0]:
            raise RowError(f"it was killed before the steps {sorted(steps[0])}, and at the end of {sorted(steps[1])}")


def _explore(lane: Lane, way: Way) -> list[str]:
    """The boundaries of one healing that nobody kills, each once, in their order."""
    lane.configure(hold=way.hold, approval_expiry_seconds=way.expiry)
    lane.start(watched=True)
    patient = way.fall_ill(lane)
    lane.settle([patient], way.ends, drive=lambda: way.drive(lane, patient))
    found = list(dict.fromkeys(lane.passed()))
    lane.tally.seen |= set(found)
    return found


def _die_at(lane: Lane, way: Way, boundary: str) -> bool:
    """Whether a healing passed it; then it went on after the kill, and was judged."""
    lane.arm(boundary)
    patient = way.fall_ill(lane)

    def drive() -> None:
        way.drive(lane, patient)

    died = _dies(lane, patient, drive)
    lane.arm()
    accepted = way.ends
    if died:
        lane.tally.killed.add(boundary)
        _start_again(lane, [patient], drive)
        step, _, what = boundary.partition(": ")
        # A reading is read again; an act that never began is not begun anew.
        accepted = way.ends | TOLD if step == "act" and what in BEFORE_GO else way.ends
    lane.settle([patient], accepted, drive=drive)
    return boundary in lane.tally.killed


def _start_again(lane: Lane, patients: Sequence[Patient], drive: Callable[[], None] = lambda: None) -> None:
    """After a kill: count it, and see that healing goes on."""
    lane.tally.times += 1
    before, since = lane.store.newest(), time.monotonic()
    lane.start(watched=True)
    lane.go_on(patients, before, since, drive=drive)


def _dies(lane: Lane, patient: Patient, drive: Callable[[], None] = lambda: None) -> bool:
    """Whether the orchestrator dies before the patient's healing is over, or right after its last move."""
    lane.look_for(lambda: lane.is_dead or lane.is_over([patient]), seconds=PATIENCE, drive=drive)
    return lane.is_dead or bool(lane.look_for(lambda: lane.is_dead, seconds=AFTER_LAST_MOVE))


def _step(boundary: str) -> str:
    return boundary.partition(": ")[0]


# at random instants -----------------------------------------------------------------------------


def kill_orchestrator(lane: Lane, run: Run) -> None:
    """kill -9, and it is started again."""
    lane.kill()


def kill_supervisor(lane: Lane, run: Run) -> None:
    """kill -9 of the run's own process: its playbook goes with it."""
    kill_run(run)


def kill_playbook(lane: Lane, run: Run) -> None:
    """kill -9 of ansible-playbook alone."""
    for pid in with_word("ansible.cli.playbook", processes.descendants(run.pid or 0)):
        _kill(pid)


def kill_all(lane: Lane, run: Run) -> None:
    """Every process of ours, as when a machine loses its power; its ssh connections too."""
    below = processes.descendants(run.pid or 0)
    lane.kill()
    kill_run(run)
    for pid in below:
        _kill(pid)


def _kill(pid: int) -> None:
    processes.send(pid, processes.start_time(pid) or 0, signal.SIGKILL)


def at_random(kill: Callable[[Lane, Run], None], lane: Lane, size: int) -> None:
    """`size` kills, each at a random instant of an act or a verify; an orchestrator with several healings under way."""
    as_operators_do = kill is kill_orchestrator
    lane.start(watched=not as_operators_do)
    while lane.tally.times < size:
        kind = lane.random.choice((RunKind.ACT, RunKind.VERIFY))
        instant = lane.random.uniform(0, INTO_RUN)
        hosts = lane.acting if as_operators_do else [lane.random.choice(lane.acting)]
        patients = [lane.fall_ill(host, seconds=lane.random.uniform(0.2, 1.0)) for host in hosts]
        target = lane.random.choice(patients)
        lane.wait_for(partial(lane.is_running, target, kind), f"the {kind} of {target} runs")
        lane.rest(instant)
        running = next((run for run in lane.holding() if run.pid), None)
        before, since = lane.store.newest(), time.monotonic()
        if running is not None or kill is kill_orchestrator:
            lane.tally.times += 1
            kill(lane, running)  # type: ignore[arg-type]  # only the orchestrator's needs none
            if lane.is_dead:
                lane.start(watched=not as_operators_do)
            lane.go_on(patients, before, since)
        cuts_one_reading = kind is RunKind.VERIFY and kill is not kill_orchestrator
        lane.settle(patients, HEALED if cuts_one_reading else HEALED_OR_TOLD)


def arrivals(lane: Lane, seconds: int) -> None:
    """Faults arrive on all hosts for `seconds`, while the orchestrator is killed and started again every 10 s."""
    lane.start()
    begun = time.monotonic()
    patients: list[Patient] = []
    fault, kill = begun, begun + KILL_EVERY
    waits: tuple[int, float] | None = None
    while (now := time.monotonic()) < begun + seconds:
        if now >= fault:
            patients.append(lane.fall_ill(lane.random.choice(lane.acting), seconds=lane.random.uniform(0.2, 1.0)))
            fault = now + lane.random.uniform(0, 2 * FAULT_EVERY)
        if now >= kill:
            lane.kill()
            lane.tally.times += 1
            waits = (lane.store.newest(), time.monotonic())
            lane.start()
            kill = now + KILL_EVERY
        if waits and lane.has_moved(waits[0]):
            lane.tally.seconds.append(time.monotonic() - waits[1])
            waits = None
        time.sleep(0.05)
    lane.settle(patients, HEALED_OR_TOLD, seconds=PATIENCE_AFTER_STORM)


#: Seconds between two kills, and between two faults on average: 2 cores keep up with it.
KILL_EVERY, FAULT_EVERY = 10.0, 4.0
#: Seconds: what arrived last has waited behind the others.
PATIENCE_AFTER_STORM = 180.0
