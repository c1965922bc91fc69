"""The seam of rights: every route names the scope that it needs with `require(scope)`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader

from app.accounts.principal import Principal
from app.accounts.repository import LiveKeys
from app.accounts.service import check
from app.db.session import get_database
from app.errors import Forbidden, Unauthenticated

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key of this service.")


def require(scope: str) -> Callable[[Request, str | None], Awaitable[Principal]]:
    """Return the dependency that says who asks, and lets only principals with `scope` pass.

    It raises `Unauthenticated` and `Forbidden`. It looks the key up at once, which is cheaper than a hop to a thread,
    and outside a transaction, so that no snapshot of the database is held while the request waits for its turn.
    """

    async def allow(request: Request, key: Annotated[str | None, Security(_header)] = None) -> Principal:
        principal = None
        if key:
            with get_database(request).look() as connection:
                principal = check(key, LiveKeys(connection))
        if principal is None:
            raise Unauthenticated
        if not principal.may(scope):
            raise Forbidden
        return principal

    allow.__name__ = f"require {scope}"
    return allow
