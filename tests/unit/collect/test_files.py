"""Following files by device and inode, against a simulated host: nothing lost, nothing twice."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collect.files import (
    BACKLOG,
    CHUNK,
    NOTHING,
    FileState,
    Position,
    Read,
    build_loop,
    parse_state,
    plan,
    position_of,
    split,
)
from orchestrator.domain.ids import Cursor


@dataclass
class Disk:
    """A folder with one log file and what it was renamed to, as the shell loop shows it."""

    inode: int | None = 1
    contents: dict[int, bytes] = field(default_factory=lambda: {1: b""})

    def write(self, data: bytes) -> None:
        if self.inode is None:
            self.rotate()
        self.contents[self.inode or 0] += data

    def rotate(self) -> None:
        self.inode = max(self.contents, default=0) + 1
        self.contents[self.inode] = b""

    def empty(self) -> None:
        self.contents[self.inode or 0] = b""

    @property
    def state(self) -> FileState:
        if self.inode is None:
            return FileState(found=False)
        return FileState(found=True, readable=True, device=9, inode=self.inode, size=len(self.contents[self.inode]))

    def answer(self, read: Read) -> bytes:
        verb, _, *numbers = read.request.split()
        inode = int(numbers[0]) if verb == "O" else self.inode
        offset, count = (int(one) for one in numbers[-2:])
        assert count == read.count
        return self.contents.get(inode or 0, b"")[offset : offset + count].ljust(count, b"\0")


def follow(disk: Disk, position: Position | None) -> tuple[list[bytes], Position | None, int]:
    """All whole lines that there are now, the position behind them, and what was passed over."""
    found: list[bytes] = []
    skipped = 0
    while True:
        read, position = plan(0, position, disk.state)
        if read is None:
            return found, position, skipped
        lines, position = split(read, disk.answer(read))
        found += lines
        skipped += read.skipped
        if position == read.old:
            return found, position, skipped


def begun(disk: Disk) -> Position | None:
    return follow(disk, None)[1]


def test_at_first_sight_a_file_is_read_from_its_end() -> None:
    disk = Disk(contents={1: b"old\nhalf"})

    lines, position, _ = follow(disk, None)

    assert (lines, position) == ([], Position(device=9, inode=1, offset=8))


def test_a_file_that_appears_later_is_read_from_its_beginning() -> None:
    disk = Disk(inode=None, contents={})
    position = begun(disk)
    assert position == NOTHING

    disk.write(b"first\n")

    assert follow(disk, position)[0] == [b"first"]


def test_a_file_that_may_not_be_read_keeps_its_position() -> None:
    shut = FileState(found=True, readable=False, device=9, inode=1, size=100)
    known = Position(device=9, inode=1, offset=7)

    assert plan(0, known, shut) == (None, known)
    assert plan(0, None, shut) == (None, None)


def test_a_half_line_waits_for_its_end() -> None:
    disk = Disk()
    position = begun(disk)
    disk.write(b"one\nha")

    lines, position, _ = follow(disk, position)
    disk.write(b"lf\n")

    assert lines == [b"one"]
    assert follow(disk, position)[0] == [b"half"]


def test_what_is_left_of_a_renamed_file_comes_before_the_new_one() -> None:
    disk = Disk()
    position = begun(disk)
    disk.write(b"one\ntwo\nhalf")
    disk.rotate()
    disk.write(b"three\n")

    assert follow(disk, position)[0] == [b"one", b"two", b"half", b"three"]


def test_a_renamed_file_that_is_gone_loses_only_itself() -> None:
    disk = Disk()
    position = begun(disk)
    disk.write(b"one\n")
    disk.rotate()
    del disk.contents[1]
    disk.write(b"two\n")

    assert follow(disk, position)[0] == [b"two"]


def test_a_renamed_file_longer_than_a_read_is_read_whole() -> None:
    disk = Disk()
    position = begun(disk)
    wanted = [b"%07d" % number for number in range(CHUNK // 4)]
    disk.write(b"\n".join(wanted) + b"\n")
    disk.rotate()

    assert follow(disk, position)[0] == wanted


def test_a_file_that_was_emptied_is_read_from_its_beginning() -> None:
    disk = Disk()
    position = begun(disk)
    disk.write(b"a long line\n")
    _, position, _ = follow(disk, position)
    disk.empty()
    disk.write(b"short\n")

    assert follow(disk, position)[0] == [b"short"]


def test_the_hole_before_a_writer_that_goes_on_is_no_part_of_its_line() -> None:
    disk = Disk()
    position = begun(disk)
    disk.write(b"x" * 70_000 + b"\n")
    _, position, _ = follow(disk, position)
    disk.empty()
    assert follow(disk, position)[0] == []
    disk.write(b"\0" * 70_000 + b"ERROR\n")

    assert follow(disk, Position(device=9, inode=1, offset=0))[0] == [b"ERROR"]


def test_a_line_without_end_is_given_up_read_by_read() -> None:
    disk = Disk()
    position = begun(disk)
    disk.write(b"x" * (3 * CHUNK) + b"\nnext\n")

    lines, _, _ = follow(disk, position)

    assert lines[-1] == b"next"
    assert max(len(line) for line in lines) < CHUNK


def test_of_a_backlog_only_the_end_is_read_and_the_gap_is_told() -> None:
    disk = Disk()
    position = begun(disk)
    wanted = [b"%07d" % number for number in range(BACKLOG // 8 + 1)]
    disk.write(b"\n".join(wanted) + b"\n")

    lines, position, skipped = follow(disk, position)

    assert lines == wanted[-len(lines) :]
    assert skipped == len(wanted) * 8 - CHUNK
    assert position == Position(device=9, inode=1, offset=len(wanted) * 8)


def test_a_file_that_is_cut_between_look_and_read_gives_only_what_was_there() -> None:
    read, _ = plan(
        0, Position(device=9, inode=1, offset=0), FileState(found=True, readable=True, device=9, inode=1, size=20)
    )
    assert read is not None

    lines, after = split(read, b"one\n".ljust(20, b"\0"))

    assert lines == [b"one"]
    assert after.offset == 4


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["write", "write half", "look", "rotate", "stop"]),
        min_size=1,
        max_size=30,
    )
)
def test_through_any_writing_and_rotating_each_line_is_read_once_in_order(steps: list[str]) -> None:
    disk = Disk()
    position = begun(disk)
    found: list[bytes] = []
    written: list[bytes] = []
    half = b""
    for number, step in enumerate(steps):
        if step.startswith("write"):
            text = b"%d" % number
            end = b"" if step == "write half" else b"\n"
            disk.write(text + end)
            half += text
            if end:
                written.append(half)
                half = b""
        elif step == "rotate":
            # A second rotation within one look loses the file between: nobody sees its name.
            lines, position, _ = follow(disk, position)
            found += lines
            disk.rotate()
            if half:
                written.append(half)
                half = b""
        elif step == "look":
            lines, position, _ = follow(disk, position)
            found += lines
        else:
            assert position is not None
            position = position_of(position.cursor())
    lines, position, _ = follow(disk, position)

    assert found + lines == written


@pytest.mark.parametrize("text", ["", "7", "null", "[]", "{", '{"dev": 1}', '{"dev": "x", "inode": 1, "offset": 2}'])
def test_a_cursor_that_is_no_position_is_none(text: str) -> None:
    assert position_of(Cursor(text)) is None


def test_a_position_survives_being_stored() -> None:
    position = Position(device=9, inode=1, offset=7)

    assert position_of(position.cursor()) == position
    assert position_of(None) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "F 0 y 9 1 20 1764000000 regular file",
            (0, FileState(found=True, readable=True, device=9, inode=1, size=20, written=1764000000)),
        ),
        (
            "F 12 n 9 1 0 1764000000 regular empty file",
            (12, FileState(found=True, device=9, inode=1, written=1764000000)),
        ),
        ("F 1 missing", (1, FileState(found=False))),
        ("F 1 y 9 1 20 1764000000 directory", (1, FileState(found=False))),
        ("F 1 y 9 1 20 1764000000 character special file", (1, FileState(found=False))),
        ("F 1 y 9 1 -20 1764000000 regular file", (1, FileState(found=False))),
        ("F x y 9 1 20 1764000000 regular file", None),
        ("F 1", None),
        ("end", None),
        ("", None),
    ],
)
def test_a_state_line_is_read_or_refused(line: str, expected: object) -> None:
    assert parse_state(line) == expected


def test_paths_stand_quoted_in_the_loop() -> None:
    paths = ["/var/log/a b.log", "/var/log/it's $(id).log"]

    first, second, *_ = build_loop(paths).splitlines()

    assert [shlex.split(line)[0] for line in (first, second)] == [f"file_{at}={path}" for at, path in enumerate(paths)]
