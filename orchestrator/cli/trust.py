"""`healer trust`: show and enrol host keys."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import output


def trust(
    context: typer.Context,
    hosts: Annotated[list[str] | None, typer.Argument(help="Hosts of the inventory; none: all.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Enrol new keys without asking.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a changed key (after you compared it).")] = False,
    as_json: output.Json = False,
) -> None:
    """Show the fingerprint of each host's key, compare it with the host's own, enrol it in known_hosts."""
    settings = wiring.settings(context.obj)
    found = wiring.scan_keys(settings, hosts or [])
    if as_json:
        return output.print_json([{"host": host.name, "keys": keys} for host, keys in found])
    changed = False
    for host, keys in found:
        for key in keys:
            output.say(f"{host.name} {key.algorithm} {key.fingerprint} {key.standing}")
        changed = changed or any(key.standing == "changed" for key in keys)
        new = [key for key in keys if key.standing == "new" or (replace and key.standing == "changed")]
        if new and (yes or typer.confirm(f"Trust {host.name}?")):
            wiring.enrol_keys(settings, host, new, replace=replace)
            output.say(f"{host.name}: enrolled.")
    if changed and not replace:
        output.complain("A key differs from known_hosts: somebody may be in between. Compare on the host itself.")
        raise typer.Exit(1)
