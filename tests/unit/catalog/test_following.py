"""What may follow an action: a table of those that could never be carried out, with the sentence for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.catalog.following import check
from orchestrator.domain.actions import Action, FollowUp, Parameter, ParameterSource, Risk
from orchestrator.errors import CatalogError

UNIT, PATH = ParameterSource.UNIT, ParameterSource.PATH


def action(
    name: str, follows: str = "", *required: ParameterSource, optional: tuple[ParameterSource, ...] = ()
) -> Action:
    sources = [*((one, True) for one in required), *((one, False) for one in optional)]
    return Action(
        id=name,
        title="",
        when="",
        not_when="",
        risk=Risk.LOW,
        reversible=False,
        task_timeout=1,
        run_timeout=1,
        settle_seconds=0,
        hold_seconds=0,
        parameters=tuple(
            Parameter(name=f"p{number}", type="str", required=needed, description="", source=source)
            for number, (source, needed) in enumerate(sources)
        ),
        follow_up=FollowUp(action=follows, when="it died of it") if follows else None,
        folder=Path("playbooks") / name,
    )


def checked(*actions: Action) -> None:
    check({one.id: one for one in actions})


@pytest.mark.parametrize(
    "actions",
    [
        [],
        [action("free")],
        [action("free", "restart"), action("restart", "", UNIT)],
        [action("free", "restart"), action("restart", "", UNIT, optional=(PATH,))],
        [action("free", "restart"), action("mend", "restart"), action("restart", "", UNIT)],
        [action("a", "b"), action("b", "c", UNIT), action("c", "", UNIT)],
    ],
)
def test_what_can_be_carried_out_is_taken(actions: list[Action]) -> None:
    checked(*actions)


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        (
            [action("free", "restrat"), action("restart", "", UNIT)],
            r"free/action\.yml: follow_up\.action is 'restrat', which is no action \(did you mean restart\?\)",
        ),
        (
            [action("free", "clear"), action("clear")],
            r"follow_up\.action is clear, which must be given nothing; only an action",
        ),
        ([action("free", "mend"), action("mend", "", PATH)], r"is mend, which must be given p0 \(path\); only"),
        ([action("free", "two"), action("two", "", UNIT, UNIT)], r"must be given p0 \(unit\), p1 \(unit\); only"),
        ([action("free", "two"), action("two", "", UNIT, PATH)], r"must be given p0 \(unit\), p1 \(path\); only"),
        ([action("free", "rest"), action("rest", optional=(UNIT,))], r"must be given nothing"),
        ([action("a", "a", UNIT)], r"playbooks/a/action\.yml: follow_up\.action goes in a circle \(a -> a\)"),
        ([action("a", "b", UNIT), action("b", "a", UNIT)], r"goes in a circle \(a -> b -> a\); a healing must end"),
        ([action("x", "a"), action("a", "b", UNIT), action("b", "a", UNIT)], r"goes in a circle"),
        (
            [action("a", "b"), action("b", "c", UNIT), action("c", "d", UNIT), action("d", "", UNIT)],
            r"a/action\.yml: follow_up\.action makes a healing of 4 steps \(a -> b -> c -> d\); 3 are the most",
        ),
    ],
)
def test_what_could_not_be_is_one_sentence(actions: list[Action], sentence: str) -> None:
    with pytest.raises(CatalogError, match=sentence):
        checked(*actions)
