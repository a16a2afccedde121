"""The loop on a host answers exactly what was asked, or it is no answer."""

from __future__ import annotations

import pytest

from orchestrator.collect.fileloop import FileLoop, open_loop, problem_of
from orchestrator.collect.files import FileState, Position, Read
from orchestrator.collect.login import Login
from orchestrator.errors import HostTimeout, HostUnreachable
from tests.support.scripted_link import ScriptedLink, ScriptedStream, host_with

HOST = host_with("/a.log", "/b.log")
LOGIN = Login(uid=1000, user="healer", sudo=True)
GOOD = b"F 0 y 9 1 20 1764000000 regular file\n"
SHUT = b"F 0 n 9 1 20 1764000000 regular file\n"
GONE = b"F 1 missing\n"
START = Position(device=9, inode=1, offset=0)


def loop(*parts: bytes, silent: bool = False) -> FileLoop:
    stream = ScriptedStream([b"Welcome\nrea", b"dy\n", *parts], silent=silent)
    return FileLoop(ScriptedLink(HOST, streams=[stream]), HOST.log_files, root=False)


def test_states_come_by_their_place_in_the_list() -> None:
    assert loop(GOOD[:10], GOOD[10:] + GONE, b"end\n").states() == {
        0: FileState(found=True, readable=True, device=9, inode=1, size=20, written=1764000000),
        1: FileState(found=False),
    }


def test_a_read_is_as_many_bytes_as_were_asked_for_whatever_they_are() -> None:
    read = Read(request="R 0 0 6", count=6, position=START, old=START)
    following = loop(b"end", b"\n\0\xffF 0", b" y 9 1 20 7 regular file\n" + GONE + b"end\n")

    assert following.read(read) == b"end\n\0\xff"
    assert len(following.states()) == 2


@pytest.mark.parametrize(
    "parts",
    [
        [b"x" * 5000],
        [GOOD, b"end\n"],
        [GOOD, GOOD, b"end\n"],
        [GOOD, GONE, GONE, b"end\n"],
        [b"noise\n" * 1000],
        [],
    ],
    ids=["endless", "one missing", "one twice", "one too many", "noise", "the end"],
)
def test_an_answer_that_is_none_ends_the_reading(parts: list[bytes]) -> None:
    following = loop(*parts)

    with pytest.raises(HostUnreachable, match="web1"):
        following.states()


def test_a_line_without_end_is_no_answer_before_it_ends() -> None:
    with pytest.raises(HostUnreachable, match="gives no usable answer"):
        loop(b"x" * 5000, silent=True).states()


def test_a_silent_host_is_not_waited_for() -> None:
    with pytest.raises(HostTimeout):
        loop(silent=True).states()


@pytest.mark.parametrize("parts", [[b"x" * 5000], [b"noise\n" * 2000], []], ids=["endless", "noise", "the end"])
def test_a_loop_that_does_not_start_is_closed(parts: list[bytes]) -> None:
    stream = ScriptedStream(parts)

    with pytest.raises(HostUnreachable, match="web1"):
        FileLoop(ScriptedLink(HOST, streams=[stream]), HOST.log_files, root=False)

    assert stream.closed


def test_as_root_only_where_our_user_can_not_read_every_file_and_sudo_works() -> None:
    streams = [ScriptedStream([b"ready\n", SHUT, GONE, b"end\n"]), ScriptedStream([b"ready\n", GOOD, GONE, b"end\n"])]
    link = ScriptedLink(HOST, streams=streams)

    _, states = open_loop(link, LOGIN)

    assert [root for _, root in link.scripts] == [False, True]
    assert states[0].readable
    assert streams[0].closed

    alone = ScriptedLink(HOST, streams=[ScriptedStream([b"ready\n", SHUT, GONE, b"end\n"])])
    _, states = open_loop(alone, Login(uid=1000, user="healer"))
    assert not states[0].readable


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (FileState(found=False), "/a.log is not there, or is no plain file: put the path in healing_log_files right."),
        (FileState(found=True), "/a.log can't be read by healer: add healer to the file's group"),
        (FileState(found=True, readable=True), ""),
    ],
)
def test_a_file_that_can_not_be_read_has_one_sentence(state: FileState, words: str) -> None:
    problem = problem_of(HOST.log_files[0], state, LOGIN)

    assert problem.startswith(words)
    assert bool(problem) == bool(words)
