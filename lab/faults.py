"""Faults: small scripts that break a host the way production breaks.

A fault is a file `faults/<name>.sh` whose first comment lines give `title`, `proves` and `expects`. It runs as root on
the host after `faults/_begin.sh`, ends once its error is really in the journal, and can be run again after healing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

_FOLDER = Path(__file__).resolve().parent / "faults"
_BEGIN = _FOLDER / "_begin.sh"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to break a host."""

    name: str
    title: str
    proves: str
    #: The action that must heal it; `escalate` if a person must be told, `refused` if policy or role must say no.
    expects: str
    script: Path

    def text(self) -> str:
        """The whole program for the host's shell."""
        return _BEGIN.read_text(encoding="utf-8") + self.script.read_text(encoding="utf-8")


def faults() -> list[Fault]:
    """All faults, by name."""
    return [_read(script) for script in sorted(_FOLDER.glob("[!_]*.sh"))]


def find_fault(name: str) -> Fault:
    """The fault of that name. Raises LabError that lists the accepted ones."""
    known = {fault.name: fault for fault in faults()}
    if name not in known:
        raise LabError(f"There is no fault {name!r}. Choose one of: {', '.join(known)}.")
    return known[name]


def _read(script: Path) -> Fault:
    heads: dict[str, str] = {}
    for row in script.read_text(encoding="utf-8").splitlines():
        if not row.startswith("# "):
            break
        key, _, value = row[2:].partition(": ")
        heads[key] = value.strip()
    missing = {"title", "proves", "expects"} - heads.keys()
    if missing:
        raise LabError(f"{script}: the first comment lines lack {', '.join(sorted(missing))}.")
    return Fault(
        name=script.stem,
        title=heads["title"],
        proves=heads["proves"],
        expects=heads["expects"],
        script=script,
    )
