"""Organisations: clusters, regions, companies and schools."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, DateTime, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, now


class Organisation(Base):
    """One organisation; `pk` is internal, `id` is public, `ref` is its owner's own short name."""

    __tablename__ = "organisation"
    __table_args__ = {"sqlite_autoincrement": True}

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    ref: Mapped[str | None] = mapped_column(String(80), unique=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    name: Mapped[str] = mapped_column(String(200))
    summary: Mapped[str | None]
    country: Mapped[str] = mapped_column(String(2), index=True)
    nuts_code: Mapped[str | None] = mapped_column(String(5), index=True)
    nuts_version: Mapped[str] = mapped_column(String(4))
    nace_codes: Mapped[list[str]]
    nace_revision: Mapped[str] = mapped_column(String(3))
    ecosystems: Mapped[list[str]]
    languages: Mapped[list[str]]
    figures: Mapped[list[dict[str, Any]]]
    website: Mapped[str | None] = mapped_column(String(500))
    source_url: Mapped[str | None] = mapped_column(String(500))
    illustrative: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime, default=now, onupdate=now)

    memberships: Mapped[list["Membership"]] = relationship(
        foreign_keys="Membership.member_pk",
        cascade="all, delete-orphan",
        lazy="raise",
        order_by="Membership.of_pk",
    )
    labels: Mapped[list["Label"]] = relationship(
        cascade="all, delete-orphan", lazy="raise", order_by="Label.assessed_on"
    )

    __mapper_args__ = {"version_id_col": version}


class OrganisationTag(Base):
    """The code lists of an organisation, one row per code, so that lists can be filtered by index."""

    __tablename__ = "organisation_tag"
    __table_args__ = (Index("ix_organisation_tag_code", "scheme", "code"),)

    organisation_pk: Mapped[int] = mapped_column(ForeignKey("organisation.pk", ondelete="CASCADE"), primary_key=True)
    scheme: Mapped[str] = mapped_column(String(20), primary_key=True)
    code: Mapped[str] = mapped_column(String(40), primary_key=True)


class Membership(Base):
    """A member belongs to a cluster, or takes part in a partnership."""

    __tablename__ = "membership"

    member_pk: Mapped[int] = mapped_column(ForeignKey("organisation.pk", ondelete="CASCADE"), primary_key=True)
    of_pk: Mapped[int] = mapped_column(ForeignKey("organisation.pk", ondelete="CASCADE"), primary_key=True, index=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)

    of: Mapped[Organisation] = relationship(foreign_keys=[of_pk], lazy="raise")


class Label(Base):
    """An ECEI label: it counts from `assessed_on` to `valid_until`, both days included."""

    __tablename__ = "label"

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_pk: Mapped[int] = mapped_column(ForeignKey("organisation.pk", ondelete="CASCADE"), index=True)
    level: Mapped[str] = mapped_column(String(10))
    issuer: Mapped[str] = mapped_column(String(80))
    assessed_on: Mapped[date] = mapped_column(Date)
    valid_until: Mapped[date] = mapped_column(Date)
