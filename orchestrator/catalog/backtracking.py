"""Expressions that strangers' text could hold up: quantifiers without a bound, and hostile lines to try the others on.

A hostile line is made of pieces of what an expression begins to match and then fails on. So the pieces are taken from
the expression: samples of its parts, and of every run of neighbouring parts, and each of them after what leads to it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from orchestrator.domain.expressions import constants as c
from orchestrator.domain.expressions import parser
from orchestrator.domain.speech import LOOKED_AT

#: What fits many classes, and what logs are full of.
COMMON = ("a", "1", " ", "/a", "a ", "a.", "x=", '"a', "'a", "(", "a:b: ", "1.", "1:", "-a", "\\", '\\"', "[", "=", "é")
#: Alternatives and runs of parts that are tried, and ways through an expression; more say nothing new.
BRANCHES, RUN, WAYS = 6, 4, 40
#: Characters by which a line grows, and the longest that is tried: `(a|aa)*b` doubles the time with every third.
GROWTH, LONGEST = 4, 60
#: Seconds of this thread's own time; an honest expression takes some microseconds for so short a line.
TOO_LONG = 0.05
#: How often something is repeated at least for its ambiguity to matter.
MANY = 10
#: So many parts with many turns, one after another, take the third power of a line's length where all can read it.
STEEP = 3
#: Characters of the lines on which they are tried, and seconds: an honest expression takes a hundredth of that.
STEEP_LENGTHS, STEEP_LONG = (96, 256), 0.01
#: So many of the pieces are tried: the catalogue is read by every other command, and has hundreds of expressions.
STEEP_PIECES = 80
#: What no expression expects at a line's end.
END = "\x00"
_CLASSES = {
    c.CATEGORY_DIGIT: "1",
    c.CATEGORY_NOT_DIGIT: "a",
    c.CATEGORY_SPACE: " ",
    c.CATEGORY_NOT_SPACE: "a",
    c.CATEGORY_WORD: "a",
    c.CATEGORY_NOT_WORD: " ",
}


def unbounded(pattern: re.Pattern[str]) -> list[str]:
    """The quantifiers without an upper bound, as what they repeat; but for those that `^` holds to the start."""
    return list(_unbounded(_parsed(pattern), anchored=False))


def explosive(pattern: re.Pattern[str]) -> str | None:
    """A short line on which the time doubles with every few characters, as on `(a|aa)*b`; None: none was found.

    Only a repeat of what can be read in several ways does that, so only expressions with one are tried: on lines that
    grow by GROWTH characters until one costs TOO_LONG. The last one costs some twenty times that at most.
    """
    if not _ambiguous(_parsed(pattern)):
        return None
    for head, piece in dict.fromkeys(_pieces(pattern)):
        for length in range(GROWTH, LONGEST + 1, GROWTH):
            line = head + (piece * length)[:length] + END
            if _seconds(pattern, line) > TOO_LONG:
                return line
    return None


def steep(pattern: re.Pattern[str]) -> str | None:
    """A line on which the time grows with a power of its length, as on `^.*.*.*b`; None: none was found.

    Only several parts in a row that each read many characters do that, so only expressions with STEEP of them are
    tried. One of bounded repeats is held up for minutes as well: 200 to the third power are eight million ways.
    """
    if _wide(_parsed(pattern)) < STEEP:
        return None
    pieces = list(islice((one for one in dict.fromkeys(_pieces(pattern, run=1)) if one[1]), STEEP_PIECES))
    for length in STEEP_LENGTHS:
        for head, piece in pieces:
            line = (head + piece * (length // len(piece) + 1))[:length] + END
            if _seconds(pattern, line) > STEEP_LONG:
                return line
    return None


# One expression is looked at in several ways, one after another.
@lru_cache(maxsize=4)
def _parsed(pattern: re.Pattern[str]) -> Any:
    return parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)


def _seconds(pattern: re.Pattern[str], line: str) -> float:
    """Of this thread's own time: the catalogue is also read beside others that work."""
    start = time.thread_time()
    pattern.search(line)
    return time.thread_time() - start


def _wide(parts: Any) -> int:
    """How many parts there are at most, on one way through, that each may read many characters."""
    count = 0
    for kind, value in parts:
        if kind in (c.MAX_REPEAT, c.MIN_REPEAT):
            many = value[1] is c.MAXREPEAT or value[1] - value[0] >= MANY
            count += 1 if many else _wide(value[2]) * int(value[1])
        elif kind is c.BRANCH:
            count += max(_wide(branch) for branch in value[1])
        else:
            count += sum(_wide(one) for one in _within(kind, value))
    return count


def _ambiguous(parts: Any) -> bool:
    """Whether something is repeated that itself repeats or has alternatives."""
    for kind, value in parts:
        if kind in (c.MAX_REPEAT, c.MIN_REPEAT):
            inner = list(value[2])
            if value[1] is c.MAXREPEAT or value[1] >= MANY:
                if _several(inner):
                    return True
            elif _ambiguous(inner):
                return True
        elif any(_ambiguous(one) for one in _within(kind, value)):
            return True
    return False


