"""`healer backtest`: what would be decided otherwise, by labelled lines or by what is on record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestrator import app as wiring
from orchestrator.backtest.score import Answered, Figure, Grade
from orchestrator.cli import output
from orchestrator.domain.actions import Decision
from orchestrator.domain.verdicts import Verdict
from orchestrator.errors import ConfigError
from orchestrator.settings import Settings

_SPAN = re.compile(r"([1-9]\d{0,4})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 168}


def backtest(  # noqa: PLR0913  # each is an option that a person types
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Labelled cases, one JSON object a line.")] = None,
    since: Annotated[str, typer.Option(help="Recorded incidents of so long: 12h, 30d, 8w.")] = "",
    chooser: Annotated[
        Literal["embedded", "gemini"] | None, typer.Option(help="Who decides now. Default: as `healer serve` would.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model of the Gemini chooser.")] = "",
    prompt: Annotated[Path | None, typer.Option(help="Other fixed words for the Gemini chooser.")] = None,
    playbooks: Annotated[Path | None, typer.Option(help="Another catalogue's playbooks.")] = None,
    roles: Annotated[Path | None, typer.Option(help="Another catalogue's roles.")] = None,
    inventory: Annotated[Path | None, typer.Option(help="Another policy: an inventory to judge by.")] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Also without what speaks of one case alone (embedded chooser).")
    ] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="Each case that was not answered right.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Incidents that stay as they were, too.")] = False,
    as_json: output.Json = False,
) -> None:
    """Try another model, catalogue or policy on what is known, without touching a host: FILE, or --since.

    FILE prints by class what was right, acceptable, wrong, harmful, and the figures that count with their 95 %
    intervals. --since replays recorded incidents and shows each decision that would differ.
    """
    if (file is None) == (not since):
        raise ConfigError("Give a FILE of labelled cases, or --since with a span such as 30d: one of the two.")
    loaded = wiring.settings(context.obj)
    loaded = replace(
        loaded,
        gemini_model=model or loaded.gemini_model,
        gemini_api_key=None if chooser == "embedded" else loaded.gemini_api_key,
        playbooks_dir=(playbooks or loaded.playbooks_dir).absolute(),
        roles_dir=(roles or loaded.roles_dir).absolute(),
        inventory=(inventory or loaded.inventory).absolute(),
    )
    if (chooser == "gemini" or model or prompt) and loaded.gemini_api_key is None:
        raise ConfigError("The Gemini chooser needs a key: set GEMINI_API_KEY in the environment.")
    if cross_validate and loaded.gemini_api_key is not None:
        raise ConfigError("--cross-validate is about the embedded chooser's expressions. Add --chooser embedded.")
    if file is not None:
        _cases(loaded, file, prompt, cross_validate=cross_validate, wrong=wrong, as_json=as_json)
    else:
        _records(loaded, _span(since), prompt, everything=everything, as_json=as_json)


def _span(given: str) -> timedelta:
    found = _SPAN.fullmatch(given)
    if found is None:
        raise ConfigError(f"--since: {given[:40]!r} is no span. Accepted are hours, days and weeks: 12h, 30d, 8w.")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _cases(
    loaded: Settings, file: Path, prompt: Path | None, *, cross_validate: bool, wrong: bool, as_json: bool
) -> None:
    from orchestrator.backtest import score

    plain, crossed = wiring.trial(loaded, file, cross_validate=cross_validate, prompt=prompt)
    classes, right, again = score.by_class(plain), score.right_by_class(plain), score.right_by_class(crossed)
    if as_json:
        return output.print_json(
            {
                "classes": {name: dict(grades) for name, grades in classes.items()},
                "by_class": [
                    {
                        "class": name,
                        "right": _figure(one),
                        "cross_validated": _figure(again[name]) if crossed else None,
                    }
                    for name, one in right.items()
                ],
                "figures": [_figure(one) for one in score.figures(plain)],
                "cross_validated": [_figure(one) for one in score.figures(crossed)] if crossed else None,
                "milliseconds": score.milliseconds(plain),
                "wrong": [_miss(one) for one in plain if one.grade is not Grade.RIGHT],
            }
        )
    if wrong:
        for one in plain:
            if one.grade is not Grade.RIGHT:
                output.say(
                    f"{one.grade:<10} {one.case.id}: {one.case.unit}: {one.case.message[:160]}\n{'':10} wanted "
                    f"{one.case.label.action} {dict(one.case.label.params) or ''}; got {one.action} "
                    f"{dict(one.params) or ''}: {one.reason}"
                )
    others = [grade for grade in Grade if grade is not Grade.RIGHT]
    output.table(
        ("class", "cases", "right", "95 %", *others, *(("cross-validated", "95 %") if crossed else ())),
        (
            (
                output.text(name),
                str(right[name].total),
                *_shown(right[name]),
                *(str(grades[grade]) for grade in others),
                *(_shown(again[name]) if crossed else ()),
            )
            for name, grades in classes.items()
        ),
        "",
    )
    output.table(
        ("figure", "plain", "95 %", *(("cross-validated", "95 %") if crossed else ())),
        (
            (one.name, *_shown(one), *(_shown(other) if crossed else ()))
            for one, other in zip(score.figures(plain), score.figures(crossed or plain), strict=True)
        ),
        "",
    )
    output.say(f"{score.milliseconds(plain):.2f} ms a line")


def _shown(one: Figure) -> tuple[str, str]:
    if not one.total:
        return "0 of 0", ""
    low, high = one.interval
    return f"{one.hits} of {one.total} ({one.percent:.1f} %)", f"{low:.1f} to {high:.1f}"


def _figure(one: Figure) -> dict[str, Any]:
    return {"name": one.name, "hits": one.hits, "total": one.total, "percent": one.percent, "interval": one.interval}


def _miss(one: Answered) -> dict[str, Any]:
    wanted = {"action": one.case.label.action, "params": dict(one.case.label.params)}
    got = {"action": one.action, "params": dict(one.params), "reason": one.reason}
    return {"id": one.case.id, "grade": one.grade, "wanted": wanted, "got": got}


def _records(loaded: Settings, span: timedelta, prompt: Path | None, *, everything: bool, as_json: bool) -> None:
    from orchestrator.backtest.replay import Change, Difference, counted

    found: Sequence[Difference] = wiring.replayed(loaded, datetime.now(UTC) - span, prompt)
    if not found:
        raise ConfigError("No incident was decided in that time: there is nothing to replay. Take a longer --since.")
    shown = [one for one in found if everything or one.change is not Change.SAME]
    summary = counted(found)
    if as_json:
        counts = {change.value: {"incidents": n, "healed": healed} for change, (n, healed) in summary.items()}
        return output.print_json(
            {"incidents": len(found), "changes": counts, "decisions": [_plain(one) for one in shown]}
        )
    output.table(
        ("incident", "host", "change", "was", "ended", "would be", "line"),
        (
            (
                one.incident.id,
                output.text(one.incident.host),
                one.change.value,
                output.text(_decided(one.was, one.was_verdict)),
                output.state(one.incident.state),
                output.text(_decided(one.now, one.now_verdict)),
                output.text(one.line, 80),
            )
            for one in shown
        ),
        "Nothing would differ.",
    )
    for change, (number, healed) in summary.items():
        if number:
            output.say(
                f"{change.value:<18} {number:>6} of {len(found)}; what was done then had healed {healed} of them"
            )


def _decided(decision: Decision, verdict: Verdict | None) -> str:
    values = " ".join(f"{name}={value}" for name, value in decision.parameters.items())
    return " ".join(filter(None, (decision.action, values, f"({verdict.outcome})" if verdict else "")))


def _plain(one: Any) -> dict[str, Any]:
    return {
        "incident": one.incident.id,
        "host": one.incident.host,
        "line": one.line,
        "ended": one.incident.state,
        "change": one.change,
        "was": {"decision": one.was, "verdict": one.was_verdict},
        "would_be": {"decision": one.now, "verdict": one.now_verdict},
    }
