"""What a chooser is shown of an incident: the same while healing, and when what is on record is decided again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orchestrator.decide.candidates import candidates
from orchestrator.detect.signature import signature
from orchestrator.domain.actions import Action, Candidate, ParameterSource
from orchestrator.domain.incidents import Incident, SubjectKind
from orchestrator.domain.records import LogRecord
from orchestrator.ports import Case

#: Records of an incident that a chooser is shown at most.
SHOWN_RECORDS = 20


def case_of(
    incident: Incident,
    records: tuple[LogRecord, ...],
    actions: Sequence[Action],
    units_on_host: Collection[str] | None,
) -> Case:
    """The case of an incident with these records, newest last. `units_on_host`: see candidates; None: not known."""
    unit = incident.subject.name if incident.subject.kind is SubjectKind.UNIT else ""
    unit = unit or next((record.unit for record in reversed(records) if record.unit), "")
    return Case(
        incident_id=incident.id,
        host=incident.host,
        unit=unit,
        records=records,
        candidates=candidates(actions, unit, records, units_on_host),
        actions=tuple(actions),
        signatures=tuple(signature(record.unit, record.message)[0] for record in records),
    )


def offered_units(offered: Sequence[Candidate], actions: Mapping[str, Action]) -> list[str]:
    """Units that candidates offer, by their full names and sorted; of actions that are not known, none."""
    found = set()
    for candidate in offered:
        action = actions.get(candidate.action)
        for parameter in action.parameters if action else ():
            if parameter.source is ParameterSource.UNIT:
                found |= {one if "." in one else f"{one}.service" for one in candidate.values.get(parameter.name, ())}
    return sorted(found)
