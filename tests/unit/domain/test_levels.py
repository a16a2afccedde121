"""The level that a line states. More formats are golden cases in tests/cases/detect/levels.jsonl."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.levels import FRONT, stated
from orchestrator.domain.records import Severity


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("FATAL", Severity.CRITICAL),
        ("Fatal", Severity.CRITICAL),
        ("CRIT", Severity.CRITICAL),
        ("CRITICAL", Severity.CRITICAL),
        ("PANIC", Severity.CRITICAL),
        ("EMERG", Severity.CRITICAL),
        ("ALERT", Severity.CRITICAL),
        ("ERROR", Severity.ERROR),
        ("Error", Severity.ERROR),
        ("ERR", Severity.ERROR),
        ("SEVERE", Severity.ERROR),
        ("FAILED", Severity.ERROR),
        ("WARN", Severity.WARNING),
        ("WARNING", Severity.WARNING),
        ("Warning", Severity.WARNING),
        ("NOTICE", Severity.INFO),
        ("INFO", Severity.INFO),
        ("DEBUG", Severity.INFO),
    ],
)
@pytest.mark.parametrize("form", ["{}: it", "[{}] it", "{} [main] it", "2026-03-01 12:00:00 {} it", "app - {} - it"])
def test_a_level_word_counts_in_each_form(word: str, severity: Severity, form: str) -> None:
    assert stated(form.format(word)) is severity


@pytest.mark.parametrize("form", ["level={}", "lvl={} a=b", '"level":"{}"', '"severity": "{}"', "loglevel: {}"])
@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("fatal", Severity.CRITICAL),
        ("critical", Severity.CRITICAL),
        ("error", Severity.ERROR),
        ("err", Severity.ERROR),
        ("warn", Severity.WARNING),
        ("warning", Severity.WARNING),
        ("info", Severity.INFO),
        ("errorless", Severity.INFO),
    ],
)
def test_a_field_counts_in_any_case_and_only_as_a_whole(form: str, word: str, severity: Severity) -> None:
    assert stated(form.format(word)) is severity
    assert stated(form.format(word.upper())) is severity


@pytest.mark.parametrize(
    "words",
    [
        "errors are counted",
        "an error",
        "ERRORS",
        "MyERROR",
        "error_log",
        "/var/log/ERROR",
        "ERROR.log",
        "no-ERROR",
        "<ERROR@example.org>",
        "ERROR level",
        "ERROR: 0",
        "ERROR=0",
        "Error rate",
        "0 errors",
        "no error",
        "without error",
        "errors: 0",
        "failed=false",
        "warnings = none",
        'error=""',
        "log level set to ERROR",
        "log level is ERROR",
        "LogLevel changed from FATAL",
        "Log level: ERROR",
        "--log-level=error",
        "--log-level error",
    ],
)
def test_a_mention_states_nothing(words: str) -> None:
    assert stated(words) is Severity.INFO


@pytest.mark.parametrize(
    "words",
    ["ERROR: 0x80004005", "errors: 5 ERROR", "level=error errors=0", "0 errors before, now ERROR", "error: 0.5 left"],
)
def test_a_mention_beside_a_statement_takes_nothing_away(words: str) -> None:
    assert stated(words) is Severity.ERROR


@pytest.mark.parametrize("worse", ["FATAL and ERROR and WARN", "WARN then FATAL", "ERROR [crit] x"])
def test_the_worst_of_several_counts(worse: str) -> None:
    assert stated(worse) is Severity.CRITICAL


def test_a_word_counts_up_to_the_end_of_the_front() -> None:
    assert stated("x" * (FRONT - 6) + " ERROR") is Severity.ERROR
    assert stated("x" * FRONT + " ERROR") is Severity.INFO


@pytest.mark.parametrize(
    "words", ['comment="FATAL"', "user=FATAL", "GET /FATAL", "(root) CMD (FATAL)", "COMMAND=FATAL"]
)
def test_strangers_state_nothing(words: str) -> None:
    assert stated(words) is Severity.INFO


@pytest.mark.parametrize(
    ("priority", "severity"),
    [
        (-1, Severity.CRITICAL),
        (0, Severity.CRITICAL),
        (2, Severity.CRITICAL),
        (3, Severity.ERROR),
        (4, Severity.WARNING),
        (5, Severity.INFO),
        (6, Severity.INFO),
        (7, Severity.DEBUG),
        (9, Severity.DEBUG),
    ],
)
def test_priorities_are_syslogs(priority: int, severity: Severity) -> None:
    assert Severity.of_priority(priority) is severity


@given(st.text(max_size=400))
def test_any_text_has_one_severity_that_words_can_state(message: str) -> None:
    assert stated(message) in (Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
