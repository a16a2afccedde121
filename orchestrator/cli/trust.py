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
    """Show the fingerprint of each host's key, compare it with the host's own, enrol it in known_hosts.

    A host that does not answer holds up no other one; the exit code is then 1.
    """
    settings = wiring.settings(context.obj)
    listed: list[dict[str, object]] = []
    changed = failed = False
    for host, keys, error in wiring.scan_keys(settings, hosts or []):
        failed = failed or error is not None
        if as_json:
            listed.append({"host": host.name, "keys": keys, "error": str(error) if error else None})
            continue
        if error is not None:
            output.complain(str(error))
        for key in keys:
            output.say(f"{host.name} {key.algorithm} {key.fingerprint} {key.standing}")
        changed = changed or any(key.standing == "changed" for key in keys)
        new = [key for key in keys if key.standing == "new" or (replace and key.standing == "changed")]
        if new and (yes or _agreed(host.name)):
            wiring.enrol_keys(settings, host, new, replace=replace)
            output.say(f"{host.name}: enrolled.")
    if as_json:
        output.print_json(listed)
    if changed and not replace:
        output.complain("A key differs from known_hosts: somebody may be in between. Compare on the host itself.")
    if failed or (changed and not replace):
        raise typer.Exit(1)


def _agreed(host: str) -> bool:
    try:
        return typer.confirm(f"Trust {host}?")
    except typer.Abort:
        output.complain(f"Nobody answered, so {host} was not enrolled. Compare the fingerprint, then give --yes.")
        raise typer.Exit(1) from None
