"""Which paths may be touched: by name always, by what the host says once it was asked."""

from __future__ import annotations

import posixpath
import re

from orchestrator.domain.actions import ParameterSource
from orchestrator.domain.hosts import HostPolicy
from orchestrator.domain.verdicts import PathFacts
from orchestrator.guard.protected import FORBIDDEN_NAMES, FORBIDDEN_PARTS, FORBIDDEN_TREES, SECURITY_RECORDS
from orchestrator.guard.question import Question
from orchestrator.guard.rule import on_host
from orchestrator.guard.shapes import is_path, values_of

_MODE = re.compile(r"[0-7]{3,5}")


def facts_of(question: Question, value: str) -> PathFacts | None:
    """What inspect found of a path, under the name that was asked for."""
    return question.facts.paths.get(value) if question.facts else None


def _inside(path: str, directory: str) -> bool:
    return path.startswith(f"{directory}/")


def _safe_directories(question: Question) -> tuple[str, ...]:
    """The host's safe directories, without a host the defaults; no plain path, no entry."""
    policy = question.host.policy if question.host else HostPolicy()
    cleaned = (entry.rstrip("/") for entry in policy.safe_directories)
    return tuple(entry for entry in cleaned if is_path(entry))


def _real(question: Question, value: str) -> tuple[str, ...]:
    """The path as named, and as the host resolves it where that is known."""
    facts = facts_of(question, value)
    return (value, facts.realpath) if facts and facts.realpath else (value,)


def forbidden_path(question: Question) -> str | None:
    """Never a file that decides who may log in, become root, or what systemd runs."""
    for value in values_of(question, ParameterSource.PATH):
        for path in _real(question, value):
            if (
                FORBIDDEN_NAMES & set(path.split("/"))
                or any(path == tree or _inside(path, tree) for tree in FORBIDDEN_TREES)
                or any(part in path for part in FORBIDDEN_PARTS)
            ):
                return (
                    f"{_as(value, path)} is never touched{on_host(question)}: it decides who may log in or "
                    "become root, or what the system runs."
                )
    return None


def security_record(question: Question) -> str | None:
    """Never a record of logins: moving it away or opening it is what an intruder would ask for."""
    for value in values_of(question, ParameterSource.PATH):
        for path in _real(question, value):
            if SECURITY_RECORDS.fullmatch(path):
                return (
                    f"{_as(value, path)} tells who logged in or became root{on_host(question)}: it is left to a person."
                )
    return None


def safe_directory(question: Question) -> str | None:
    """Named and resolved, the path lies under a safe directory, and is not that directory itself."""
    directories = _safe_directories(question)
    for value in values_of(question, ParameterSource.PATH):
        for path in _real(question, value):
            # What the host answered is checked too: `..` in it would fool the comparison.
            if posixpath.normpath(path) != path or not any(_inside(path, entry) for entry in directories):
                listed = ", ".join(directories) or "none"
                where = on_host(question) or " by default"
                return f"{_as(value, path)} is under none of the safe directories{where} ({listed})."
    return None


def path_state(question: Question) -> str | None:
    """A plain file with a known owner, one name, no special bits, and no way for others to swap it."""
    for value in values_of(question, ParameterSource.PATH):
        facts = facts_of(question, value)
        objection = _against(facts) if facts else None
        if objection:
            return f"{value}{on_host(question)} {objection}."
    return None


def _against(facts: PathFacts) -> str | None:
    if facts.type != "file" or not facts.realpath:
        kind = {"missing": "does not exist", "directory": "is a directory"}.get(facts.type, "is no plain file")
        return f"{kind}: only plain files are touched"
    if facts.links != 1:
        return f"has {facts.links} names (hard links), so its other names would be changed too"
    if not _MODE.fullmatch(facts.mode):
        return "has a mode that could not be read"
    if int(facts.mode, 8) & 0o7000:
        return f"has mode {facts.mode}: a file with setuid, setgid or sticky bit is left to a person"
    if not facts.owner or facts.owner == "UNKNOWN" or facts.owner.isdigit():
        return "belongs to a user that the host has no name for"
    if facts.writable_parent:
        return f"lies below {facts.writable_parent}, where others may write and could swap it during the change"
    return None


def _as(value: str, path: str) -> str:
    return value if path == value else f"{value} (which is {path})"
