"""The imported skill catalogue: its skills, their labels by language, their vectors; which starter skills they are."""

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, now


class Catalogue(Base):
    """One row for the catalogue that is imported; `stamp` changes with anything that could change what is found."""

    __tablename__ = "skill_catalogue"

    scheme: Mapped[str] = mapped_column(String(20), primary_key=True)
    version: Mapped[str] = mapped_column(String(40))
    languages: Mapped[list[str]]
    model_key: Mapped[str] = mapped_column(String(120))
    stamp: Mapped[str] = mapped_column(String(32))
    imported_at: Mapped[datetime] = mapped_column(DateTime, default=now)


class CatalogueSkill(Base):
    """A skill of the catalogue; `description` is in English where the catalogue has it so."""

    __tablename__ = "skill"

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    uri: Mapped[str] = mapped_column(String(120), unique=True)
    version: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(20))
    description: Mapped[str]


class SkillLabel(Base):
    """What a skill is called in one language."""

    __tablename__ = "skill_label"

    skill_pk: Mapped[int] = mapped_column(ForeignKey("skill.pk", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(String(12), primary_key=True)
    preferred: Mapped[str]
    alternatives: Mapped[list[str]]


class SkillVectors(Base):
    """The three vectors of a skill under one model (float16, length 1); what a skill lacks is empty."""

    __tablename__ = "skill_vectors"

    skill_pk: Mapped[int] = mapped_column(ForeignKey("skill.pk", ondelete="CASCADE"), primary_key=True)
    model_key: Mapped[str] = mapped_column(String(120))
    content_hash: Mapped[str] = mapped_column(String(32))
    preferred: Mapped[bytes] = mapped_column(LargeBinary)
    alternatives: Mapped[bytes] = mapped_column(LargeBinary)
    description: Mapped[bytes] = mapped_column(LargeBinary)


class SkillTie(Base):
    """A skill of the starter list, and the one of the catalogue that means the same (`app/taxonomy/ties.py`)."""

    __tablename__ = "skill_tie"

    starter: Mapped[str] = mapped_column(String(120), primary_key=True)
    uri: Mapped[str] = mapped_column(ForeignKey("skill.uri", ondelete="CASCADE"), index=True)
