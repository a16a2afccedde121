"""`healer tokens`: who may ask over HTTP, and what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from orchestrator import access
from orchestrator import app as wiring
from orchestrator.cli import output
from orchestrator.domain.access import Role, Token
from orchestrator.errors import ConfigError

app = typer.Typer(
    help="Keys of the REST API: make, list, revoke. The token file of state_dir has the role admin and the name `api`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is; what is done with it is recorded as `api:NAME`.")],
    role: Annotated[Role, typer.Option(help="Each may do what those before it may.")] = Role.VIEWER,
    days: Annotated[int, typer.Option(help="How long it lasts.")] = 90,
    as_json: output.Json = False,
) -> None:
    """Make a token and show its key, this once: only a digest is kept."""
    store = wiring.open_record(wiring.settings(context.obj))
    token, key = access.issue(store, name, role, days, actor=wiring.actor(), now=datetime.now(UTC))
    if as_json:
        return output.print_json({**_shown(token), "key": str(key)})
    output.say(str(key))
    output.complain(f"this is the key of {token.name} ({token.role}), good for {days} days. It is not shown again.")


@app.command("list")
def list_(context: typer.Context, as_json: output.Json = False) -> None:
    """All tokens, newest first, also those that are no longer good."""
    store = wiring.open_record(wiring.settings(context.obj))
    found, now = store.tokens(), datetime.now(UTC)
    if as_json:
        return output.print_json([_shown(token) for token in found])
    output.table(
        ("token", "name", "role", "stands", "expires", "last used", "made by"),
        (
            (
                token.id,
                output.text(token.name),
                token.role.value,
                "good" if token.good(now) else "revoked" if token.revoked_at else "expired",
                output.when(token.expires_at),
                output.when(token.used_at) or "never",
                output.text(token.created_by),
            )
            for token in found
        ),
        "No tokens but the token file. `healer tokens create NAME --role viewer` makes one.",
    )


@app.command()
def revoke(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="Its name or id.")],
    reason: Annotated[str, typer.Option(help="Why; recorded with your name. Required.")],
) -> None:
    """End a token now: the next request with it is refused."""
    store = wiring.open_record(wiring.settings(context.obj))
    wiring.require_reason(reason)
    found = next((one for one in store.tokens() if token in (one.id, one.name) and one.revoked_at is None), None)
    if found is None or not store.revoke_token(found.id, actor=wiring.actor(), reason=reason):
        raise ConfigError(f"There is no token {token[:80]!r} that could be revoked. `healer tokens list` shows them.")
    output.say(f"{found.name} ({found.id}) is revoked.")


def _shown(token: Token) -> dict[str, object]:
    names = ("id", "name", "role", "created_at", "created_by", "expires_at", "revoked_at", "used_at")
    return {name: getattr(token, name) for name in names}
