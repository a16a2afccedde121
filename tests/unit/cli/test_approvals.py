"""`healer approvals`: what a person is shown before they answer, and sentences for answers that do nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.verdicts import Approval
from orchestrator.errors import AnswerRefused, ConfigError
from orchestrator.record.store import open_store
from tests.support.typed import typed

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A record with one question, about the host web1, which anybody may answer but cli:nobody-else."""
    (tmp_path / "hosts.yml").write_text(
        "all: {hosts: {web1: {ansible_connection: local, healing_approvers: ['cli:nobody-else']}}}", encoding="utf-8"
    )
    path = tmp_path / "healer.toml"
    path.write_text('inventory = "hosts.yml"\nstate_dir = "state"\n', encoding="utf-8")
    (tmp_path / "state").mkdir(mode=0o700)
    store = open_store(f"sqlite:///{tmp_path / 'state' / 'healer.sqlite'}")
    signal = Signal(
        record=LogRecord(time=NOW, host="web1", unit="nginx.service", priority=3, message="nginx\x1b[2J failed\nagain"),
        signature=Signature("sig-1"),
        template="failed",
        subject=Subject(kind=SubjectKind.UNIT, name="nginx.service"),
        severity=Severity.ERROR,
        age=1.0,
    )
    (incident,) = store.absorb("web1", "trigger", [signal], None, asked_by="api:ann")
    store.record_decision(
        incident,
        Decision(action="restart_service", parameters={"service": "nginx"}, reason="it died", chooser="embedded"),
    )
    store.ask(
        Approval(
            id="apr-1",
            incident_id=incident,
            host="web1",
            action="restart_service",
            parameters={"service": "nginx"},
            digest="d" * 64,
            rule="propose",
            reason="it died",
            asked_at=NOW,
            expires_at=NOW + timedelta(hours=1),
            asked_by="api:ann",
            changes='TASK [restart_service : Say what would be restarted]\nchanged: [web1] => "would restart nginx"',
        )
    )
    store.close()
    return str(path)


def ask(config: str, *arguments: str) -> str:
    return typed(config, "approvals", *arguments)


def test_a_person_is_shown_what_they_decide_about(config: str) -> None:
    shown = ask(config, "show", "apr")

    for said in (
        "apr-1  restart_service service=nginx on web1  pending",
        "it died (chosen by embedded)",
        "propose: needs a person's approval",
        "by api:ann",
        "expires",
        "d" * 64,
        "failed again",
        'changed: [web1] => "would restart nginx"',
    ):
        assert said in shown
    assert "\x1b" not in shown


def test_the_same_as_json(config: str) -> None:
    shown = json.loads(ask(config, "show", "apr-1", "--json"))

    assert shown["approval"]["asked_by"] == "api:ann"
    assert shown["decision"]["chooser"] == "embedded"
    assert len(shown["evidence"]) == 1


def test_whoever_may_not_answer_is_told_and_the_question_stays_open(config: str) -> None:
    with pytest.raises(AnswerRefused, match="healing_approvers on web1 has cli:nobody-else"):
        ask(config, "approve", "apr-1", "--reason", "looked")

    (listed,) = json.loads(ask(config, "list", "--json"))
    assert listed["answer"] == "pending"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "apr-none"), "no approval apr-none"),
        (("approve", "apr-none", "--reason", "x"), "no approval apr-none"),
        (("approve", "apr-1", "--reason", " "), "--reason is required"),
    ],
)
def test_what_cannot_be_is_a_sentence(config: str, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ask(config, *arguments)
