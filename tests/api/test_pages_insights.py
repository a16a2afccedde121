"""Pages of outbreaks, memory and hosts, and what a healing's page shows of its chooser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain import ids
from orchestrator.domain.access import Role
from orchestrator.domain.actions import Candidate
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.precedents import Standing
from orchestrator.domain.runs import RunKind
from orchestrator.domain.verdicts import Answer, Facts, Outcome, PathFacts, UnitFacts, Verdict
from orchestrator.record.store import SqlStore
from tests.api.conftest import Stage, asks, heals, make_host, move, run
from tests.api.test_insights import RESTART, SIGNATURE, breaks_out
from tests.api.test_pages import EVIL, csrf, signed_in
from tests.api.test_roles import key
from tests.support.past import healing

PIN = json.dumps({"action": "restart_service", "parameters": {"service": "nginx"}})


def shown(stage: Stage, path: str) -> str:
    answer = stage.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(html: str) -> str:
    """What a person reads of it."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def exchanged(text: str, reply: str) -> Exchange:
    shown = {"schema": {"type": "object"}, "system": "pick one", "text": text}
    return Exchange(
        at=datetime.now(UTC),
        model="gemini-x",
        prompt_version="3",
        shown=json.dumps(shown),
        reply=reply,
        tokens_in=1200,
        tokens_out=30,
        cost=0.00042,
        seconds=1.5,
    )


def test_the_story_of_an_outbreak_says_where_it_stopped_and_why(stage: Stage) -> None:
    outbreak, _ = breaks_out(stage, until="failed")
    asked = stage.open("web2", "php.service")
    asks(stage.store, asked)

    said = words(shown(stage, f"/outbreaks/{outbreak}"))
    listed = words(shown(stage, "/outbreaks"))

    assert "stopped wave 1: web1 did not verify" in said
    assert "restart_service service=nginx by embedded, for web1" in said
    places = [
        said.index(part) for part in ("Decision, for all", "Wave 1, the canary", "In no wave", "End", "Every step")
    ]
    assert places == sorted(places)
    assert "web1 failed escalated" not in said
    assert said.count("left healing") == 2
    assert asked not in said
    assert "3 1 restart_service service=nginx wave 1: web1 did not verify" in listed


def test_an_outbreak_that_goes_on_is_alive_and_on_the_first_page(stage: Stage) -> None:
    outbreak, _ = breaks_out(stage)

    page, now = shown(stage, f"/outbreaks/{outbreak}"), shown(stage, "/")

    assert f'hx-get="/parts/outbreaks/{outbreak}"' in page
    assert "Waits for a wave 2 hosts" in words(page)
    assert f'href="/outbreaks/{outbreak}"' in now
    assert "The same error on 3 hosts" in words(now)
    assert "wave 1, 1 of 3 verified" in words(now)
    assert "wave 1 goes on" in words(shown(stage, f"/parts/outbreaks/{outbreak}"))


def test_the_first_page_says_nothing_of_outbreaks_where_there_is_none(stage: Stage) -> None:
    assert 'id="outbreaks"' not in shown(stage, "/")


def test_each_host_that_is_asked_about_by_itself_is_named_with_its_outbreak(stage: Stage) -> None:
    outbreak, _ = breaks_out(stage)
    asked = stage.open("db1")
    stage.store.record_decision(asked, RESTART)
    asks(stage.store, asked)
    approval = stage.store.approvals()[0]

    page = shown(stage, f"/outbreaks/{outbreak}")

    assert "Asked about one by one 1 waits for an answer" in words(page)
    assert f'href="/approvals/{approval.id}"' in page


def test_a_run_and_a_line_of_a_wave_lead_to_their_outbreak(stage: Stage) -> None:
    outbreak, _ = breaks_out(stage)

    assert f'href="/outbreaks/{outbreak}"' in shown(stage, f"/runs/{outbreak}-w1-act")
    assert f'href="/outbreaks/{outbreak}"' in shown(stage, "/audit?kind=outbreak")
    assert f'href="/incidents/{outbreak}"' not in shown(stage, "/audit")


