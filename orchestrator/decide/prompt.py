"""What a model is shown: the actions that it may pick from, and redacted, fenced, bounded evidence."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.decide.addresses import StandIns
from orchestrator.decide.redact import REDACTED, inside_keys, redact
from orchestrator.decide.relevance import by_relevance
from orchestrator.decide.reply import OFFERED_MAX, REASON_MAX, response_schema
from orchestrator.decide.wording import PROMPT, wording
from orchestrator.domain.actions import ESCALATE, NONE, Action, Candidate, Decision
from orchestrator.domain.exchanges import digest
from orchestrator.domain.records import LogRecord
from orchestrator.ports import Case

#: Candidates that a model is offered: with more it chooses worse, and services refuse larger schemas.
CANDIDATES_MAX = 30
#: Evidence that leaves: records, characters of one message, characters of all of it.
RECORDS_MAX = 20
MESSAGE_MAX = 1000
EVIDENCE_MAX = 8192
#: Tokens of a whole question, as `tokens` counts them, where the settings say nothing else.
TOKENS_MAX = 32_000
#: The share of them that the candidates may take; the rest is for the evidence.
_OFFER_SHARE = 2 / 3
_LETTERS = string.ascii_letters.encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Everything that the model is shown."""

    version: str
    system: str
    text: str
    schema: dict[str, Any]
    #: What can be chosen of what was offered, after redaction and bounds, in the words of the text.
    candidates: tuple[Candidate, ...]
    stand_ins: StandIns = field(default_factory=StandIns)
    #: Offered values as they are shown -> as they are.
    hidden: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> str:
        """Instruction, text and schema as canonical JSON."""
        return json.dumps({"schema": self.schema, "system": self.system, "text": self.text}, sort_keys=True)

    @property
    def digest(self) -> str:
        """SHA-256 over `whole`."""
        return digest(self.whole)

    def restored(self, decision: Decision) -> Decision:
        """The decision in the host's own words: with addresses instead of their stand-ins."""
        return replace(
            decision,
            parameters={name: self.hidden.get(value, value) for name, value in decision.parameters.items()},
            reason=self.stand_ins.restore(decision.reason)[:REASON_MAX],
        )


def tokens(text: str) -> int:
    """Tokens that a text takes at most: two letters, or one of any other byte, a token.

    Tokenizers take three or four letters of a word together, but hardly more than two of a random name, and digits
    and punctuation one by one. So this says more than the service counts, never less.
    """
    raw = text.encode("utf-8", "replace")
    letters = len(raw) - len(raw.translate(None, _LETTERS))
    return len(raw) - letters // 2


def show(
    case: Case,
    *,
    mark: str | None = None,
    tokens_max: int = TOKENS_MAX,
    hide_addresses: bool = False,
    prompt: Path = PROMPT,
) -> Shown:
    """What the model is shown of a case. `mark` is the random fence; tests give one.

    At most CANDIDATES_MAX candidates, the most relevant ones, and the newest records, as far as both fit into
    `tokens_max`. The host's name stays here: the model needs it for nothing.
    """
    words, stand_ins, hidden = wording(prompt), StandIns(), dict[str, str]()
    hide: Callable[[str], str] = stand_ins.hide if hide_addresses else str
    actions = {action.id: action for action in case.actions}
    unit = json.dumps(hide(redact(case.unit))[:256]) if case.unit else "not known"

    def question(offered: Sequence[Candidate], lines: Sequence[str]) -> str:
        return words.question.substitute(
            actions="\n".join(line for one in offered for line in _described(one, actions.get(one.action))),
            unit=unit,
            mark=fence,
            evidence="\n".join(lines),
        )

    def taken(offered: Sequence[Candidate]) -> int:
        return tokens(question(offered, ())) + tokens(json.dumps(response_schema(offered)))

    fence = mark or secrets.token_hex(16)
    room = tokens_max - tokens(words.system)
    presentable = [_presentable(one, hide, hidden) for one in case.candidates]
    sensible = [one for one in presentable if one.action not in (ESCALATE, NONE) and all(one.values.values())]
    least = taken(())
    offered: tuple[Candidate, ...] = ()
    for one in by_relevance(sensible, case.actions, case.records):
        if len(offered) < CANDIDATES_MAX and taken((*offered, one)) - least <= (room - least) * _OFFER_SHARE:
            offered = (*offered, one)
    # In the catalogue's order, whatever the lines say: no stranger decides what stands first.
    kept = {id(one) for one in offered}
    offered = tuple(one for one in sensible if id(one) in kept)
    return Shown(
        version=words.version,
        system=words.system,
        text=question(offered, evidence(case.records, hide=hide, tokens_max=room - taken(offered))),
        schema=response_schema(offered),
        candidates=offered,
        stand_ins=stand_ins,
        hidden=hidden,
    )


def evidence(
    records: Sequence[LogRecord], *, hide: Callable[[str], str] = str, tokens_max: int = TOKENS_MAX
) -> list[str]:
    """The newest records that fit, oldest first, each as one line of ASCII JSON.

    JSON escapes line ends, quotes and every character that is not ASCII, so no record can end its line, and
    what is invisible (bidirectional marks, tag characters) is shown as an escape. The newest one is cut shorter where
    it does not fit whole.
    """
    newest = records[-RECORDS_MAX:]
    hidden = list(inside_keys(record.message for record in newest))
    lines: list[str] = []
    room, left = EVIDENCE_MAX, tokens_max
    for record, within_key in zip(reversed(newest), reversed(hidden), strict=True):
        # Redacted before it is cut: half of a secret has no shape any more.
        message = (REDACTED if within_key else hide(redact(record.message)))[:MESSAGE_MAX]
        line = _line(record, hide, message)
        while not lines and message and tokens(line) + 1 > left:
            message = message[: len(message) // 2]
            line = _line(record, hide, message)
        room -= len(line) + 1
        left -= tokens(line) + 1
        if room < 0 or left < 0:
            break
        lines.append(line)
    return lines[::-1]


def _line(record: LogRecord, hide: Callable[[str], str], message: str) -> str:
    shown = {
        "time": record.time.isoformat(timespec="seconds"),
        "unit": hide(redact(record.unit))[:256],
        "priority": record.priority,
        "message": message,
    }
    return json.dumps(shown, ensure_ascii=True)


def _presentable(candidate: Candidate, hide: Callable[[str], str], hidden: dict[str, str]) -> Candidate:
    """The candidate without values that look like a secret, and with few enough to choose from.

    `hidden` learns what the shown values stand for; a value that would read like another one is left out.
    """
    values = {}
    for name, given in candidate.values.items():
        shown: dict[str, None] = {}
        for value in given:
            written = hide(value)
            if value and redact(value) == value and hidden.setdefault(written, value) == value:
                shown.setdefault(written)
        values[name] = tuple(shown)[:OFFERED_MAX]
    return Candidate(action=candidate.action, values=values)


def _described(candidate: Candidate, action: Action | None) -> list[str]:
    lines = [f"- {candidate.action}: {action.title if action else 'no description'}"]
    if action:
        lines += [
            f"  when: {_flat(action.when)}",
            f"  never when: {_flat(action.not_when)}",
            f"  risk: {action.risk}; {'can' if action.reversible else 'can not'} be undone",
        ]
    texts = {p.name: p.description for p in action.parameters} if action else {}
    for name, values in candidate.values.items():
        lines.append(f"  {name} ({_flat(texts.get(name, ''))}): one of {json.dumps(list(values))}")
    return lines


def _flat(text: str) -> str:
    return " ".join(text.split())
