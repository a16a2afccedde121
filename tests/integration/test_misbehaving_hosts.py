"""Hosts that misbehave, in the middle of a healing and before one: each ends in a state with a sentence, gives the
host's slot back, stops no other host, and the next healing of that very host works.
"""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.support.misbehaving import (
    DISK,
    FROZEN,
    HOST_KEY,
    NETWORK,
    PYTHON,
    REBOOT,
    SUDO,
    Story,
    Teller,
    Told,
    Trouble,
    house,
)

pytestmark = pytest.mark.lab

LOST = r"restart_service ended as unreachable \(task Take as long as the test wants: the SSH connection to HOST broke"
NO_WAY = r"nothing was done: (There is no way to HOST|HOST \(.*\) did not answer in time)"


@dataclass(frozen=True)
class Case:
    """A trouble on a host of its own, and what a person must be told."""

    host: str
    trouble: Trouble
    #: Status of the act that was cut, and what the incident's reason matches; HOST stands for the host.
    act: str
    middle: str
    #: The same for a healing that could not begin.
    before: str

    def __str__(self) -> str:
        return self.trouble.name.replace(" ", "-")

    def says(self, pattern: str, told: Told) -> bool:
        return re.search(pattern.replace("HOST", self.host), told.reason) is not None


CASES = [
    Case(
        host="web1",
        trouble=FROZEN,
        act="unreachable",
        middle=rf"{LOST}\) and did not heal it: billing.service is failed .*not repeated",
        before=r"nothing was done: HOST \(.*\) .*(in time|no SSH server greets there)",
    ),
    Case(
        host="web2",
        trouble=NETWORK,
        act="unreachable",
        middle=rf"{LOST}\) and did not heal it: billing.service is failed .*not repeated",
        before=NO_WAY,
    ),
    # Its services are enabled, so that the boot itself brought this one back: verify judges.
    Case(host="web3", trouble=REBOOT, act="unreachable", middle=r"verified, and silent", before=NO_WAY),
    Case(
        host="web4",
        trouble=HOST_KEY,
        act="unreachable",
        middle=rf"{LOST}.*whether it helped can't be told: HOST .* another host key.* healer trust HOST --replace$",
        before=r"nothing was done: HOST .* shows another host key.* healer trust HOST --replace$",
    ),
    Case(
        host="web5",
        trouble=DISK,
        act="failed",
        middle=r"restart_service ended as failed.*can't be told: verify .*HOST has no room for Ansible's",
        before=r"the check can't tell \(failed\): .*HOST has no room for Ansible's temporary files.* Nothing was done",
    ),
    Case(
        host="web6",
        trouble=SUDO,
        act="failed",
        middle=r"restart_service ended as failed.*can't be told: verify .*sudo on HOST asks for a password.*visudo",
        before=r"nothing was done: HOST: sudo lets healer do nothing without a password.*visudo",
    ),
    Case(
        host="web7",
        trouble=PYTHON,
        act="failed",
        middle=r"restart_service ended as failed.*can't be told: verify .*HOST has no Python at /usr/bin/python3",
        before=r"the check can't tell \(failed\): .*HOST has no Python at /usr/bin/python3.* Nothing was done",
    ),
]
WITNESS, ROOM = f"web{len(CASES) + 1}", f"web{len(CASES) + 2}"
#: One that nobody can reach and one that can be reached; the others take minutes together.
SHORT = ("network gone", "sudo revoked")
each_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case.trouble.name in SHORT else pytest.mark.long) for case in CASES],
    ids=str,
)


@dataclass(frozen=True)
class Fleet:
    """What became of all of them, at once."""

    stories: dict[str, Future[Story]]

    def of(self, case: Case) -> Story:
        return self.stories[case.host].result()


@dataclass(frozen=True)
class CutFleet(Fleet):
    """With the hosts beside them."""

    witness: Future[Told]
    room: Future[Told]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> CutFleet:
    """Each misbehaves in the middle of its act; those of the tests that will be run."""
    asked = [item for item in request.session.items if "fleet" in getattr(item, "fixturenames", ())]
    cases = [case for case in CASES if any(str(case) in item.name for item in asked)]
    with house("misbehave", tmp_path_factory.mktemp("misbehave"), len(CASES) + 2) as stage:
        teller = Teller(stage, sum(case.trouble.away for case in cases))
        with ThreadPoolExecutor(len(CASES) + 2) as pool:
            stories = {case.host: pool.submit(teller.middle, case.host, case.trouble) for case in cases}
            witness, room = pool.submit(teller.witness, WITNESS), pool.submit(teller.room, ROOM)
    return CutFleet(stories, witness, room)


