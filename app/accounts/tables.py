"""API keys."""

from datetime import datetime

from sqlalchemy import DateTime, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, now


class ApiKey(Base):
    """A key: its public id and the SHA-256 of its 256-bit secret, never the secret."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(8), primary_key=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    role: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime)
