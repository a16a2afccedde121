"""The API in process over in-memory twins; what happens behind the trigger is told by each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.state import ApiState
from orchestrator import catalog
from orchestrator import settings as settings_module
from orchestrator.domain import ids
from orchestrator.domain.gauges import Gauges
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import IncidentId, RunId, Signature
from orchestrator.domain.incidents import IncidentState, Origin, Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, RunKind, RunStatus
from orchestrator.domain.verdicts import Answer, Approval, Facts, Outcome, Verdict
from orchestrator.errors import AnswerRefused, InventoryError
from orchestrator.outbreak_answer import answer_outbreak
from orchestrator.ports import SourceState
from orchestrator.record.store import SqlStore, open_store
from orchestrator.testing import FakeFleet

TOKEN = "t0ken-of-the-tests"
URL = "http://127.0.0.1:8420"
WHITELIST = catalog.load(settings_module.HOME / "playbooks", settings_module.HOME / "roles").actions


def make_host(name: str, *groups: str, mode: Mode = Mode.AUTO) -> Host:
    return Host(
        name=name,
        groups=groups,
        connection=Connection(kind="ssh", address=name),
        policy=HostPolicy(mode=mode),
    )


@dataclass
class Stage:
    """The state behind the API, and what the pipeline will do with a report."""

    store: SqlStore
    state_dir: Path
    hosts: tuple[Host, ...] = (make_host("web1"), make_host("web2"), make_host("lab1", "lab"))
    inject_errors: bool = True
    api_host: str = "127.0.0.1"
    api_url: str = ""
    wait: float = 60.0
    webhook_secret: str = ""
    #: Settings beside those above.
    settings: dict[str, Any] = field(default_factory=dict)
    gauges: Gauges = Gauges()  # noqa: RUF009  # frozen
    canceled: int = 0
    #: Why no answer is taken.
    bar: str = ""
    #: What the pipeline does with the incident that a report opened.
    pipeline: Callable[[SqlStore, IncidentId], None] = lambda store, incident: None
    triggered: list[dict[str, Any]] = field(default_factory=list)
    #: Whoever only looks; made once, for an application takes long to be made.
    reader: TestClient | None = None

    def trigger(
        self,
        *,
        host: str,
        service: str,
        message: str,
        level: Severity,
        timestamp: datetime | None,
        actor: str,
        injected: bool = False,
    ) -> str:
        if injected and "lab" not in self.fleet.host(host).groups:
            raise InventoryError(f"{host} is neither a lab host nor local. Nothing was done.")
        self.triggered.append(
            {"host": host, "service": service, "level": level, "timestamp": timestamp, "actor": actor}
        )
        origin = Origin.INJECTED if injected else Origin.TRIGGER
        incident = self.open(host, f"{service}.service", message, level, origin)
        self.pipeline(self.store, incident)
        return incident

    def cancel(self) -> list[str]:
        self.canceled += 1
        return []

    def look(self, host: str, actor: str) -> int:
        return self.store.append("look.asked", host=host, text="asked", actor=actor).seq

    def open(
        self,
        host: str = "web1",
        unit: str = "nginx.service",
        message: str = "nginx failed",
        level: Severity = Severity.ERROR,
        origin: Origin = Origin.LOG,
    ) -> IncidentId:
        signal = Signal(
            record=LogRecord(time=datetime.now(UTC), host=host, unit=unit, priority=6, message=message),
            signature=Signature(f"sig-{unit}"),
            template=message,
            subject=Subject(kind=SubjectKind.UNIT, name=unit),
            severity=level,
            age=0.5,
        )
        return self.store.absorb(host, "journal", [signal], None, origin=origin)[0]

    def answer(self, approval_id: str, answer: Answer, who: str, why: str) -> Approval:
        if self.bar:
            raise AnswerRefused(f"{who} may not.", bar=self.bar)
        done = self.store.answer(approval_id, answer, actor=who, reason=why, now=datetime.now(UTC))
        if done is None:
            raise AnswerRefused(f"{approval_id} was answered already: nothing was changed.", bar="answered")
        return done

    @property
    def fleet(self) -> FakeFleet:
        return FakeFleet(*self.hosts)

    def state(self) -> ApiState:
        loaded = settings_module.load(None, {})
        return ApiState(
            store=self.store,
            fleet=self.fleet,
            settings=replace(
                loaded,
                state_dir=self.state_dir,
                inject_errors=self.inject_errors,
                api_host=self.api_host,
                api_url=self.api_url,
                **self.settings,
            ),
            token=TOKEN,
            trigger=self.trigger,
            answer=self.answer,
            answer_outbreak=lambda *given: answer_outbreak(self, *given),
            look=self.look,
            reading=lambda: (SourceState(host="web1", state="connected"),),
            actions=tuple(WHITELIST.values()),
            gauges=lambda: self.gauges,
            webhook_secret=self.webhook_secret,
            cancel=self.cancel,
            heal_wait_seconds=self.wait,
            heal_look_seconds=0.01,
        )

    def get(self, path: str, **asked: Any) -> Answered:
        """A page, as somebody sees it who has not signed in."""
        self.reader = self.reader or self.client(token=False)
        return self.reader.get(path, params=asked, headers={"accept": "text/html"})

    def client(self, *, token: bool = True, url: str = URL) -> TestClient:
        headers = {"authorization": f"Bearer {TOKEN}"} if token else {}
        return TestClient(create_app(self.state()), base_url=url, headers=headers, raise_server_exceptions=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "healer.sqlite"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def stage(tmp_path: Path, empty_store: Path) -> Iterator[Stage]:
    shutil.copy(empty_store, tmp_path / "healer.sqlite")
    store = open_store(f"sqlite:///{tmp_path / 'healer.sqlite'}")
    store.beat("worker")
    yield Stage(store=store, state_dir=tmp_path)
    store.close()


@pytest.fixture
def client(stage: Stage) -> Iterator[TestClient]:
    with stage.client() as client:
        yield client


class Answered(Protocol):
    """A response, of whichever HTTP client the test client is built on."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Any: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


