"""Break three real hosts in every way that the lab knows, at once; then read what became of each as an auditor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.conftest import PATIENCE, Healer, wait_for

LOGS = "find /var/log/orders -type f"
ENDS = {"healed", "already_well", "noise", "escalated", "expired"}


@dataclass(frozen=True)
class Case:
    """One fault on one host, how to find its incident, and how it must end."""

    host: str
    fault: str
    #: The incident's subject; of several, whichever got the action.
    about: str
    action: str
    end: str


CASES = [
    Case("web1", "nginx-killed", "nginx.service", "restart_service", "healed"),
    Case("web1", "cert-expired", "partner-sync.service", "escalate", "escalated"),
    Case("web1", "injected-log", "contact-form.service", "escalate", "escalated"),
    Case("web1", "zombies-missed", "thumbnailer.service", "kill_zombie_process", "healed"),
    Case("web1", "unit-file-changed", "report-watch.service", "reload_config", "healed"),
    Case("web2", "resolver-hung", "partner-feed.service", "restart_network", "healed"),
    Case("web2", "disk-full-rotated", "shop.service", "free_disk_space", "healed"),
    Case("web2", "start-limit", "price-feed.service", "restart_service", "healed"),
    # systemd's child is sometimes gone before journald learns its unit: its line then is of the path alone.
    Case("web3", "unit-noexec", "stock-sync.service|/usr/local/bin/stock-sync", "fix_permissions", "healed"),
    Case("web3", "cron-noexec", "/usr/local/bin/nightly-report", "fix_permissions", "healed"),
]


@dataclass(frozen=True)
class Storm:
    """What was there before it: other tests use the same fleet and store."""

    healer: Healer
    former: frozenset[str]

    def incidents(self, host: str) -> list[dict[str, Any]]:
        return [one for one in self.healer.incidents(host) if one["id"] not in self.former]

    def ends(self, host: str) -> dict[str, str]:
        """Subject -> the ended incident of it, or the one that it joined: a script and its unit are one trouble."""
        known = {one["id"]: one for one in self.incidents(host)}
        found = {}
        for one in known.values():
            taker = known[one["reason"].split()[4].rstrip(",")] if one["state"] == "joined" else one
            if taker["state"] in ENDS:
                found[one["subject"]["name"]] = taker["id"]
        return found

    def find(self, case: Case) -> dict[str, Any] | None:
        """The incident of the case, whole, once it has ended."""
        ends = self.ends(case.host)
        found = [ends[name] for name in case.about.split("|") if name in ends]
        shown = [dict(self.healer.json("incidents", "show", one)) for one in found]
        decided = [one for one in shown if one["decision"] and one["decision"]["action"] == case.action]
        return next(iter(decided), None)

    def ended(self, case: Case) -> dict[str, Any]:
        found = self.find(case)
        assert found is not None
        return found

    def runs(self) -> list[dict[str, Any]]:
        runs = self.healer.json("runs", "list", "--limit", "1000")
        return [run for run in runs if run["incident_id"] not in self.former]


@pytest.fixture(scope="module")
def storm(serving: Healer) -> Storm:
    """All faults, host by host at once; each approval of web3 is given as it is asked."""
    hosts = sorted({case.host for case in CASES})
    made = Storm(serving, frozenset(one["id"] for host in hosts for one in serving.incidents(host)))

    def one(host: str) -> None:
        for case in CASES:
            if case.host == host:
                serving.lab.break_(case.fault, host)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, hosts))

    def settled() -> bool:
        for approval in serving.json("approvals", "list"):
            serving("approvals", "approve", approval["id"], "--reason", "acceptance test")
        over = {host: made.ends(host) for host in hosts}
        return all(over[case.host].keys() & set(case.about.split("|")) for case in CASES) and all(
            made.find(case) for case in CASES
        )

    # A cron job's error is held for as long as its period, a minute.
    wait_for(settled, "every fault has an incident that ended", 2 * PATIENCE)
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_each_fault_ends_as_it_should(storm: Storm, case: Case) -> None:
    shown = storm.ended(case)

    assert shown["decision"]["action"] == case.action
    assert shown["incident"]["state"] == case.end, shown["incident"]["reason"]


@pytest.mark.parametrize("case", [case for case in CASES if case.end == "healed"], ids=lambda case: case.fault)
def test_a_healing_has_one_act_between_a_sick_check_and_a_passed_verify(storm: Storm, case: Case) -> None:
    shown = storm.ended(case)

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
def test_what_nothing_helps_is_never_touched(storm: Storm, case: Case) -> None:
    shown = storm.ended(case)

    assert shown["runs"] == []


def test_a_start_limit_loop_is_one_incident(storm: Storm) -> None:
    shown = storm.ended(next(case for case in CASES if case.fault == "start-limit"))

    same = [one for one in storm.incidents("web2") if one["subject"] == shown["incident"]["subject"]]

    assert len(same) == 1
    assert same[0]["count"] > 1


def test_no_act_ran_that_no_fault_asked_for(storm: Storm) -> None:
    acts = [run for run in storm.runs() if run["kind"] == "act"]

    wanted = sorted((case.host, case.action) for case in CASES if case.end == "healed")

    assert sorted((run["hosts"][0], run["action"]) for run in acts) == wanted


def test_nothing_of_our_own_visits_opened_an_incident(storm: Storm) -> None:
    texts = [incident["template"] for host in ("web1", "web2", "web3") for incident in storm.incidents(host)]

    ours = [text for text in texts if any(word in text for word in ("sudo", "sshd", "ansible", "pam_unix"))]

    assert ours == []


def test_a_live_log_is_never_deleted(storm: Storm) -> None:
    """The second variant of a full file system: nothing may be deleted, so it is refused and a person is told."""
    healer = storm.healer
    healer.lab.break_("disk-full-live", "web1")

    live = Case("web1", "disk-full-live", "orders.service", "free_disk_space", "escalated")
    shown = wait_for(lambda: storm.find(live), "the full file system was answered")

    assert shown["incident"]["state"] == "escalated"
    assert "/var/log/orders/orders.log (16 MiB) is held open by a process" in shown["incident"]["reason"]
    assert {run["kind"]: run["status"] for run in shown["runs"]} == {"check": "sick", "act": "refused"}
    assert healer.lab.execute("web1", LOGS).stdout == "/var/log/orders/orders.log\n"
