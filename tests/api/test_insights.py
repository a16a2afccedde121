"""/api/v1: outbreaks, memory, policy with its sources, health with its parts, and what a model was asked."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.v1.shapes import ROOT
from orchestrator.domain.actions import Decision
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import MemberEnd
from orchestrator.domain.precedents import Standing, Word
from orchestrator.domain.runs import RunKind
from orchestrator.domain.verdicts import Outcome
from tests.api.conftest import Stage, asks, assert_error, heals, judge, make_host, move, run, wave_run

SIGNATURE = "sig-nginx.service"
RESTART = Decision(action="restart_service", parameters={"service": "nginx"}, reason="it crashed", chooser="embedded")
HOSTS = ("web1", "web2", "lab1")


def struck(stage: Stage, *hosts: str) -> list[IncidentId]:
    """An incident of one error on each host, decided alike and being planned."""
    found = [stage.open(host) for host in hosts]
    for incident in found:
        stage.store.record_decision(incident, RESTART)
        judge(stage.store, incident, Outcome.ALLOWED, "allowed")
        move(stage.store, incident, IncidentState.PLANNING)
    return found


def breaks_out(stage: Stage, *, until: str = "verified") -> tuple[str, list[IncidentId]]:
    """An outbreak on three hosts whose canary has been acted on; `until`: how that ended."""
    store, found = stage.store, struck(stage, *HOSTS)
    opened = store.outbreak_for(found[0], hosts=3, since=datetime.now(UTC) - timedelta(minutes=2))
    assert opened is not None
    for incident in found:
        assert store.join_outbreak(incident, RESTART) == opened.id
        move(store, incident, IncidentState.HEALING)
    assert store.take_member(found[0], 1)
    wave_run(store, opened.id, 1, RunKind.ACT, "web1")
    store.end_member(found[0], MemberEnd(until), "as it was")
    if until == "failed":
        store.stop_outbreak(opened.id, "wave 1: web1 did not verify")
        for incident in found[1:]:
            store.end_member(incident, MemberEnd.LEFT, "the outbreak was stopped")
    return opened.id, found


def items(client: TestClient, path: str, **asked: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{ROOT}/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_an_outbreak_is_told_wave_by_wave_and_host_by_host(stage: Stage, client: TestClient) -> None:
    outbreak, found = breaks_out(stage)

    whole = client.get(f"{ROOT}/outbreaks/{outbreak}").json()

    assert whole["outbreak"]["state"] == "healing"
    assert (whole["outbreak"]["action"], whole["outbreak"]["wave"]) == ("restart_service", 1)
    (wave,) = whole["waves"]
    assert (wave["number"], wave["canary"], [one["id"] for one in wave["runs"]]) == (1, True, [f"{outbreak}-w1-act"])
    (canary,) = wave["members"]
    assert (canary["host"], canary["standing"], canary["reason"]) == ("web1", "verified", "as it was")
    assert (canary["decision"]["action"], canary["verdict"]["outcome"]) == ("restart_service", "allowed")
    waiting = [(one["host"], one["standing"], one["ending"]) for one in whole["outside"]]
    assert waiting == [("web2", "waits for a wave", None), ("lab1", "waits for a wave", None)]
    assert [one["id"] for one in items(client, "incidents", outbreak=outbreak, sort="oldest")] == found
    assert client.get(f"{ROOT}/runs/{outbreak}-w1-act").json()["links"]["outbreak"] == f"{ROOT}/outbreaks/{outbreak}"
    assert client.get(f"{ROOT}/incidents/{found[0]}").json()["links"]["outbreak"] == f"{ROOT}/outbreaks/{outbreak}"


def test_an_outbreak_says_where_it_stopped_and_who_is_asked_by_itself(stage: Stage, client: TestClient) -> None:
    outbreak, _ = breaks_out(stage, until="failed")
    beside = stage.open("web1", "php.service")
    asks(stage.store, beside)
    asked = stage.open("db1")
    stage.store.record_decision(asked, RESTART)
    asks(stage.store, asked)

    whole = client.get(f"{ROOT}/outbreaks/{outbreak}").json()

    assert (whole["outbreak"]["state"], whole["outbreak"]["reason"]) == ("stopped", "wave 1: web1 did not verify")
    assert [one["standing"] for one in whole["outside"]] == ["left", "left"]
    assert [one["incident"] for one in whole["questions"]] == [asked]


def test_an_incident_of_the_same_error_that_is_no_member_is_named(stage: Stage, client: TestClient) -> None:
    outbreak, _ = breaks_out(stage)
    beside = stage.open("db1")
    other = stage.open("db1", "php.service")

    others = [one["id"] for one in client.get(f"{ROOT}/outbreaks/{outbreak}").json()["others"]]

    assert others == [beside]
    assert other not in others


def test_outbreaks_are_filtered(stage: Stage, client: TestClient) -> None:
    outbreak, _ = breaks_out(stage, until="failed")
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    def found(**asked: Any) -> list[str]:
        return [one["id"] for one in items(client, "outbreaks", **asked)]

    assert found() == found(host="web2") == found(state="stopped") == found(signature=SIGNATURE) == [outbreak]
    assert found(action="restart_service") == found(until=future) == [outbreak]
    assert found(host="db1") == found(state="healing") == found(signature="x") == found(action="x") == []
    assert found(since=future) == []


def test_memory_shows_what_healed_and_what_people_say(stage: Stage, client: TestClient) -> None:
    for host in ("web1", "web2"):
        incident = stage.open(host)
        stage.store.record_decision(incident, RESTART)
        run(stage.store, incident, RunKind.ACT, host=host)
        move(stage.store, incident, IncidentState.HEALED)
    word = Word(
        signature=Signature("sig-php.service"),
        template="php failed",
        standing=Standing.FORBIDDEN,
        action="",
        parameters={},
        actor="cli:ann",
        reason="never",
        at=datetime.now(UTC),
    )
    stage.store.record_word(word)

    spoken, learned = items(client, "memory")
    (deed,) = learned["deeds"]
    whole = client.get(learned["link"]).json()

    assert (spoken["signature"], spoken["word"]["actor"], spoken["word"]["standing"]) == (
        *("sig-php.service", "cli:ann", "forbidden"),
    )
    assert (learned["signature"], learned["template"], learned["word"]) == (SIGNATURE, "nginx failed", None)
    assert (deed["action"], deed["standing"], deed["healed"], deed["done"]) == ("restart_service", "learning", 2, 2)
    assert [(one["host"], one["healed"]) for one in whole["healings"]] == [("web2", True), ("web1", True)]


@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_pages_of_memory_and_of_outbreaks_hold_each_row_once(stage: Stage, client: TestClient, sort: str) -> None:
    now = datetime.now(UTC)
    for number in range(5):
        # Three of them at the same moment: their names decide.
        word = Word(
            signature=Signature(f"sig-{number}"),
            template="",
            standing=Standing.FORBIDDEN,
            action="",
            parameters={},
            actor="cli:ann",
            reason="never",
            at=now + timedelta(seconds=max(0, number - 2)),
        )
        stage.store.record_word(word)
        incident = stage.open("web1", f"unit{number}.service")
        assert stage.store.outbreak_for(incident, hosts=1, since=now - timedelta(minutes=1))
    for name, key in (("memory", "signature"), ("outbreaks", "id")):
        seen: list[str] = []
        following: str | None = f"{ROOT}/{name}?limit=2&sort={sort}"
        while following:
            page = client.get(following).json()
            seen += [one[key] for one in page["items"]]
            following = page["next"]
        assert len(seen) == len(set(seen)) == 5
        assert seen == sorted(seen, reverse=sort == "newest")
        assert_error(client.get(f"{ROOT}/{name}", params={"cursor": "bm8="}), 422, "invalid", field="cursor")


def test_policy_says_where_each_value_was_set(stage: Stage, client: TestClient) -> None:
    origin = {"healing_mode": "group_vars/all.yml, line 3"}
    stage.hosts = (replace(make_host("web1"), origins=origin),)
    with stage.client() as asking:
        answer = asking.get(f"{ROOT}/hosts/web1/policy").json()

    values = {one["name"]: one for one in answer["values"]}
    assert values["healing_mode"] == {"name": "healing_mode", "value": "auto", "where": "group_vars/all.yml, line 3"}
    assert values["healing_max_attempts"]["where"] == "default"
    assert values["fleet_hosts_max"]["value"] == stage.state().settings.fleet_hosts_max
    assert values["open_breakers"] == {"name": "open_breakers", "value": [], "where": "the record"}
    fleet = client.get(f"{ROOT}/policy").json()
    assert [one["name"] for one in fleet["values"]] == [name for name in values if not name.startswith("healing_")]
    assert fleet["hosts"][0] == {"host": "lab1", "mode": "auto", "link": f"{ROOT}/hosts/lab1/policy"}
    assert_error(client.get(f"{ROOT}/hosts/nowhere/policy"), 404, "not_found")


def test_health_is_100_less_what_it_names(stage: Stage, client: TestClient) -> None:
    move(stage.store, stage.open("web1"), IncidentState.ESCALATED)
    stage.open("web2")

    whole = client.get(f"{ROOT}/health").json()
    alone = client.get(f"{ROOT}/health", params={"host": "web1"}).json()

    assert [(one["name"], one["score"]) for one in whole["hosts"]] == [("web1", 60), ("web2", 80), ("lab1", 100)]
    assert [(one["name"], one["score"]) for one in whole["services"]] == [("nginx.service", 40)]
    for one in whole["hosts"] + whole["services"]:
        assert one["score"] == 100 - sum(loss["points"] for loss in one["losses"])
    assert [(loss["host"], loss["state"]) for loss in whole["services"][0]["losses"]] == [
        ("web1", "escalated"),
        ("web2", "open"),
    ]
    assert ([one["name"] for one in alone["hosts"]], alone["services"]) == (["web1"], [])


def test_an_exchange_is_shown_whole_and_as_it_came(stage: Stage, client: TestClient) -> None:
    incident = stage.open()
    shown = {"schema": {"type": "object"}, "system": "pick one", "text": "<b>\x1b[31m"}
    exchange = Exchange(
        at=datetime.now(UTC),
        model="gemini-x",
        prompt_version="3",
        shown=json.dumps(shown),
        reply='{"action": "<script>"}',
        tokens_in=12,
        tokens_out=3,
        seconds=0.5,
    )
    stage.store.record_exchange(incident, exchange)

    (one,) = items(client, f"incidents/{incident}/exchange")

    assert (one["model"], one["tokens_in"], one["tokens_out"], one["cost"]) == ("gemini-x", 12, 3, None)
    assert (one["shown"], one["reply"]) == (shown, '{"action": "<script>"}')
    assert (one["shown_digest"], one["reply_digest"]) == (exchange.shown_digest, exchange.reply_digest)
    assert items(client, f"incidents/{stage.open('web2')}/exchange") == []


@pytest.mark.parametrize("path", ["outbreaks/x", "memory/x", "incidents/x/exchange", "hosts/x/policy"])
def test_what_is_not_there_says_where_there_is_something(client: TestClient, path: str) -> None:
    assert_error(client.get(f"{ROOT}/{path}"), 404, "not_found")


def test_every_collection_and_one_item_of_each_are_reached_from_the_root(stage: Stage, client: TestClient) -> None:
    outbreak, found = breaks_out(stage)
    asks(stage.store, found[1])
    heals(stage.store, stage.open("web2", "php.service"))
    seen = walk(client)

    served = {path for path, ways in client.get(f"{ROOT}/openapi.json").json()["paths"].items() if "get" in ways}
    # What leads to a pass over a host is the answer to whoever asked for it.
    wanted = {path for path in served if path.startswith(ROOT)} - {f"{ROOT}/looks/{{seq}}"}
    reached = {path.partition("?")[0] for path in seen}
    missed = {
        path for path in wanted if not any(re.fullmatch(re.sub(r"{[a-z_]+}", "[^/]+", path), one) for one in reached)
    }
    assert missed == set()
    assert {f"{ROOT}/outbreaks/{outbreak}", f"{ROOT}/memory/{SIGNATURE}", f"{ROOT}/actions/restart_service"} <= reached


def walk(client: TestClient) -> set[str]:
    """Every URL that links lead to from the root; none of them is broken."""
    seen: set[str] = set()
    left = [ROOT]
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        # The stream has no end, and nothing is left of these runs; both have tests of their own.
        if path.endswith(("/stream", "/stdout", "/artifacts", "openapi.json")):
            continue
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        left += _links(answer.json())
    return seen


def _links(value: Any) -> list[str]:
    if isinstance(value, list):
        return [one for item in value for one in _links(item)]
    if not isinstance(value, dict):
        return []
    own = [value["link"]] if isinstance(value.get("link"), str) else []
    following = [value["next"]] if isinstance(value.get("next"), str) else []
    named = list(value["links"].values()) if isinstance(value.get("links"), dict) else []
    return own + following + named + [one for item in value.values() for one in _links(item)]


def test_each_member_of_a_wave_counts_where_healings_are_counted(stage: Stage, client: TestClient) -> None:
    outbreak, found = breaks_out(stage)
    for incident in found[1:]:
        assert stage.store.take_member(incident, 2)
    wave_run(stage.store, outbreak, 2, RunKind.ACT, "web2", "lab1")
    for incident, end in zip(found, ("healed", "escalated", "healed"), strict=True):
        stage.store.end_member(incident, MemberEnd.FAILED if end == "escalated" else MemberEnd.VERIFIED, "so")
        move(stage.store, incident, IncidentState(end))
    since = datetime.now(UTC) - timedelta(days=1)

    by_day = {state.value: number for _, _, state, number in stage.store.acts_by_day(since)}
    by_host = {(host, state.value): number for host, _, state, number in stage.store.acts_by_host()}
    ended = {one.host: (one.state.value, one.incident_id) for one in stage.store.ended_acts(since)}

    waves = client.get(f"{ROOT}/outbreaks/{outbreak}").json()["waves"]
    assert [(one["number"], one["canary"], len(one["members"])) for one in waves] == [(1, True, 1), (2, False, 2)]
    assert by_day == {"healed": 2, "escalated": 1}
    assert by_host == {("web1", "healed"): 1, ("web2", "escalated"): 1, ("lab1", "healed"): 1}
    assert ended == {
        host: (end, incident)
        for host, end, incident in zip(HOSTS, ("healed", "escalated", "healed"), found, strict=True)
    }
    assert client.get("/api/auto-healer/statistics").json()["statistics"]["total_attempts"] == 3


def test_figures_are_those_of_the_statistics_page(stage: Stage, client: TestClient) -> None:
    for number in range(4):
        incident = stage.open("web1", f"unit{number}.service")
        if number:
            heals(stage.store, incident)
        else:
            run(stage.store, incident, RunKind.ACT)
            move(stage.store, incident, IncidentState.ESCALATED)
    going = stage.open("web1", "late.service")
    run(stage.store, going, RunKind.ACT)

    told = client.get(f"{ROOT}/statistics", params={"days": 7}).json()
    figures = told["figures"]
    page = client.get("/statistics?days=7").text

    assert (told["total_attempts"], told["success_rate"]) == (5, 75.0)
    assert (figures["days"], figures["acts"], figures["healed"], figures["over"]) == (7, 5, 3, 4)
    assert figures["success"]["percent"] == 75
    assert figures["success"]["low"] < 75 < figures["success"]["high"]
    assert (figures["seconds"]["timed"], len(figures["by_day"])) == (3, 7)
    today = figures["by_day"][-1]
    assert (today["healed"], today["under_way"], today["not_healed"]) == (3, 1, 1)
    assert (today["seconds"]["timed"], today["seconds"]["p50"]) == (3, figures["seconds"]["p50"])
    assert figures["by_day"][0]["seconds"] == {"timed": 0, "p50": None, "p95": None}
    (action,) = figures["by_action"]
    assert (action["action"], action["ended"], action["success"]["percent"]) == ("restart_service", 4, 75)
    assert figures["common"] == [{"template": "nginx failed", "incidents": 5}]
    assert "3 of 4 that are over" in page
    assert "75.0 %" in page
    assert page.count("3 healed</title>") == len(("median", "95 %")) + 1
    assert_error(client.get(f"{ROOT}/statistics", params={"days": 0}), 422, "invalid", field="days")