def assert_error(answer: Answered, status: int, code: str, *, field: str | None = None) -> str:
    """The one shape of errors, and nothing beside it; returns the sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"status", "error"}
    assert body["status"] == "error"
    assert set(body["error"]) == {"code", "message"} | ({"field"} if field else set())
    assert body["error"]["code"] == code
    assert body["error"].get("field") == field
    message = str(body["error"]["message"])
    assert message
    assert "Traceback" not in answer.text
    return message


def run(
    store: SqlStore,
    incident: IncidentId,
    kind: RunKind,
    status: RunStatus | None = RunStatus.SUCCEEDED,
    host: str = "web1",
) -> RunId:
    """A run of that kind that has ended so; None: that goes on."""
    return _ended(store, ids.run_id(incident, kind), incident, kind, host, status=status)


def _ended(
    store: SqlStore,
    run_id: RunId,
    whose: IncidentId,
    kind: RunKind,
    *hosts: str,
    status: RunStatus | None = RunStatus.SUCCEEDED,
) -> RunId:
    job = PlaybookJob(
        run_id=run_id,
        incident_id=whose,
        kind=kind,
        action="restart_service",
        playbook=Path("act.yml"),
        roles=Path("roles"),
        parameters={"service": "nginx.service"},
        hosts=tuple(make_host(host) for host in hosts),
        task_timeout=30,
        run_timeout=60,
    )
    assert store.claim(job, signatures=frozenset()) is None
    if status is not None:
        store.finish(PlaybookResult(run_id=job.run_id, status=status, rc=0), slot_shut=False)
    return job.run_id


def wave_run(store: SqlStore, outbreak: str, number: int, kind: RunKind, *hosts: str) -> RunId:
    """A run of a wave that has ended."""
    return _ended(store, ids.run_id(ids.wave_id(outbreak, number), kind), IncidentId(outbreak), kind, *hosts)


def move(store: SqlStore, incident: IncidentId, to: IncidentState, reason: str = "so") -> None:
    assert store.move(incident, to, reason, expected=list(IncidentState))


def judge(store: SqlStore, incident: IncidentId, outcome: Outcome, rule: str) -> None:
    store.record_verdict(incident, Verdict(outcome=outcome, rule=rule, reason="because"), Facts())


def heals(store: SqlStore, incident: IncidentId) -> None:
    """The pipeline when all goes well."""
    judge(store, incident, Outcome.ALLOWED, "allowed")
    run(store, incident, RunKind.CHECK, RunStatus.SICK)
    run(store, incident, RunKind.ACT)
    run(store, incident, RunKind.VERIFY)
    move(store, incident, IncidentState.HEALED, "verified, and silent for 5 s")


def asks(store: SqlStore, incident: IncidentId, host: str = "web1") -> None:
    """The pipeline in propose mode."""
    judge(store, incident, Outcome.NEEDS_APPROVAL, "mode")
    now = datetime.now(UTC)
    store.ask(
        Approval(
            id=ids.approval_id(incident),
            incident_id=incident,
            host=host,
            action="restart_service",
            parameters={"service": "nginx.service"},
            digest="d" * 64,
            rule="mode",
            reason="propose",
            asked_at=now,
            expires_at=now + timedelta(hours=1),
            changes="would restart nginx.service",
        )
    )
    move(store, incident, IncidentState.PENDING_APPROVAL, "waits")