def _several(parts: Any) -> bool:
    repeats = (c.MAX_REPEAT, c.MIN_REPEAT, c.BRANCH)
    return any(kind in repeats or any(_several(one) for one in _within(kind, value)) for kind, value in parts)


def _within(kind: Any, value: Any) -> list[Any]:
    """The sequences of parts that a part holds."""
    if kind is c.SUBPATTERN:
        return [value[3]]
    if kind is c.BRANCH:
        return list(value[1])
    if kind in (c.ASSERT, c.ASSERT_NOT):
        return [value[1]]
    if kind in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        return [value[2]]
    return [value] if kind is c.ATOMIC_GROUP else []


def _unbounded(parts: Any, *, anchored: bool) -> Iterator[str]:
    for kind, value in parts:
        if kind is c.AT and value in (c.AT_BEGINNING, c.AT_BEGINNING_STRING):
            anchored = True
        elif kind in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            if value[1] is c.MAXREPEAT and not anchored:
                yield str(value[2])
            yield from _unbounded(value[2], anchored=anchored)
        elif kind is c.SUBPATTERN:
            yield from _unbounded(value[3], anchored=anchored)
        elif kind is c.BRANCH:
            for branch in value[1]:
                yield from _unbounded(branch, anchored=anchored)
        elif kind in (c.ASSERT, c.ASSERT_NOT):
            yield from _unbounded(value[1], anchored=anchored)


def lines(pattern: re.Pattern[str]) -> Iterator[str]:
    """Hostile lines of LOOKED_AT characters for this expression, each once."""
    seen = set()
    for head, piece in _pieces(pattern):
        if not piece:
            continue
        line = (head + piece * (LOOKED_AT // len(piece) + 1))[:LOOKED_AT]
        if line not in seen:
            seen.add(line)
            yield line


def _pieces(pattern: re.Pattern[str], run: int = RUN) -> Iterator[tuple[str, str]]:
    """What is repeated, of so many parts in a row at most, and what leads to it."""
    yield from (("", one) for one in COMMON)
    for parts in _sequences(_parsed(pattern)):
        whole = "".join(parts)
        for start in range(len(parts)):
            head = "".join(parts[:start])
            yield head, "a"
            yield head, " a"
            for end in range(start + 1, min(len(parts), start + run) + 1):
                piece = "".join(parts[start:end])
                yield "", piece
                yield "", piece + " "
                yield head, piece
        yield "", whole
        yield "", whole + " "


def _sequences(parts: Any) -> Iterator[list[str]]:
    """The expression without its alternatives: each way through it, as samples of its parts in a row."""
    return islice(_ways(list(parts)), WAYS)


def _ways(parts: Sequence[Any]) -> Iterator[list[str]]:
    if not parts:
        yield []
        return
    rest = list(islice(_ways(parts[1:]), BRANCHES))
    for first in islice(_samples(parts[0]), BRANCHES):
        for tail in rest:
            # Literals in a row are one part.
            if parts[0][0] is c.LITERAL and tail and len(parts) > 1 and parts[1][0] is c.LITERAL:
                yield [first[0] + tail[0], *tail[1:]]
            else:
                yield [*first, *tail]


def _samples(part: Any) -> Iterator[list[str]]:
    kind, value = part
    if kind is c.LITERAL:
        yield [chr(value)]
    elif kind in (c.NOT_LITERAL, c.ANY):
        yield ["a"]
    elif kind is c.IN:
        yield [_member(value)]
    elif kind in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        least, most, inner = value
        if least == 0:
            yield []
        for way in islice(_ways(list(inner)), BRANCHES):
            once = "".join(way)
            yield [once * max(least, 1)]
            if most is c.MAXREPEAT or most > 1:
                yield [once * max(least, 2)]
    elif kind is c.SUBPATTERN:
        yield from _ways(list(value[3]))
    elif kind is c.BRANCH:
        for branch in value[1]:
            yield from islice(_ways(list(branch)), BRANCHES)
    elif kind is c.ATOMIC_GROUP:
        yield from _ways(list(value))
    else:
        yield []


def _member(parts: Any) -> str:
    """A character of the class."""
    if parts[0][0] is c.NEGATE:
        pattern = parts[1:]
        return next((one for one in "a1 /.:=-~#" if not any(_holds(part, one) for part in pattern)), "a")
    kind, value = parts[0]
    if kind is c.LITERAL:
        return chr(value)
    if kind is c.RANGE:
        return chr(value[0])
    return _CLASSES.get(value, "a")


def _holds(part: Any, character: str) -> bool:
    kind, value = part
    if kind is c.LITERAL:
        return bool(chr(value) == character)
    if kind is c.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    if kind is c.CATEGORY:
        ways = {
            c.CATEGORY_DIGIT: character.isdigit(),
            c.CATEGORY_SPACE: character.isspace(),
            c.CATEGORY_WORD: character.isalnum() or character == "_",
        }
        return bool(ways.get(value, not character.isspace()))
    return False
