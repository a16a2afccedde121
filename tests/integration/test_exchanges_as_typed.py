"""`healer incidents` shows a reviewer the whole of what a model was shown and answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import Signal, Subject, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.record.store import open_store

NOW = datetime.now(UTC)
SHOWN = json.dumps({"system": "You help.", "text": "nginx\nfailed", "schema": {"type": "OBJECT"}}, sort_keys=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "healer.toml"
    path.write_text(f'state_dir = "{tmp_path / "state"}"\ninventory = "none"\n', encoding="utf-8")
    return path


@pytest.fixture
def incident(tmp_path: Path) -> IncidentId:
    store = open_store(f"sqlite:///{tmp_path / 'state' / 'healer.sqlite'}")
    record = LogRecord(time=NOW, host="web1", unit="nginx.service", priority=3, message="failed")
    subject = Subject(kind=SubjectKind.UNIT, name="nginx.service")
    signal = Signal(
        record=record,
        signature=Signature("s"),
        template="failed",
        subject=subject,
        severity=Severity.ERROR,
        age=0.0,
    )
    (opened,) = store.absorb("web1", "journal", [signal], None)
    asked = Exchange(at=NOW, model="flash", prompt_version="1", shown=SHOWN, seconds=1.25, error="model_busy")
    store.record_exchange(opened, asked)
    answered = Exchange(
        at=NOW,
        model="flash",
        prompt_version="1",
        shown=SHOWN,
        reply='{"a": "\x1b[31mred"}',
        tokens_in=1500,
        tokens_out=90,
        cost=0.000675,
        seconds=0.5,
    )
    store.record_exchange(opened, answered)
    store.close()
    return opened


def typed(config: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["--config", str(config), *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_whole_text_is_printed_and_no_terminal_obeys_it(config: Path, incident: IncidentId) -> None:
    said = typed(config, "incidents", "exchange", incident)

    assert "flash: model_busy after 1.2 s\n" in said
    assert "flash: answered after 0.5 s, 1500 tokens in, 90 tokens out, cost 0.000675\n" in said
    assert "--- system ---\nYou help.\n" in said
    assert "--- question ---\nnginx\nfailed\n" in said
    assert '"type": "OBJECT"' in said
    assert "(none came)" in said
    assert '{"a": "\N{REPLACEMENT CHARACTER}[31mred"}' in said


def test_a_program_gets_every_character(config: Path, incident: IncidentId) -> None:
    first, second = json.loads(typed(config, "incidents", "exchange", incident, "--json"))

    assert first["shown"] == json.loads(SHOWN)
    assert (first["error"], first["reply"], first["reply_digest"]) == ("model_busy", "", "")
    assert second["reply"] == '{"a": "\x1b[31mred"}'
    assert (second["tokens_in"], second["cost"]) == (1500, 0.000675)


def test_showing_an_incident_says_that_a_model_was_asked(config: Path, incident: IncidentId) -> None:
    said = typed(config, "incidents", "show", incident)
    shown = json.loads(typed(config, "incidents", "show", incident, "--json"))

    assert f"`healer incidents exchange {incident}` shows it whole" in said
    assert [one["error"] for one in shown["exchanges"]] == ["model_busy", ""]
    assert "reply" not in shown["exchanges"][0]


def test_an_incident_that_no_model_was_asked_about_says_so(config: Path, incident: IncidentId) -> None:
    store = open_store(f"sqlite:///{config.parent / 'state' / 'healer.sqlite'}")
    record = LogRecord(time=NOW, host="web1", unit="db.service", priority=3, message="failed")
    other = Signal(
        record=record,
        signature=Signature("t"),
        template="failed",
        subject=Subject(kind=SubjectKind.UNIT, name="db.service"),
        severity=Severity.ERROR,
        age=0.0,
    )
    (opened,) = store.absorb("web1", "journal", [other], None)
    store.close()

    assert typed(config, "incidents", "exchange", opened) == f"No model was asked about {opened}.\n"


def test_the_doctor_sums_what_was_asked(config: Path, incident: IncidentId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    config.write_text(config.read_text("utf-8") + "gemini_price_in = 0.3\n", encoding="utf-8")

    said = CliRunner().invoke(app, ["--config", str(config), "doctor"]).output

    assert "in 24 hours 2 requests (1 failed), 1,500 tokens in and 90 out, cost 0.0007" in said


@pytest.mark.usefixtures("incident")
def test_the_doctor_tells_a_key_that_healer_serve_alone_has(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)

    said = CliRunner().invoke(app, ["--config", str(config), "doctor"]).output

    assert (
        "embedded (no GEMINI_API_KEY is set here); in 24 hours 2 requests (1 failed) by a healer serve that has" in said
    )