def test_a_host_shows_its_health_its_healings_and_where_its_policy_was_set(stage: Stage) -> None:
    origins = {"healing_mode": "group_vars/web.yml, line 3", "healing_approvers": "hosts.yml, line 9"}
    host = make_host("web1", "web")
    policy = replace(host.policy, approvers=frozenset({"cli:<b>"}))
    stage.hosts = (replace(host, origins=origins, policy=policy),)
    incident = stage.open("web1")
    stage.store.record_decision(incident, RESTART)
    heals(stage.store, incident)
    move(stage.store, stage.open("web1", "php.service"), IncidentState.ESCALATED, "no action helps")

    page = shown(stage, "/hosts/web1")

    said = words(page)
    assert "100 - 40 (php.service escalated) - 10 (nginx.service healed) = 50" in said.replace("\N{MINUS SIGN}", "-")
    assert "Being read connected" in said
    assert "healing_mode auto group_vars/web.yml, line 3" in said
    assert "healing_approvers cli:&lt;b&gt; hosts.yml, line 9" in said
    assert "healing_actions all default" in said
    assert "<b>" not in page
    assert "restart_service service=nginx allowed healed" in said


def test_what_a_model_was_shown_and_answered_is_text(stage: Stage) -> None:
    incident = stage.open()
    offered = (Candidate(action="restart_service", values={"service": ("nginx", EVIL)}),)
    stage.store.record_decision(incident, replace(RESTART, chooser="gemini", offered=offered))
    stage.store.record_exchange(incident, exchanged(EVIL, f'{{"reason": "{EVIL}"}}'))
    facts = Facts(
        units={"nginx": unit_facts("nginx")},
        paths={"/x": PathFacts(asked="/x", realpath="/opt/x", type="file", owner=EVIL, group="root", mode="0644")},
    )
    stage.store.record_verdict(incident, Verdict(outcome=Outcome.ALLOWED, rule="allowed", reason="so"), facts)

    page = shown(stage, f"/incidents/{incident}")

    said = words(page)
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;alert(1)") == 4
    assert "1200 in, 30 out" in said
    assert "0.000420" in said
    assert "answered after 1.5 s" in said
    assert "pick one" in said
    assert "nginx.service loaded, failed (failed)" in said
    assert "What could be chosen: 1 action, or none" in said
    assert page.count('hx-preserve="true"') == 3
    assert not re.search(r"<details[^>]* open", page[: page.index("Every step")])


def unit_facts(name: str) -> UnitFacts:
    full = f"{name}.service"
    return UnitFacts(asked=name, id=full, names=(full,), load_state="loaded", active_state="failed", sub_state="failed")


def test_an_exchange_that_was_altered_is_told_of_and_the_rest_is_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = stage.open()
    stage.store.record_decision(incident, RESTART)
    stage.store.record_exchange(incident, exchanged("x", "y"))
    monkeypatch.setattr("orchestrator.record.exchanges.digest", lambda text: "other")

    assert "Somebody changed the store" in shown(stage, f"/incidents/{incident}")


def test_each_step_of_a_healing_has_its_time_and_how_long_it_took(stage: Stage) -> None:
    incident = stage.open()
    stage.store.record_decision(incident, RESTART)
    run(stage.store, incident, RunKind.LOOK)
    run(stage.store, incident, RunKind.PLAN)
    asks(stage.store, incident)
    run(stage.store, incident, RunKind.ACT)
    run(stage.store, incident, RunKind.VERIFY)
    move(stage.store, incident, IncidentState.VERIFIED)
    move(stage.store, incident, IncidentState.HEALED, "verified, and silent for 5 s")

    page = shown(stage, f"/incidents/{incident}")

    steps = re.findall(r"<h2>(\w+)(.*?)</h2>", page, re.DOTALL)
    names = ["Evidence", "Choice", "Verdict", "Look", "Plan", "Question", "Act", "Verify", "Hold", "End", "Every"]
    assert [name for name, _ in steps] == names
    assert all("<time" in rest for name, rest in steps if name != "Every")
    took = r"took \d|after the (choice|first line)|seen (over|once)|\d s|after"
    assert [name for name, rest in steps if not re.search(took, rest)] == ["Question", "Every"]


def learned(stage: Stage) -> None:
    incident = stage.open()
    stage.store.record_decision(incident, RESTART)
    run(stage.store, incident, RunKind.ACT)
    move(stage.store, incident, IncidentState.HEALED)


def word_of(store: SqlStore) -> tuple[str, str, str, str] | None:
    word = store.precedents(Signature(SIGNATURE)).word
    return (word.standing.value, word.action, word.actor, word.reason) if word else None


def test_memory_says_what_healed_and_how_often(stage: Stage) -> None:
    learned(stage)

    listed, one = words(shown(stage, "/memory")), words(shown(stage, f"/memory/{SIGNATURE}"))

    assert "nginx failed learning restart_service service=nginx.service 1 in a row, of 1 tried" in listed
    assert "healed 1 in a row, tried 1 time, never chosen from memory" in one
    assert "Sign in to pin or forbid" in one


