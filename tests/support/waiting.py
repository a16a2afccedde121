"""Waiting on a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    """The first true answer; fails with `what` after the limit."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}; last answer: {answer!r}")
        time.sleep(0.02)
