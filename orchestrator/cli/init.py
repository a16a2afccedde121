"""`healer init`: a config file, a commented example inventory and an API token, here."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from orchestrator import settings as settings_module
from orchestrator.cli import output


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where; made if missing.")] = Path(),
) -> None:
    """Write healer.toml, an example inventory and the API token here. Never overwrites."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / settings_module.CONFIG_NAME
    written = []
    if not config.exists():
        config.write_text(settings_module.example(), encoding="utf-8")
        written.append(str(config))
    source = settings_module.HOME / "inventory"
    for example in sorted(path for path in source.rglob("*.yml")):
        target = folder / "inventory" / example.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
            written.append(str(target))
    loaded = settings_module.load(config)
    loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not loaded.token_file.exists():
        loaded.token_file.touch(mode=0o600)
        loaded.token_file.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
        written.append(f"{loaded.token_file} (mode 0600)")
    for path in written:
        output.say(f"wrote {path}")
    if not written:
        output.say(f"kept {config}, its inventory and its token as they are")
    output.say("Next: list your hosts in inventory/hosts.yml, then `healer trust`, then `healer doctor`.")