def test_an_admins_word_is_taken_at_a_browser_and_taken_back(stage: Stage) -> None:
    learned(stage)
    path = f"/memory/{SIGNATURE}"
    with signed_in(stage, Role.ADMIN) as client:
        token = csrf(client)
        assert 'value="pin"' in client.get(path).text
        pinned = client.post(path, data={"csrf": token, "word": "pin", "deed": PIN, "reason": "always"})
        assert word_of(stage.store) == ("pinned", "restart_service", "web:ann", "always")
        client.post(path, data={"csrf": token, "word": "forbid", "action": "", "reason": "not now"})
        assert word_of(stage.store) == ("forbidden", "", "web:ann", "not now")
        client.post(path, data={"csrf": token, "word": "release", "reason": "it was the disk"})
        again = client.post(path, data={"csrf": token, "word": "release", "reason": "x"})

    assert pinned.status_code == 200
    assert "pinned restart_service service=nginx by web:ann" in words(pinned.text)
    assert word_of(stage.store) is None
    assert (again.status_code, "Nobody has pinned or forbidden" in again.text) == (409, True)
    kinds = [event.kind for event in stage.store.events() if event.kind.startswith("memory.")]
    assert kinds == ["memory.pinned", "memory.forbidden", "memory.released"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"word": "pin", "deed": PIN, "reason": " "}, 422),
        ({"word": "pin", "deed": "[]", "reason": "x"}, 422),
        ({"word": "pin", "deed": "{", "reason": "x"}, 422),
        ({"word": "pin", "deed": '{"action": "reboot"}', "reason": "x"}, 422),
        ({"word": "forbid", "action": "reboot", "reason": "x"}, 422),
        ({"word": "perhaps", "reason": "x"}, 422),
        ({"word": "forbid", "reason": "x", "csrf": "0" * 64}, 403),
    ],
)
def test_a_word_that_can_not_be_is_not_taken(stage: Stage, form: dict[str, str], status: int) -> None:
    learned(stage)
    with signed_in(stage, Role.ADMIN) as client:
        answer = client.post(f"/memory/{SIGNATURE}", data={"csrf": csrf(client), **form})

    assert answer.status_code == status
    assert "Nothing was done" in answer.text
    assert word_of(stage.store) is None


def test_an_approver_reads_memory_and_says_nothing(stage: Stage) -> None:
    learned(stage)
    with signed_in(stage, Role.APPROVER) as client:
        page = client.get(f"/memory/{SIGNATURE}").text
        answer = client.post(
            f"/memory/{SIGNATURE}", data={"csrf": csrf(client), "word": "forbid", "action": "", "reason": "x"}
        )

    assert "needs the role admin" in page
    assert 'value="forbid"' not in page
    assert answer.status_code == 403
    assert word_of(stage.store) is None


def test_a_word_over_rest_is_recorded_with_its_name_and_says_why_not(stage: Stage) -> None:
    learned(stage)
    path = f"/api/v1/memory/{SIGNATURE}"
    with stage.client(token=False) as client:
        client.headers["authorization"] = f"Bearer {key(stage, Role.ADMIN, 'ops')}"
        pinned = client.post(f"{path}/pin", json={"reason": "what was learned"})
        bad = client.post(f"{path}/pin", json={"action": "restart_service", "parameters": {"x": "1"}, "reason": "r"})
        gone = client.post("/api/v1/memory/sig-none/forbid", json={"reason": "r"})
        said = word_of(stage.store)
        released = client.post(f"{path}/release", json={"reason": "enough"})
        again = client.post(f"{path}/release", json={"reason": "enough"})

    assert pinned.json()["memory"]["word"]["standing"] == Standing.PINNED
    assert said == ("pinned", "restart_service", "api:ops", "what was learned")
    assert (bad.status_code, "takes no parameter 'x'" in bad.json()["error"]["message"]) == (422, True)
    assert gone.status_code == 404
    assert (released.status_code, released.json()["memory"]["word"]) == (200, None)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "nothing_said")
    actors = {event.actor for event in stage.store.events() if event.kind.startswith("memory.")}
    assert actors == {"api:ops"}


def test_editing_what_was_learned_over_rest_names_the_lines_that_speak_otherwise(stage: Stage) -> None:
    one, other = Signature(SIGNATURE), Signature("e" * 16)
    for _ in range(3):
        healing(stage.store, opened_by=one, shown=(one, other))
    with stage.client(token=False) as client:
        client.headers["authorization"] = f"Bearer {key(stage, Role.ADMIN, 'ops')}"
        edit = {"action": "reload_config", "parameters": {"service": "nginx"}, "reason": "that is enough"}
        first, second = (client.post(f"/api/v1/memory/{line}/pin", json=edit).json() for line in (one, other))

    assert (first["otherwise"], second["otherwise"]) == ([other], [])
    assert first["memory"]["word"]["action"] == second["memory"]["word"]["action"] == "reload_config"


