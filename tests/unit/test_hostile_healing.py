"""A hostile model through a whole healing: what reaches the executor is one offered deed, on the incident's host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.catalog import Catalog
from orchestrator.decide.prompt import show
from orchestrator.decide.reply import read_reply
from orchestrator.detect.detector import Detector
from orchestrator.domain.actions import Candidate, Decision
from orchestrator.domain.hosts import Host
from orchestrator.domain.incidents import UNDER_WAY
from orchestrator.domain.records import LogRecord
from orchestrator.domain.runs import RunKind
from orchestrator.domain.verdicts import Facts
from orchestrator.healing import Healing
from orchestrator.ports import Case
from orchestrator.testing import FakeProbe
from tests.support import decide_case
from tests.support.bound import facts, is_offered
from tests.support.hostile_model import HostileModel
from tests.unit.test_healing import House, house


class Hostile:
    """Implements ports.Chooser with a model that answers anything."""

    name = "hostile"

    def __init__(self, seed: int) -> None:
        self._model = HostileModel(seed)
        #: What each incident could choose from.
        self.offered: dict[str, tuple[Candidate, ...]] = {}

    def choose(self, case: Case) -> Decision:
        shown = show(case)
        self.offered[case.incident_id] = shown.candidates
        ((_, text),) = self._model.replies(shown.candidates, 1)
        return read_reply(text, shown.candidates, chooser=self.name, shown_digest=shown.digest)


class Friendly(FakeProbe):
    """A host that says of anything that it is there."""

    def inspect(self, host: Host, units: Sequence[str], paths: Sequence[str]) -> Facts:
        return facts(units, paths)


def besieged(chooser: Hostile) -> House:
    """A house whose chooser is hostile and whose whitelist is the real one."""
    one = house()
    actions = {action.id: action for action in decide_case.actions()}
    rooms = replace(
        one.healing._rooms,
        catalog=Catalog(actions=actions),
        chooser=chooser,
        probe=Friendly(),
        detector=Detector(tuple(actions.values())),
    )
    healing = Healing(rooms)
    workflows = {name: getattr(healing, name) for name in one.engine.workflows}
    one.engine.workflows = workflows
    one.healing = healing
    return one


def strike(one: House, number: int) -> list[str]:
    """An incident of a unit of its own, with lines that name what is harmless and what is vital; its id."""
    unit, at = f"app{number}.service", one.now[0]
    lines = (
        f"{unit}: Failed with result 'signal'.",
        f"open() /opt/app{number}/run.sh failed (13: Permission denied)",
        f"write /var/log/app{number}/app.log: No space left on device",
        "Failed to start ssh.service - OpenBSD Secure Shell server.",
    )
    records = [LogRecord(time=at, host="web1", unit=unit, priority=3, message=line) for line in lines]
    found = Detector(decide_case.actions()).detect(records, at)
    signals = [replace(signal, subject=found[0].subject) for signal in found]
    return list(one.store.absorb("web1", "journal", signals, None))


@pytest.mark.parametrize(
    "number", [pytest.param(150, id="150"), pytest.param(5_000, id="5000", marks=pytest.mark.long)]
)
def test_at_most_one_offered_deed_on_the_incidents_host_reaches_the_executor(number: int) -> None:
    acted = 0
    for start in range(0, number, 25):
        chooser = Hostile(seed=start)
        one = besieged(chooser)
        for turn in range(25):
            # Two hours on: a host opens so many incidents an hour, and no cooldown holds.
            one.now[0] += timedelta(hours=2)
            for incident in strike(one, start + turn):
                one.engine.start("plan", incident, incident)
        for found in one.store.incidents(limit=1000):
            assert found.id == one.incident or found.state not in UNDER_WAY, found
        jobs = one.executor.jobs
        for incident in {str(job.incident_id) for job in jobs}:
            deeds = {
                (job.action, tuple(job.parameters.items()), tuple(host.name for host in job.hosts))
                for job in jobs
                if job.incident_id == incident
            }
            assert len(deeds) == 1
            ((action, parameters, hosts),) = deeds
            assert hosts == ("web1",)
            deed = Decision(action=action, parameters=dict(parameters), reason="", chooser="")
            assert is_offered(deed, chooser.offered[incident])
            assert action in {row.id for row in decide_case.actions()}
            assert "ssh" not in " ".join(deed.parameters.values())
            kinds = [job.kind for job in jobs if job.incident_id == incident]
            assert kinds.count(RunKind.ACT) <= 1
            acted += kinds.count(RunKind.ACT)
    assert 0 < acted < number
