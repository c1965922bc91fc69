"""Make and check API keys.

A key reads `puente_<id>_<secret>`; the secret has 256 random bits, so a plain SHA-256 of it is enough and quick.
"""

import hashlib
import hmac
import re
import secrets

from app.accounts.principal import Principal, Role
from app.accounts.repository import ApiKeyRepository, LiveKeys
from app.accounts.tables import ApiKey

_FORM = re.compile(r"puente_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


class ApiKeyService:
    """API keys, within one session."""

    def __init__(self, repository: ApiKeyRepository) -> None:
        self._repository = repository

    def create(self, role: Role, name: str) -> str:
        """Store a new key and return it; it cannot be shown again."""
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        self._repository.add(ApiKey(id=key_id, secret_hash=_hash(secret), role=role.value, name=name))
        return f"puente_{key_id}_{secret}"


def check(key: str, keys: LiveKeys) -> Principal | None:
    """Return who holds `key`, or None when it is malformed, unknown or revoked."""
    form = _FORM.fullmatch(key)
    if form is None:
        return None
    stored = keys.find(form["id"])
    if stored is None or not hmac.compare_digest(stored[0], _hash(form["secret"])):
        return None
    return Principal(form["id"], Role(stored[1]))
