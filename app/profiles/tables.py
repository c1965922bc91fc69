"""Profiles, their vectors and their codes."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, DateTime, Float, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, now
from app.organisations.tables import Organisation


class Profile(Base):
    """Any text that seeks or offers; `details` holds the facets that only its kind has."""

    __tablename__ = "profile"
    __table_args__ = (
        UniqueConstraint("organisation_pk", "kind", "ref", name="uq_profile_ref"),
        Index("ix_profile_kind", "kind", "state"),
        Index("ix_profile_nuts_code", "nuts_code"),
        {"sqlite_autoincrement": True},
    )

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    ref: Mapped[str | None] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(20))
    organisation_pk: Mapped[int] = mapped_column(ForeignKey("organisation.pk", ondelete="RESTRICT"), index=True)
    programme_pk: Mapped[int | None] = mapped_column(ForeignKey("profile.pk", ondelete="RESTRICT"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str | None]
    language: Mapped[str | None] = mapped_column(String(12))
    language_detected: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(10))
    valid_from: Mapped[date | None] = mapped_column(Date)
    valid_until: Mapped[date | None] = mapped_column(Date)
    nuts_code: Mapped[str | None] = mapped_column(String(5))
    nuts_version: Mapped[str] = mapped_column(String(4))
    nace_codes: Mapped[list[str]]
    nace_revision: Mapped[str] = mapped_column(String(3))
    ecosystems: Mapped[list[str]]
    languages: Mapped[list[str]]
    eqf_level: Mapped[int | None]
    starts_on: Mapped[date | None] = mapped_column(Date)
    ends_on: Mapped[date | None] = mapped_column(Date)
    places: Mapped[int | None]
    details: Mapped[dict[str, Any]]
    source_url: Mapped[str | None] = mapped_column(String(500))
    illustrative: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime, default=now, onupdate=now)

    organisation: Mapped[Organisation] = relationship(lazy="raise")
    programme: Mapped["Profile | None"] = relationship(remote_side=[pk], lazy="raise")


class ProfileTag(Base):
    """The code lists of a profile, one row per code, so that lists can be filtered by index."""

    __tablename__ = "profile_tag"
    __table_args__ = (Index("ix_profile_tag_code", "scheme", "code"),)

    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), primary_key=True)
    scheme: Mapped[str] = mapped_column(String(20), primary_key=True)
    code: Mapped[str] = mapped_column(String(120), primary_key=True)


class Embedding(Base):
    """The vectors of one profile under one model; vectors of different models never meet.

    `vector` is the document's (float32, length 1); `spans` are the passages' [start, end) in the profile's text,
    or nulls for a passage that is not quoted; `passages` their vectors (float16, one row each), or
    nothing when there is one passage only: its vector is the document's.
    """

    __tablename__ = "embedding"

    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), primary_key=True)
    model_key: Mapped[str] = mapped_column(String(120), primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(32))
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    spans: Mapped[list[Any]]
    passages: Mapped[bytes] = mapped_column(LargeBinary)


class ProfileSkill(Base):
    """A skill that a profile's text speaks of, and where: [start, end) of its `field`.

    `field` is `title`, `text`, or `learning_outcomes`, one a line. Trainees have none: theirs are declared only.
    """

    __tablename__ = "profile_skill"
    __table_args__ = (Index("ix_profile_skill_uri", "uri", "profile_pk"),)

    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), primary_key=True)
    uri: Mapped[str] = mapped_column(String(120), primary_key=True)
    field: Mapped[str] = mapped_column(String(20))
    start: Mapped[int]
    end: Mapped[int]
    similarity: Mapped[float] = mapped_column(Float)
    found_by: Mapped[str] = mapped_column(String(20))


class SkillReading(Base):
    """With which catalogue, encoder and linker a profile's skills were found: it shows which are to be read anew."""

    __tablename__ = "skill_reading"

    profile_pk: Mapped[int] = mapped_column(ForeignKey("profile.pk", ondelete="CASCADE"), primary_key=True)
    stamp: Mapped[str] = mapped_column(String(80))
