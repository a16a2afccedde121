"""Memory chooses what healed every kind of line in sight, and else asks; a person's word binds all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.memory import MemoryChooser
from orchestrator.detect.signature import signature
from orchestrator.domain.actions import ESCALATE, NONE, Candidate, Decision
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.precedents import Deed, Precedents, Standing, Word
from orchestrator.errors import ModelTimeout
from orchestrator.ports import Case
from orchestrator.testing import FakeChooser
from tests.support.decide_case import actions, case

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIED, EXITED, NEW = Signature("d" * 16), Signature("e" * 16), Signature("0" * 16)
What = tuple[str, Mapping[str, str]]
NGINX = ("restart_service", {"service": "nginx"})
REDIS = ("restart_service", {"service": "redis"})
FREE: What = ("free_disk_space", {})
FREE_VAR = ("free_disk_space", {"path": "/var"})
OFFERED = (
    Candidate(action="free_disk_space", values={}),
    Candidate(action="free_disk_space", values={"path": ("/var/log", "/var")}),
    Candidate(action="restart_service", values={"service": ("redis", "nginx")}),
)
ASKED = Decision(action="clear_cache", parameters={}, reason="asked", chooser="fake")


def deeds(what: What, ends: str, *shown: Signature) -> tuple[Deed, ...]:
    """Newest first; `+` healed. Decided by these lines, or by the one alone that they are told of."""
    action, parameters = what
    return tuple(
        Deed(
            incident_id=IncidentId(f"inc-{number}"),
            host="web2",
            action=action,
            parameters=parameters,
            healed=end == "+",
            chooser="embedded",
            at=NOW,
            shown=frozenset(shown),
        )
        for number, end in enumerate(ends)
    )


def word(signature: Signature, standing: Standing, what: What) -> Word:
    return Word(
        signature=signature,
        template="",
        standing=standing,
        action=what[0],
        parameters=what[1],
        actor="cli:ann",
        reason="we know it",
        at=NOW,
    )


Known = Mapping[Signature, Precedents]


def known(
    taught: Mapping[Signature, tuple[Deed, ...]], words: Mapping[Signature, tuple[Standing, What]] | None = None
) -> Known:
    said = words or {}
    return {
        one: Precedents(signature=one, deeds=taught.get(one, ()), word=word(one, *said[one]) if one in said else None)
        for one in {*taught, *said}
    }


def decide(
    past: Known,
    *signatures: Signature,
    offered: tuple[Candidate, ...] = OFFERED,
    behind: Decision | Exception = ASKED,
    healed_times: int = 3,
) -> tuple[Decision, bool]:
    """The decision, and whether the chooser behind was asked."""
    asked = FakeChooser(behind)
    memory = MemoryChooser(asked, lambda one: past.get(one, Precedents(signature=one)), healed_times=healed_times)
    shown = Case(
        incident_id="inc-1",
        host="web1",
        unit="nginx.service",
        records=(),
        candidates=offered,
        actions=actions(),
        signatures=signatures,
    )
    return memory.choose(shown), bool(asked.asked)


def picked(past: Known, *signatures: Signature, offered: tuple[Candidate, ...] = OFFERED) -> What | None:
    """What memory chose; None: it asked."""
    decision, asked = decide(past, *signatures, offered=offered)
    assert asked is (decision == ASKED)
    return None if asked else (decision.action, decision.parameters)


PROVEN = {DIED: deeds(NGINX, "+++")}
BOTH = PROVEN | {EXITED: deeds(NGINX, "++++")}


@pytest.mark.parametrize(
    ("taught", "lines", "what"),
    [
        (PROVEN, [DIED], NGINX),
        (PROVEN, [DIED, DIED], NGINX),
        (BOTH, [EXITED, DIED], NGINX),
        ({DIED: deeds(FREE, "+++")}, [DIED], FREE),
        ({DIED: deeds(FREE_VAR, "+++")}, [DIED], FREE_VAR),
        # Too seldom, failed, never.
        ({DIED: deeds(NGINX, "++")}, [DIED], None),
        ({DIED: deeds(NGINX, "-+++")}, [DIED], None),
        ({DIED: deeds(NGINX, "++-+++")}, [DIED], None),
        ({}, [DIED], None),
        (PROVEN, [], None),
        # A line that is new, or that something else healed, may be the cause.
        (PROVEN, [NEW, DIED], None),
        (PROVEN | {EXITED: deeds(FREE, "+++")}, [EXITED, DIED], None),
        (PROVEN | {EXITED: deeds(REDIS, "+++")}, [EXITED, DIED], None),
        (PROVEN | {EXITED: deeds(NGINX, "-++++")}, [EXITED, DIED], None),
        # Two ways that both healed: nobody guesses.
        ({DIED: deeds(NGINX, "+++") + deeds(REDIS, "+++")}, [DIED], None),
    ],
)
def test_it_chooses_what_healed_every_line_in_sight(
    taught: Mapping[Signature, tuple[Deed, ...]], lines: list[Signature], what: What | None
) -> None:
    assert picked(known(taught), *lines) == what


@pytest.mark.parametrize(
    "offered",
    [
        (),
        (Candidate(action="restart_service", values={"service": ("redis",)}),),
        (Candidate(action="reload_config", values={"service": ("nginx",)}),),
        (Candidate(action="restart_service", values={}),),
        (Candidate(action="restart_service", values={"service": ("nginx",), "more": ("x",)}),),
    ],
)
def test_it_brings_no_value_that_this_case_does_not_offer(offered: tuple[Candidate, ...]) -> None:
    """A number is masked in a signature: /opt/app1 and /opt/app2 share one."""
    assert picked(known(PROVEN), DIED, offered=offered) is None
    pinned = known({}, {DIED: (Standing.PINNED, NGINX)})
    assert picked(pinned, DIED, offered=offered) is None


def test_a_line_that_shares_its_signature_but_names_another_file_is_asked_about() -> None:
    """Numbers are masked: who can write one of the lines trains nothing for the other's file."""
    line = "app.service: Failed at step EXEC spawning /opt/app{}/run.sh: Permission denied"
    (one, _), (two, _) = (signature("app.service", line.format(number)) for number in (1, 2))
    assert one == two
    past = {one: Precedents(signature=one, deeds=deeds(("fix_permissions", {"path": "/opt/app1/run.sh"}), "+++"))}
    memory = MemoryChooser(FakeChooser(ASKED), lambda name: past[name], healed_times=3)

    trained, other = (memory.choose(replace(case(line.format(number)), signatures=(one,))) for number in (1, 2))

    assert (trained.chooser, trained.parameters) == ("memory", {"path": "/opt/app1/run.sh"})
    assert other == ASKED


