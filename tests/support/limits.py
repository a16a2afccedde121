"""Settings for tests that heal more, fail more and are sick at once more than any careful fleet is let."""

from __future__ import annotations

#: What may be done over the whole fleet, so wide that only a test about it meets a limit.
WIDE: dict[str, int] = {
    "budget_host_per_day": 1000,
    "budget_action_per_day": 1000,
    "budget_fleet_per_day": 1000,
    "fleet_hosts_max": 1000,
    "fleet_group_percent": 100,
    "fleet_sick_percent": 100,
    "breaker_failed_percent": 100,
}
#: The same as lines of a config file.
WIDE_LINES = "".join(f"{name} = {value}\n" for name, value in WIDE.items())
