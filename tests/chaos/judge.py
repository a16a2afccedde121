"""What is lost, what ran twice, what is stuck: a pure verdict over what hosts and store say after the chaos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.incidents import FINAL, Incident, IncidentState
from orchestrator.domain.runs import Run, RunKind, RunStatus

#: A patient: its host, and its unit there.
Patient = tuple[str, str]
#: How a person is told of a healing that vanished: it was not stuck, but it is lost.
ABANDONED = ("its healing ended in the middle", "internal error")
#: Runs that append to the host's list of starts.
COUNTED = frozenset({RunKind.ACT, RunKind.ROLLBACK})


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was done to the hosts, and what both sides say once nothing should be under way any more."""

    #: How often each patient fell ill.
    fallen: Mapping[Patient, int]
    #: Every incident of the store.
    incidents: Sequence[Incident]
    #: Every run of the store, and the ids of those that still hold their host.
    runs: Sequence[Run]
    holding: Sequence[str] = ()
    #: Run id -> how often it was started, counted on the hosts.
    starts: Mapping[str, int]
    #: Private folders of runs that are still there.
    left_over: Sequence[str] = ()


@dataclass(kw_only=True)
class Verdict:
    """One sentence for each thing that must not be."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """0 0 0."""
        return not (self.lost or self.twice or self.stuck)

    def add(self, other: Verdict) -> None:
        """Both; what was said before is one thing still."""
        for mine, theirs in ((self.lost, other.lost), (self.twice, other.twice), (self.stuck, other.stuck)):
            mine += [sentence for sentence in theirs if sentence not in mine]


def judge(seen: Observation, accepted: Mapping[Patient, frozenset[IncidentState]]) -> Verdict:
    """`accepted`: the states in which the incidents of a patient may end."""
    verdict = Verdict()
    for patient, times in seen.fallen.items():
        _judge_patient(seen, patient, times, accepted[patient], verdict)
    known = {run.id: run for run in seen.runs}
    for run_id, count in seen.starts.items():
        if count > 1:
            verdict.twice.append(f"{run_id} was started {count} times on its host")
        if run_id not in known:
            verdict.twice.append(f"{run_id} was started on a host and is not on record")
    for run in seen.runs:
        if run.kind in COUNTED and run.status is RunStatus.SUCCEEDED and not seen.starts.get(run.id):
            verdict.lost.append(f"{run.id} succeeded on record, and its host knows nothing of it")
    verdict.stuck += [f"{run_id} still holds its host" for run_id in seen.holding]
    verdict.stuck += [f"{folder} was left behind" for folder in seen.left_over]
    return verdict


def _judge_patient(
    seen: Observation, patient: Patient, times: int, accepted: frozenset[IncidentState], verdict: Verdict
) -> None:
    name = f"{patient[1]} on {patient[0]}"
    own = [one for one in seen.incidents if (one.host, one.subject.name) == patient]
    if not own:
        verdict.lost.append(f"{name} fell ill and has no incident")
    for one in own:
        if one.state not in FINAL:
            verdict.stuck.append(f"{one.id} of {name} is still {one.state}: {one.reason}")
        elif one.state not in accepted | {IncidentState.JOINED} or one.reason.startswith(ABANDONED):
            verdict.lost.append(f"{one.id} of {name} ended as {one.state}: {one.reason}")
    ids = {one.id for one in own}
    acts = [run.id for run in seen.runs if run.incident_id in ids and run.kind is RunKind.ACT]
    begun = [run_id for run_id in acts if seen.starts.get(run_id)]
    if len(begun) > times:
        verdict.twice.append(f"{name} fell ill {times} times and was treated by {', '.join(begun)}")
