"""A model that answers anything: right, nearly right, wrong in every way that a reader of JSON may trip over.

By a seed, so that each reply can be had again. `KINDS` names the ways; each is drawn as often as the others.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from orchestrator.domain.actions import ESCALATE, NONE, Candidate
from tests.support.bad_values import NO_NAMES, NO_PATHS
from tests.support.gemini_server import Reply, envelope, failure, whole

#: Names of what nobody offered: other actions, other units and files, other hosts, commands.
ACTIONS = ("shell", "format_disk", "reboot", "restart_services", "", "escalate ", "None", "run_playbook", "command")
VALUES = (
    *(
        "ssh.service",
        "sshd",
        "dbus.service",
        "systemd-logind",
        "/etc/shadow",
        "/var/git/.ssh/authorized_keys",
        "*",
        "all",
    ),
    *("web2:nginx", "nginx@web2", "web2", "localhost", "{{ lookup('pipe', 'id') }}", "!unsafe nginx", "@/etc/passwd"),
)
EXTRA = (
    "approved",
    "host",
    "hosts",
    "limit",
    "become",
    "command",
    "mode",
    "confirm",
    "extra_vars",
    "__proto__",
    "action2",
)
JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    {"a": 1},
    ["none"],
    [None],
    "\x00",
    10**30,
)


class HostileModel:
    """Draws replies for what was offered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311  # no secret: the same replies each time

    def replies(self, candidates: Sequence[Candidate], number: int) -> Iterator[tuple[str, str]]:
        """So many pairs of a kind and a text."""
        for _ in range(number):
            kind = self.random.choice(list(KINDS))
            yield kind, KINDS[kind](self, candidates)

    def behaviour(self, candidates: Sequence[Candidate]) -> tuple[str, Reply]:
        """A whole HTTP answer; three of four are well formed around whatever the text is."""
        ((kind, text),) = self.replies(candidates, 1)
        if self.random.random() < 0.75:
            return kind, envelope(text)
        return self.random.choice(_ENVELOPES)(self, text)

    # what is right ----------------------------------------------------------------------------------

    def choice(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """Any choice that was offered."""
        usable = [one for one in candidates if all(one.values.values())]
        if not usable or self.random.random() < 0.1:
            return {"action": self.random.choice((ESCALATE, NONE))}
        one = self.random.choice(usable)
        chosen: dict[str, Any] = {"action": one.action}
        if one.values or self.random.random() < 0.5:
            chosen["parameters"] = {name: self.random.choice(values) for name, values in one.values.items()}
        return chosen

    def reply(self, candidates: Sequence[Candidate], **other: Any) -> dict[str, Any]:
        """A reply in the agreed shape."""
        return {
            "reason": "It fits.",
            "choice": self.choice(candidates),
            "confidence": round(self.random.random(), 2),
        } | other

    def right(self, candidates: Sequence[Candidate]) -> str:
        return json.dumps(self.reply(candidates))

    def spaced(self, candidates: Sequence[Candidate]) -> str:
        blanks = "".join(self.random.choices(" \n\t\r", k=self.random.randint(0, 40)))
        text = json.dumps(self.reply(candidates), indent=self.random.choice((None, 0, 4, "\t")))
        return blanks + text.replace("action", "\\u0061ction", self.random.randint(0, 1)) + blanks

    def nothing(self, candidates: Sequence[Candidate]) -> str:
        return json.dumps(self.reply(candidates, choice={"action": self.random.choice((ESCALATE, NONE))}))

    def nasty_reason(self, candidates: Sequence[Candidate]) -> str:
        nasty = self.text(self.random.randint(1, 900), "\x1b\x07\x00\u202e\u2066\t\U000e0041<script>$(id)")
        return json.dumps(self.reply(candidates, reason=f"x{nasty}".replace("\ud800", "")))

    # what is nearly right ---------------------------------------------------------------------------

    def missing(self, candidates: Sequence[Candidate]) -> str:
        found = self.reply(candidates)
        part = self.random.choice((found, found["choice"]))
        del part[self.random.choice(list(part))]
        return json.dumps(found)

    def extra(self, candidates: Sequence[Candidate]) -> str:
        found = self.reply(candidates)
        choice = found["choice"]
        part = self.random.choice((found, choice, choice.setdefault("parameters", {})))
        part[self.random.choice(EXTRA)] = self.random.choice((*JUNK, *VALUES))
        return json.dumps(found)

    def wrong_type(self, candidates: Sequence[Candidate]) -> str:
        found = self.reply(candidates)
        choice = found["choice"]
        part = self.random.choice((found, choice, choice.get("parameters") or found))
        part[self.random.choice(list(part))] = self.random.choice(JUNK)
        return json.dumps(found)

    def other_action(self, candidates: Sequence[Candidate]) -> str:
        found = self.reply(candidates)
        name = found["choice"]["action"]
        odd = (name.upper(), f"{name} ", f"{name}\n", name.replace("e", "\u0435"), f"{name}\x00", f"{name};reboot")
        found["choice"]["action"] = self.random.choice((*ACTIONS, *odd))
        return json.dumps(found)

    def other_value(self, candidates: Sequence[Candidate]) -> str:
        found = self.reply(candidates)
        parameters = found["choice"].get("parameters") or {}
        for name, value in parameters.items():
            odd = (
                value.upper(),
                f" {value}",
                f"{value}\n",
                f"{value};reboot",
                f"{value}/..",
                value[:-1],
                f"{value}.service",
            )
            pools = (VALUES, NO_NAMES, NO_PATHS, odd, [v for c in candidates for vs in c.values.values() for v in vs])
            parameters[name] = self.random.choice(self.random.choice(pools))
        return json.dumps(found)

    def swapped(self, candidates: Sequence[Candidate]) -> str:
        found, other = self.reply(candidates), self.choice(candidates)
        found["choice"]["parameters"] = {
            **other.get("parameters", {}),
            **self.random.choice(({}, {"service": "nginx"})),
        }
        return json.dumps(found)

    def several(self, candidates: Sequence[Candidate]) -> str:
        some = [self.choice(candidates) for _ in range(self.random.randint(2, 4))]
        return self.random.choice(
            (
                json.dumps(self.reply(candidates, choice=some)),
                json.dumps([self.reply(candidates) for _ in some]),
                "\n".join(self.right(candidates) for _ in some),
                json.dumps({"choices": some, "reason": "r", "confidence": 1}),
                json.dumps(self.reply(candidates) | {"choice2": some[0]}),
                json.dumps(self.reply(candidates, choice={"action": [one["action"] for one in some]})),
            )
        )

    def twice(self, candidates: Sequence[Candidate]) -> str:
        first, second = (json.dumps(self.choice(candidates)) for _ in range(2))
        inner = f'{{"action": "none", "action": {json.dumps(self.choice(candidates)["action"])}}}'
        choice = self.random.choice((f'"choice": {first}, "choice": {second}', f'"choice": {inner}'))
        return f'{{"reason": "r", {choice}, "confidence": 1}}'

    def numbers(self, candidates: Sequence[Candidate]) -> str:
        odd = (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1",
            "1.0000001",
            "true",
            '"0.9"',
            "null",
            "9" * 400,
            "-0.0",
            "1E-5",
        )
        text = json.dumps(self.reply(candidates, confidence="HERE"))
        return text.replace('"HERE"', self.random.choice(odd))

    # what is broken ---------------------------------------------------------------------------------

    def around(self, candidates: Sequence[Candidate]) -> str:
        before = self.random.choice(
            ("Sure! ", "```json\n", "<answer>", "\ufeff", "// yes\n", "data: ", "json\n", "'''")
        )
        after = self.random.choice(("", "\n```", " I hope this helps.", "</answer>", ";", "\x00", "}", ","))
        return before + self.right(candidates) + after

    def truncated(self, candidates: Sequence[Candidate]) -> str:
        text = self.right(candidates)
        return text[: self.random.randrange(len(text))]

    def flipped(self, candidates: Sequence[Candidate]) -> str:
        text = list(self.right(candidates))
        for _ in range(self.random.randint(1, 5)):
            at = self.random.randrange(len(text))
            text[at : at + self.random.randint(0, 1)] = self.random.choice(string.printable + "\u0430\u200b\u202e\x00")
        return "".join(text)

    def huge(self, candidates: Sequence[Candidate]) -> str:
        size = self.random.choice((5_000, 20_000, 100_000))
        return self.random.choice(
            (
                lambda: json.dumps(self.reply(candidates, reason="x" * size)),
                lambda: json.dumps(self.reply(candidates, choice={"action": "none", "parameters": _many(size // 20)})),
                lambda: self.right(candidates) + " " * size,
                lambda: json.dumps(self.reply(candidates, choice={"action": "y" * size})),
            )
        )()

    def nested(self, candidates: Sequence[Candidate]) -> str:
        depth = self.random.choice((3, 60, 900, 4000))
        opened, closed = self.random.choice((("[", "]"), ('{"choice":', "}"), ('{"a":[', "]}")))
        inner = self.random.choice((self.right(candidates), "1", ""))
        return (opened * depth + inner + closed * self.random.choice((depth, depth - 1, 0)))[:60_000]

    def other_format(self, candidates: Sequence[Candidate]) -> str:
        found = self.reply(candidates)
        action = found["choice"]["action"]
        return self.random.choice(
            (
                repr(found),
                f"reason: r\nchoice:\n  action: {action}\nconfidence: 1\n",
                f"<choice><action>{action}</action></choice>",
                json.dumps(found).replace("}", ",}"),
                json.dumps(json.dumps(found)),
                f"{action}",
                f'{action}({{"service": "nginx"}})',
                json.dumps({"functionCall": {"name": action, "args": found["choice"]}}),
                json.dumps({"tool_calls": [{"function": {"name": action, "arguments": json.dumps(found)}}]}),
            )
        )

    def noise(self, candidates: Sequence[Candidate]) -> str:
        return self.random.choice(
            (lambda: self.text(self.random.randint(0, 300)), lambda: json.dumps(self.anything(4)))
        )()

    def text(self, length: int, more: str = "") -> str:
        """Any characters, halves of pairs among them."""
        pool = string.printable + more + "\u00e9\u4e2d\u0430\u202e\u200b\ufeff\ud800"
        return "".join(self.random.choices(pool, k=length))

    def anything(self, depth: int) -> Any:
        """Any JSON, with the words of a reply where a key or a text is."""
        words = ("reason", "choice", "confidence", "action", "parameters", "none", "escalate", "service", "nginx")
        kind = self.random.randrange(4 if depth else 2)
        if kind == 0:
            return self.random.choice(JUNK)
        if kind == 1:
            return self.random.choice(words)
        inner = [self.anything(depth - 1) for _ in range(self.random.randint(0, 4))]
        return inner if kind == 2 else {self.random.choice(words): one for one in inner}


def _many(number: int) -> dict[str, str]:
    return {f"p{n}": "v" for n in range(number)}


KINDS: dict[str, Callable[[HostileModel, Sequence[Candidate]], str]] = {
    name: getattr(HostileModel, name)
    for name in (
        *("right", "spaced", "nothing", "nasty_reason"),
        *("missing", "extra", "wrong_type", "other_action", "other_value", "swapped", "several", "twice", "numbers"),
        *("around", "truncated", "flipped", "huge", "nested", "other_format", "noise"),
    )
}


def _part(model: HostileModel, *parts: dict[str, Any], **more: Any) -> Reply:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", **more}
    return whole({"candidates": [candidate]})


#: Whole answers that are odd around the text.
_ENVELOPES: tuple[Callable[[HostileModel, str], tuple[str, Reply]], ...] = (
    lambda m, t: ("cut", envelope(t, finish=m.random.choice(("MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", None)))),
    lambda m, t: (
        "two candidates",
        whole({"candidates": [{"content": {"parts": [{"text": t}]}, "finishReason": "STOP"}] * 2}),
    ),
    lambda m, t: ("halves", _part(m, {"text": t[: len(t) // 2]}, {"text": t[len(t) // 2 :]})),
    lambda m, t: ("a thought first", _part(m, {"text": "Hmm.", "thought": True}, {"text": t})),
    lambda m, t: ("a thought alone", _part(m, {"text": t, "thought": True})),
    lambda m, t: ("a call", _part(m, {"functionCall": {"name": "restart_service", "args": {"service": "ssh"}}})),
    lambda m, t: ("a call beside", _part(m, {"text": t}, {"functionCall": {"name": "restart_service", "args": {}}})),
    lambda m, t: ("a file", _part(m, {"inlineData": {"mimeType": "application/json", "data": "e30="}})),
    lambda m, t: ("no candidates", whole({"candidates": [], "text": t})),
    lambda m, t: ("blocked", whole({"promptFeedback": {"blockReason": "SAFETY"}, "candidates": []})),
    lambda m, t: ("bare", Reply(body=t.encode("utf-8", "replace"))),
    lambda m, t: ("bytes", Reply(body=m.random.randbytes(m.random.randint(0, 400)))),
    lambda m, t: ("any JSON", whole(m.anything(5))),
    lambda m, t: ("HTML", Reply(body=b"<html>" + t.encode("utf-8", "replace"), content_type="text/html")),
    lambda m, t: ("an error", failure(m.random.choice((400, 401, 403, 404, 413, 418, 429, 500, 503)), "X", t[:300])),
    lambda m, t: ("an error in a 200", whole({"error": {"code": 500, "message": t[:300], "status": "INTERNAL"}})),
    lambda m, t: ("a redirect", Reply(status=302, headers={"Location": "http://127.0.0.1:1/"})),
    lambda m, t: ("packed", Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})),
    lambda m, t: ("cut off", Reply(body=t.encode("utf-8", "replace"), cut=True)),
)
