"""Golden cases of detection: log in, signal out. tests/cases/detect/README.md describes a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.collect.wording import worth
from orchestrator.detect import signature as masking
from orchestrator.detect.detector import Detector
from orchestrator.detect.severity import severity
from orchestrator.detect.signature import signature, template
from orchestrator.detect.subject import is_carrier
from orchestrator.domain.actions import Action, Pattern, Risk
from orchestrator.domain.incidents import Signal, SubjectKind
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.speech import LOOKED_AT

CASES = Path(__file__).parents[2] / "cases" / "detect"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ORDINARY = LogRecord(time=NOW, host="web1", unit="app.service", priority=6, message="")


def _action() -> Action:
    patterns = json.loads((CASES / "patterns.json").read_text(encoding="utf-8"))
    return Action(
        id="example",
        title="",
        when="",
        not_when="",
        risk=Risk.LOW,
        reversible=False,
        task_timeout=1,
        run_timeout=1,
        settle_seconds=0,
        hold_seconds=0,
        patterns=tuple(
            Pattern(match=one["match"], unless=one.get("unless"), severity=Severity[one["severity"]])
            for one in patterns
        ),
    )


DETECTOR = Detector((_action(),))


def detected(record: LogRecord) -> Signal | None:
    found = DETECTOR.detect((record,), NOW)
    return found[0] if found else None


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _cases(*names: str) -> list[Any]:
    return [pytest.param(case, id=f"{name}: {case['case']}") for name in names for case in _lines(name)]


RECORDS = sorted(file.stem for file in CASES.glob("*.jsonl") if file.stem != "signatures")


@pytest.mark.parametrize("case", _cases(*RECORDS))
def test_case(case: Mapping[str, Any]) -> None:
    signal = detected(replace(ORDINARY, **case["record"]))

    assert (None if signal is None else _shown(signal, case["signal"] or {})) == case["signal"]


def _shown(signal: Signal, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The signal in the words of a case: severity always, the rest where the case asks for it."""
    kind, name = signal.subject.kind, str(signal.subject)
    shown = {
        "severity": signal.severity.name,
        "subject": str(kind) if kind is SubjectKind.SIGNATURE else name,
        "signature": signal.signature,
        "template": signal.template,
    }
    return {key: value for key, value in shown.items() if key == "severity" or key in wanted}


@pytest.mark.parametrize("case", _cases("signatures"))
def test_lines_of_one_group_share_a_signature_and_of_two_groups_do_not(case: Mapping[str, Any]) -> None:
    told = [{_signature(line) for line in group} for group in case["groups"]]

    assert [len(names) for names in told] == [1] * len(told), told
    assert len(set().union(*told)) == len(told)


def _signature(line: str | list[str]) -> str:
    unit, message = (ORDINARY.unit, line) if isinstance(line, str) else line
    return signature(unit, message)[0]


def test_all_lines_of_a_start_limit_loop_have_one_subject() -> None:
    loop = [case for case in _lines("systemd") if case["case"].startswith("a start-limit loop")]
    signals = [detected(replace(ORDINARY, **case["record"])) for case in loop]

    assert {str(signal.subject) for signal in signals if signal} == {"unit:app.service"}
    assert len({signal.signature for signal in signals if signal}) == 5


@pytest.mark.parametrize("case", _cases("levels", "systemd", "subjects"))
def test_what_words_alone_make_a_signal_of_is_not_held_back_at_its_source(case: Mapping[str, Any]) -> None:
    record = replace(ORDINARY, **case["record"])
    asked_for_anyway = record.priority <= 4 or record.unit_failure

    assert case["signal"] is None or asked_for_anyway or worth(record.message)


def test_every_severity_and_kind_of_subject_has_a_case() -> None:
    wanted = [case["signal"] for name in RECORDS for case in _lines(name)]

    assert {signal["severity"] for signal in wanted if signal} == {"WARNING", "ERROR", "CRITICAL"}
    assert {str(signal.get("subject", "")).split(":")[0] for signal in wanted if signal} >= set(SubjectKind)
    assert None in wanted


def test_sentences_of_cases_are_told_apart() -> None:
    sentences = [case["case"] for file in CASES.glob("*.jsonl") for case in _lines(file.stem)]

    assert len(sentences) == len(set(sentences))


def test_signals_come_in_the_order_of_their_records() -> None:
    records = [replace(ORDINARY, priority=3, message=text) for text in ("b", "a", "c")]
    silent = replace(ORDINARY, message="fine")

    signals = DETECTOR.detect((records[0], silent, records[1], records[2]), NOW)

    assert [signal.record for signal in signals] == records


def test_a_signal_without_a_unit_is_named_by_its_own_signature() -> None:
    signal = detected(replace(ORDINARY, unit="kernel", priority=3, message="boom"))

    assert signal is not None
    assert str(signal.subject) == f"signature:{signal.signature}"


