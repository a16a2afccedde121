"""What an answer is bound to, and the sentence that names what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.verdicts import Approval, Facts, PathFacts, UnitFacts
from orchestrator.guard.binding import parts, why_void
from tests.unit.guard.test_guard_answering import ASKED as QUESTION

UNIT = UnitFacts(
    asked="nginx",
    id="nginx.service",
    names=("nginx.service",),
    load_state="loaded",
    active_state="failed",
    sub_state="failed",
    required_by=("site.target",),
)
PATH = PathFacts(asked="/opt/x", realpath="/opt/x", type="file", owner="root", group="adm", mode="0644")
FACTS = Facts(units={"nginx": UNIT}, paths={"/opt/x": PATH})
DIGESTS = {part: part * 8 for part in ("playbook", "role", "parameters", "hosts", "policy", "inventory")}
ASKED = replace(QUESTION, parts=parts(DIGESTS, FACTS))


def of(digests: Mapping[str, str] = DIGESTS, unit: Any = None, path: Any = None) -> str:
    """What is said where the unit or path is as these fields say."""
    now = Facts(units={"nginx": replace(UNIT, **(unit or {}))}, paths={"/opt/x": replace(PATH, **(path or {}))})
    return why_void(ASKED, ASKED.digest, parts(digests, now))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("playbook", "the playbook of restart_service changed"),
        ("role", "the role restart_service changed"),
        ("parameters", "the parameters changed"),
        ("hosts", "the host list changed"),
        ("policy", "what the inventory allows restart_service on web1 changed"),
        ("inventory", "how the inventory reaches web1 changed"),
        ("something_new", "something_new changed"),
    ],
)
def test_a_changed_part_of_what_would_run_is_named(part: str, said: str) -> None:
    assert of({**DIGESTS, part: "other"}) == f"Since it was asked, {said}."


@pytest.mark.parametrize(
    ("unit", "path", "said"),
    [
        ({"id": "apache2.service"}, {}, "nginx on web1 is another unit now: apache2.service (before: nginx.service)"),
        ({"load_state": "masked"}, {}, "nginx on web1 is masked now (before: loaded)"),
        ({"required_by": ()}, {}, "other units would stop with nginx on web1 now: nothing (before: site.target)"),
        ({}, {"realpath": "/etc/shadow"}, "/opt/x on web1 is now a link to /etc/shadow"),
        ({}, {"realpath": "", "type": "missing", "owner": "", "mode": ""}, "/opt/x on web1 is gone"),
        ({}, {"type": "directory"}, "/opt/x on web1 is of another type now: directory (before: file)"),
        ({}, {"owner": "eve"}, "/opt/x on web1 belongs to eve now (before: root)"),
        ({}, {"group": "eve"}, "/opt/x on web1 has the group eve now (before: adm)"),
        ({}, {"mode": "0777"}, "/opt/x on web1 has the mode 0777 now (before: 0644)"),
    ],
)
def test_a_changed_state_of_the_host_is_named(unit: dict[str, Any], path: dict[str, Any], said: str) -> None:
    assert of(unit=unit, path=path) == f"Since it was asked, {said}."


def test_several_changes_are_all_named() -> None:
    said = of({**DIGESTS, "role": "other"}, unit={"load_state": "masked"}, path={"mode": "0600"})

    assert said == (
        "Since it was asked, the role restart_service changed; /opt/x on web1 has the mode 0600 now (before: 0644); "
        "nginx on web1 is masked now (before: loaded)."
    )


@pytest.mark.parametrize(
    ("unit", "path"),
    [
        # What the trouble itself moves: it comes and goes with every start that systemd tries.
        ({"active_state": "activating", "sub_state": "auto-restart"}, {}),
        ({"active_state": "active", "sub_state": "running"}, {}),
        ({"names": ("web.service", "nginx.service")}, {}),
        ({}, {"links": 7}),
        ({}, {}),
    ],
)
def test_what_the_trouble_itself_moves_voids_nothing(unit: dict[str, Any], path: dict[str, Any]) -> None:
    assert of(unit=unit, path=path) == ""


def test_the_order_in_which_a_host_lists_units_voids_nothing() -> None:
    both = replace(ASKED, parts=parts(DIGESTS, Facts(units={"nginx": replace(UNIT, required_by=("a", "b"))})))
    now = parts(DIGESTS, Facts(units={"nginx": replace(UNIT, required_by=("b", "a"))}))

    assert why_void(both, both.digest, now) == ""


def test_what_a_host_does_not_say_any_more_is_a_change() -> None:
    assert "nginx on web1 is another unit now: not known" in why_void(ASKED, ASKED.digest, parts(DIGESTS, Facts()))


@pytest.mark.parametrize("kept", [{}, parts(DIGESTS, FACTS)])
def test_other_bytes_are_told_even_where_no_part_says_so(kept: dict[str, str]) -> None:
    """A question of an older version has no parts; its digest alone binds it."""
    asked = replace(ASKED, parts=kept)

    assert why_void(asked, "other", parts(DIGESTS, FACTS)) == (
        "Since it was asked, playbook, role, parameters or host variables changed."
    )
    assert why_void(asked, asked.digest, parts(DIGESTS, FACTS)) == ""


_STATE = st.dictionaries(
    st.sampled_from(
        [*DIGESTS, "unit:a.service:id", "unit:a.service:load_state", "path:/x:y:realpath", "path:/x:y:mode"]
    ),
    st.text(max_size=6),
    min_size=1,
)


@settings(deadline=None, max_examples=150)
@given(asked=_STATE, now=_STATE)
def test_it_is_void_exactly_where_any_part_differs(asked: dict[str, str], now: dict[str, str]) -> None:
    question: Approval = replace(QUESTION, parts=asked)

    said = why_void(question, question.digest, now)

    assert bool(said) == (asked != now)
    assert not said or said.startswith("Since it was asked, ")
