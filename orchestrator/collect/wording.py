"""A record's text: made harmless, and a coarse first look at whether it could state an error.

The coarse look runs on the host (journalctl --grep, PCRE2) and, for files, here; the same pattern in both. It lets
through more than detect counts and must never hold back what detect counts.
"""

from __future__ import annotations

import re

#: Characters of a message that are kept.
MESSAGE_LIMIT = 8192

#: In the common subset of PCRE2 and Python's re, matched ignoring case; no single quote, as a shell quotes it.
WORTH = (
    r"err|eror|fail|fatal|crit|panic|emerg|alert|severe|warn|exception|traceback|caused by"
    r"|no space left|denied|read-only file|input/output|too many open|cannot allocate|segmentation fault"
    r"|segfault|core dumped|already in use|exited, |start-limit|repeated too|out of memory|oom-killer|protection"
    r"|(?:level|lvl|severity|priority|levelname).{0,5}[ewf]\b"
    r"|[\[<(](?:[\w-]{1,32}:)?[ew][\])>]|\"s\"\s?:\s?\"[efw]|(?:^|\s)[efw]\d{4}\s|(?:^|\s)[ew]:\s"
)
_WORTH = re.compile(WORTH, re.IGNORECASE)

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: Control characters, and those that hide or turn around what a person or a model reads.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def worth(text: str) -> bool:
    """Whether the text could state an error or a warning."""
    return _WORTH.search(text[:MESSAGE_LIMIT]) is not None


def clean(raw: str) -> str:
    """One bounded line: terminal escapes gone, control characters as blanks."""
    # Bounded before the patterns run: a hostile line costs no more than an honest one.
    text = _ESCAPES.sub("", raw[: 2 * MESSAGE_LIMIT])
    return _CONTROLS.sub(" ", text).strip()[:MESSAGE_LIMIT]
