"""`healer memory`: what was learned is shown, a person's word is taken, and what can't be is a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.detect.signature import signature
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState
from orchestrator.errors import ConfigError
from orchestrator.record.store import SqlStore
from tests.support.past import healing
from tests.support.typed import typed

LINE = "nginx.service: Failed with result 'signal'."
SIGNATURE, _ = signature("nginx.service", LINE)


def healed(store: SqlStore, end: IncidentState = IncidentState.HEALED, **other: Any) -> IncidentId:
    return healing(store, opened_by=SIGNATURE, shown=(SIGNATURE,), message=LINE, end=end, **other)


def rows(config: str) -> list[dict[str, Any]]:
    return list(json.loads(typed(config, "memory", "list", "--json")))


def explained(config: str) -> dict[str, Any]:
    line = json.dumps({"unit": "nginx.service", "message": LINE, "priority": 3})
    answer = json.loads(typed(config, "explain", "--jsonl", stdin=line))
    return dict(answer["decision"])


def test_a_memory_without_anything_says_so(config: str) -> None:
    assert "Memory knows nothing yet" in typed(config, "memory", "list")


@pytest.mark.parametrize(
    ("ends", "standing", "healed_in_a_row"), [("+", "learning", 1), ("+++", "proven", 3), ("++-", "forgotten", 0)]
)
def test_what_was_learned_is_listed_with_its_counts(
    config: str, store: SqlStore, ends: str, standing: str, healed_in_a_row: int
) -> None:
    for end in ends:
        healed(store, IncidentState.HEALED if end == "+" else IncidentState.ESCALATED)

    (row,) = rows(config)

    assert (row["standing"], row["healed"], row["done"]) == (standing, healed_in_a_row, len(ends))
    assert (row["action"], row["parameters"], row["last_chosen"]) == ("restart_service", {"service": "nginx"}, None)
    assert row["template"] == f"template {SIGNATURE}"
    assert f"{healed_in_a_row} in a row, done {len(ends)} times" in typed(config, "memory", "list")


def test_what_healed_three_times_is_explained_as_chosen_from_memory(config: str, store: SqlStore) -> None:
    for _ in range(2):
        healed(store)
    assert explained(config)["chooser"] == "embedded"

    last = healed(store)

    decision = explained(config)
    assert (decision["action"], decision["params"], decision["chooser"]) == (
        "restart_service",
        {"service": "nginx"},
        "memory",
    )
    assert decision["reason"] == f"chosen from memory: 3 of 3 healed, the last one on web1 ({last})"


def test_explaining_makes_no_store(config: str) -> None:
    assert explained(config)["chooser"] == "embedded"

    assert not (Path(config).parent / "state").exists()


def test_a_pin_names_who_and_why_is_changed_and_released(config: str, store: SqlStore) -> None:
    incident = healed(store)

    typed(config, "memory", "pin", incident, "--reason", "we know it")
    pinned = explained(config)
    typed(
        config,
        "memory",
        "pin",
        SIGNATURE,
        "--action",
        "restart_service",
        "--parameter",
        "service=redis.service",
        "--reason",
        "moved",
    )
    word = store.precedents(SIGNATURE).word
    typed(config, "memory", "release", SIGNATURE[:6], "--reason", "over")

    assert pinned["chooser"] == "memory"
    assert "(we know it): 1 of 1 healed" in pinned["reason"]
    assert word is not None
    assert (word.action, word.parameters, word.reason) == ("restart_service", {"service": "redis"}, "moved")
    assert word.actor.startswith("cli:")
    assert store.precedents(SIGNATURE).word is None
    said = [event for event in store.events() if event.kind.startswith("memory.")]
    assert [event.kind for event in said] == ["memory.pinned", "memory.pinned", "memory.released"]
    assert {event.actor for event in said} == {word.actor}


def test_editing_what_two_lines_taught_says_that_the_other_one_speaks_otherwise(config: str, store: SqlStore) -> None:
    other = Signature("e" * 16)
    for _ in range(3):
        healing(store, opened_by=SIGNATURE, shown=(SIGNATURE, other), message=LINE)
    edit = ("--action", "reload_config", "--parameter", "service=nginx", "--reason", "that is enough")

    said = typed(config, "memory", "pin", SIGNATURE, *edit)
    shown = typed(config, "memory", "show", SIGNATURE)
    listed = json.loads(typed(config, "memory", "show", SIGNATURE, "--json"))

    asks = (
        f"{other} speaks for restart_service service=nginx: where both lines are in sight the chooser is asked. "
        "Pin it too where this is to hold then."
    )
    assert asks in said
    assert asks in shown
    assert listed["otherwise"] == [other]
    assert "speaks for" not in typed(config, "memory", "pin", other, *edit)
    assert "speaks for" not in typed(config, "memory", "show", SIGNATURE)
    typed(config, "memory", "release", SIGNATURE, "--reason", "over")
    assert "speaks for" not in typed(config, "memory", "show", SIGNATURE)


def test_what_is_forbidden_is_escalated_and_shown(config: str, store: SqlStore) -> None:
    for _ in range(3):
        healed(store)

    typed(config, "memory", "forbid", SIGNATURE, "--action", "restart_service", "--reason", "it hides a leak")

    decision, (row,) = explained(config), rows(config)
    assert (decision["action"], row["standing"]) == ("escalate", "forbidden")
    assert decision["reason"].endswith("forbade for this error: it hides a leak")
    shown = typed(config, "memory", "show", SIGNATURE)
    assert "forbidden by cli:" in shown
    assert shown.count("restart_service service=nginx: healed, chosen by embedded") == 3


def test_a_ban_of_something_that_was_never_done_is_listed_too(config: str, store: SqlStore) -> None:
    healed(store)
    typed(config, "memory", "forbid", SIGNATURE, "--action", "clear_cache", "--reason", "so")

    assert [(row["action"], row["standing"]) for row in rows(config)] == [
        ("clear_cache", "forbidden"),
        ("restart_service", "learning"),
    ]
    typed(config, "memory", "forbid", SIGNATURE, "--reason", "so")
    assert [(row["action"], row["standing"]) for row in rows(config)] == [("restart_service", "forbidden")]


def test_what_memory_chose_last_is_told(config: str, store: SqlStore) -> None:
    healed(store, chooser="memory")
    healed(store)

    (row,) = rows(config)

    deeds = store.precedents(SIGNATURE).deeds
    assert [row["last"], row["last_chosen"]] == [deed.at.isoformat() for deed in deeds]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["pin", "beef", "--reason", "x"],
            "No incident has had the signature 'beef'. Give one that `healer memory list`",
        ),
        (["show", "beef"], "No incident has had the signature"),
        (["show", ""], "No incident has had the signature"),
        (["release", "{known}", "--reason", "x"], "Nobody has pinned or forbidden anything"),
        (["pin", "inc-none", "--reason", "x"], "There is no incident inc-none"),
        (["pin", "{known}", "--reason", " "], "--reason is required"),
        (["forbid", "{known}", "--reason", ""], "--reason is required"),
        (["release", "{known}", "--reason", ""], "--reason is required"),
        (
            ["forbid", "{known}", "--action", "reboot", "--reason", "x"],
            "The whitelist has: clear_cache, fix_permissions",
        ),
        (["pin", "{known}", "--action", "restart_servce", "--reason", "x"], "Did you mean restart_service?"),
        (
            ["pin", "{known}", "--action", "restart_service", "--reason", "x"],
            "needs the parameter service. It takes: service (unit)",
        ),
        (
            ["pin", "{known}", "--action", "restart_service", "--parameter", "servce=x", "--reason", "x"],
            "takes no parameter 'servce'. It takes: service (unit)",
        ),
        (
            ["pin", "{known}", "--action", "restart_service", "--parameter", "service", "--reason", "x"],
            "takes NAME=VALUE, got 'service'",
        ),
        (
            ["pin", "{known}", "--action", "restart_service", "--parameter", "service=a b", "--reason", "x"],
            "takes the name of a service",
        ),
        (
            ["pin", "{known}", "--action", "fix_permissions", "--parameter", "path=/opt/../etc/x", "--reason", "x"],
            "takes a plain absolute path",
        ),
        (["pin", "{known}", "--action", "clear_cache", "--parameter", "a=1", "--reason", "x"], "It takes: none"),
        (["pin", "{known}", "--parameter", "service=x", "--reason", "x"], "says nothing without an action"),
        (["pin", "{known}", "--reason", "x"], "memory has learned nothing: say which action"),
    ],
)
def test_what_can_t_be_is_one_sentence_and_nothing_is_written(
    config: str, store: SqlStore, arguments: list[str], words: str
) -> None:
    healed(store, IncidentState.ESCALATED)
    before = store.newest()

    with pytest.raises(ConfigError) as error:
        typed(config, "memory", *[one.replace("{known}", SIGNATURE) for one in arguments])

    assert words in str(error.value)
    assert store.newest() == before


def test_the_words_of_a_line_that_never_came_first_are_found_in_the_evidence(config: str, store: SqlStore) -> None:
    first, _ = signature("nginx.service", "another line")
    healing(store, opened_by=first, shown=(first, SIGNATURE), message=LINE)

    words = {row["signature"]: row["template"] for row in rows(config)}

    assert words[SIGNATURE] == LINE