def all_asked(stage: Stage) -> tuple[str, list[IncidentId]]:
    """An outbreak whose every host is asked about."""
    found = []
    for host in ("web1", "web2", "lab1"):
        incident = stage.open(host)
        stage.store.record_decision(incident, replace(RESTART, parameters={"service": "nginx.service"}))
        asks(stage.store, incident, host)
        found.append(incident)
    opened = stage.store.outbreak_for(found[0], hosts=3, since=datetime.now(UTC) - timedelta(minutes=1))
    assert opened is not None
    return opened.id, found


def answers(stage: Stage) -> list[str]:
    return [f"{one.host} {one.answer}" for one in reversed(stage.store.approvals())]


def test_an_outbreak_is_answered_at_a_browser_one_host_first(stage: Stage) -> None:
    outbreak, found = all_asked(stage)
    path = f"/outbreaks/{outbreak}"
    with signed_in(stage, Role.APPROVER) as client:
        form = {"csrf": csrf(client), "answer": "approved", "reason": "looks right"}
        assert "3 hosts wait for a person's word: web1, web2, lab1." in words(client.get(path).text)
        first = client.post(path, data=form)
        early = client.post(path, data=form)
        move(stage.store, found[0], IncidentState.VERIFIED)
        client.post(path, data=form)

    assert first.status_code == 200
    assert "2 hosts wait for a person's word: web2, lab1." in words(first.text)
    assert (early.status_code, "web1 is tried first and has not verified yet" in early.text) == (409, True)
    assert answers(stage) == ["web1 approved", "web2 approved", "lab1 approved"]
    assert {one.answered_by for one in stage.store.approvals()} == {"web:ann"}


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"answer": "approved", "reason": " "}, 422),
        ({"answer": "perhaps", "reason": "x"}, 422),
        ({"answer": "approved", "reason": "x", "csrf": ""}, 403),
    ],
)
def test_an_answer_to_an_outbreak_that_is_not_whole_or_not_ours_answers_nothing(
    stage: Stage, form: dict[str, str], status: int
) -> None:
    outbreak, _ = all_asked(stage)
    with signed_in(stage, Role.APPROVER) as client:
        answer = client.post(f"/outbreaks/{outbreak}", data={"csrf": csrf(client), **form})

    assert answer.status_code == status
    assert answers(stage) == ["web1 pending", "web2 pending", "lab1 pending"]


def test_an_answer_that_no_host_takes_says_why_for_each(stage: Stage) -> None:
    outbreak, _ = all_asked(stage)
    stage.bar = "approver"
    with signed_in(stage, Role.APPROVER) as client:
        answer = client.post(f"/outbreaks/{outbreak}", data={"csrf": csrf(client), "answer": "denied", "reason": "no"})

    assert answer.status_code == 409
    assert [f"{host}: web:ann may not." in answer.text for host in ("web1", "web2", "lab1")] == [True] * 3


def test_an_outbreak_is_answered_over_rest(stage: Stage) -> None:
    outbreak, _ = all_asked(stage)
    path = f"/api/v1/outbreaks/{outbreak}"
    with stage.client() as client:
        first = client.post(path, json={"answer": "approved", "reason": "looks right"})
        early = client.post(path, json={"answer": "approved", "reason": "looks right"})
        denied = client.post(path, json={"answer": "denied", "reason": "enough"})
        none = client.post("/api/v1/outbreaks/x", json={"answer": "denied", "reason": "enough"})

    assert [(one["approval"]["host"], one["taken"], one["approval"]["answer"]) for one in first.json()["items"]] == [
        ("web1", True, "approved"),
        ("web2", False, "pending"),
        ("lab1", False, "pending"),
    ]
    assert (early.status_code, early.json()["error"]["code"]) == (409, "canary")
    assert [one["approval"]["answer"] for one in denied.json()["items"]] == ["denied", "denied"]
    assert none.status_code == 404