def test_a_deed_counts_only_where_the_line_that_told_the_cause_is_in_sight_again() -> None:
    """Of a full disk the service died three times; now it just died."""
    full = deeds(FREE, "+++", NEW, EXITED, DIED)
    past = known({NEW: full, EXITED: full, DIED: full})
    mixed = known({one: deeds(NGINX, "+++", DIED) + full for one in (EXITED, DIED)})

    assert picked(past, NEW, EXITED, DIED) == FREE
    assert picked(past, EXITED, DIED) is None
    assert picked(past, DIED) is None
    assert picked(mixed, EXITED, DIED) == NGINX
    pinned = known({NEW: full, EXITED: full, DIED: full}, {DIED: (Standing.PINNED, NGINX)})
    assert picked(pinned, EXITED, DIED) == NGINX
    assert picked(pinned, NEW, EXITED, DIED) is None


def test_the_decision_says_that_it_is_remembered_and_how_often_it_healed() -> None:
    decision, _ = decide(known({DIED: deeds(NGINX, "+++++++"), EXITED: deeds(NGINX, "++++")}), DIED)
    weakest, _ = decide(known({DIED: deeds(NGINX, "+++++++"), EXITED: deeds(NGINX, "++++")}), DIED, EXITED)

    assert decision.chooser == "memory"
    assert decision.reason == "chosen from memory: 7 of 7 healed, the last one on web2 (inc-0)"
    assert weakest.reason.startswith("chosen from memory: 4 of 4 healed")
    assert len(decision.shown_digest) == 64
    assert decision.shown_digest != weakest.shown_digest


def test_it_takes_the_name_of_whoever_is_behind_it_and_its_errors_pass() -> None:
    memory = MemoryChooser(FakeChooser(), lambda one: Precedents(signature=one), healed_times=1)

    assert memory.name == "fake"
    with pytest.raises(ModelTimeout):
        decide({}, NEW, behind=ModelTimeout("late"))


