"""`python -m tests.chaos.suite [--short] [--row NAME] [--seed N]`: the rows, several at a time, and their table.

Each row has hosts, an orchestrator and a state of its own. Ends with 1 unless every row is 0 0 0.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.chaos import crashes, faults
from tests.chaos.lane import LEASE, Lane, RowError, Tally, environment, lane
from tests.chaos.process import Nursery
from tests.chaos.ward import Ward, require_root
from tests.support.fleets import fleet

#: Rows at a time, and hosts of each: with fewer, two processors wait for timers; with more, timers for processors.
LANES, HOSTS = 4, 3
#: Seconds that each form may take, the lab's boot and end included; what isn't done by then fails.
LIMITS = {True: 235.0, False: 75 * 60.0}
#: Seconds that are kept for taking everything down.
TAKE_DOWN = 10.0
PREFIX = "healing-chaos-"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    #: What is done, for a person.
    what: str
    do: Callable[[Lane, int], None]
    #: How often, in each form; 0: left out.
    short: int
    long: int
    #: How many hosts it has to itself in the long form, when nothing else runs; 0: those of a lane.
    crowd: int = 0
    #: Whether one of its hosts asks a person first.
    proposes: bool = True

    def size(self, *, short: bool) -> int:
        """How often."""
        return self.short if short else self.long


def _at(way: str, short: int) -> Row:
    return Row(
        name=f"kill-at-steps-{way}",
        what=f"kill -9 at each boundary of a healing that is {way}",
        do=partial(crashes.at_boundaries, way),
        short=short,
        long=1000,
    )


def _random(name: str, kill: Callable[..., None], what: str, short: int, long: int) -> Row:
    return Row(
        name=f"kill-{name}",
        what=f"kill -9 of {what} in act or verify",
        do=partial(crashes.at_random, kill),
        short=short,
        long=long,
    )


#: Longest first: the last lane to end decides.
ROWS = (
    Row(
        name="arrivals",
        what="faults arrive; killed and restarted every 10 s",
        do=crashes.arrivals,
        short=25,
        long=300,
        crowd=10,
        proposes=False,
    ),
    _at("healed", 2),
    Row(
        name="kill-in-turn",
        what="kill -9 at every step of one healing, twice each",
        do=crashes.in_turn,
        short=1,
        long=2,
    ),
    _random("orchestrator", crashes.kill_orchestrator, "the orchestrator", 1, 50),
    Row(name="store-full", what="the store's file system full for 8 s", do=faults.store_full, short=1, long=4),
    _random("all", crashes.kill_all, "orchestrator, supervisor and playbook", 1, 20),
    _random("supervisor", crashes.kill_supervisor, "the run's supervisor", 1, 20),
    _random("playbook", crashes.kill_playbook, "ansible-playbook alone", 1, 20),
    Row(name="network-cut", what="network cut in an act", do=faults.network_cut, short=1, long=4),
    Row(name="sshd-frozen", what="sshd frozen in an act", do=faults.sshd_frozen, short=1, long=4),
    Row(name="store-locked", what="both databases locked for 20 s", do=faults.store_locked, short=1, long=4),
    Row(
        name="freeze-orchestrator",
        what=f"SIGSTOP for {LEASE + 2} s (lease {LEASE} s), SIGCONT",
        do=faults.freeze_orchestrator,
        short=1,
        long=4,
    ),
    Row(
        name="freeze-supervisor",
        what="SIGSTOP of the run's supervisor, for good",
        do=faults.freeze_supervisor,
        short=1,
        long=4,
    ),
    *(
        Row(
            name=f"clock-{name}-{way}",
            what=f"{what} 10 min {way}",
            do=partial(do, sign),
            short=int(name == "jumps"),
            long=3,
        )
        for name, what, do in (
            ("wrong", "started with the clock", faults.clock_wrong),
            ("jumps", "the clock jumps in an act", faults.clock_jumps),
        )
        for way, sign in (("forward", 1), ("back", -1))
    ),
    _at("rolled-back", 0),
    _at("approved", 0),
    _at("relapsed", 0),
    _at("cut", 0),
    _at("denied", 0),
    _at("lapsed", 0),
    Row(
        name="second-orchestrator",
        what="a second orchestrator on one store",
        do=faults.second_orchestrator,
        short=1,
        long=5,
    ),
)


class Suite:
    """The rows of one form, over one lab."""

    def __init__(self, rows: Sequence[Row], folder: Path, seed: int, *, short: bool, limit: float) -> None:
        """`limit`: seconds for all of it."""
        self.rows, self.seed, self.short = rows, seed, short
        self.results: dict[str, tuple[Tally, str]] = {}
        self._folder = folder
        self._deadline = time.monotonic() + limit - TAKE_DOWN

    def run(self) -> None:
        """All rows; results as they come."""
        alone = [row for row in self.rows if row.crowd and not self.short]
        side_by_side = [row for row in self.rows if row not in alone]
        lanes = min(LANES, len(side_by_side))
        most = max([lanes * HOSTS, *(row.crowd for row in alone)])
        with fleet("chaos", self._folder / "lab", hosts=most) as lab:
            ward, nursery = Ward(lab), Nursery(environment())
            try:
                names = [f"web{number + 1}" for number in range(most)]
                self._side_by_side(
                    ward, nursery, side_by_side, [names[i * HOSTS : (i + 1) * HOSTS] for i in range(lanes)]
                )
                for row in alone:
                    self._one(ward, nursery, row, names[: row.crowd])
            finally:
                nursery.close()
                ward.mend_all()
                ward.close()

    def _side_by_side(self, ward: Ward, nursery: Nursery, rows: Sequence[Row], groups: Sequence[Sequence[str]]) -> None:
        waiting: queue.SimpleQueue[Row] = queue.SimpleQueue()
        for row in rows:
            waiting.put(row)

        def work(hosts: Sequence[str]) -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._one(ward, nursery, waiting.get_nowait(), hosts)

        # Threads that stay until their lane is done: an orchestrator ends with the thread that started it.
        threads = [threading.Thread(target=work, args=(hosts,), name=f"lane {hosts[0]}") for hosts in groups]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            # Whoever interrupts us wants everything taken down, and that soon.
            self._deadline = 0.0
            for thread in threads:
                thread.join()
            raise

    def _stops(self) -> bool:
        return time.monotonic() > self._deadline

    def _one(self, ward: Ward, nursery: Nursery, row: Row, hosts: Sequence[str]) -> None:
        tally, problem = Tally(), ""
        begun = time.monotonic()
        try:
            if self._stops():
                raise RowError("not begun: the time was over")
            with lane(
                ward,
                nursery,
                hosts,
                self._folder / row.name,
                seed=f"{self.seed} {row.name}",
                stops=self._stops,
                proposes=row.proposes,
            ) as made:
                tally = made.tally
                row.do(made, row.size(short=self.short))
        except RowError as error:
            problem = str(error)
        except Exception:  # noqa: BLE001  # a fault of the suite's own is a row that failed, and others go on
            problem = traceback.format_exc()
        self.results[row.name] = (tally, problem)
        say(f"{row.name}: {tally.times} times in {time.monotonic() - begun:.0f} s{': ' if problem else ''}{problem}")

    def missed(self) -> list[str]:
        """Boundaries that a healing passed and at which none was killed; of the long form with all its rows."""
        seen = set().union(*(tally.seen for tally, _ in self.results.values()))
        killed = set().union(*(tally.killed for tally, _ in self.results.values()))
        return sorted(seen - killed)

    def table(self) -> list[str]:
        """What was done, how often, lost, twice, stuck, seconds to go on, how it ended, how to repeat it."""
        form = " --short" if self.short else ""
        rows: list[tuple[str, ...]] = [
            ("row", "what was done", "times", "lost", "twice", "stuck", "s to go on", "ended", "repeat")
        ]
        for row in self.rows:
            tally, problem = self.results.get(row.name, (Tally(), "not run"))
            bad = tally.verdict
            ends = ", ".join(f"{count} {state}" for state, count in sorted(tally.ends.items()))
            rows.append(
                (
                    row.name,
                    row.what,
                    str(tally.times),
                    *(str(len(one)) for one in (bad.lost, bad.twice, bad.stuck)),
                    tally.to_go_on,
                    "FAILED" if problem else ends,
                    f"scripts/chaos{form} --row {row.name} --seed {self.seed}",
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

    def complaints(self) -> Iterator[str]:
        """Everything that isn't as it must be, one sentence each."""
        for name, (tally, problem) in self.results.items():
            for kind in ("lost", "twice", "stuck"):
                yield from (f"{name}: {kind}: {sentence}" for sentence in getattr(tally.verdict, kind))
            if problem:
                yield f"{name}: {problem}"
        yield from (f"{row.name}: it was not run" for row in self.rows if row.name not in self.results)


