"""How refusals are described, for whoever writes a client."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What went wrong; nothing was done unless the sentence says otherwise."""

    code: str = Field(examples=["host_unknown"])
    message: str = Field(examples=["host: there is no such host in the inventory. Known: web1. Nothing was done."])
    field: str | None = None


class Failed(BaseModel):
    """The one shape of errors."""

    status: str = Field(examples=["error"])
    error: Problem


#: Answers that any route may give.
ERRORS: dict[int | str, dict[str, object]] = {
    status.value: {"model": Failed, "description": said}
    for status, said in (
        (HTTPStatus.UNAUTHORIZED, "No token, or one that is not good"),
        (HTTPStatus.FORBIDDEN, "The token's role may not do this, or the Host or Origin is not ours"),
        (HTTPStatus.UNPROCESSABLE_ENTITY, "A field is not accepted; the message says what is"),
        (HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong tokens, or too many streams"),
        (HTTPStatus.SERVICE_UNAVAILABLE, "The store can't be read or written for now"),
    )
}
MISSING: dict[int | str, dict[str, object]] = {404: {"model": Failed, "description": "There is no such thing"}}
CONFLICT: dict[int | str, dict[str, object]] = {
    409: {"model": Failed, "description": "It changed meanwhile, or was done before"}
}
BODY: dict[int | str, dict[str, object]] = {
    408: {"model": Failed, "description": "The body did not arrive in time"},
    413: {"model": Failed, "description": "The body is too large"},
}
