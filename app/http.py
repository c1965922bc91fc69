"""What the routes share: strict JSON, pages, ETags, If-Match, and the middlewares around them."""

import json
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, NamedTuple

import orjson
from fastapi import Depends, Header, Query
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator
from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import MAX_ERRORS, FieldError, InvalidInput, PayloadTooLarge, PreconditionRequired, field_path

API = "/api/v1"
"""What the paths of all routes but those about the service's health begin with."""

Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page.")]

# What `app.db.pages` gives as `next`: forward, after a number that the database can hold.
_CURSOR = re.compile(r">(s:.*~)?i:[0-9]{1,18}", re.DOTALL)


def _ours(value: str | None) -> str | None:
    if value is not None and not _CURSOR.fullmatch(value.strip("\r\n")):
        msg = "not a cursor of this list"
        raise ValueError(msg)
    return value


Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before."), AfterValidator(_ours)]

_ETAG = re.compile(r'"(?P<id>[0-9a-f-]{36})-(?P<number>[0-9]{1,9})"')


def etag(id_: str, version: int) -> str:
    """Return the strong ETag of that version of an item."""
    return f'"{id_}-{version}"'


class Version(NamedTuple):
    """A version of an item, as an ETag names it."""

    id: str
    number: int


def if_match(
    value: Annotated[
        str | None,
        Header(alias="If-Match", max_length=100, description="The ETag of the version that you read."),
    ] = None,
) -> Version:
    """Return the version that If-Match names; raises `PreconditionRequired` or `InvalidInput`."""
    if value is None:
        raise PreconditionRequired
    form = _ETAG.fullmatch(value.strip())
    if form is None:
        raise InvalidInput.at("header.If-Match", "not an ETag of this service")
    return Version(form["id"], int(form["number"]))


IfMatch = Annotated[Version, Depends(if_match)]
"""The version that the caller read."""


@contextmanager
def in_body() -> Iterator[None]:
    """Name the fields that a service refuses as what they are to a client: fields of the body."""
    try:
        yield
    except InvalidInput as error:
        named = ((f"body.{e['field']}".replace("body.body.", "body."), e["reason"]) for e in error.errors)
        raise InvalidInput(errors=[FieldError(field=field, reason=reason) for field, reason in named]) from error


@contextmanager
def in_query(names: Mapping[str, str]) -> Iterator[None]:
    """Name the fields that a service refuses as parameters of the query; `names` gives those called otherwise."""
    try:
        yield
    except InvalidInput as error:
        fields = ((e["field"].removeprefix("body."), e["reason"]) for e in error.errors)
        raise InvalidInput(
            errors=[FieldError(field=f"query.{names.get(field, field)}", reason=reason) for field, reason in fields]
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        msg = "a name stands twice"
        raise json.JSONDecodeError(msg, "", 0)
    return fields


def _whole_number(digits: str) -> int | float:
    # What no field takes becomes infinite, and its field refuses it by name.
    return int(digits) if len(digits) <= len(str(-(2**64))) else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_int=_whole_number)


def read_json(body: bytes) -> Any:
    """Return what a body of JSON says.

    Raises `json.JSONDecodeError` also for what is not UTF-8, nested too deeply, or names a field twice: readers
    differ in which of the two they take, and so whoever checks a body on its way may see another one than we.
    """
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        msg = "not readable"
        raise json.JSONDecodeError(msg, "", 0) from error


class _StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


def _query_names(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_query_names(inner) for inner in dependant.dependencies))


class ApiRoute(APIRoute):
    """A route that refuses query parameters it does not have: a misspelt filter is no wish for everything."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with the check before it."""
        handle = super().get_route_handler()
        known = _query_names(self.dependant)

        async def handle_known(request: Request) -> Response:
            if request.scope["query_string"]:
                unknown = [name for name in request.query_params if name not in known]
                if unknown:
                    reason = (
                        f"no such parameter: there are {', '.join(sorted(known))}" if known else "no such parameter"
                    )
                    fields = (field_path(("query", name)) for name in unknown[:MAX_ERRORS])
                    raise InvalidInput(errors=[FieldError(field=field, reason=reason) for field in fields])
            return await handle(request)

        return handle_known


class JsonRoute(ApiRoute):
    """A route that also reads its JSON by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, given the stricter request."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class JsonAnswer(Response):
    """Plain JSON, written by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return orjson.dumps(content)


def route_path(scope: Scope) -> str | None:
    """Return the path of the route that was found, with its parameters' names, never what was put in their place."""
    route = scope.get("route")
    if route is None:
        return None
    path: str = route.path  # of a route below another router: without what stands before all of that one's paths
    below = scope["path"].startswith(f"{API}/") and not path.startswith(f"{API}/")
    return f"{API}{path}" if below else path


class BodyLimit:
    """Refuses bodies above `limit` bytes; `longer` gives other limits by path."""

    def __init__(self, app: ASGIApp, limit: int, longer: Mapping[str, int]) -> None:
        self._default = RequestBodyLimitMiddleware(app, limit)
        self._longer = {path: RequestBodyLimitMiddleware(app, most) for path, most in longer.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its path's limit."""
        limited = self._longer.get(scope.get("path", ""), self._default)
        if scope["type"] == "http" and _declared_length(scope) > limited.max_body_size:
            # Starlette would answer in plain text.
            problem = {**PayloadTooLarge().marshal(), "instance": "/"}
            answer = JSONResponse(problem, PayloadTooLarge.http_status, media_type="application/problem+json")
            await answer(scope, receive, send)
            return
        await limited(scope, receive, send)


def _declared_length(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared) if re.fullmatch("[0-9]{1,100}", declared) else 0


class SecurityHeaders:
    """Adds the headers that keep answers out of caches, frames and guesses."""

    _HEADERS: ClassVar[list[tuple[bytes, bytes]]] = [
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    ]

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in self._HEADERS if h[0] not in present)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
