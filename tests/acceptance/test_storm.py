"""Break three real hosts in every way that the lab knows, at once; then read what became of each as an auditor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.conftest import Healer, wait_for

ENDS = {"healed", "already_well", "noise", "escalated", "expired"}


@dataclass(frozen=True)
class Case:
    """One fault on one host, how to find its incident, and how it must end."""

    host: str
    fault: str
    #: Part of the incident's subject or template.
    about: str
    action: str
    end: str


CASES = [
    Case("web1", "nginx-killed", "nginx.service", "restart_service", "healed"),
    Case("web1", "cert-expired", "", "escalate", "escalated"),
    Case("web1", "injected-log", "", "escalate", "escalated"),
    Case("web2", "disk-full-rotated", "", "free_disk_space", "healed"),
    Case("web2", "start-limit", "", "restart_service", "healed"),
    Case("web3", "unit-noexec", "", "fix_permissions", "healed"),
    Case("web3", "cron-noexec", "", "fix_permissions", "healed"),
]


@pytest.fixture(scope="module")
def storm(serving: Healer) -> Healer:
    """All faults, host by host at once; each approval of web3 is given as it is asked."""

    def one(host: str) -> None:
        for case in CASES:
            if case.host == host:
                serving.lab.break_(case.fault, host)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, sorted({case.host for case in CASES})))

    def settled() -> bool:
        for approval in serving.json("approvals", "list"):
            serving("approvals", "approve", approval["id"], "--reason", "acceptance test")
        return all(find(serving, case) for case in CASES)

    wait_for(settled, "every fault has an incident that ended")
    return serving


def find(healer: Healer, case: Case) -> dict[str, Any] | None:
    """The ended incident of the case, with its decision: by host, words and action."""
    for incident in healer.incidents(case.host):
        if incident["state"] not in ENDS or case.about not in incident["subject"]["name"]:
            continue
        shown = healer.json("incidents", "show", incident["id"])
        if shown["decision"] and shown["decision"]["action"] == case.action:
            return dict(shown)
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_each_fault_ends_as_it_should(storm: Healer, case: Case) -> None:
    shown = find(storm, case)

    assert shown is not None
    assert shown["incident"]["state"] == case.end, shown["incident"]["reason"]


@pytest.mark.parametrize("case", [case for case in CASES if case.end == "healed"], ids=lambda case: case.fault)
def test_a_healing_has_one_act_between_a_sick_check_and_a_passed_verify(storm: Healer, case: Case) -> None:
    shown = find(storm, case)
    assert shown is not None

    runs = {run["kind"]: run for run in shown["runs"]}

    assert {kind: run["status"] for kind, run in runs.items()} == {
        "check": "sick",
        "act": "succeeded",
        "verify": "succeeded",
    }
    assert runs["check"]["ended"] <= runs["act"]["started"]
    assert runs["act"]["ended"] <= runs["verify"]["started"]
    assert all(run["hosts"] == [case.host] for run in runs.values())


@pytest.mark.parametrize("case", [case for case in CASES if case.end == "escalated"], ids=lambda case: case.fault)
def test_what_nothing_helps_is_never_touched(storm: Healer, case: Case) -> None:
    shown = find(storm, case)

    assert shown is not None
    assert shown["runs"] == []


def test_a_start_limit_loop_is_one_incident(storm: Healer) -> None:
    shown = find(storm, next(case for case in CASES if case.fault == "start-limit"))
    assert shown is not None

    same = [one for one in storm.incidents("web2") if one["subject"] == shown["incident"]["subject"]]

    assert len(same) == 1
    assert same[0]["count"] > 1


def test_no_act_ran_that_no_fault_asked_for(storm: Healer) -> None:
    acts = [run for run in storm.json("runs", "list", "--limit", "1000") if run["kind"] == "act"]

    wanted = sorted((case.host, case.action) for case in CASES if case.end == "healed")

    assert sorted((run["hosts"][0], run["action"]) for run in acts) == wanted


def test_nothing_of_our_own_visits_opened_an_incident(storm: Healer) -> None:
    texts = [incident["template"] for host in ("web1", "web2", "web3") for incident in storm.incidents(host)]

    ours = [text for text in texts if any(word in text for word in ("sudo", "sshd", "ansible", "pam_unix"))]

    assert ours == []


def test_a_live_log_is_never_deleted(storm: Healer, fault_size: Callable[[], str]) -> None:
    """The second variant of a full file system: nothing may be deleted, so it is refused and a person is told."""
    storm.lab.break_("disk-full-live", "web1")

    def ended() -> dict[str, Any] | None:
        for incident in storm.incidents("web1"):
            shown = storm.json("incidents", "show", incident["id"])
            wanted = shown["decision"] and shown["decision"]["action"] == "free_disk_space"
            if wanted and incident["state"] in ENDS:
                return dict(shown)
        return None

    before = fault_size()
    shown = wait_for(ended, "the full file system was answered")

    assert shown["incident"]["state"] == "escalated"
    assert "refused: " in str(shown["events"]) or "refused" in shown["incident"]["reason"]
    assert [run["status"] for run in shown["runs"] if run["kind"] == "act"] in ([], ["refused"])
    assert fault_size() == before


@pytest.fixture
def fault_size(storm: Healer) -> Callable[[], str]:
    """Names of the log files under /var/log of web1 (the live one grows, but must stay)."""
    return lambda: (
        storm.lab.execute("web1", "find /var/log -xdev -type f -size +1M | sort; ls -R /var/log/*/ | sort").stdout
    )
