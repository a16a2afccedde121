"""Sends one message through the child that holds Apprise, for so long and no longer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict

from orchestrator.domain.notices import Channel, Message, Outcome

#: Seconds that a delivery may take, the child's start included.
SECONDS = 30.0
#: Seconds between two looks whether the worker ends.
LOOK = 0.25


class Sender:
    """Implements teller.Send; each try is a process of its own."""

    def __init__(
        self, environment: Mapping[str, str], ended: Callable[[], bool] = lambda: False, *, seconds: float = SECONDS
    ) -> None:
        """`environment` of the child: no secret; `ended`: the worker ends, so the child does."""
        self._environment, self._ended, self._seconds = dict(environment), ended, seconds

    def __call__(self, channel: Channel, message: Message) -> Outcome:
        """Try once. Never raises."""
        return _unset(channel) if channel.url is None else self._ask((channel,), message)[0]

    def understood(self, channels: Sequence[Channel]) -> tuple[Outcome, ...]:
        """For each channel whether Apprise understands its URL, or that it was not found out; nothing is sent."""
        known = [channel for channel in channels if channel.url is not None]
        answers = iter(self._ask(known, None) if known else ())
        return tuple(next(answers) if channel.url is not None else _unset(channel) for channel in channels)

    def _ask(self, channels: Sequence[Channel], message: Message | None) -> tuple[Outcome, ...]:
        asked = {"urls": [channel.url for channel in channels], "message": asdict(message) if message else None}
        try:
            return self._answer(json.dumps(asked).encode(), len(channels))
        except OSError as error:
            return _all(len(channels), f"the process that tells people can't be started: {error.strerror}.")

    def _answer(self, asked: bytes, number: int) -> tuple[Outcome, ...]:
        # -P: nothing in the working directory is imported. The path leads to this very package, as in fleet's child.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.notify.deliver"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + self._seconds
        given: bytes | None = asked
        with child:
            try:
                while True:
                    try:
                        out, _ = child.communicate(given, timeout=LOOK)
                        break
                    except subprocess.TimeoutExpired:
                        given = None
                        if self._ended():
                            return _all(number, "healer serve ends.")
                        if time.monotonic() >= deadline:
                            return _all(number, f"it gave no answer within {self._seconds:g} s.")
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
        try:
            return tuple(Outcome(**outcome) for outcome in json.loads(out))
        except (ValueError, TypeError):
            return _all(number, f"the process that tells people ended with {child.returncode}.")


def _unset(channel: Channel) -> Outcome:
    return Outcome(ok=False, problem=f"the environment variable {channel.url_env} is not set.")


def _all(number: int, problem: str) -> tuple[Outcome, ...]:
    return (Outcome(ok=False, problem=problem, unsure=True),) * number