def test_the_audit_tells_what_people_did_from_what_healing_bot_did(stage: Stage) -> None:
    heals(stage.store, stage.open())
    stage.store.append("memory.pinned", text="pinned by a person", actor="cli:ann")
    stage.store.append("api.called", text="asked over REST", actor="api:pager")
    today, month = f"{datetime.now(UTC):%Y-%m-%d}", f"{datetime.now(UTC):%Y-%m}"

    def kinds(**asked: str) -> set[str]:
        page = stage.get("/audit", **asked)
        assert page.status_code == 200
        return set(re.findall(r"<td>([a-z_]+\.[a-z_]+)</td>", page.text))

    def exported(lines: str) -> set[str]:
        text = stage.get("/audit/export", month=month, lines=lines).text
        return {json.loads(line)["kind"] for line in text.splitlines()}

    people = {"memory.pinned", "api.called"}
    healings = {"incident.opened", "verdict.given", "run.started", "run.ended", "incident.healed"}
    assert kinds() == kinds(since=today, until=today) == exported("") == people | healings
    assert kinds(lines="people") == exported("people") == people
    assert kinds(lines="healings") == exported("healings") == healings
    assert kinds(until="2020-01-01") == kinds(since="2999-01-01") == set()
    items = stage.get("/api/v1/audit", people="true").json()["items"]
    assert {one["kind"] for one in items} == people
    bad = stage.get("/audit", since="yesterday")
    assert (bad.status_code, "accepted is a day such as 2026-01-31" in bad.text) == (422, True)


def test_an_escalated_incident_is_closed_at_a_browser_with_a_reason(stage: Stage) -> None:
    incident = stage.open()
    move(stage.store, incident, IncidentState.ESCALATED, "no action helps")
    path = f"/incidents/{incident}"
    with signed_in(stage, Role.OPERATOR) as client:
        token = csrf(client)
        assert "Done with it?" in client.get(path).text
        empty = client.post(path, data={"csrf": token, "reason": " "})
        closed = client.post(path, data={"csrf": token, "reason": "the disk was changed"})
        again = client.post(path, data={"csrf": token, "reason": "x"})

    assert (empty.status_code, closed.status_code, again.status_code) == (422, 200, 409)
    assert "expired closed: the disk was changed" in words(closed.text)
    assert "Done with it?" not in closed.text
    (line,) = [one for one in stage.store.events() if one.kind == "incident.expired"]
    assert line.actor == "web:ann"


def test_an_incident_is_closed_over_rest_and_a_breaker_counts_anew(stage: Stage) -> None:
    incident = stage.open()
    path = f"/api/v1/incidents/{incident}/close"
    with stage.client() as client:
        early = client.post(path, json={"reason": "x"})
        move(stage.store, incident, IncidentState.ESCALATED)
        closed = client.post(path, json={"reason": "the disk was changed"})
        none = client.post("/api/v1/incidents/x/close", json={"reason": "x"})
        reset = client.post("/api/v1/breaker/reset", json={"action": "restart_service", "reason": "fixed"})
        whole = client.post("/api/v1/breaker/reset", json={"reason": "fixed"})
        bad = client.post("/api/v1/breaker/reset", json={"action": "reboot", "reason": "fixed"})

    assert (early.status_code, early.json()["error"]["code"]) == (409, "not_settled")
    assert closed.json()["incident"]["state"] == "expired"
    assert none.status_code == 404
    assert (reset.json()["kind"], reset.json()["data"]["action"]) == ("breaker.reset", "restart_service")
    assert (whole.json()["actor"], whole.json()["data"]["action"]) == ("api", "")
    assert (bad.status_code, bad.json()["error"]["field"]) == (422, "action")


def test_the_first_page_says_which_outbreak_asks_though_no_wave_goes_on(stage: Stage) -> None:
    outbreak, found = all_asked(stage)
    assert stage.store.end_outbreak(outbreak)

    asking = words(shown(stage, "/"))
    for incident in found:
        stage.store.answer(
            ids.approval_id(incident), Answer.DENIED, actor="cli:ann", reason="no", now=datetime.now(UTC)
        )
    answered = shown(stage, "/")

    assert "The same error on 3 hosts over" in asking
    assert "3 wait for your answer: one host first, then all others." in asking
    assert 'id="outbreaks"' not in answered


def test_a_question_and_its_incident_lead_to_the_outbreak_of_their_error(stage: Stage) -> None:
    outbreak, found = all_asked(stage)
    alone = stage.open("web1", "php.service")
    stage.store.record_decision(alone, RESTART)
    asks(stage.store, alone)
    place = f'href="/outbreaks/{outbreak}"'

    for incident in found:
        assert place in shown(stage, f"/approvals/{ids.approval_id(incident)}")
        assert place in shown(stage, f"/incidents/{incident}")
    assert place not in shown(stage, f"/approvals/{ids.approval_id(alone)}")
    assert place not in shown(stage, f"/incidents/{alone}")
