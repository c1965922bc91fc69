"""Runs, the suggestions they made, and the decisions taken on them.

Every question writes a run and its suggestions, so their keys are numbers that only grow: a run touches few pages. A
suggestion's public id is its run's with its rank behind it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, now


class SuggestionRun(Base):
    """One question and everything that its answer depended on."""

    __tablename__ = "suggestion_run"

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    match_kind: Mapped[str] = mapped_column(String(60))
    side: Mapped[str] = mapped_column(String(10))
    profile_pk: Mapped[int | None] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), index=True)
    key_id: Mapped[str] = mapped_column(String(8))
    head: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)


class Suggestion(Base):
    """One proposed match of a run, as it was shown."""

    __tablename__ = "suggestion"
    __table_args__ = (UniqueConstraint("run_pk", "rank", name="uq_suggestion_rank"),)

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_pk: Mapped[int] = mapped_column(ForeignKey("suggestion_run.pk", ondelete="CASCADE"))
    rank: Mapped[int]
    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), index=True)
    item: Mapped[dict[str, Any]]


class Decision(Base):
    """What a person decided on a suggestion, and why; kept when runs are tidied away, gone with either profile."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_pair", "match_kind", "asker_pk", "decision"),
        {"sqlite_autoincrement": True},
    )

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    suggestion_id: Mapped[str] = mapped_column(String(44), unique=True)
    match_kind: Mapped[str] = mapped_column(String(60))
    side: Mapped[str] = mapped_column(String(10))
    asker_pk: Mapped[int | None] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"))
    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), index=True)
    decision: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(2_000))
    decided_by: Mapped[str] = mapped_column(String(200))
    key_id: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