def say(line: str) -> None:
    """To whoever looks on."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def remove_what_killed_suites_left(base: Path) -> None:
    """Mounts and folders whose process is gone, and what libfaketime shares between processes."""
    for shared in Path("/dev/shm").glob("*faketime_*_*"):
        if not Path("/proc", shared.name.rpartition("_")[2]).exists():
            shared.unlink(missing_ok=True)
    for folder in base.glob(f"{PREFIX}*"):
        if Path("/proc", folder.name.removeprefix(PREFIX)).exists():
            continue
        for mount in folder.glob("*/state"):
            if mount.is_mount():
                subprocess.run(["umount", "--lazy", str(mount)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def workplace(*, keep: bool) -> Iterator[Path]:
    """A folder of this process' own; short, as ssh's sockets lie in it."""
    base = Path(tempfile.gettempdir())
    remove_what_killed_suites_left(base)
    folder = base / f"{PREFIX}{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        remove_what_killed_suites_left(base)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """0: every row is 0 0 0."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description="Kill healing-bot, and count what it costs.")
    parser.add_argument("--short", action="store_true", help="fewer of each, at most 4 minutes")
    parser.add_argument("--row", action="append", default=[], help="only this row; may be given again")
    parser.add_argument("--seed", type=int, help="of random instants and choices")
    parser.add_argument("--limit", type=float, help="seconds; on a machine that is busy with other things")
    parser.add_argument("--keep", action="store_true", help="keep each row's state and its orchestrator's log")
    parser.add_argument("--list", action="store_true", help="name the rows")
    given = parser.parse_args()
    known = {row.name: row for row in ROWS}
    if given.list:
        for row in ROWS:
            say(f"{row.name:28} {row.what}")
        return 0
    unknown = sorted(set(given.row) - set(known))
    if unknown:
        parser.error(f"there is no row {unknown[0]}; --list names them")
    require_root()
    chosen = [known[name] for name in given.row] or [row for row in ROWS if row.size(short=given.short)]
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    say(f"chaos: {len(chosen)} rows, seed {seed}")
    begun = time.monotonic()
    with workplace(keep=given.keep) as folder:
        limit = given.limit or LIMITS[given.short]
        suite = Suite(chosen, folder, seed, short=given.short, limit=limit)
        try:
            suite.run()
        except KeyboardInterrupt:
            say("chaos: interrupted; everything is taken down")
            return 130
        if given.keep:
            say(f"chaos: kept in {folder}")
    return report(suite, whole=not given.row and not given.short, seconds=time.monotonic() - begun)


def report(suite: Suite, *, whole: bool, seconds: float) -> int:
    """The table, and what is wrong; the exit status."""
    say("")
    for line in suite.table():
        say(line)
    wrong = list(suite.complaints())
    boundaries = set().union(*(tally.killed for tally, _ in suite.results.values()))
    if whole:
        wrong += [f"no healing was killed at the boundary {one!r}" for one in suite.missed()]
    kills = sum(tally.times for tally, _ in suite.results.values())
    say(f"\nchaos: {kills} times in {seconds:.0f} s, {len(boundaries)} boundaries, seed {suite.seed}")
    for sentence in wrong:
        say(f"  {sentence}")
    say("chaos: nothing lost, nothing run twice, nothing stuck" if not wrong else f"chaos: {len(wrong)} defects")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
