"""One incident to ask a model about, and a chooser that waits for nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.decide.gemini import GeminiChooser, GeminiOptions
from orchestrator.domain.actions import Action, Candidate, Parameter, ParameterSource, Risk
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.hosts import Secret
from orchestrator.domain.records import LogRecord
from orchestrator.ports import Case

KEY = Secret("AIzaCanaryCanaryCanaryCanaryCanary00")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def action(name: str, parameter: str | None = None) -> Action:
    return Action(
        id=name,
        title=f"Title of {name}",
        when="It is needed.",
        not_when="It is not.",
        risk=Risk.LOW,
        reversible=False,
        task_timeout=30,
        run_timeout=60,
        settle_seconds=1,
        hold_seconds=1,
        parameters=(
            Parameter(
                name=parameter, type="str", required=True, description="What to touch.", source=ParameterSource.UNIT
            ),
        )
        if parameter
        else (),
    )


def record(message: str, seconds: int = 0) -> LogRecord:
    return LogRecord(
        time=NOW + timedelta(seconds=seconds), host="secret-host", unit="nginx.service", priority=3, message=message
    )


def case(*messages: str) -> Case:
    return Case(
        incident_id="inc-1",
        host="secret-host",
        unit="nginx.service",
        records=tuple(record(m, i) for i, m in enumerate(messages or ("nginx.service: Failed.",))),
        candidates=(
            Candidate(action="restart_service", values={"service": ("nginx.service", "web.service")}),
            Candidate(action="fix_permissions", values={"path": ("/usr/local/bin/job.sh",)}),
            Candidate(action="free_disk_space", values={}),
        ),
        actions=(
            action("restart_service", "service"),
            action("fix_permissions", "path"),
            action("free_disk_space"),
        ),
    )


def asking(
    base_url: str = "",
    *,
    pause: Callable[[float], None] = time.sleep,
    record: Callable[[str, Exchange], None] | None = None,
    **options: Any,
) -> GeminiChooser:
    """A chooser that asks the endpoint, with whatever other options."""
    given = {"api_key": KEY, "model": "m", "timeout_seconds": 20.0, "base_url": base_url, **options}
    return GeminiChooser(GeminiOptions(**given), record=record, pause=pause)


class Pauses:
    """Notes how long the chooser wanted to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
