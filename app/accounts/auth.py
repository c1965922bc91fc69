"""The seam of rights: every route names the scope that it needs with `require(scope)`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader
from sqlalchemy.orm import Session

from app.accounts.principal import Principal
from app.accounts.repository import ApiKeyRepository
from app.accounts.service import ApiKeyService
from app.db.session import get_read_session
from app.errors import Forbidden, Unauthenticated

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key of this service.")


async def get_principal(
    session: Annotated[Session, Depends(get_read_session, scope="function")],
    key: Annotated[str | None, Security(_header)] = None,
) -> Principal:
    """Return who asks; raises `Unauthenticated`. One look-up by key, which is cheaper than a hop to a thread."""
    principal = ApiKeyService(ApiKeyRepository(session)).check(key) if key else None
    if principal is None:
        raise Unauthenticated
    return principal


def require(scope: str) -> Callable[[Principal], Awaitable[Principal]]:
    """Return the dependency that lets only principals with `scope` pass; raises `Forbidden` for others."""

    async def check(principal: Annotated[Principal, Depends(get_principal)]) -> Principal:
        if not principal.may(scope):
            raise Forbidden
        return principal

    check.__name__ = f"require {scope}"
    return check
