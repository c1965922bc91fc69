"""The only place that reads and writes the keys' table."""

from sqlalchemy import Connection, bindparam, select

from app.accounts.tables import ApiKey
from app.db.prepared import Prepared
from app.db.repository import Repository

_KEYS = ApiKey.__table__.c
_LIVE = select(_KEYS.secret_hash, _KEYS.role).where(_KEYS.revoked_at.is_(None))
_LIVE_BY_ID = Prepared(_LIVE.where(_KEYS.id == bindparam("key_id")))


class LiveKeys:
    """Finds keys. On a connection, without a session: every request comes here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, key_id: str) -> tuple[bytes, str] | None:
        """Return (hash of the secret, role) of a key that is not revoked, or None."""
        row = _LIVE_BY_ID.first(self._connection, {"key_id": key_id})
        return None if row is None else (row[0], row[1])


class ApiKeyRepository(Repository):
    """API keys."""

    def add(self, key: ApiKey) -> None:
        """Store a new key."""
        self.session.add(key)
        self.session.flush()

    def any_live(self) -> bool:
        """Return whether there is a key that is not revoked."""
        return self.session.execute(_LIVE.limit(1)).first() is not None
