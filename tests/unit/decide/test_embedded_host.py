"""What the embedded chooser makes of a port, of headers and of level tags."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator import catalog
from orchestrator.decide.candidates import candidates
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.domain.actions import Decision
from orchestrator.domain.levels import informs
from orchestrator.domain.records import LogRecord
from orchestrator.domain.speech import own_words
from orchestrator.ports import Case

ROOT = Path(__file__).parents[3]
ACTIONS = tuple(catalog.load(ROOT / "playbooks", ROOT / "roles").actions.values())
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REFUSED = "Error: connect ECONNREFUSED 127.0.0.1:6379"


def decide(unit: str, message: str, priority: int = 3, units: tuple[str, ...] | None = None) -> Decision:
    record = LogRecord(time=NOW, host="web1", unit=unit, priority=priority, message=message, source="test")
    offered = candidates(ACTIONS, unit, (record,), units)
    case = Case(incident_id="1", host="web1", unit=unit, records=(record,), candidates=offered, actions=ACTIONS)
    return EmbeddedChooser().choose(case)


def test_a_port_means_the_service_that_exists_there() -> None:
    found = decide("api.service", REFUSED, units=("api.service", "redis-server.service"))

    assert (found.action, dict(found.parameters)) == ("restart_service", {"service": "redis-server"})


def test_a_port_whose_service_is_not_on_the_host_is_left_to_a_person() -> None:
    found = decide("api.service", REFUSED, units=("api.service", "nginx.service"))

    assert (found.action, dict(found.parameters)) == ("escalate", {})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Oct 31 11:02:26  host.net systemd[1]: a.service: Failed.", "a.service: Failed."),
        ("8월 27 17:36:09 localhost.localdomain systemd[1]: a.service: Failed.", "a.service: Failed."),
        ("2023-07-01T10:12:44.123456+02:00 box systemd[1]: a.service: Failed.", "a.service: Failed."),
        ("2023-07-01T10:12:44Z ERROR box: broke", "2023-07-01T10:12:44Z ERROR box: broke"),
    ],
)
def test_header_is_taken_off_in_every_form_of_syslog(message: str, words: str) -> None:
    assert own_words(message) == words


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("I1219 16:16:08.036658    2205 factory.go:104] Error trying", True),
        ('level=info msg="done"', True),
        ("2024-03-28 15:55:14.078 [info] <0.3.5> closing", True),
        ("[core:notice] [pid 1] AH00094: Command line", True),
        ("ERROR while reading [info] page", False),
        ("error: for your info", False),
        ("no tag at all", False),
    ],
)
def test_first_tag_of_a_level_says_whether_a_line_informs(message: str, expected: bool) -> None:
    assert informs(message) is expected
