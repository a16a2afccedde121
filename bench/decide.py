"""Score the embedded chooser on labelled log lines: `python bench/decide.py FILE.jsonl [--show] [--half A|B]`.

Each line of the file: id, class, unit, message, priority, label {action, params}, acceptable, must_not (lists of
the same form; empty params mean any), and optionally params_alt (other right parameters). Right is the label or
its alternatives, harmful is anything of must_not. Halves are by hash of the id: tune on A, report B.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator import catalog as catalogue
from orchestrator.catalog import Catalog
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.domain.actions import ESCALATE, NONE
from orchestrator.explain import explain

ROOT = Path(__file__).resolve().parent.parent


def half(case: dict[str, Any]) -> str:
    """A or B, by the id alone."""
    return "AB"[hashlib.sha256(str(case["id"]).encode()).digest()[0] % 2]


def fits(decision: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a decision is the wanted one; empty params in the wanted one mean any."""
    return decision["action"] == wanted["action"] and (not wanted["params"] or decision["params"] == wanted["params"])


def grade(decision: dict[str, Any], case: dict[str, Any]) -> str:
    """right, acceptable, harmful or wrong."""
    label = case["label"]
    ways = [label["params"], *case.get("params_alt", [])]
    if decision["action"] == label["action"] and (decision["params"] in ways or not label["params"]):
        return "right"
    if any(fits(decision, one) for one in case["must_not"]):
        return "harmful"
    return "acceptable" if any(fits(decision, one) for one in case["acceptable"]) else "wrong"


def decide(cases: list[dict[str, Any]], actions: Catalog) -> list[dict[str, Any]]:
    """The embedded chooser's decision of each case, through explain as the command line does it."""
    lines = (json.dumps({key: case[key] for key in ("unit", "message", "priority")}) for case in cases)
    answers = explain(lines, catalog=actions, chooser=EmbeddedChooser(), fleet=None, now=datetime.now(UTC))
    return [answer["decision"] for answer in answers]


def table(graded: list[tuple[dict[str, Any], dict[str, Any], str]], ours: set[str]) -> None:
    """A row a class, then the figures that count."""
    grades = ("right", "acceptable", "wrong", "harmful")
    print(f"{'class':16} {'n':>4} " + " ".join(f"{name:>10}" for name in grades) + f" {'acted':>6}")
    classes = sorted({str(case["class"]) for case, _, _ in graded})
    for name in [*classes, "all"]:
        rows = [row for row in graded if name in ("all", row[0]["class"])]
        counts = Counter(row[2] for row in rows)
        acted = sum(row[1]["action"] not in (ESCALATE, NONE) for row in rows)
        print(f"{name:16} {len(rows):4} " + " ".join(f"{counts[one]:10}" for one in grades) + f" {acted:6}")
    with_action = [row for row in graded if row[0]["label"]["action"] in ours]
    without = [row for row in graded if row[0]["label"]["action"] in (ESCALATE, NONE)]
    acted_rows = [row for row in graded if row[1]["action"] not in (ESCALATE, NONE)]
    share("an action of the whitelist is right: it was chosen", with_action, lambda row: row[2] == "right")
    share("the same: label or acceptable", with_action, lambda row: row[2] in ("right", "acceptable"))
    share("no action helps: none was taken", without, lambda row: row[1]["action"] in (ESCALATE, NONE))
    share("escalate and none told apart", without, lambda row: row[2] == "right")
    share("it acted: right or acceptable", acted_rows, lambda row: row[2] in ("right", "acceptable"))
    share("harmful", graded, lambda row: row[2] == "harmful")


def share(what: str, rows: list[Any], holds: Any) -> None:
    """One line: count, total, percent."""
    hits = sum(bool(holds(row)) for row in rows)
    percent = f"{100 * hits / len(rows):.1f} %" if rows else "-"
    print(f"{what:55} {hits:4} of {len(rows):4}  {percent}")


def main() -> None:
    """Read, decide, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--half", choices=["A", "B"])
    parser.add_argument("--show", action="store_true", help="print what was not right")
    arguments = parser.parse_args()
    cases = [json.loads(line) for file in arguments.files for line in file.read_text().splitlines() if line.strip()]
    cases = [case for case in cases if arguments.half in (None, half(case))]
    actions = catalogue.load(ROOT / "playbooks", ROOT / "roles")
    decisions = decide(cases, actions)
    graded = [(case, decision, grade(decision, case)) for case, decision in zip(cases, decisions, strict=True)]
    if arguments.show:
        for case, decision, result in graded:
            if result != "right":
                print(f"{result:10} {case['class']:14} {case['unit'][:24]:24} {case['message'][:150]}")
                print(
                    f"{'':10} wanted {case['label']['action']} {case['label']['params'] or ''}; got "
                    f"{decision['action']} {decision['params'] or ''}: {decision['reason'][:110]}"
                )
    table(graded, set(actions.actions))


if __name__ == "__main__":
    main()
