"""Whether somebody else could change what a run is made of, or put another folder in its place.

As sshd's StrictModes looks at a key file: the folder itself must be ours alone, and whoever owns or may write a
folder above it must be one of those who decide anyway what this program does.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import ConfigError
from orchestrator.settings import HOME, Settings


def require(settings: Settings) -> None:
    """Raises ConfigError, one sentence with the path and the command, for the first folder that isn't safe."""
    for sentence in problems(settings):
        raise ConfigError(sentence)


def problems(settings: Settings) -> Iterator[str]:
    """One sentence for each folder that isn't safe; a folder that is not there yet will be made ours alone."""
    state = settings.state_dir
    yield from _above(state)
    for folder in (state, state / "runs", state / "ssh", settings.artifacts_dir):
        if found := problem(folder):
            yield found


def problem(folder: Path) -> str:
    """Why a folder isn't ours alone, and what to do; empty where it is, or is not there."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{folder} can't be looked at: {error.strerror}."
    us, mode = os.geteuid(), stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return (
            f"{folder} is a symbolic link, and whoever can change it decides what is run. Put the folder itself "
            f"there, or let state_dir name where it leads ({os.path.realpath(folder)})."
        )
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is no folder. Move it away; healer makes its own."
    if found.st_uid != us:
        owner = _name(found.st_uid)
        return (
            f"{folder} belongs to {owner}, who could change what {_name(us)} runs. Run healer as {owner}, or: "
            f"chown -R {_name(us)} {folder}"
        )
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "everybody" if mode & stat.S_IWOTH else "its group"
        return f"{folder} can be written by {who} (mode {mode:04o}), who could change what is run. chmod go-w {folder}"
    return ""


def _above(state: Path) -> Iterator[str]:
    # Whoever owns the code that runs here needs no folder to change what it does: a checkout's state may lie in it.
    code = HOME.stat()
    users, groups = {0, os.geteuid(), code.st_uid}, {0, os.getegid(), code.st_gid}
    # What a link leads to and the folders that hold the links: either is a place to put another folder.
    for folder in dict.fromkeys((*reversed(state.parents), *reversed(state.resolve().parents))):
        try:
            itself, found = folder.lstat(), folder.stat()
        except OSError:
            continue
        mode = stat.S_IMODE(found.st_mode)
        if strangers := {itself.st_uid, found.st_uid} - users:
            yield (
                f"{folder} belongs to {_name(min(strangers))}, who could put another folder in place of {state}. "
                f"Choose a state_dir elsewhere, or: chown {_name(os.geteuid())} {folder}"
            )
        elif mode & stat.S_ISVTX:
            continue
        elif mode & stat.S_IWOTH or (mode & stat.S_IWGRP and found.st_gid not in groups):
            who = "everybody" if mode & stat.S_IWOTH else "its group"
            yield (
                f"{folder} can be written by {who} (mode {mode:04o}), who could put another folder in place of "
                f"{state}. chmod go-w {folder}"
            )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