@pytest.mark.parametrize(
    ("taught", "words", "lines", "what"),
    [
        ({}, {DIED: NGINX}, [DIED], NGINX),
        ({DIED: deeds(NGINX, "---")}, {DIED: NGINX}, [DIED], NGINX),
        ({DIED: deeds(REDIS, "+++")}, {DIED: NGINX}, [DIED], NGINX),
        # Lines that taught nothing, or the same, stand beside it.
        ({EXITED: deeds(REDIS, "++")}, {DIED: NGINX}, [NEW, EXITED, DIED], NGINX),
        ({EXITED: deeds(NGINX, "+++")}, {DIED: NGINX}, [EXITED, DIED], NGINX),
        ({}, {DIED: NGINX, EXITED: NGINX}, [EXITED, DIED], NGINX),
        # What speaks for something else does not.
        ({EXITED: deeds(FREE, "+++")}, {DIED: NGINX}, [EXITED, DIED], None),
        ({}, {DIED: NGINX, EXITED: FREE}, [EXITED, DIED], None),
        # A pin that can't be followed is not followed by what was learned.
        ({DIED: deeds(NGINX, "+++")}, {DIED: ("restart_service", {"service": "gone"})}, [DIED], None),
    ],
)
def test_a_pin_is_chosen_at_once_unless_other_lines_speak_for_something_else(
    taught: Mapping[Signature, tuple[Deed, ...]],
    words: Mapping[Signature, What],
    lines: list[Signature],
    what: What | None,
) -> None:
    said = {one: (Standing.PINNED, pinned) for one, pinned in words.items()}

    assert picked(known(taught, said), *lines) == what


def test_a_pin_outlives_a_failure_and_says_so() -> None:
    said = {DIED: (Standing.PINNED, NGINX)}

    failed, _ = decide(known({DIED: deeds(NGINX, "-+++++")}, said), DIED)
    well, _ = decide(known({DIED: deeds(NGINX, "+")}, said), DIED)
    fresh, _ = decide(known({}, said), DIED)

    assert failed.reason == (
        "chosen from memory, pinned by cli:ann (we know it): 5 of 6 healed; the last one, on web2 (inc-0), did not"
    )
    assert well.reason.endswith("1 of 1 healed")
    assert fresh.reason.endswith("0 of 0 healed")


@pytest.mark.parametrize("lines", [[DIED], [NEW, DIED]])
@pytest.mark.parametrize("action", ["restart_service", ""])
def test_what_is_forbidden_is_chosen_by_nobody(lines: list[Signature], action: str) -> None:
    past = known(PROVEN, {DIED: (Standing.FORBIDDEN, (action, {}))})
    behind = Decision(action="restart_service", parameters={"service": "nginx"}, reason="so", chooser="fake")

    decision, asked = decide(past, *lines, behind=behind)

    assert asked
    assert (decision.action, decision.parameters, decision.chooser) == (ESCALATE, {}, "fake")
    assert decision.reason == "fake chose restart_service, which cli:ann forbade for this error: we know it"


@pytest.mark.parametrize("action", [ESCALATE, NONE, "free_disk_space"])
def test_a_ban_leaves_all_else_alone(action: str) -> None:
    past = known({}, {DIED: (Standing.FORBIDDEN, ("restart_service", {}))})
    behind = replace(ASKED, action=action)

    assert decide(past, DIED, behind=behind) == (behind, True)


def test_a_ban_of_one_line_beats_the_pin_of_another() -> None:
    past = known({}, {DIED: (Standing.PINNED, NGINX), EXITED: (Standing.FORBIDDEN, ("restart_service", {}))})

    assert picked(past, DIED, EXITED) is None


ENDS = st.text("+-", max_size=5)


@given(
    past=st.dictionaries(
        st.sampled_from([DIED, EXITED, NEW]), st.tuples(st.sampled_from([NGINX, REDIS, FREE]), ENDS), max_size=3
    ),
    lines=st.lists(st.sampled_from([DIED, EXITED, NEW]), max_size=4),
    offered=st.lists(st.sampled_from(OFFERED), unique_by=id).map(tuple),
    times=st.integers(1, 4),
)
def test_whatever_was_recorded_it_picks_an_offered_deed_that_healed_often_enough(
    past: dict[Signature, tuple[What, str]],
    lines: list[Signature],
    offered: tuple[Candidate, ...],
    times: int,
) -> None:
    taught = {one: deeds(*what) for one, what in past.items()}

    decision, asked = decide(known(taught), *lines, offered=offered, healed_times=times)

    if asked:
        assert decision == ASKED
        return
    assert any(
        one.action == decision.action
        and one.values.keys() == decision.parameters.keys()
        and all(decision.parameters[name] in values for name, values in one.values.items())
        for one in offered
    )
    for line in lines:
        what, ends = past[line]
        assert what == (decision.action, decision.parameters)
        assert ends.startswith("+" * times)
