"""Following log files by device and inode: through rotation, truncation and half-written lines. Pure.

On the host runs one small shell loop, driven by our requests: it ends with its standard input, so nothing stays
behind. A request is one line. A read answers with exactly as many bytes as it asked for, NULs at the end where the
file has fewer: no content of a file can pretend to be the end of an answer.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.domain.ids import Cursor

#: Bytes of one read.
CHUNK = 256 * 1024
#: Bytes that we may be behind; of more only the last chunk is read, and the gap is told.
BACKLOG = 8 * 1024 * 1024

#: `S` asks for every file's state, `R file offset count` reads, `O file inode offset count` reads what is left of a
#: file that was renamed within its folder.
_LOOP = r"""
LC_ALL=C; export LC_ALL
state() { if s=$(stat -L -c '%d %i %s %Y %F' -- "$2" 2>/dev/null); then r=n; [ -r "$2" ] && r=y
  printf 'F %s %s %s\n' "$1" "$r" "$s"; else printf 'F %s missing\n' "$1"; fi; }
part() { { [ -n "$1" ] && tail -c "+$(($2 + 1))" -- "$1" 2>/dev/null | head -c "$3"; head -c "$3" /dev/zero; } |
  head -c "$3"; }
echo ready
while read -r verb index a b c; do
  eval "file=\${file_$index-}"
  case $verb in
    S) @STATES@ echo end ;;
    R) part "$file" "$a" "$b" ;;
    O) old=$(find "$(dirname -- "$file")" -maxdepth 1 -inum "$a" -type f 2>/dev/null | head -n 1)
       part "$old" "$b" "$c" ;;
  esac
done
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far a file was read."""

    device: int
    inode: int
    offset: int

    def cursor(self) -> Cursor:
        """As it is stored."""
        return Cursor(json.dumps({"dev": self.device, "inode": self.inode, "offset": self.offset}))


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """What the host says of a file; `found` False: it is not there, or no plain file."""

    found: bool
    readable: bool = False
    device: int = 0
    inode: int = 0
    size: int = 0
    #: Seconds since 1970 on the host's clock.
    written: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One read to do, and where it leads."""

    request: str
    count: int
    #: Where reading goes on when all of it was read.
    position: Position
    old: Position
    #: What is left of a file that was rotated away.
    last: bool = False
    #: Bytes passed over before it.
    skipped: int = 0


#: Before the first byte of a file that is not there yet: whatever appears is new.
NOTHING = Position(device=0, inode=0, offset=0)


def position_of(cursor: Cursor | None) -> Position | None:
    """The position behind a cursor; None for none, or for what is no position."""
    if cursor is None:
        return None
    try:
        given = json.loads(cursor)
        return Position(device=int(given["dev"]), inode=int(given["inode"]), offset=int(given["offset"]))
    except (ValueError, KeyError, TypeError):
        return None


def build_loop(paths: Sequence[str]) -> str:
    """The shell loop for these files."""
    names = [f"file_{at}={shlex.quote(path)}" for at, path in enumerate(paths)]
    states = " ".join(f'state {at} "$file_{at}";' for at in range(len(paths)))
    return "\n".join(names) + _LOOP.replace("@STATES@", states)


def parse_state(line: str) -> tuple[int, FileState] | None:
    """One line of the answer to `S`: which file, and its state; None for any other line."""
    fields = line.split(None, 7)
    if len(fields) < 3 or fields[0] != "F" or not fields[1].isdigit():
        return None
    index = int(fields[1])
    if len(fields) < 8 or not all(one.isdigit() for one in fields[3:7]) or not fields[7].startswith("regular"):
        return index, FileState(found=False)
    device, inode, size, written = (int(one) for one in fields[3:7])
    return index, FileState(
        found=True, readable=fields[2] == "y", device=device, inode=inode, size=size, written=written
    )


def plan(index: int, position: Position | None, state: FileState) -> tuple[Read | None, Position | None]:
    """The next read of a file, and the position to start from; no read where there is nothing new.

    Without a position reading begins at the end: what was written before we came is nobody's fresh error.
    """
    if not state.found:
        return None, position or NOTHING
    if not state.readable:
        return None, position
    start = Position(device=state.device, inode=state.inode, offset=0)
    if position is None:
        return None, Position(device=state.device, inode=state.inode, offset=state.size)
    if position == NOTHING:
        position = start
    if (position.device, position.inode) != (state.device, state.inode):
        request = f"O {index} {position.inode} {position.offset} {CHUNK}"
        return Read(request=request, count=CHUNK, position=start, old=position, last=True), position
    if state.size < position.offset:
        position = start
    left = state.size - position.offset
    if left == 0:
        return None, position
    skipped = left - CHUNK if left > BACKLOG else 0
    begin, count = position.offset + skipped, min(left, CHUNK)
    after = Position(device=state.device, inode=state.inode, offset=begin + count)
    request = f"R {index} {begin} {count}"
    return Read(request=request, count=count, position=after, old=position, skipped=skipped), position


def split(read: Read, data: bytes) -> tuple[list[bytes], Position]:
    """Whole lines of what was read, and the position after them.

    A half line is left for the next read, unless it fills the whole read: then it has no end that we could wait for.
    Of a file that was rotated away the half line counts, as nobody will finish it.
    """
    start = read.position
    if read.last:
        data = data.rstrip(b"\0")
        if len(data) < read.count:
            return [line for line in _plain(data.split(b"\n")) if line], start
        # There is more of the old file: its own position goes on, and the next plan asks again.
        start = Position(device=read.old.device, inode=read.old.inode, offset=read.old.offset + read.count)
    *lines, rest = data.split(b"\n")
    if not lines and len(rest) >= CHUNK:
        rest = b""
    # A file that was cut meanwhile gave NULs: the offset is then past its end, which the next plan sees as truncation.
    after = Position(device=start.device, inode=start.inode, offset=start.offset - len(rest))
    return _plain(lines[1:] if read.skipped else lines), after


def _plain(lines: Sequence[bytes]) -> list[bytes]:
    """Without the hole that a writer leaves whose file was emptied under it: NULs up to where it goes on."""
    return [line.lstrip(b"\0") for line in lines]
