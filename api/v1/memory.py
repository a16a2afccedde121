"""GET: what healed before, and what people say of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from api.described import MISSING
from api.roles import needs
from api.state import ApiState, State
from api.v1 import shapes
from api.v1.queries import Paged, listed, missing
from api.v1.shapes import ROOT, List
from orchestrator import precedents
from orchestrator.domain.access import Role
from orchestrator.domain.ids import Signature
from orchestrator.domain.precedents import Deed, Precedents, Standing
from orchestrator.precedents import Remembered

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])

Named = Annotated[str, Path(max_length=200, description="a signature, as incidents have it")]


class WordShape(shapes.Shape):
    """A person's word about one error."""

    standing: Standing
    action: str = Field(description="empty: any action")
    parameters: dict[str, Any]
    actor: str
    reason: str
    at: datetime


class RememberedShape(shapes.Shape):
    """One deed for one error."""

    standing: str = Field(
        description="`pinned`, `forbidden`, `proven` (chosen from memory), `learning` (healed, not often enough) or "
        "`forgotten` (it failed)",
        examples=["proven"],
    )
    action: str = Field(description="empty: any action")
    parameters: dict[str, Any]
    healed: int = Field(description="how often it healed in a row up to now")
    done: int = Field(description="how often it was done")
    last: datetime | None
    last_chosen: datetime | None = Field(description="when memory chose it last")


class MemoryShape(BaseModel):
    """What is known of one error."""

    signature: str
    template: str = Field(description="the line, with what varies masked out")
    word: WordShape | None = Field(description="what a person said of it; null: nobody did")
    deeds: list[RememberedShape]
    link: str


class DeedShape(shapes.Shape):
    """One healing that memory counts."""

    incident: str
    host: str
    action: str
    parameters: dict[str, Any]
    healed: bool
    chooser: str
    at: datetime
    link: str


class MemoryWhole(BaseModel):
    """One error with each healing that memory counts, newest first."""

    memory: MemoryShape
    healings: list[DeedShape]
    links: dict[str, str]


@router.get("/memory")
def memory(request: Request, state: State, page: Paged) -> List[MemoryShape]:
    """What was done about each error, how often that healed, and what people say of it."""
    return listed(request, lambda: state.store.page_remembered(page), lambda one: _known(state, one))


@router.get("/memory/{signature}", responses=MISSING)
def remembered(signature: Named, state: State) -> MemoryWhole:
    """One error."""
    known = state.store.precedents(Signature(signature))
    if not known.deeds and known.word is None and state.store.wording(known.signature) is None:
        raise missing("signature", f"{ROOT}/memory")
    return MemoryWhole(
        memory=_known(state, known),
        healings=[_deed(one) for one in known.deeds],
        links={
            "incidents": f"{ROOT}/incidents?signature={signature}",
            "outbreaks": f"{ROOT}/outbreaks?signature={signature}",
        },
    )


def _known(state: ApiState, one: Precedents) -> MemoryShape:
    rows = precedents.details(state.store, one, state.settings.memory_healed_times)
    words = next((row.template for row in rows), "") or state.store.wording(one.signature) or ""
    return MemoryShape(
        signature=one.signature,
        template=words,
        word=WordShape.model_validate(one.word) if one.word else None,
        deeds=[_row(row) for row in rows],
        link=f"{ROOT}/memory/{one.signature}",
    )


def _row(row: Remembered) -> RememberedShape:
    return RememberedShape.model_validate(row)


def _deed(one: Deed) -> DeedShape:
    return DeedShape(
        incident=one.incident_id,
        host=one.host,
        action=one.action,
        parameters=dict(one.parameters),
        healed=one.healed,
        chooser=one.chooser,
        at=one.at,
        link=f"{ROOT}/incidents/{one.incident_id}",
    )
