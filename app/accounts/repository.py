"""The only place that reads and writes the keys' table."""

from sqlalchemy import select

from app.accounts.tables import ApiKey
from app.db.repository import Repository

_LIVE = select(ApiKey.secret_hash, ApiKey.role).where(ApiKey.revoked_at.is_(None))


class ApiKeyRepository(Repository):
    """API keys."""

    def live(self, key_id: str) -> tuple[bytes, str] | None:
        """Return (hash of the secret, role) of a key that is not revoked, or None."""
        row = self.session.execute(_LIVE.where(ApiKey.id == key_id)).one_or_none()
        return None if row is None else (row[0], row[1])

    def add(self, key: ApiKey) -> None:
        """Store a new key."""
        self.session.add(key)
        self.session.flush()

    def any_live(self) -> bool:
        """Return whether there is a key that is not revoked."""
        return self.session.execute(_LIVE.limit(1)).first() is not None
