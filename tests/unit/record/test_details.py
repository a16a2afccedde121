"""What a task was given, changed and printed, read from results as Ansible records them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.record.details import ARGUMENT, COMPARED, DIFFERENCE, ITEMS, OUTPUT, Details, details

#: As `ansible.builtin.copy` leaves it with --diff.
COPIED: dict[str, Any] = {
    "diff": [{"before_header": "/opt/x", "before": "a\nb\nc\n", "after_header": "/opt/x", "after": "a\nB\nc\n"}],
    "invocation": {"module_args": {"dest": "/opt/x", "mode": "0600", "backup": None, "_original_basename": "x"}},
    "changed": True,
}


def test_a_file_that_was_written_shows_what_changed_in_it_and_with_what_it_was_called() -> None:
    found = details(COPIED)

    assert found.arguments == (("dest", "/opt/x"), ("mode", "0600"))
    assert found.difference.splitlines() == ["--- /opt/x", "+++ /opt/x", "@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]
    assert found.output == ""


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"before": {"mode": "0644"}, "after": {"mode": "0755"}}, ['-  "mode": "0644"', '+  "mode": "0755"']),
        ({"prepared": "--- a\n+++ b\n-x\n+y"}, ["-x", "+y"]),
        ({"before": "", "after": "new\n", "after_header": "/opt/new"}, ["+++ /opt/new", "+new"]),
        ({"before": "same", "after": "same"}, []),
        ({"before": 1, "after": [2]}, ["-1", "+  2"]),
        ([{"before": "a", "after": "b"}, None, {"before": "c", "after": "d"}], ["-a", "+b", "-c", "+d"]),
        ("no mapping", []),
    ],
)
def test_differences_of_every_kind(given: Any, lines: list[str]) -> None:
    found = details({"diff": given}).difference.splitlines()

    assert [line for line in lines if line not in found] == []
    assert bool(found) is bool(lines)


def test_a_loop_shows_what_every_item_did() -> None:
    item = {"stdout": "one", "invocation": {"module_args": {"argv": ["echo", "1"]}}}
    found = details({"results": [item, {**item, "stdout": "two", "stderr": "warned"}, {"diff": COPIED["diff"]}]})

    assert found.output == "one\ntwo\nwarned"
    assert found.arguments[0][0] == "argv"
    assert "+B" in found.difference


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"censored": "the output has been hidden"},
        {"invocation": "x", "diff": 3, "results": "x"},
        {"invocation": {"module_args": []}, "results": [1, None]},
    ],
)
def test_what_holds_nothing_is_nothing(odd: dict[str, Any]) -> None:
    assert details(odd) == Details()


def test_whatever_a_host_writes_is_bounded() -> None:
    long = "x\n" * (COMPARED + 1)
    found = details(
        {
            "invocation": {"module_args": {"content": "x" * 10_000}},
            "stdout": "x" * 100_000,
            "diff": [{"before": "", "after": long}, {"before": "y" * 1_000_000, "after": ""}],
            "results": [{"stderr": "z"}] * (10 * ITEMS),
        }
    )

    assert found.arguments == (("content", "x" * ARGUMENT),)
    assert len(found.output) == OUTPUT
    assert len(found.difference) == DIFFERENCE
    assert f"too long to compare: 0 lines before, {COMPARED + 1} after" in found.difference
    assert found.size == len("content") + ARGUMENT + OUTPUT + DIFFERENCE
