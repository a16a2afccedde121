"""The tables of parameters in the roles' READMEs: written from the argument specs, one for each entry point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.catalog.rows import EntryRow, SpecRow, parse

ROLES = Path(__file__).resolve().parents[2] / "roles"
BEGIN = "<!-- scripts/role-tables writes what follows, from meta/argument_specs.yml -->"
END = "<!-- written so far -->"


def written(role: Path) -> str:
    """The role's README with the tables of its spec between the marks. Raises ValueError: a sentence."""
    readme = role / "README.md"
    if not readme.is_file():
        raise ValueError(f"{readme} is missing; write what the role does and never does, and the two marks for tables.")
    before, begin, rest = readme.read_text(encoding="utf-8").partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(
            f"{readme} lacks the marks {BEGIN} and {END}, a line each; write them where the tables belong."
        )
    entries = parse(role / "meta" / "argument_specs.yml", SpecRow).argument_specs
    tables = "\n".join(line for name, entry in entries.items() for line in _table(name, entry))
    return f"{before}{begin}\n{tables}\n{end}{after}"


def _table(name: str, entry: EntryRow) -> Iterator[str]:
    yield from (f"### {name}", "", f"{entry.short_description}.", "")
    if not entry.options:
        yield from ("It has no parameters.", "")
        return
    yield from ("| Parameter | Type | Required | Description |", "|---|---|---|---|")
    for option, row in entry.options.items():
        kind = f"{row.type} of {row.elements}" if row.elements else row.type
        said = row.text().replace("|", r"\|")
        yield f"| `{option}` | {kind} | {'yes' if row.required else 'no'} | {said} |"
    yield ""


def main(*arguments: str) -> int:
    """Write the tables; with `--check` only say which are stale. The number of roles that need a hand or a write."""
    wrong = []
    for role in sorted(path for path in ROLES.iterdir() if path.is_dir()):
        try:
            text = written(role)
        except ValueError as error:
            wrong.append(str(error))
            continue
        if text == (role / "README.md").read_text(encoding="utf-8"):
            continue
        if "--check" in arguments:
            wrong.append(f"{role / 'README.md'} is stale; run scripts/role-tables.")
        else:
            (role / "README.md").write_text(text, encoding="utf-8")
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
