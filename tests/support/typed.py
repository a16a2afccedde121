"""`healer`, as a person types it, in this very process."""

from __future__ import annotations

from typer.testing import CliRunner

from orchestrator.cli.main import app


def typed(config: str, *arguments: str, stdin: str | None = None) -> str:
    """What it prints. Its errors come through."""
    result = CliRunner().invoke(app, ["--config", config, *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
