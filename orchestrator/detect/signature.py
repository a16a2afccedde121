"""The signature of a record: two records that share it are the same error."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from orchestrator.domain.ids import Signature
from orchestrator.domain.speech import LOOKED_AT

#: One placeholder for all that varies, so that an id that happens to have no letter is still the same.
MASK = "#"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[A-Z]{3,4}|[+-]\d\d:?\d\d))?"
_VARYING = (
    # Times in the forms that loggers write.
    re.compile(rf"\b\d{{4}}[-/]\d\d[-/]\d\d(?:[T ]{_CLOCK}{_ZONE})?(?![A-Za-z])", re.ASCII),
    re.compile(
        rf"\b(?:(?:{_DAYS}),?\s+)?(?:{_MONTHS})\s+\d{{1,2}}(?:,?\s+\d{{4}})?(?:\s+{_CLOCK})?(?:\s+\d{{4}})?\b", re.ASCII
    ),
    re.compile(rf"\b\d{{1,2}}[ /-](?:{_MONTHS})[ /-]\d{{4}}(?:[: ]{_CLOCK})?(?:\s?[+-]\d{{4}})?\b", re.ASCII),
    # The kernel's seconds since boot, padded with blanks.
    re.compile(r"\[\s*\d+\.\d+\]", re.ASCII),
    # UUIDs, addresses of IPv6 and network cards, pointers.
    re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", re.ASCII),
    re.compile(r"(?<![\w:#])(?:[0-9a-fA-F]{1,4}:){3,7}(?::?[0-9a-fA-F]{1,4}){1,7}\b", re.ASCII),
    re.compile(r"(?<![\w:#])(?:[0-9a-fA-F]{1,4}:){1,7}:(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})?", re.ASCII),
    re.compile(r"\b0[xX][0-9a-fA-F]+\b", re.ASCII),
    # Durations and sizes with their unit: 2min 3.1s, 984.0M, 4 KiB.
    re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:[nuµ]s|ms|min|[smhd])\b\s?)+", re.ASCII),
    re.compile(r"(?<![\w.])\d+(?:\.\d+)?\s?[KMGTP]i?B?\b", re.ASCII),
)
#: A word that may be an id: hexadecimal of at least 7, or 20 and more of letters and digits.
_WORD = re.compile(r"\b[0-9A-Za-z_-]{7,}\b", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{7,}", re.ASCII)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*", re.ASCII)
_BLANKS = re.compile(r"\s+")
_ID_LENGTH = 20


def _mask_word(match: re.Match[str]) -> str:
    word = match.group()
    if not any(letter.isdigit() for letter in word):
        return word
    if _HEX.fullmatch(word):
        # A plain number may go on behind a point.
        return word if word.isdigit() else MASK
    # A random token changes between letters and digits; a name keeps its digits at its end (web-frontend-2).
    changes = len(re.findall(r"\d+", word))
    return MASK if len(word) >= _ID_LENGTH and changes >= 3 else word


@lru_cache(maxsize=4096)
def template(message: str) -> str:
    """The message with all that varies masked: numbers, ids, addresses, times. Never raises."""
    text = message[:LOOKED_AT]
    for varying in _VARYING:
        text = varying.sub(MASK, text)
    text = _NUMBER.sub(MASK, _WORD.sub(_mask_word, text))
    return _BLANKS.sub(" ", text).strip()


def signature(unit: str, message: str) -> tuple[Signature, str]:
    """16 hexadecimal digits of SHA-256 over unit and template, and the template itself.

    Numbers in the unit's name stay: `getty@tty1` and `getty@tty2` are two things.
    """
    masked = template(message)
    digest = hashlib.sha256(f"{unit}\0{masked}".encode("utf-8", "surrogatepass")).hexdigest()
    return Signature(digest[:16]), masked
