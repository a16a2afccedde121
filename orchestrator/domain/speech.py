"""What a log line says, apart from what it merely repeats of others.

A program's line mixes its own words with text that strangers chose: requests, user names, quoted comments.
Only the program's own words may state an error, name a path or pick an action. Everything here is a pure
function of the text, bounded in time and size, and never raises.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

#: Characters of a message that are looked at. Longer lines are dumps; what matters stands in front.
LOOKED_AT = 4096
#: Paths that one line may name. More is a listing, not a finding.
PATHS_MAX = 8
PATH_LENGTH_MAX = 1024

_METHODS = r"(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND)"
#: Lines that only say what somebody asked for: common and combined log format, bare request lines, haproxy's
#: and lograge's. Whatever error words they hold were typed by the client.
_ACCESS = re.compile(
    rf"""^(?![A-Z][ ]\[)(?:\S+[ ]){{1,4}}\[\d{{1,2}}/\w{{3}}/\d{{4}}[:\s]                     # common log format
      | ^\S+[ ]\S+[ ]\S+[ ]\[[^\]]{{5,40}}\][ ]"
      # a request line, bare or quoted, that is not told as an error
      | ^(?!(?:ERROR|FATAL|CRITICAL|PANIC)\b)(?:\S{{1,60}}[ ]){{0,3}}"?{_METHODS}[ ](?:/|https?://|\*)\S*
      | ^\S{{1,60}}:\d+[ ]\[[^\]]{{5,40}}\][ ]\S+[ ]\S+[ ][\d/+-]+[ ]\d{{3}}[ ]    # haproxy's httplog
      | ^method={_METHODS}\b""",
    re.VERBOSE,
)
#: `<3>`, the time, the host, `prog[pid]: `, `kernel: [ 12.3] `: who speaks; told by the record's unit already.
#: A host stands only before a tag of a program; after a time without one the program's own words begin.
_TAG = (
    r"(?:(?:[\w./-]{1,64}|\([\w.-]{1,32}\))\[\d{1,10}\]:?|(?:kernel|systemd|sudo|cron|CRON|logrotate|rsyslogd?|init):)"
)
_UPTIME = r"(?:\[[ ]{0,8}\d{1,8}\.\d{1,9}\][ ])?"
_HEADER = re.compile(
    rf"""^(?:<\d{{1,3}}>)?
      (?:  # classic syslog, its month in other tongues, and RFC 5424's time
          [A-Z][a-z]{{2}}[ ]{{1,2}}\d{{1,2}}[ ]\d\d:\d\d:\d\d[ ]{{1,2}}(?:[\w.-]{{1,64}}[ ]{{1,2}})?
        | \w{{1,10}}\.?[ ]{{1,2}}\d{{1,2}}[ ]\d\d:\d\d:\d\d[ ]{{1,2}}[\w.-]{{1,64}}[ ]{{1,2}}(?={_TAG}[ ])
        | \d{{4}}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{{0,16}}[ ][\w.-]{{1,64}}[ ](?={_TAG}[ ])
      )?
      {_UPTIME}(?:{_TAG}[ ]{{1,2}})?{_UPTIME}""",
    re.VERBOSE,
)
#: Colours and weights, as terminals, rsyslog and JSON write them: they say nothing.
_COLOUR = r"(?:\x1b|#033|\\(?:u001b|x1b|033|e))\[[\d;]{0,12}m"
#: Not in the midst of a word or path, which would become another one.
_COLOURS = re.compile(rf"(?<![\w./-]){_COLOUR}|{_COLOUR}(?![\w./-])")
_QUOTED = (
    r'(?:"(?:[^"\\]|\\.)*(?:"|$)|\'(?:[^\'\\]|\\.)*(?:\'|$)'
    r"|[\u201c\u2018][^\u201d\u2019]*(?:[\u201d\u2019]|$))"
)
_ESCAPED = re.compile(r'\\(["\\])')
#: Fields whose value a client, a user or a mail chose.
_FIELDS = (
    r"request|referr?er|host|user[-_ ]?agent|agent|query|search|term|keywords?|cookie|subject|title|comment|feedback"
    r"|review|body|payload|input|form|header|uri|url|user(?:[-_ ]?name)?|login|password|passwd|email|ticket"
    r"|description|text|content|note|chat|said|says|wrote|filename|upload|params?|nick|name|helo|args?"
    r"|remote[-_ ]?user|upstream"
)
#: What is taken out, and what stays of it.
_FOREIGN = (
    # nginx names the client's words at the end of a line, Apache the referer.
    (re.compile(r",\s(?:client|server):\s[^,]{0,256}"), " "),
    (re.compile(rf"(?i)\b(?:[a-z]{{1,16}}_)?(?:{_FIELDS})[\"']?\s{{0,2}}[=:]\s{{0,2}}{_QUOTED}"), "…"),
    (re.compile(rf"(?i)\b({_FIELDS})\s{{1,2}}{_QUOTED}"), r"\1 …"),
    # Whose message it is decides: `message=` alone is the program's own.
    (
        re.compile(
            rf"(?i)\b(?:commit|chat|tag|issue|post|mail|merge|customer|visitor)[ _-](?:message|name|reason)"
            rf"[\"']?\s{{0,2}}[=:]\s{{0,2}}{_QUOTED}"
        ),
        "…",
    ),
    # What somebody wrote, told without quotes.
    (
        re.compile(
            r"(?i)\b(?<!error )((?:message|feedback|comment|question|review|note|post|reply)"
            r"(?:\s(?:posted|saved|received|left|sent))?\s(?:from|by)\s[^:\s]{1,60}(?:\s[^:\s]{1,30}){0,3}:)\s.*"
        ),
        r"\1 …",
    ),
    (re.compile(r"(?i)\b(commit message:|ticket #\d{1,12}(?:\s[^:\s]{1,30}){0,3}:)\s.*"), r"\1 …"),
    # A program that tells what somebody looked for or typed.
    (re.compile(rf"(?i)\b((?:searched|looked|asked) for|typed|entered|submitted)\s{{1,2}}{_QUOTED}"), r"\1 …"),
    # logfmt leaves the quotes out where a value is one word.
    (re.compile(rf"(?i)\b({_FIELDS})=[^\s\"',;]{{1,512}}"), r"\1=…"),
    (re.compile(r"(?i),\sreferr?er:\s\S{1,2048}"), " "),
    (re.compile(rf"\brequest:?\s{_METHODS}\s\S{{1,2048}}"), "request …"),
    # cron and sudo repeat the command that they run; whatever error words it holds are somebody's options.
    (re.compile(r"^(\(\S{1,64}\)\sCMD)\s\(.*"), r"\1 …"),
    (re.compile(r"\bCOMMAND=.*"), "COMMAND=…"),
    # Rails and PostgreSQL repeat what was sent to them.
    (re.compile(r"\bParameters: \{.*"), "Parameters: …"),
    (re.compile(r"\b(LOG:\s.{0,80}?\b(?:statement|(?:parse|bind|execute) \S{1,64}):)\s.*"), r"\1 …"),
    # sshd and friends repeat what was typed as a name, and what a client says when it leaves.
    (re.compile(r"(?i)\b((?:invalid|illegal|unknown|for)\suser)\s.{0,256}\sfrom\s"), r"\1 … from "),
    (
        re.compile(
            r"(?i)\b((?:invalid|illegal|authenticating|for|from)\suser)\s(?!…)"
            r"(?:.{1,256}(?=\s\S{1,64}\sport\s\d)|[^\s(]{1,256})"
        ),
        r"\1 …",
    ),
    (
        re.compile(r"(?i)\b(received\sdisconnect\sfrom\s\S{1,64}\s?(?:port\s\d+)?:\s?\d+:)\s.{0,512}"),
        r"\1 …",
    ),
)
#: Where a path begins: the line's start, a blank, an opening quote or bracket, `key=`, or a scheme of sockets
#: and files. It ends at a blank or quote, and is refused as a whole if any character of it is odd.
_PATH = re.compile(
    r"""(?:^|[\s"'`(\[{<=,\u2018\u201c]|unix://?|file://|stdio:)(/[^\s"'`<>\u2018\u2019\u201c\u201d]{1,2048})""",
)
_PLAIN = re.compile(r"/[A-Za-z0-9._+@:,=%~/-]+", re.ASCII)
#: Punctuation after a path, and the line number that compilers and config parsers add.
_PUNCTUATION = ":,;.)]}!?"
_LINE_NUMBER = re.compile(r"(?::\d{1,7}){1,2}$")


def printable(text: str, keep: str = "") -> str:
    """The text with each character that a terminal may obey, or that shows nothing, as one placeholder.

    Control characters, halves of pairs, marks that turn the direction of writing, odd blanks; all but `keep`.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text)


def is_request(message: str) -> bool:
    """Whether the line only says what a client asked for."""
    return _ACCESS.match(body(message)) is not None


def body(message: str) -> str:
    """What follows the syslog header, as far as it is looked at, without colours."""
    head = _COLOURS.sub("", message[:LOOKED_AT])
    found = _HEADER.match(head)
    return head[found.end() :] if found else head


# Each room that reads a line asks for them again; the newest few hundred lines cost some megabytes at most.
@lru_cache(maxsize=512)
def own_words(message: str) -> str:
    """The program's own words: without syslog header, requests, names and quotes that strangers chose.

    Empty for a line that only says what a client asked for.
    """
    words = body(message)
    if _ACCESS.match(words):
        return ""
    words = _without_foreign(words)
    # logfmt and JSON escape their quotes, and what stands inside may quote strangers once more.
    while '\\"' in words:
        words = _without_foreign(_ESCAPED.sub(r"\1", words))
    # Several lines of one record are read as one.
    return " ".join(words.split())


def _without_foreign(words: str) -> str:
    for foreign, kept in _FOREIGN:
        words = foreign.sub(kept, words)
    return words


def said_path(text: str) -> str | None:
    """The path without the punctuation or line number that prose adds; None as in plain_path."""
    return plain_path(_LINE_NUMBER.sub("", text.rstrip(_PUNCTUATION)))


def plain_path(path: str) -> str | None:
    """The path, lexically normalised, or None for one that must not be used.

    None: relative, `..` anywhere, `%00`, control or shell characters, blanks, globs, too long.
    """
    if len(path) > PATH_LENGTH_MAX or not _PLAIN.fullmatch(path) or "%" in path or path.startswith("//"):
        return None
    if ".." in path.split("/"):
        return None
    normal = posixpath.normpath(path)
    return normal if normal != "/" else None


def named_paths(words: str) -> tuple[str, ...]:
    """Absolute paths that the words name, in order, each once, at most PATHS_MAX; odd ones are left out."""
    found: dict[str, None] = {}
    for match in _PATH.finditer(words[:LOOKED_AT]):
        path = said_path(match.group(1))
        if path is not None:
            found.setdefault(path)
        if len(found) == PATHS_MAX:
            break
    return tuple(found)
