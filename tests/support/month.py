"""What went on in the month before a night: enough healings for figures."""

from __future__ import annotations

from random import Random

from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import RunKind, RunStatus
from tests.support.story import Step, Story

#: Of a month: host, unit, line, action, parameters, how many, and how many of them did not heal.
_USUAL = (
    (
        "web1",
        "nginx.service",
        "nginx.service: Main process exited, code=killed, status=9/KILL",
        "restart_service",
        26,
        1,
    ),
    ("app2", "shop.service", "shop.service: Failed with result 'exit-code'.", "restart_service", 19, 4),
    ("db1", "postgresql.service", "could not write to file: No space left on device", "free_disk_space", 14, 2),
    ("cache1", "redis-server.service", "redis-server.service: Failed with result 'signal'.", "restart_service", 11, 0),
    (
        "web2",
        "php8.2-fpm.service",
        "php8.2-fpm.service: its configuration changed on disk and is not loaded",
        "reload_config",
        6,
        1,
    ),
    ("app3", "worker.service", "12 defunct processes of worker", "kill_zombie_process", 4, 0),
)


def month(story: Story) -> None:
    """What went on in the thirty days before."""
    random = Random(6)  # noqa: S311  # the same month each time
    usual = [(row, number < row[5]) for row in _USUAL for number in range(row[4])]
    random.shuffle(usual)
    times = sorted(random.uniform(1.4, 29.6) for _ in usual)
    for days, ((host, unit, line, action, *_), failed) in zip(reversed(times), usual, strict=True):
        story.clock.before_end(days * 24 * 60)
        told = story.trouble(host, unit, line)
        parameters = {"path": "/var/log"} if action == "free_disk_space" else {"service": unit}
        told.chosen(action, "It speaks of what this action mends.", parameters).allowed()
        told.ran(RunKind.ACT, Step("act", "changed", random.choice((2, 3, 3, 4, 9, 14))), keep=False)
        if failed:
            reason = f"{unit} failed again within 10 s"
            told.ran(RunKind.VERIFY, Step("verify"), status=RunStatus.SICK, reason=reason, keep=False)
            told.moved(IncidentState.ESCALATED, f"{action} ended as succeeded and did not heal it: {reason}")
            story.clock.on(60)
            told.moved(IncidentState.EXPIRED, "closed by a person")
        else:
            told.ran(RunKind.VERIFY, Step("verify", seconds=2), keep=False).healed()
