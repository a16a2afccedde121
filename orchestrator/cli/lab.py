"""`healer lab`: a throwaway fleet of real hosts, broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lab.errors import LabError
from lab.faults import faults
from lab.fleet import Lab, LabHost, prepare_image
from orchestrator.cli import output

app = typer.Typer(
    help="A throwaway fleet of real Debian hosts on this machine: up, break, status, down.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Option("--name", help="Name of the lab; labs of different names never meet.")]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Folder for the labs' files. Default: ./.lab.", show_default=False)
]


@app.command()
def up(
    hosts: Annotated[int, typer.Option("--hosts", help="Bring up at least web1 .. web<N>.", min=1)] = 3,
    name: Name = "lab",
    state_dir: StateDir = None,
    as_json: output.Json = False,
) -> None:
    """Boot the hosts, or what is missing of them, and write their inventory."""
    with _complaints():
        lab = _lab(name, state_dir)
        found = lab.up(hosts)
    _show(found, as_json=as_json)
    if not as_json:
        output.say(f"inventory: {lab.inventory}")


def _list(wanted: bool) -> None:
    if wanted:
        list_faults()
        raise typer.Exit


@app.command("break")
def break_(
    fault: Annotated[str, typer.Argument(help="A fault that `healer lab faults` lists.")],
    host: Annotated[str, typer.Argument(help="A host of the lab.")],
    name: Name = "lab",
    state_dir: StateDir = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the faults, and break nothing.", is_eager=True, callback=_list)
    ] = False,
) -> None:
    """Break a host; ends once the error is in its journal."""
    with _complaints():
        _lab(name, state_dir).break_(fault, host)
    output.say(f"{host} is broken: {fault}")


@app.command()
def status(name: Name = "lab", state_dir: StateDir = None, as_json: output.Json = False) -> None:
    """The hosts as they are now."""
    with _complaints():
        found = _lab(name, state_dir).status()
    _show(found, as_json=as_json)


@app.command()
def down(name: Name = "lab", state_dir: StateDir = None) -> None:
    """Remove the lab: hosts, network, files, and what it changed on this machine."""
    with _complaints():
        _lab(name, state_dir).down()


@app.command("faults")
def list_faults(as_json: output.Json = False) -> None:
    """The ways to break a host, and how each must end."""
    with _complaints():
        found = faults()
    if as_json:
        return output.print_json(found)
    output.table(
        ("fault", "what", "ends with", "proves"),
        ((fault.name, fault.title, fault.expects, fault.proves) for fault in found),
        "There are no faults.",
    )


@app.command()
def image() -> None:
    """Make the hosts' image unless its recipe has one; `up` does this by itself."""
    with _complaints():
        output.say(prepare_image(output.say))


def _lab(name: str, state_dir: Path | None) -> Lab:
    return Lab(name, state_dir or Path.cwd() / ".lab", say=output.complain)


def _show(hosts: list[LabHost], *, as_json: bool) -> None:
    if as_json:
        return output.print_json(hosts)
    output.table(
        ("host", "address", "state", "container"),
        ((host.name, host.address, output.state(host.state), host.container) for host in hosts),
        "The lab is down; `healer lab up` boots it.",
    )


@contextmanager
def _complaints() -> Iterator[None]:
    try:
        yield
    except LabError as error:
        output.complain(str(error))
        raise typer.Exit(1) from error
