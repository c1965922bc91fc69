"""The seam of rights: every route names the scope that it needs with `require(scope)`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from app.accounts.principal import Principal
from app.accounts.repository import LiveKeys
from app.accounts.service import check
from app.db.session import get_database
from app.errors import Forbidden, Unauthenticated

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key of this service.")


async def get_principal(request: Request, key: Annotated[str | None, Security(_header)] = None) -> Principal:
    """Return who asks; raises `Unauthenticated`.

    One look-up by key, which is cheaper than a hop to a thread; outside a transaction, so that no snapshot of the
    database is held while the request waits for its turn.
    """
    principal = None
    if key:
        with get_database(request).look() as connection:
            principal = check(key, LiveKeys(connection))
    if principal is None:
        raise Unauthenticated
    return principal


def require(scope: str) -> Callable[[Principal], Awaitable[Principal]]:
    """Return the dependency that lets only principals with `scope` pass; raises `Forbidden` for others."""

    async def allow(principal: Annotated[Principal, Depends(get_principal)]) -> Principal:
        if not principal.may(scope):
            raise Forbidden
        return principal

    allow.__name__ = f"require {scope}"
    return allow