@pytest.mark.parametrize(
    ("written", "age"),
    [
        (NOW, 0.0),
        (NOW - timedelta(seconds=90), 90.0),
        (NOW + timedelta(seconds=90), 0.0),
        ((NOW - timedelta(seconds=1)).astimezone(timezone(timedelta(hours=5))), 1.0),
    ],
)
def test_age_is_counted_from_when_the_host_wrote_and_never_below_nothing(written: datetime, age: float) -> None:
    signal = detected(replace(ORDINARY, time=written, priority=3))

    assert signal is not None
    assert signal.age == age


def test_a_detector_without_actions_asks_for_no_warning() -> None:
    record = replace(ORDINARY, priority=4, message="the disk is full")

    assert Detector(()).detect((record,), NOW) == ()
    assert len(DETECTOR.detect((record,), NOW)) == 1


@pytest.mark.parametrize(
    ("unit", "carrier"),
    [
        ("", True),
        ("kernel", True),
        ("cron", True),
        ("cron.service", True),
        ("CROND.service", True),
        ("anacron.service", True),
        ("atd.service", True),
        ("init.scope", True),
        ("session-3.scope", True),
        ("user-1000.slice", True),
        ("user@1000.service", True),
        ("nginx.service", False),
        ("cronie-watch.service", False),
        ("kernel-builder.service", False),
        ("systemd-resolved.service", False),
        ("mnt-data.mount", False),
    ],
)
def test_carriers_are_units_that_speak_of_other_things(*, unit: str, carrier: bool) -> None:
    assert is_carrier(unit) is carrier


def test_nothing_beyond_the_first_characters_counts_for_a_signature() -> None:
    same = "x" * LOOKED_AT

    assert signature("a", f"{same} one") == signature("a", f"{same} other")


WORDS = st.sampled_from(
    ["ERROR", "level=", "error", "FATAL", '"', "'", "\\", "comment=", "/opt/a", "0x1f", "::1", "12ms"]
)
TEXTS = st.text(max_size=300) | st.lists(WORDS | st.characters(), max_size=40).map("".join)
RECORDS_OF_ALL_KINDS = st.builds(
    LogRecord,
    time=st.just(NOW),
    host=st.just("web1"),
    unit=st.sampled_from(["", "kernel", "app", "app.service", "cron.service", "a@1.service", "x.scope"]) | TEXTS,
    priority=st.integers(-1, 9),
    message=TEXTS,
    unit_failure=st.booleans(),
    own_session=st.booleans(),
)


@given(RECORDS_OF_ALL_KINDS)
def test_detection_is_total_and_says_the_same_of_the_same_record(record: LogRecord) -> None:
    first = DETECTOR.detect((record,), NOW)
    template.cache_clear()

    assert DETECTOR.detect((record,), NOW) == first
    assert len(first) <= 1


@given(RECORDS_OF_ALL_KINDS)
def test_nothing_of_our_own_sessions_opens_anything(record: LogRecord) -> None:
    assert DETECTOR.detect((replace(record, own_session=True),), NOW) == ()


@given(RECORDS_OF_ALL_KINDS)
def test_whatever_priority_says_error_makes_a_signal_of_at_least_that(record: LogRecord) -> None:
    signal = detected(replace(record, own_session=False, priority=3))

    assert signal is not None
    assert signal.severity >= Severity.ERROR


@given(RECORDS_OF_ALL_KINDS)
def test_a_worse_priority_never_makes_it_milder(record: LogRecord) -> None:
    assert severity(replace(record, priority=record.priority - 1)) >= severity(record)


@given(unit=TEXTS, message=st.text(max_size=2 * LOOKED_AT))
def test_a_template_is_bounded_and_a_signature_is_sixteen_hexadecimal_digits(unit: str, message: str) -> None:
    name, masked = signature(unit, message)

    assert len(masked) <= LOOKED_AT
    assert len(name) == 16
    assert set(name) <= set("0123456789abcdef")


@given(TEXTS)
def test_no_digit_survives_masking(message: str) -> None:
    assert not set(template(message)) & set("0123456789")


@given(TEXTS)
def test_masking_twice_is_masking_once(message: str) -> None:
    once = template(message)

    assert template(once) == once


@given(
    left=st.integers(0, 10**12), right=st.integers(0, 10**12), text=st.sampled_from(["pid {}", "{} of 3", "a={}, b"])
)
def test_any_two_numbers_in_one_place_are_the_same_error(left: int, right: int, text: str) -> None:
    assert template(text.format(left)) == template(text.format(right))


@pytest.mark.parametrize(
    "message",
    [
        "\x00" * 10_000,
        "\ud800 half a character",
        "\u202e" * 500,
        "x" * 1_000_000,
        "9" * 100_000,
        "é" * 9_000,
        "\n" * 9_000,
    ],
)
def test_odd_and_huge_messages_are_answered(message: str) -> None:
    signal = detected(replace(ORDINARY, priority=3, message=message))

    assert signal is not None
    assert len(signal.template) <= LOOKED_AT


def test_the_mask_is_one_and_the_same_for_all_that_varies() -> None:
    assert template("5 4f2a9c1b77de 0x1f 2026-03-01 ::1") == " ".join([masking.MASK] * 4 + [f"::{masking.MASK}"])
