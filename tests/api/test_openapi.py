"""Every route is asked whatever its description lets it be asked, and answers as it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.main import create_app
from orchestrator.record.store import open_store
from tests.api.conftest import TOKEN, Stage, heals

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
#: It has no end; its own test opens it.
ENDLESS = "/api/v1/stream"
HEADERS = {"host": "127.0.0.1", "authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("openapi")
    store = open_store(f"sqlite:///{folder / 'healer.sqlite'}")
    store.beat("worker")
    yield create_app(Stage(store=store, state_dir=folder, pipeline=heals).state())
    store.close()


@dataclass
class Tally:
    """What was asked of how many operations, and what was not answered as described."""

    operations: int = 0
    cases: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.operations} operations, {self.cases} cases, {len(self.failures)} failures"


def ask_everything(app: FastAPI, examples: int, tally: Tally | None = None) -> int:
    """Ask each operation that often, half of it bent on purpose; how many operations there are."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=HEADERS)
    tally = Tally() if tally is None else tally
    for operation in (one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)):
        tally.operations += 1
        # As a worker does; /healthz would say that none is there.
        app.state.healing.store.beat("worker")
        if operation.path == ENDLESS:
            continue
        # It lives, however long all of this takes.
        app.state.healing.store.beat("worker")
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def ask(case: Case[Any]) -> None:
                tally.cases += 1
                case.call_and_validate(headers=HEADERS, checks=CHECKS)

            try:
                ask()
            except Unsatisfiable:
                # What takes nothing can't be bent.
                if mode is GenerationMode.POSITIVE:
                    raise
            except FailureGroup as failure:
                tally.failures.append(f"{operation.label}: {failure}")
    assert not tally.failures, "\n\n".join(tally.failures)
    return tally.operations


def test_whatever_may_be_asked_is_answered_as_described(app: FastAPI) -> None:
    assert ask_everything(app, examples=5) == 55


@pytest.mark.long
def test_whatever_may_be_asked_is_answered_as_described_at_length(
    app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    try:
        ask_everything(app, examples=200, tally=tally)
    finally:
        with capsys.disabled():
            print(f"\nschemathesis: {tally}")  # noqa: T201  # whoever asks at length wants to see how much it was
