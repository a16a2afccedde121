"""One shape for everything that goes wrong: {"status": "error", "error": {"code", "message", "field"?}}."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.paths import is_page
from orchestrator.domain.speech import printable
from orchestrator.errors import HealingError, TemporaryError
from orchestrator.ports import BadCursor

#: Request, status, code, sentence -> a page that says it.
ErrorPage = Callable[[Request, int, str, str], Response]

#: Characters of a sentence, and of what a client sent that is repeated to it.
SAID, REPEATED = 8000, 200

log = logging.getLogger("healing.api")


class ApiError(Exception):
    """A refusal of the API itself; `message` is a sentence for a person."""

    def __init__(self, status: int, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The one shape. What a client called a field is repeated as text that nothing obeys, and not at length."""
    error = {"code": code, "message": printable(message)[:SAID]}
    if field is not None:
        error["field"] = printable(field)[:REPEATED]
    return JSONResponse({"status": "error", "error": error}, status_code=status, headers=headers)


def for_a_person(scope: Scope, refused: JSONResponse) -> Response:
    """The same as a page, for who looks at one."""
    request = Request(scope)
    if not _looks(request):
        return refused
    error = json.loads(bytes(refused.body))["error"]
    page: ErrorPage = request.app.state.error_page
    return page(request, refused.status_code, error["code"], error["message"])


def install(app: FastAPI, page: ErrorPage) -> None:
    """Every exception that leaves a route becomes the one shape, or a page for who looks at one; no traceback leaves
    the process."""
    app.state.error_page = page
    app.add_exception_handler(ApiError, _api)
    app.add_exception_handler(HealingError, _healing)
    app.add_exception_handler(BadCursor, _bad_cursor)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)


def _answer(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    if _looks(request):
        page: ErrorPage = request.app.state.error_page
        return page(request, status, code, message)
    return error_response(status, code, message, field=field, headers=headers)


def _looks(request: Request) -> bool:
    return is_page(request.url.path) and "text/html" in request.headers.get("accept", "")


def _api(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _answer(request, error.status, error.code, error.message, field=error.field)


def _healing(request: Request, error: Exception) -> Response:
    if not isinstance(error, HealingError):
        raise error
    status = HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, TemporaryError) else HTTPStatus.INTERNAL_SERVER_ERROR
    log.warning("api.error %s: %s", error.code, error)
    return _answer(request, status, error.code, str(error))


def _bad_cursor(request: Request, _error: Exception) -> Response:
    return _answer(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid",
        "cursor: this is no cursor of this list. Accepted is the one in a former answer's `next`.",
        field="cursor",
    )


def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    place = [str(part) for part in _sequence(first.get("loc"))]
    name = ".".join(place[1:]) if first.get("type") != "json_invalid" else ""
    said = str(first.get("msg", "invalid")).removeprefix("Value error, ")
    return _answer(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid",
        f"{name[:REPEATED] or 'body'}: {said}.".replace("..", "."),
        field=name or "body",
    )


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.BAD_REQUEST:
        # A body that is no text at all; one that is no JSON is reported as invalid already.
        return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"body: {error.detail}.", field="body")
    path, method = request.url.path[:REPEATED], request.method[:REPEATED]
    said = {
        HTTPStatus.NOT_FOUND: ("not_found", f"There is nothing at {path}."),
        HTTPStatus.METHOD_NOT_ALLOWED: ("method", f"{path} does not take {method}."),
    }
    code, message = said.get(HTTPStatus(error.status_code), ("http", str(error.detail)))
    return _answer(request, error.status_code, code, message, headers=error.headers)


def _internal(request: Request, error: Exception) -> Response:
    log.error("api.internal %s %s", request.method, request.url.path, exc_info=error)
    return _answer(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "An error of ours, logged by `healer serve`. What was begun goes on by itself: see `healer incidents list`.",
    )
