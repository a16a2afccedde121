"""Every page of the dashboard: a new one is one line here, and all that is asked of pages is asked of it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.night import Night


@dataclass(frozen=True, slots=True)
class Seen:
    """One page. `path`: with names of a Night in braces. `shows`: words that stand on it when something happened."""

    path: str
    shows: str
    #: Words that stand on it when nothing ever happened; '': it does not exist then.
    empty: str = ""
    #: Pictures that are taken of it besides the one of a desktop in light: `dark`, `phone`.
    pictures: tuple[str, ...] = ()

    def of(self, night: Night) -> str:
        """Its path, in a store that was told of a night."""
        return self.path.format(night=night)


PAGES = {
    "now": Seen("/", "Waits for you", "Nothing waits for a person", ("dark", "phone")),
    "incidents": Seen("/incidents", "postgresql.service", "Nothing was sick yet", ("phone",)),
    "incident-healed": Seen("/incidents/{night.healed}", "gemini-2.5-flash", "", ("dark", "phone")),
    "incident-stuck": Seen("/incidents/{night.stuck}", "did not heal it"),
    "incident-going": Seen("/incidents/{night.going}", "oom-kill"),
    "approvals": Seen("/approvals", "nightly-report", "No open question"),
    "approval": Seen("/approvals/{night.asked}", "What would change", "", ("dark", "phone")),
    "approval-answered": Seen("/approvals/{night.answered}", "the deployment lost the bit"),
    "outbreaks": Seen("/outbreaks", "restart_network", "No outbreak yet"),
    "outbreak": Seen("/outbreaks/{night.outbreak}", "Temporary failure in name resolution", "", ("dark", "phone")),
    "host": Seen("/hosts/db2", "postgresql.service", "", ("phone",)),
    "memory": Seen("/memory", "it is cron, every night", "Memory knows nothing yet"),
    "remembered": Seen("/memory/{night.remembered}", "restart_service"),
    "runs": Seen("/runs", "restart_service", "No playbook was run yet"),
    "run": Seen("/runs/{night.good_run}", "Restart it, its failures forgotten", "", ("dark", "phone")),
    "run-failed": Seen("/runs/{night.failed_run}", "Say that it is sick"),
    "run-going": Seen("/runs/{night.going_run}", "still running"),
    "run-plan": Seen("/runs/{night.plan_run}", "Give it its execute bit"),
    "run-long": Seen("/runs/{night.long_run}", "200 tasks of a run with"),
    "actions": Seen("/actions", "Restart a service", "not tried yet"),
    "statistics": Seen("/statistics", "Healings a day", "Nothing was done in these days", ("dark", "phone")),
    "audit": Seen("/audit", "incident.healed", "No line fits", ("phone",)),
    "login": Seen("/login", "Token", "Token"),
    "not-there": Seen("/incidents/inc-0", "There is no such incident", "There is no such incident"),
}