@pytest.fixture(scope="module")
def fleet_before(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Each misbehaves before its healing begins."""
    with house("before", tmp_path_factory.mktemp("before"), len(CASES)) as stage:
        teller = Teller(stage, 0)
        with ThreadPoolExecutor(len(CASES)) as pool:
            return Fleet({case.host: pool.submit(teller.before, case.host, case.trouble) for case in CASES})


@each_case
def test_a_healing_that_is_cut_ends_in_a_state_with_a_sentence(fleet: CutFleet, case: Case) -> None:
    met = fleet.of(case).met

    assert met.state == ("healed" if case.trouble is REBOOT else "escalated"), met.reason
    assert case.says(case.middle, met), met.reason


@each_case
def test_a_cut_act_is_no_success_and_its_slot_stays_shut_while_nobody_can_look(fleet: CutFleet, case: Case) -> None:
    found = fleet.of(case)

    assert found.cut is not None
    assert found.cut.status == case.act, found.cut.reason
    assert found.held == case.trouble.away
    assert set(found.met.runs) <= {"check", "act", "verify"}


@pytest.mark.long
@each_case
def test_a_healing_that_can_not_begin_says_so_and_does_nothing(fleet_before: Fleet, case: Case) -> None:
    met = fleet_before.of(case).met

    assert met.state == "escalated", met.reason
    assert case.says(case.before, met), met.reason
    assert "act" not in met.runs


@each_case
def test_the_next_healing_of_that_very_host_works(fleet: CutFleet, case: Case) -> None:
    assert_healed(fleet.of(case).healed)


@pytest.mark.long
@each_case
def test_nothing_that_could_not_begin_hinders_the_next_healing(fleet_before: Fleet, case: Case) -> None:
    assert_healed(fleet_before.of(case).healed)


def assert_healed(healed: Told) -> None:
    assert healed.state == "healed", healed.reason
    assert {kind: run.status.value for kind, run in healed.runs.items()} == {
        "check": "sick",
        "act": "succeeded",
        "verify": "succeeded",
    }


def test_another_host_is_healed_while_they_are_away(fleet: CutFleet) -> None:
    witness = fleet.witness.result()

    assert witness.state == "healed", witness.reason


def test_room_is_made_on_a_host_that_has_none_for_ansible_itself(fleet: CutFleet) -> None:
    """What fills /tmp and /var/tmp there is too young to go, so that it is not healed; but what may go has gone."""
    room = fleet.room.result()

    act = room.runs["act"]

    assert (act.action, act.status.value) == ("free_disk_space", "succeeded"), act.reason
    assert "/tmp is 100 % full" in room.reason
    assert "/var/log/shop" not in room.reason


@pytest.mark.long
def test_a_host_that_stays_away_is_told_keeps_its_slot_and_is_healed_once_it_is_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Frozen, off the network, and at work for longer than the run may take; each for minutes."""
    busy = Trouble(name="busy", begin=lambda healer, host: None, mend=lambda healer, host: None)
    cases = {"web1": (FROZEN, "unreachable"), "web2": (NETWORK, "unreachable"), "web3": (busy, "timed_out")}
    with house("long", tmp_path_factory.mktemp("long"), len(cases), task_seconds=60) as stage:

        def story(host: str, trouble: Trouble, act: str) -> None:
            run = stage.in_the_middle(host, "billing.service")
            trouble.begin(stage.healer, host)
            told = stage.end(host, "billing.service")

            assert told.state == "escalated"
            assert f"restart_service ended as {act}" in told.reason
            assert "it was not repeated, and whether it helped can't be told: " in told.reason
            assert stage.holders(host) == [run.id]

            trouble.mend(stage.healer, host)
            assert stage.holders(host) == [run.id], "its act still goes on there"
            stage.lab.execute(host, "rm -f /run/linger")
            stage.free(host)
            stage.crash(host, "prices.service")
            stage.report(host, "prices.service")
            assert stage.end(host, "prices.service").state == "healed"

        with ThreadPoolExecutor(len(cases)) as pool:
            done = [pool.submit(story, host, *case) for host, case in cases.items()]
        for one in done:
            one.result()
