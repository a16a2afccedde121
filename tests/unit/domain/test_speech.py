"""A program's own words, and the paths that they name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.speech import (
    LOOKED_AT,
    PATH_LENGTH_MAX,
    PATHS_MAX,
    is_request,
    named_paths,
    own_words,
    plain_path,
)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("cannot write", "cannot write"),
        ("  cannot\twrite\nat all ", "cannot write at all"),
        ("app[4711]: cannot write", "cannot write"),
        ("systemd[1]: app.service: Failed", "app.service: Failed"),
        ("Mar  1 12:00:00 web1 app[4711]: cannot write", "cannot write"),
        ("<3>cannot write", "cannot write"),
        ("kernel: [   12.345678] cannot write", "cannot write"),
        ("[   12.345678] cannot write", "cannot write"),
        ("(app.sh)[4711]: app.service: cannot write", "app.service: cannot write"),
        ("app: cannot write", "app: cannot write"),
        (r"msg=\"cannot write\"", 'msg="cannot write"'),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_the_header_goes_and_the_words_stay(message: str, words: str) -> None:
    assert own_words(message) == words


@pytest.mark.parametrize(
    "message",
    [
        '203.0.113.9 - - [01/Mar/2026:12:00:00 +0000] "GET /STRANGE HTTP/1.1" 200 12 "-" "STRANGE"',
        'vhost:80 203.0.113.9 - bob [01/Mar/2026:12:00:00 +0000] "GET /STRANGE" 200 12',
        '::1 - - [01/Mar/2026:12:00:00 +0000] "POST /STRANGE HTTP/1.1" 500 12',
        "GET /STRANGE HTTP/1.1",
        '"PROPFIND /STRANGE HTTP/1.1" 207',
        "203.0.113.9 POST https://example.org/STRANGE",
        "203.0.113.9:51234 [01/Mar/2026:12:00:00.123] web app/1 0/0/1/2/3 500 12 - - STRANGE",
        "method=GET path=/STRANGE status=500",
        "app[4711]: method=POST path=/STRANGE",
        "Mar  1 12:00:00 web1 app[4711]: GET /STRANGE HTTP/1.1",
    ],
)
def test_a_request_holds_no_words_of_its_own(message: str) -> None:
    assert is_request(message)
    assert own_words(message) == ""


@pytest.mark.parametrize(
    "message", ["the other peer then said GET /x", "GETTING /x", "the method=GET is odd", "app.service: Failed", ""]
)
def test_a_line_that_mentions_a_request_is_none(message: str) -> None:
    assert not is_request(message)


STRANGERS = [
    'open failed, client: 203.0.113.9, server: STRANGE, request: "GET /STRANGE HTTP/1.1", host: "STRANGE"',
    'open failed, referrer: "https://example.org/STRANGE"',
    "open failed, referer: https://example.org/STRANGE",
    'failed user_agent="STRANGE"',
    'failed {"user-agent": "STRANGE"}',
    "failed {'comment': 'STRANGE'}",
    'failed comment="a \\" STRANGE"',
    'failed comment="STRANGE that never ends',
    "failed comment: “STRANGE”",
    'failed {"msg":"{\\"user\\":\\"STRANGE\\"}"}',
    'failed {"msg":"{\\"user\\":\\"a\\\\\\"STRANGE\\"}"}',
    "user 'STRANGE' failed",
    'he said "STRANGE"',
    "failed user=STRANGE",
    "failed filename=/opt/STRANGE,",
    "failed request: GET /STRANGE",
    "Invalid user STRANGE from 203.0.113.9 port 22",
    "Invalid user a STRANGE b from 203.0.113.9 port 22",
    "Invalid user a from STRANGE from 203.0.113.9 port 22",
    "Failed password for invalid user STRANGE from 203.0.113.9 port 22 ssh2",
    "Connection closed by authenticating user STRANGE 203.0.113.9 port 22 [preauth]",
    "Connection closed by invalid user a STRANGE b 203.0.113.9 port 22 [preauth]",
    "Disconnected from user STRANGE 203.0.113.9 port 22",
    "session opened for user STRANGE(uid=0) by (uid=0)",
    "Received disconnect from 203.0.113.9 port 22:11: STRANGE",
    "(root) CMD (STRANGE)",
    "bob : TTY=pts/0 ; USER=root ; COMMAND=/bin/STRANGE STRANGE",
    'Parameters: {"q"=>"STRANGE"}',
    "LOG:  statement: SELECT 'STRANGE'",
    "LOG:  duration: 1.2 ms  execute a1: SELECT 'STRANGE'",
]


@pytest.mark.parametrize("message", STRANGERS)
def test_what_a_stranger_chose_is_taken_out(message: str) -> None:
    assert "STRANGE" not in own_words(message)


@pytest.mark.parametrize("message", STRANGERS)
def test_what_is_left_is_not_changed_by_a_second_look(message: str) -> None:
    assert own_words(own_words(message)) == own_words(message)


@pytest.mark.parametrize(
    "message",
    [
        'level=error msg="cannot write /opt/a"',
        '{"level":"error","msg":"cannot write /opt/a"}',
        'open() "/opt/a" failed (13: Permission denied)',
        'ERROR:  relation "a" does not exist',
        "STATEMENT of a user",
        "the user of /opt/a is unknown",
    ],
)
def test_what_the_program_says_itself_stays(message: str) -> None:
    assert own_words(message) == " ".join(message.split())


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ("cannot open /opt/a.conf", ("/opt/a.conf",)),
        ("/opt/a.sh: Permission denied", ("/opt/a.sh",)),
        ("open '/opt/a' and \"/opt/b\"", ("/opt/a", "/opt/b")),
        ("open “/opt/a”", ("/opt/a",)),
        ("path=/opt/a,/opt/b", ("/opt/a,/opt/b",)),
        ("(/opt/a) [/opt/b] {/opt/c} </opt/d>", ("/opt/a", "/opt/b", "/opt/c", "/opt/d")),
        ("/opt/a. /opt/b; /opt/c! /opt/d?", ("/opt/a", "/opt/b", "/opt/c", "/opt/d")),
        ("error in /opt/a.conf:12", ("/opt/a.conf",)),
        ("error in /opt/a.conf:12:7: bad", ("/opt/a.conf",)),
        ("unix:///run/a.sock and file:///opt/a", ("/run/a.sock", "/opt/a")),
        ("/opt/b /opt/a /opt/b", ("/opt/b", "/opt/a")),
        ("/opt//a/./b/", ("/opt/a/b",)),
        ("https://example.org/opt/a", ()),
        ("a/b and ./c and ../d", ()),
        ("1/2 of and/or", ()),
        ("/opt/../etc/shadow", ()),
        ("/opt/a%00.sh and /opt/%2e%2e/b", ()),
        ("/opt/$(id) /opt/a;id /opt/a|id /opt/*", ()),
        ("/opt/é", ()),
        ("/", ()),
        ("", ()),
    ],
)
def test_paths_are_found_where_they_begin_and_left_out_where_odd(words: str, paths: tuple[str, ...]) -> None:
    assert named_paths(words) == paths


def test_a_listing_of_paths_is_cut() -> None:
    assert named_paths(" ".join(f"/opt/{n}" for n in range(50))) == tuple(f"/opt/{n}" for n in range(PATHS_MAX))


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/opt/a", "/opt/a"),
        ("/opt//a/./b/", "/opt/a/b"),
        ("/opt/a-b_c.d+e@f:g,h=i~", "/opt/a-b_c.d+e@f:g,h=i~"),
        ("/opt/..a/b..", "/opt/..a/b.."),
        ("opt/a", None),
        ("//opt/a", None),
        ("/opt/..", None),
        ("/opt/../a", None),
        ("/..", None),
        ("/", None),
        ("/.", None),
        ("", None),
        ("/opt/a b", None),
        ("/opt/a\n", None),
        ("/opt/a\x00", None),
        ("/opt/a%20b", None),
        ("/opt/a*", None),
        ("/opt/{{ a }}", None),
        ("/opt/a`id`", None),
        ("/opt/a'b", None),
        ("/opt/é", None),
        ("/opt/\u0661", None),
        ("/" + "a" * (PATH_LENGTH_MAX - 1), "/" + "a" * (PATH_LENGTH_MAX - 1)),
        ("/" + "a" * PATH_LENGTH_MAX, None),
    ],
)
def test_a_plain_path_is_normal_and_harmless_or_none(path: str, plain: str | None) -> None:
    assert plain_path(path) == plain


PIECES = st.sampled_from(
    ["/opt/a", "/..", "'", '"', "\\", "user", "=", "comment", ": ", " from ", "GET ", "“", "[", "COMMAND=", "for user"]
)
TEXTS = st.text(max_size=200) | st.lists(PIECES | st.characters(), max_size=40).map("".join)


@given(TEXTS)
def test_own_words_are_total_and_hold_no_line_break(message: str) -> None:
    words = own_words(message)

    assert own_words(message) == words
    assert words == " ".join(words.split())


@given(TEXTS)
def test_every_named_path_is_plain_already(words: str) -> None:
    paths = named_paths(words)

    assert len(paths) <= PATHS_MAX
    assert [plain_path(path) for path in paths] == list(paths)


@given(st.sampled_from(["comment", "user", "user_agent", "request", "title"]), st.text(max_size=60))
def test_nothing_that_stands_in_a_strangers_quotes_is_a_word(field: str, text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')

    assert own_words(f'failed {field}="{quoted}" ok') == own_words(f'failed {field}="" ok')


def test_what_stands_behind_the_first_characters_is_not_looked_at() -> None:
    words = own_words("x" * LOOKED_AT + " /opt/a")

    assert words == "x" * LOOKED_AT
