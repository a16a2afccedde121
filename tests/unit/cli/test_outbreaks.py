"""`healer outbreaks`, and what an incident says of the outbreak that it is in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.domain import ids
from orchestrator.domain.outbreaks import MemberEnd
from orchestrator.domain.verdicts import Answer
from orchestrator.errors import AnswerRefused, ConfigError
from orchestrator.record.store import SqlStore
from tests.contract.test_store_outbreaks import RESTART, SINCE, acted, sick
from tests.support.questions import question
from tests.support.typed import typed


def test_waves_and_members_are_shown(config: str, store: SqlStore) -> None:
    outbreak, (first, second, third) = acted(store)
    store.end_member(second, MemberEnd.FAILED, "masked")

    shown = typed(config, "outbreaks", "show", outbreak[:14])

    assert "restart_service service=nginx" in shown
    assert f"wave 1   web1  {first}  goes on" in shown
    assert f"wave 1   web2  {second}  failed  masked" in shown
    assert f"no wave  web3  {third}  waits for a wave" in shown
    assert f"run {outbreak}-w1-act: failed on web1, web2" in shown
    assert "outbreak.opened" in shown
    assert outbreak in typed(config, "outbreaks", "list")
    assert f"outbreak {outbreak}, wave 1: failed" in typed(config, "incidents", "show", second)
    assert f"{outbreak}-w1-act: refused masked" in typed(config, "incidents", "show", second)
    assert "web2: refused masked" in typed(config, "runs", "show", f"{outbreak}-w1-act")


def test_json_has_it_whole(config: str, store: SqlStore) -> None:
    outbreak, found = acted(store)
    told = json.loads(typed(config, "outbreaks", "show", outbreak, "--json"))
    assert [one["incident_id"] for one in told["members"]] == list(found)
    assert told["outbreak"]["parameters"] == {"service": "nginx"}
    assert json.loads(typed(config, "outbreaks", "list", "--json"))[0]["id"] == outbreak
    incident = json.loads(typed(config, "incidents", "show", found[0], "--json"))
    assert incident["outbreak"]["outbreak_id"] == outbreak


@pytest.mark.usefixtures("store")
def test_none_is_a_sentence(config: str) -> None:
    assert "No outbreaks." in typed(config, "outbreaks", "list")
    with pytest.raises(ConfigError, match=r"There is no outbreak ob-1\. `healer outbreaks list` shows them\."):
        typed(config, "outbreaks", "show", "ob-1")


def test_what_an_outbreak_asks_is_denied_at_once(config: str, store: SqlStore) -> None:
    inventory = Path(config).with_name("none")
    inventory.write_text(
        "all: {hosts: {web1: {ansible_connection: local}, web2: {ansible_connection: local}}}", "utf-8"
    )
    found = sick(store, "web1", "web2")
    for incident, host in zip(found, ("web1", "web2"), strict=True):
        store.record_decision(incident, RESTART)
        store.ask(question(incident, host, RESTART, datetime.now(UTC)))
    outbreak = store.outbreak_for(found[0], hosts=2, since=SINCE)
    assert outbreak is not None

    assert f"asked    web2  {ids.approval_id(found[1])}  waits for an answer" in typed(
        config, "outbreaks", "show", outbreak.id
    )
    told = json.loads(typed(config, "outbreaks", "show", outbreak.id, "--json"))
    assert [one["host"] for one in told["questions"]] == ["web1", "web2"]
    with pytest.raises(ConfigError, match="reason"):
        typed(config, "outbreaks", "deny", outbreak.id, "--reason", " ")
    said = typed(config, "outbreaks", "deny", outbreak.id, "--reason", "a release is under way")

    assert said.splitlines() == [
        f"{host}  {ids.approval_id(incident)}  denied" for incident, host in zip(found, ("web1", "web2"), strict=True)
    ]
    assert {one.answer for one in store.approvals()} == {Answer.DENIED}
    with pytest.raises(AnswerRefused, match="waits for an answer"):
        typed(config, "outbreaks", "approve", outbreak.id, "--reason", "x")
