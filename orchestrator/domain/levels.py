"""The level that a line's own words state, in the many ways in which programs write one."""

from __future__ import annotations

import re

from orchestrator.domain.records import Severity
from orchestrator.domain.speech import own_words

#: Level words count only near the front, where formats put them; further on they are prose.
FRONT = 240

_NAMED = r"(?<![\w./-])(?:{words})(?![\w./@-]|\s?[=:]?\s?0\b|\s(?:level|log|count|rate|page|code)s?\b)"
_FIELD = r"""(?i)["']?\b(?:log)?(?:level|lvl|severity|priority|levelname|loglevel)["']?\s?[=:]\s?["']?(?:{words})\b"""

_CRITICAL = (
    re.compile(_NAMED.format(words="CRIT|CRITICAL|FATAL|Fatal|PANIC|EMERG|EMERGENCY|ALERT")),
    re.compile(_FIELD.format(words="crit|critical|fatal|panic|emerg|emergency|alert")),
    re.compile(r"(?i)[\[<(](?:[\w-]{1,32}:)?(?:crit|critical|fatal|panic|emerg|alert)[\])>]"),
    re.compile(r"(?i)^(?:\S{1,64}:\s)?(?:fatal|panic|emergency):\s"),
    re.compile(r'"s"\s?:\s?"F"|^F\d{4}\s\d\d:\d\d:\d\d'),
    re.compile(r"\bKernel panic\b|\bOut of memory: Kill|\binvoked oom-killer\b"),
)
_ERROR = (
    re.compile(_NAMED.format(words="ERROR|Error|SEVERE|ERR|FAIL|FAILED|FAILURE|ERRO")),
    re.compile(_FIELD.format(words="e|err|eror|erro|error|severe|fail|failure")),
    re.compile(r"(?i)[\[<(](?:[\w-]{1,32}:)?(?:error|err|severe|failed|eror|e)[\])>]"),
    re.compile(r"(?i)^(?:\S{1,64}:\s){0,3}(?:\S{1,64}\s)?(?:error|e|err|failure):\s"),
    re.compile(r'"s"\s?:\s?"E"'),
    # klog of Kubernetes and friends: E0102 15:04:05.
    re.compile(r"^E\d{4}\s\d\d:\d\d:\d\d"),
    re.compile(r"^Traceback \(most recent call last\)|^panic: |\bUncaught \w*(?:Exception|Error)\b"),
    re.compile(r"\bException in thread\b|^Caused by: |^\S{0,128}\.\w{0,64}(?:Exception|Error)(?::|$)"),
    # What the system itself answered, in the words of strerror(3).
    re.compile(r"(?i)\bfailed \(\d{1,3}: |\b(?:errno|errcode|os error)[:= ]{1,2}\d"),
    re.compile(
        r"(?i)\b(?:No space left on device|Permission denied|Read-only file system|Input/output error"
        r"|Too many open files|Cannot allocate memory|Segmentation fault|core dumped|Address already in use)\b"
    ),
    # PID 1 of a unit that failed; the kernel of a process that did.
    re.compile(r"(?i)\bfailed with result '|\bmain process exited, code=(?:killed|dumped)|entered failed state"),
    re.compile(
        r"(?i)\bprocess exited, code ?= ?exited, status ?= ?[1-9]|^Failed to start |start-limit"
        r"|: Start request repeated too quickly|^Job for \S+ failed "
    ),
    re.compile(r"\bsegfault at \w|\bgeneral protection\b|\bI/O error\b|\bHardware Error\b|-fs error\b"),
)
_WARNING = (
    re.compile(_NAMED.format(words="WARN|WARNING|Warning")),
    re.compile(_FIELD.format(words="w|warn|warning")),
    re.compile(r"(?i)[\[<(](?:[\w-]{1,32}:)?(?:warn|warning|w)[\])>]"),
    re.compile(r"(?i)^(?:\S{1,64}:\s){0,3}(?:warning|warn|w):\s"),
    re.compile(r'"s"\s?:\s?"W"|^W\d{4}\s\d\d:\d\d:\d\d'),
)
#: The first level tag of a line, in the forms above; only the first counts: it is the program's own.
_TAGS = re.compile(
    r"""(?:^|[\s\["'{,])(?:log)?(?:level|lvl|severity|levelname|loglevel)["']?\s?[=:]\s?["']?(?P<field>[a-zA-Z]{3,9})\b
      | [\[<(](?:[\w-]{1,32}:)?
        (?P<bracket>trace|debug|info|notice|note|warn|warning|error|err|severe|crit|critical|fatal|alert|emerg)
        (?:\#?\d{1,10})?[ ]{0,2}[\])>]
      | (?<![\w./-])(?P<word>TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|CRIT|CRITICAL|FATAL|ALERT)(?![\w./-])
      | ^(?P<klog>[IWEF])\d{4}\s\d\d:\d\d""",
    re.VERBOSE | re.IGNORECASE,
)
_CAPITAL = re.compile(r"[A-Z]+")
_INFORMS = frozenset({"trace", "debug", "info", "notice", "note", "i"})
#: A mention that is no statement: settings, counts, denials.
_MENTION = re.compile(
    r"(?i)\b(?:no|zero|without|0|any|set(?:ting)?|to|at|for|log) (?:error|err|fatal|critical|crit|warn)\w*"
    r"|\b(?:errors?|failed|failures?|warnings?|critical)\s?[=:]\s?0(?![\w.])"
    r"|\b(?:errors?|failed|failures?|warnings?|critical)\s?=\s?(?:no|none|null|nil|false|\"\"|'')(?![\w.])"
    # `Error: no such table` states one.
    r"|\b(?:errors?|failed|failures?|warnings?|critical)\s?:\s?(?:no|none|null|nil|false|\"\"|'')\s*(?:$|[,;)\]}|])"
    r"|\blog(?:ging)?[ _]?level (?:is|set|changed)[^,;]{0,40}|\blog(?:ging)? level: \S{1,40}|--log-level[= ]\S{1,40}"
)


def stated(message: str) -> Severity:
    """The worst level that the line's own words state; INFO where they state none.

    Requests and quoted words of users state nothing. Never raises.
    """
    words = own_words(message)
    if not words:
        return Severity.INFO
    front = _MENTION.sub(" ", words[:FRONT])
    for severity, ways in (
        (Severity.CRITICAL, _CRITICAL),
        (Severity.ERROR, _ERROR),
        (Severity.WARNING, _WARNING),
    ):
        if any(way.search(front) for way in ways):
            return severity
    return Severity.INFO


def informs(message: str) -> bool:
    """Whether the program itself tagged the line as information or less. Never raises."""
    for found in _TAGS.finditer(own_words(message)[:FRONT]):
        word = found["word"]
        if word is None or _CAPITAL.fullmatch(word):
            return (found["field"] or found["bracket"] or word or found["klog"]).lower() in _INFORMS
    return False
