"""The closed shape that a model must answer in, and the check that it did.

The schema is sent along, and believed by nobody: every reply is checked here again against what was offered.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain.actions import ESCALATE, NONE, Candidate, Decision
from orchestrator.domain.strict import unique_keys
from orchestrator.errors import BadReply

#: Characters. A whole answer fits twenty times into this.
REPLY_MAX = 8192
#: Characters of the reason that are kept and shown.
REASON_MAX = 500
#: Values offered of one parameter: services refuse schemas with too many enum values.
OFFERED_MAX = 16
_NOTHING = (ESCALATE, NONE)


class _Choice(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    action: str = Field(max_length=100)
    parameters: dict[str, str] = Field(default_factory=dict, max_length=20)


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    reason: str = Field(min_length=1)
    choice: _Choice
    confidence: float = Field(ge=0, le=1)


def response_schema(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Gemini's `responseSchema`: one branch a candidate, closed by enums; only the reason is free text.

    The reason comes first on purpose: fields are written in order, so the choice follows from it.
    """
    branches = [_branch(candidate) for candidate in candidates if candidate.action not in _NOTHING]
    branches.append(
        {
            "type": "OBJECT",
            "properties": {"action": {"type": "STRING", "format": "enum", "enum": list(_NOTHING)}},
            "required": ["action"],
        }
    )
    order = ["reason", "choice", "confidence"]
    return {
        "type": "OBJECT",
        "properties": {
            "reason": {
                "type": "STRING",
                "maxLength": REASON_MAX,
                "description": "One or two short sentences: what is wrong, and why this choice.",
            },
            "choice": {"anyOf": branches},
            "confidence": {"type": "NUMBER", "minimum": 0, "maximum": 1},
        },
        "required": order,
        "propertyOrdering": order,
    }


def _branch(candidate: Candidate) -> dict[str, Any]:
    branch: dict[str, Any] = {
        "type": "OBJECT",
        "properties": {"action": {"type": "STRING", "format": "enum", "enum": [candidate.action]}},
        "required": ["action"],
        "propertyOrdering": ["action"],
    }
    # An object without properties is refused by the service, so an action without parameters has none.
    if candidate.values:
        branch["properties"]["parameters"] = {
            "type": "OBJECT",
            "properties": {
                name: {"type": "STRING", "format": "enum", "enum": list(values)}
                for name, values in candidate.values.items()
            },
            "required": list(candidate.values),
        }
        branch["required"] = branch["propertyOrdering"] = ["action", "parameters"]
    return branch


def read_reply(text: str, candidates: Sequence[Candidate], *, chooser: str, shown_digest: str) -> Decision:
    """The decision that a reply states. Raises BadReply for anything but one offered choice."""
    reply = _parse(text)
    action, parameters = reply.choice.action, reply.choice.parameters
    if action in _NOTHING:
        if parameters:
            raise BadReply(f"The model chose {action} and gave parameters for it. A person must look.")
    else:
        _offered(action, parameters, [c for c in candidates if c.action == action])
    reason = _shown(reply.reason)
    if not reason:
        raise BadReply("The model gave a reason that has nothing to read. A person must look.")
    return Decision(
        action=action,
        parameters=dict(parameters),
        reason=reason,
        chooser=chooser,
        shown_digest=shown_digest,
        confidence=reply.confidence,
    )


def _parse(text: str) -> _Reply:
    if len(text) > REPLY_MAX:
        raise BadReply(f"The model's reply has {len(text)} characters, more than {REPLY_MAX}. A person must look.")
    try:
        found = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_no_constant, parse_int=_short_number)
        return _Reply.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadReply(
            f"The model's reply is not in the agreed shape ({_shown(where)[:80]}: {first['msg']}). A person must look."
        ) from None
    # RecursionError: thousands of brackets, one in the other.
    except (ValueError, RecursionError) as error:
        raise BadReply(f"The model's reply is no JSON object ({str(error)[:120]}). A person must look.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _short_number(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _offered(action: str, parameters: Mapping[str, str], candidates: Sequence[Candidate]) -> None:
    if not candidates:
        raise BadReply(f"The model chose {_shown(action)[:80]!r}, which was not offered. A person must look.")
    for candidate in candidates:
        if parameters.keys() == candidate.values.keys() and all(
            value in candidate.values[name] for name, value in parameters.items()
        ):
            return
    raise BadReply(
        f"The model chose {action} with parameters that were not offered "
        f"({_shown(json.dumps(dict(parameters)))[:160]}). A person must look."
    )


def _shown(text: str) -> str:
    """One bounded line that can't move a terminal's cursor or turn text around: it is the model's own words."""
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * REASON_MAX])
    return " ".join(plain.split())[:REASON_MAX]
