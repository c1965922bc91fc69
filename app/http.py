"""What the routes share: pages, ETags, If-Match, and the middlewares around them."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from fastapi import Depends, Header, Query
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InvalidInput, PreconditionRequired

Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]

_ETAG = re.compile(r'"(?P<id>[0-9a-f-]{36})-(?P<version>\d{1,9})"')


def etag(id_: str, version: int) -> str:
    """Return the strong ETag of that version of an item."""
    return f'"{id_}-{version}"'


def if_match(
    value: Annotated[
        str | None,
        Header(alias="If-Match", max_length=100, description="The ETag of the version that you read."),
    ] = None,
) -> int:
    """Return the version that If-Match names; raises `PreconditionRequired` or `InvalidInput`."""
    if value is None:
        raise PreconditionRequired
    form = _ETAG.fullmatch(value.strip())
    if form is None:
        raise InvalidInput.at("header.If-Match", "not an ETag of this service")
    return int(form["version"])


IfMatch = Annotated[int, Depends(if_match)]
"""The version that the caller read."""


class BodyLimit:
    """Refuses bodies above `limit` bytes; `longer` gives other limits by path."""

    def __init__(self, app: ASGIApp, limit: int, longer: Mapping[str, int]) -> None:
        self._default = RequestBodyLimitMiddleware(app, limit)
        self._longer = {path: RequestBodyLimitMiddleware(app, most) for path, most in longer.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its path's limit."""
        await self._longer.get(scope.get("path", ""), self._default)(scope, receive, send)


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
