"""What healed before, and what people say of it: GET to read it, POST to say it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from api.described import BODY, CONFLICT, MISSING
from api.errors import ApiError
from api.requests import Text
from api.roles import Caller, needs
from api.state import ApiState, State
from api.v1 import shapes
from api.v1.queries import Paged, listed, missing
from api.v1.shapes import ROOT, List
from orchestrator import precedents
from orchestrator.domain.access import Identity, Role
from orchestrator.domain.ids import Signature
from orchestrator.domain.precedents import Deed, Precedents, Standing
from orchestrator.errors import ConfigError
from orchestrator.precedents import Remembered

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])

#: It is recorded with who said it; what memory learned counts as before where nobody says anything.
SAYS: dict[str, Any] = {"dependencies": [needs(Role.ADMIN)], "responses": {**MISSING, **BODY}, "tags": ["ask"]}
Named = Annotated[str, Path(max_length=200, description="a signature, as incidents have it")]
Named64 = Annotated[str, Field(max_length=64)]
Value = Annotated[str, Field(min_length=1, max_length=4096)]


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
    otherwise: list[str] = Field(
        description="signatures of lines that stood beside it and speak for something else than its pin: where one of "
        "them is in sight too, the chooser is asked"
    )
    healings: list[DeedShape]
    links: dict[str, str]


class Pin(BaseModel):
    """What is to be chosen."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"action": "restart_service", "parameters": {"service": "nginx"}, "reason": "it always helps"},
                {"reason": "what memory learned is right"},
            ]
        },
    )

    action: Named64 = Field(default="", description="empty: what memory learned, where that is one thing")
    parameters: dict[Named64, Value] = Field(default_factory=dict, max_length=20)
    reason: Text


class Forbid(BaseModel):
    """What is never to be chosen."""

    model_config = ConfigDict(extra="forbid")

    action: Named64 = Field(default="", description="empty: nothing at all is")
    reason: Text


class Release(BaseModel):
    """Why what was said counts no longer."""

    model_config = ConfigDict(extra="forbid")

    reason: Text


@router.get("/memory")
def memory(request: Request, state: State, page: Paged) -> List[MemoryShape]:
    """What was done about each error, how often that healed, and what people say of it."""
    return listed(request, lambda: state.store.page_remembered(page), lambda one: _known(state, one))


@router.get("/memory/{signature}", responses=MISSING)
def remembered(signature: Named, state: State) -> MemoryWhole:
    """One error."""
    known = find(state, signature)
    return MemoryWhole(
        memory=_known(state, known),
        otherwise=[
            one.signature for one in precedents.otherwise(state.store, known, state.settings.memory_healed_times)
        ],
        healings=[_deed(one) for one in known.deeds],
        links={
            "incidents": f"{ROOT}/incidents?signature={signature}",
            "outbreaks": f"{ROOT}/outbreaks?signature={signature}",
        },
    )


@router.post("/memory/{signature}/pin", **SAYS)
def pin(signature: Named, said: Pin, state: State, caller: Caller) -> MemoryWhole:
    """Have it chosen at once for this error, however often it healed. Policy judges it as usual."""
    say(state, signature, caller, said)
    return remembered(signature, state)


@router.post("/memory/{signature}/forbid", **SAYS)
def forbid(signature: Named, said: Forbid, state: State, caller: Caller) -> MemoryWhole:
    """Have it never chosen for this error, whoever decides: a person is told instead."""
    say(state, signature, caller, said)
    return remembered(signature, state)


@router.post("/memory/{signature}/release", **{**SAYS, "responses": {**MISSING, **BODY, **CONFLICT}})
def release(signature: Named, said: Release, state: State, caller: Caller) -> MemoryWhole:
    """Take a pin or a ban back. 409 where nobody has said anything."""
    say(state, signature, caller, said)
    return remembered(signature, state)


def say(state: ApiState, signature: str, caller: Identity, said: Pin | Forbid | Release) -> None:
    """A person's word about an error. Raises ApiError: 404, 409 where there is nothing to release, 422."""
    known, actor = find(state, signature).signature, caller.actor
    store, actions, now = state.store, state.actions, datetime.now(UTC)
    try:
        match said:
            case Pin():
                precedents.pin(
                    store,
                    actions,
                    known,
                    action=said.action,
                    given=said.parameters,
                    actor=actor,
                    reason=said.reason,
                    now=now,
                )
            case Forbid():
                precedents.forbid(store, actions, known, action=said.action, actor=actor, reason=said.reason, now=now)
            case Release():
                precedents.release(store, known, actor=actor, reason=said.reason)
    except ConfigError as error:
        released = isinstance(said, Release)
        status = HTTPStatus.CONFLICT if released else HTTPStatus.UNPROCESSABLE_ENTITY
        raise ApiError(status, "nothing_said" if released else "invalid", f"{error} Nothing was done.") from error


def find(state: ApiState, signature: str) -> Precedents:
    """Raises ApiError 404."""
    known = state.store.precedents(Signature(signature))
    if not known.deeds and known.word is None and state.store.wording(known.signature) is None:
        raise missing("signature", f"{ROOT}/memory")
    return known


def _known(state: ApiState, one: Precedents) -> MemoryShape:
    rows = precedents.details(state.store, one, state.settings.memory_healed_times)
    return MemoryShape(
        signature=one.signature,
        template=rows[0].template if rows else precedents.words(state.store, one),
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
