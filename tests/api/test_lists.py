"""Lists of a large store: found by an index, and the same rows as without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator.domain.actions import Decision
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.pages import ApprovalFilter, EventFilter, IncidentFilter, Page, RunFilter
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Answer
from orchestrator.record.store import SqlStore
from tests.api.conftest import Stage, asks, heals, move, run

FIRST = Page(limit=10)


@contextmanager
def plans(store: SqlStore) -> Iterator[list[str]]:
    """How SQLite goes about each query, step by step, that is asked meanwhile."""
    engine = store._database._engine
    steps: list[str] = []

    def explain(connection: sa.Connection, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        raw: Any = connection.connection.driver_connection
        if statement.startswith("SELECT"):
            steps.extend(step for *_, step in raw.execute(f"EXPLAIN QUERY PLAN {statement}", given))

    sa.event.listen(engine, "before_cursor_execute", explain)
    yield steps
    sa.event.remove(engine, "before_cursor_execute", explain)


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (lambda store: store.page_runs(RunFilter(statuses=(RunStatus.TIMED_OUT,)), FIRST), "run_by_status"),
        (lambda store: store.page_runs(RunFilter(kinds=(RunKind.ACT, RunKind.ROLLBACK)), FIRST), "run_by_kind"),
        (lambda store: store.page_runs(RunFilter(action="clear_cache"), FIRST), "run_by_action"),
        (lambda store: store.page_runs(RunFilter(), FIRST), "run_by_start"),
        (lambda store: store.page_approvals(ApprovalFilter(), FIRST), "approval_by_time"),
        (lambda store: store.page_approvals(ApprovalFilter(answers=(Answer.PENDING,)), FIRST), "approval_by_answer"),
        (lambda store: store.page_events(EventFilter(host="web1"), FIRST), "event_by_host"),
        (lambda store: store.page_events(EventFilter(kind="run"), FIRST), "event_by_kind"),
        (lambda store: store.page_events(EventFilter(actor="ann"), FIRST), "event_by_people"),
        (lambda store: store.page_events(EventFilter(people=True), FIRST), "event_by_people"),
        (
            lambda store: store.page_incidents(IncidentFilter(states=(IncidentState.HEALED,)), FIRST),
            "incident_by_state",
        ),
    ],
)
def test_a_list_is_found_by_its_index(stage: Stage, asked: Callable[[SqlStore], Any], index: str) -> None:
    with plans(stage.store) as steps:
        asked(stage.store)
    assert any(f"INDEX {index} " in f"{step} " for step in steps), steps


def test_a_page_deep_in_a_list_begins_at_its_place(stage: Stage) -> None:
    for unit in ("a.service", "b.service", "c.service"):
        run(stage.store, stage.open(unit=unit), RunKind.CHECK)
    first = stage.store.page_runs(RunFilter(), Page(limit=1))
    assert first.next is not None
    with plans(stage.store) as steps:
        stage.store.page_runs(RunFilter(), Page(limit=1, after=first.next))
    assert any("run_by_start (started<?)" in step for step in steps), steps


def test_a_kind_is_itself_or_all_that_begin_with_its_first_word(stage: Stage) -> None:
    store = stage.store
    for kind in ("run", "run.ended", "run.started", "run.z_%", "runs.other", "running", "ran.x", "run/x", "look.asked"):
        store.append(kind, text="so")

    def found(kind: str, **page: Any) -> list[str]:
        return [one.kind for one in store.page_events(EventFilter(kind=kind), Page(**page)).items]

    assert found("run") == ["run.z_%", "run.started", "run.ended", "run"]
    assert found("run", oldest_first=True, limit=2) == ["run", "run.ended"]
    assert found("run.ended") == ["run.ended"]
    assert found("ru") == found("run.") == found("%") == []


def test_actors_are_found_among_people_and_healing_bot_alike(stage: Stage) -> None:
    store = stage.store
    store.append("a", text="1", actor="ann")
    store.append("b", text="2")
    store.append("c", text="3", actor="bob")

    def found(**wanted: Any) -> list[str]:
        return [one.kind for one in store.page_events(EventFilter(**wanted), FIRST).items]

    assert found(actor="ann") == ["a"]
    assert found(actor="healing-bot") == ["b"]
    assert found(actor="nobody") == found(actor="ann", people=False) == []


def test_incidents_are_told_apart_by_their_decision(stage: Stage) -> None:
    store = stage.store
    given = {"a": ("restart_service", "memory"), "b": ("none", "embedded"), "c": ("clear_cache", "embedded")}
    made = {}
    for name, (action, chooser) in given.items():
        made[name] = stage.open(unit=f"{name}.service")
        decision = Decision(action=action, parameters={}, reason="so", chooser=chooser, shown_digest="d" * 64)
        store.record_decision(made[name], decision)
    stage.open(unit="undecided.service")

    def found(**wanted: Any) -> str:
        rows = store.page_incidents(IncidentFilter(**wanted), FIRST).items
        decided = store.page_decisions(IncidentFilter(**wanted), FIRST).items
        assert [one.id for one in rows] == [one.id for one, _, _ in decided]
        return "".join(name for one in rows for name, known in made.items() if known == one.id)

    assert found(acts=True) == "ca"
    assert found(acts=False) == "b"
    assert found(chooser="embedded", acts=True) == found(action="clear_cache") == "c"
    assert found(action="clear_cache", chooser="memory") == ""


def test_what_was_healed_lately_is_shown_however_much_was_opened_since(stage: Stage) -> None:
    old = stage.open(unit="old.service")
    for number in range(40):
        newer = stage.open(unit=f"newer{number}.service")
        move(stage.store, newer, IncidentState.NOISE)
    asks(stage.store, stage.open(unit="asked.service"))
    heals(stage.store, old)
    page = stage.client().get("/parts/now", headers={"accept": "text/html"}).text
    lately = page.partition("Healed lately")[2]
    assert "old.service on web1" in lately
    assert "newer" not in lately
    assert "asked" not in lately
