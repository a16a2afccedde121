"""Takes secrets out of text before it leaves the machine.

Shapes and labels, not meaning: what neither looks like a secret nor is labelled as one passes. Where a rule can't
tell how far a secret reaches it takes too much. Every pattern is bounded, so that a hostile line costs no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"
#: Characters of one text that are looked at; what follows is dropped, since nobody checked it. The worst text of
#: this size takes about 0.1 s.
TEXT_MAX = 4096

_LABEL = (
    r"(?:passw(?:or)?d|passwd|passphrase|pass|pwd|secret|token|api[_.-]?key|access[_.-]?key|account[_.-]?key"
    r"|auth[_.-]?key|private[_.-]?key|secret[_.-]?key|shared[_.-]?key|credentials?|session[_.-]?(?:id|key)"
    r"|signature|sig|otp|pin)"
)
#: A value: quoted (also where the quotes are themselves escaped, JSON inside of JSON), or up to the next separator.
_VALUE = r"""(?:\\{0,3}"(?:\\.|[^"\\]){0,4096}"?|\\{0,3}'(?:\\.|[^'\\]){0,4096}'?|[^\s,;&"'<>)}\]]{1,4096})"""
#: Each: what to look for, and what stays of it. In this order: wide forms first, so that no narrow one leaves
#: half of a secret.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kept)
    for pattern, kept in (
        # PEM and OpenSSH private keys; to the end of the text where no end is in sight.
        (r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)", REDACTED),
        # scheme://user:password@host, with whatever the password is made of.
        (r"((?<=[a-z0-9+.-])://)[^\s\"'<>/@:]{0,256}(?::[^\s\"'<>]{0,512})?@", rf"\1{REDACTED}@"),
        # Headers: the whole rest of the line.
        (
            r"((?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]{0,30}(?:token|key|secret))([\"']?\s{0,4}[:=])[^\r\n]*",
            rf"\1\2 {REDACTED}",
        ),
        (r"\b(bearer|basic|digest|negotiate)\s{1,4}(?=[^\s]{0,64}[0-9=._])[a-z0-9._~+/=-]{8,}", rf"\1 {REDACTED}"),
        # password=..., "api_key": "...", TOKEN => ..., password is ...
        (
            rf"({_LABEL}s?(?![a-z])[\w.-]{{0,40}}\\{{0,3}}[\"']?"
            r"(?:\s{0,4}(?:=>|[:=])\s{0,4}|\s{1,4}is\s{1,4}))" + _VALUE,
            rf"\1{REDACTED}",
        ),
        # Command lines: --password x, -p x of clients that take a password so, -u user:password, IDENTIFIED BY 'x'.
        (rf"((?<!\S)--?[\w-]{{0,40}}{_LABEL}[\w-]{{0,40}}[\s=]{{1,4}})" + _VALUE, rf"\1{REDACTED}"),
        (
            r"(\b(?:mysql|mysqldump|mysqladmin|mariadb|sshpass|redis-cli|ldapsearch)\b[^|;&]{0,512}?\s-[paw])\s?[^\s]+",
            rf"\1{REDACTED}",
        ),
        (r"((?:^|\s)(?:-u|--user)[\s=][^\s:]{1,128}:)[^\s]+", rf"\1{REDACTED}"),
        (r"([?&](?:key|code|auth|sv)=)[^\s&\"']+", rf"\1{REDACTED}"),
        (r"(identified\s{1,4}by\s{1,4})" + _VALUE, rf"\1{REDACTED}"),
        # Keys that are known by their shape: AWS, Google, GitHub, GitLab, Slack, Stripe, npm, Hugging Face ...
        (r"\b(?:AKIA|ASIA|AGPA|AROA|AIDA)[0-9A-Z]{12,}", REDACTED),
        (r"\bAIza[0-9A-Za-z_-]{20,}|\bya29\.[0-9A-Za-z_.-]{10,}|\bGOCSPX-[0-9A-Za-z_-]{10,}", REDACTED),
        (r"\b(?:gh[pousr]_|github_pat_|glpat-|glrt-|npm_|hf_|dop_v1_|pypi-|hvs\.|shpat_)[0-9A-Za-z_-]{10,}", REDACTED),
        (r"\b(?:sk|pk|rk|whsec)[_-](?:live|test|proj|ant)?[_-]?[0-9A-Za-z_-]{16,}", REDACTED),
        (r"\bxox[a-z]-[0-9A-Za-z-]{8,}|\bxapp-[0-9A-Za-z-]{8,}|hooks\.slack\.com/[^\s\"']{5,}", REDACTED),
        (r"\bSG\.[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}|\bAGE-SECRET-KEY-1[0-9A-Z]{10,}", REDACTED),
        # JSON web tokens, and crypt(3) hashes.
        (r"\beyJ[0-9A-Za-z_-]{5,}\.[0-9A-Za-z_.-]{5,}", REDACTED),
        (r"\$(?:1|2[abxy]|5|6|7|y|argon2\w{1,2})\$[0-9A-Za-z./$=,+]{8,}", REDACTED),
    )
)
#: A line of a key's body that came as a record of its own.
_BASE64_LINE = re.compile(r"^\s*[A-Za-z0-9+/]{60,80}={0,2}\s*$", re.ASCII)
#: A long word of all three kinds of characters: what a random token looks like and a name or hash does not.
_LONG_TOKEN = re.compile(
    r"(?<![\w+/.-])(?=[\w+-]{0,512}[a-z])(?=[\w+-]{0,512}[A-Z])(?=[\w+-]{0,512}[0-9])[\w+-]{32,}={0,2}", re.ASCII
)
_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}\b", re.IGNORECASE | re.ASCII)
#: An instance of a template unit looks like an address and is none.
_UNIT_END = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".slice", ".scope", ".swap", ".device")
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY", re.IGNORECASE)
_KEY_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY", re.IGNORECASE)


def redact(text: str) -> str:
    """The text with everything that looks like a secret, or is labelled as one, replaced by `[redacted]`."""
    if len(text) > TEXT_MAX:
        # Up to the last blank: half of a key has no shape any more.
        text = text[:TEXT_MAX].rpartition(" ")[0]
    for pattern, kept in _RULES:
        text = pattern.sub(kept, text)
    if _BASE64_LINE.match(text):
        return REDACTED
    text = _LONG_TOKEN.sub(REDACTED, text)
    return _EMAIL.sub(lambda found: found[0] if found[0].lower().endswith(_UNIT_END) else "[email]", text)


def inside_keys(lines: Iterable[str]) -> Iterator[bool]:
    """For each line whether a private key that began in an earlier one still goes on: nothing of it may be shown."""
    inside = False
    for line in lines:
        begins, ends = _KEY_BEGIN.search(line), _KEY_END.search(line)
        yield inside
        if begins and (not ends or ends.start() < begins.start()):
            inside = True
        elif ends:
            inside = False
