"""Who asks, and what their role may do."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Roles of API keys; people's accounts and relations come with the accounts' full model."""

    READER = "reader"
    WRITER = "writer"


READER_SCOPES = frozenset({"organisations:read", "profiles:read", "suggestions:read", "taxonomy:read", "jobs:read"})
WRITER_SCOPES = READER_SCOPES | {
    "organisations:write",
    "profiles:write",
    "imports:write",
    "suggestions:decide",
}

SCOPES: dict[Role, frozenset[str]] = {Role.READER: READER_SCOPES, Role.WRITER: WRITER_SCOPES}
"""What each role may do."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a key, as routes and services see it."""

    key_id: str
    role: Role

    def may(self, scope: str) -> bool:
        """Return whether the role has that scope."""
        return scope in SCOPES[self.role]
