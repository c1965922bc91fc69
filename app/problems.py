"""The one door by which errors leave: every exception becomes `application/problem+json`."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from fastapi_problem.handler import (
    ExceptionHandler,
    add_exception_handler,
    customise_openapi,
    new_exception_handler,
)
from rfc9457 import Problem
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.errors import FieldError, InvalidInput, PayloadTooLarge, PuenteError, StorageFull, Unavailable
from app.http import route_path
from app.wall import safe_errors

_FULL = ("disk is full", "readonly database", "disk I/O error")
_UNREADABLE, _NOT_ALLOWED = 400, 405
_TITLES = {_UNREADABLE: "The request cannot be read", 404: "Not found", 405: "This method is not allowed here"}
_FIELD_ERROR = {
    "title": "FieldError",
    "type": "object",
    "required": ["field", "reason"],
    "properties": {
        "field": {"type": "string", "examples": ["body.nuts_code"]},
        "reason": {"type": "string", "examples": ["not a NUTS 2024 code"]},
    },
}
INTERNAL = "urn:puente:problem:internal-error"


def _validation(_: ExceptionHandler, _request: Request, error: Exception) -> Problem:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    return InvalidInput(errors=safe_errors(list(errors)))


def _allowed(request: Request) -> list[str]:
    """Return every method of the path that was asked for: the router names only those of the first route it met."""
    contexts = (context for context in iter_route_contexts(request.app.routes) if context.path_regex is not None)
    methods = (context.methods or () for context in contexts if context.path_regex.match(request.scope["path"]))
    return sorted(set().union(*methods))


def _http(_: ExceptionHandler, request: Request, error: Exception) -> Problem:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == PayloadTooLarge.http_status:
        return PayloadTooLarge()
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == _NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    # All that answers 400 is a body that breaks off or holds too many parts.
    extra: dict[str, Any] = {}
    if status == _UNREADABLE:
        extra["errors"] = [FieldError(field="body", reason="cannot be read")]
    return Problem(
        _TITLES.get(status, "The request was refused"),
        type_=f"urn:puente:problem:http-{status}",
        status=status,
        headers=headers,
        **extra,
    )


def _database(_: ExceptionHandler, _request: Request, error: Exception) -> Problem:
    if any(sign in str(error.__cause__ or error) for sign in _FULL):
        return StorageFull()
    return Unavailable("the database is busy")


def _finish(content: dict[str, Any], request: Request, response: Response) -> tuple[dict[str, Any], Response]:
    """Name the route, and say nothing of what went wrong inside."""
    content = {**content, "instance": route_path(request.scope) or "/"}
    if response.status_code >= 500 and not str(content["type"]).startswith("urn:puente:"):  # noqa: PLR2004
        content = {
            "type": INTERNAL,
            "title": PuenteError.sentence,
            "status": response.status_code,
            "instance": content["instance"],
        }
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return content, JSONResponse(content, response.status_code, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Give the application its error handlers, and its OpenAPI the description of a problem."""
    handler = new_exception_handler(
        logger=logging.getLogger("app.problems"),
        handlers={OperationalError: _database, PoolTimeoutError: _database},
        post_hooks=[_finish],
        http_exception_handler=_http,
        request_validation_handler=_validation,
    )
    add_exception_handler(app, handler)
    original = customise_openapi(app.openapi)

    def openapi() -> dict[str, Any]:
        schema = original()
        schema["components"]["schemas"]["ValidationError"] = _FIELD_ERROR
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
