"""Every error that leaves the service, as `application/problem+json` (RFC 9457).

The tree::

    PuenteError
    ├── InvalidInput          422  names the fields
    ├── PayloadTooLarge       413
    ├── Unauthenticated       401
    ├── Forbidden             403
    ├── NotFound              404
    ├── Conflict              409
    ├── PreconditionFailed    412  the item changed since it was read
    ├── PreconditionRequired  428  If-Match is missing
    ├── StorageFull           507
    └── Unavailable           503  busy or not ready; carries Retry-After

Nothing that a client sent is ever repeated in an error: a field is named, its value is not shown.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, TypedDict

from rfc9457 import Problem


class FieldError(TypedDict):
    """One wrong field: where it stands (`body.text`) and what is expected there."""

    field: str
    reason: str


class PuenteError(Problem):
    """Base of all our errors; a subclass fixes status, type and title."""

    http_status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    sentence: ClassVar[str] = "Something went wrong on our side"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        listed = list(errors)
        super().__init__(
            self.sentence,
            type_=f"urn:puente:problem:{self.slug}",
            detail=detail,
            status=self.http_status,
            headers=headers,
            **({"errors": listed} if listed else {}),
        )
        self.errors = listed


class InvalidInput(PuenteError):
    """Input that breaks a rule; `errors` names each field."""

    http_status = 422
    slug = "invalid-input"
    sentence = "The input is not valid"

    @classmethod
    def at(cls, field: str, reason: str) -> "InvalidInput":
        """Return the error for one `field`."""
        return cls(errors=[FieldError(field=field, reason=reason)])


class PayloadTooLarge(PuenteError):
    """A body or file above the limit."""

    http_status = 413
    slug = "payload-too-large"
    sentence = "The body is too large"


class Unauthenticated(PuenteError):
    """No valid API key."""

    http_status = 401
    slug = "unauthenticated"
    sentence = "A valid API key is needed in the X-API-Key header"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "ApiKey"})


class Forbidden(PuenteError):
    """The key is valid but its role lacks the scope."""

    http_status = 403
    slug = "forbidden"
    sentence = "This key may not do that"


class NotFound(PuenteError):
    """No such thing, or none that the caller may see."""

    http_status = 404
    slug = "not-found"
    sentence = "Not found"


class Conflict(PuenteError):
    """The request contradicts what is stored."""

    http_status = 409
    slug = "conflict"
    sentence = "The request conflicts with what is stored"


class PreconditionFailed(PuenteError):
    """If-Match names another version than the stored one."""

    http_status = 412
    slug = "precondition-failed"
    sentence = "The item has changed since you read it"


class PreconditionRequired(PuenteError):
    """If-Match is missing."""

    http_status = 428
    slug = "precondition-required"
    sentence = "If-Match with the item's ETag is needed"


class StorageFull(PuenteError):
    """The disk is full or read-only: nothing was written."""

    http_status = 507
    slug = "storage-full"
    sentence = "There is no room to store this"


class Unavailable(PuenteError):
    """Overloaded or not ready; try again after `retry_after` seconds."""

    http_status = 503
    slug = "unavailable"
    sentence = "The service is busy or not ready"

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


MAX_ERRORS = 20
"""An answer lists at most this many wrong fields."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_\-\[\]]{1,60}")


def field_path(parts: Iterable[object]) -> str:
    """Join a location into a dotted path; names that a client made up oddly become `?`, so nothing is echoed."""
    return ".".join(str(p) if _SAFE_NAME.fullmatch(str(p)) else "?" for p in parts)
