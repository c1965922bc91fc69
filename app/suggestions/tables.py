"""Runs, the suggestions they made, and the decisions taken on them."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, now


class SuggestionRun(Base):
    """One question and everything that its answer depended on."""

    __tablename__ = "suggestion_run"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    match_kind: Mapped[str] = mapped_column(String(60))
    side: Mapped[str] = mapped_column(String(10))
    profile_pk: Mapped[int | None] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), index=True)
    key_id: Mapped[str] = mapped_column(String(8))
    head: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)


class Suggestion(Base):
    """One proposed match of a run, as it was shown."""

    __tablename__ = "suggestion"

    id: Mapped[str] = mapped_column(String(44), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("suggestion_run.id", ondelete="CASCADE"), index=True)
    rank: Mapped[int]
    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), index=True)
    item: Mapped[dict[str, Any]]


class Decision(Base):
    """What a person decided on a suggestion, and why; kept when runs are tidied away."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_pair", "match_kind", "asker_pk", "decision"),
        {"sqlite_autoincrement": True},
    )

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    suggestion_id: Mapped[str] = mapped_column(ForeignKey("suggestion.id", ondelete="CASCADE"), unique=True)
    match_kind: Mapped[str] = mapped_column(String(60))
    side: Mapped[str] = mapped_column(String(10))
    asker_pk: Mapped[int | None] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"))
    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), index=True)
    decision: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(2_000))
    decided_by: Mapped[str] = mapped_column(String(200))
    key_id: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
