"""The one door to Apprise: a child process that delivers one message and ends.

    python -P -m orchestrator.notify.deliver < {"urls": [...], "message": {"title", "body", "level"} or null}

answers with JSON: one {"ok", "problem", "wait"} a URL; without a message it only looks whether Apprise understands
them. Apprise loads more than two hundred plugins, some 45 MB, and a receiver may never end its answer: a process of its
own gives both back. No problem that it names holds a part of a URL.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import requests
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.common import OverflowMode, PersistentStoreMode

from orchestrator.domain.notices import Level, Outcome
from orchestrator.domain.speech import printable

_TYPES = {
    Level.INFO: NotifyType.INFO,
    Level.SUCCESS: NotifyType.SUCCESS,
    Level.WARNING: NotifyType.WARNING,
    Level.FAILURE: NotifyType.FAILURE,
}
NOT_UNDERSTOOD = (
    "Apprise does not understand its URL. Accepted is a service it knows and what that needs, such as "
    "slack://TOKEN_A/TOKEN_B/TOKEN_C/%23ops; docs/notifications.md has more."
)
#: Characters of a problem.
PROBLEM = 200
#: Seconds that a receiver may ask us to wait; more is nonsense.
WAIT_MAX = 3600.0
_PARTS = re.compile(r"[^A-Za-z0-9_-]+")


def deliver(url: str, message: Mapping[str, str] | None) -> Outcome:
    """Try once. `message`: title, body, level; None: only look whether Apprise understands the URL."""
    asset = AppriseAsset(
        app_id="healing-bot",
        app_desc="healing-bot",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        # A key must not follow wherever an answer points.
        http_redirects=False,
        allow_templates=False,
        storage_mode=PersistentStoreMode.MEMORY,
    )
    heard = _Heard(url)
    try:
        service = Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None or isinstance(service, dict):
            return Outcome(ok=False, problem=NOT_UNDERSTOOD)
        if message is None:
            return Outcome(ok=True)
        if "overflow=" not in url:
            service.overflow_mode = OverflowMode.TRUNCATE
        told = Apprise(asset=asset)
        told.add(service)
        with heard:
            done = told.notify(
                title=message["title"],
                body=message["body"],
                notify_type=_TYPES[Level(message["level"])],
                body_format=NotifyFormat.TEXT,
            )
    except Exception as error:  # noqa: BLE001  # two hundred plugins: whatever they raise, the next try may go well
        return Outcome(ok=False, problem=heard.scrubbed(f"its Apprise plugin failed with {type(error).__name__}."))
    return Outcome(ok=True) if done else Outcome(ok=False, problem=heard.problem(), wait=heard.wait)


class _Heard(logging.Handler):
    """Listens to what the service answers and to what Apprise says of that, while one message is sent."""

    def __init__(self, url: str) -> None:
        super().__init__(logging.WARNING)
        self._parts = sorted({part for part in _PARTS.split(url) if len(part) > 3}, key=len, reverse=True)
        self._said: list[str] = []
        self._status, self.wait = 0, 0.0

    def __enter__(self) -> None:
        logging.getLogger("apprise").addHandler(self)
        logging.getLogger("apprise").propagate = False
        self._send = requests.Session.send

        def listened(session: Any, request: Any, **options: Any) -> Any:
            response = self._send(session, request, **options)
            self._status = response.status_code
            self.wait = _seconds(response.headers.get("Retry-After", ""))
            return response

        # Apprise tells neither the status nor Retry-After.
        setattr(requests.Session, "send", listened)  # noqa: B010  # mypy: nobody may assign a method

    def __exit__(self, *_: object) -> None:
        setattr(requests.Session, "send", self._send)  # noqa: B010
        logging.getLogger("apprise").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """What Apprise warns of."""
        self._said.append(record.getMessage())

    def problem(self) -> str:
        """One sentence."""
        if self._status >= 300:
            return f"it answered with HTTP status {self._status}."
        said = self.scrubbed(" ".join(self._said[:1])).rstrip(".")
        return f"{said}." if said else "it did not take the message."

    def scrubbed(self, text: str) -> str:
        """Without any part of the URL, on one line, bounded."""
        for part in self._parts:
            text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
        return printable(" ".join(text.split()))[:PROBLEM]


def _seconds(header: str) -> float:
    """Of Retry-After as seconds; its other form, a date, is left to our own pauses."""
    return min(float(header), WAIT_MAX) if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", header.strip(), re.ASCII) else 0.0


def main() -> None:
    """The child's whole life."""
    logging.basicConfig(handlers=[logging.NullHandler()])
    asked = json.load(sys.stdin)
    outcomes = [asdict(deliver(url, asked["message"])) for url in asked["urls"]]
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
