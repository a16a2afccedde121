"""Every route is asked whatever its description lets it be asked, and answers as it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
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


def ask_everything(app: FastAPI, examples: int) -> int:
    """Ask each operation that often, half of it bent on purpose; how many operations there are."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=HEADERS)
    found = [one for one in schema.get_all_operations() if isinstance(one, Ok)]
    for operation in (one.ok() for one in found):
        if operation.path == ENDLESS:
            continue
        # It lives, however long all of this takes.
        app.state.healing.store.beat("worker")
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def ask(case: Case[Any]) -> None:
                case.call_and_validate(headers=HEADERS, checks=CHECKS)

            # What takes nothing can't be bent.
            with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
                ask()
    return len(found)


def test_whatever_may_be_asked_is_answered_as_described(app: FastAPI) -> None:
    assert ask_everything(app, examples=5) == 55


@pytest.mark.long
def test_whatever_may_be_asked_is_answered_as_described_at_length(app: FastAPI) -> None:
    ask_everything(app, examples=200)
