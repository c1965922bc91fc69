"""The declarative base and the column types that the tables share."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, MetaData
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

NAMESPACE = uuid.UUID("6f0d3a52-54c1-4a86-9f3a-3b8a5a4f7c11")
"""Namespace of the ids that are made from a ref, so that the same import gives the same ids everywhere."""


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, list[Any]: JSON, list[dict[str, Any]]: JSON}


def now() -> datetime:
    """Return the present moment in UTC, without its zone, as the tables keep it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def public_id(*names: str | None) -> str:
    """Return a public id: the UUIDv5 of `names` when all are given, else a random UUIDv4."""
    if all(names):
        return str(uuid.uuid5(NAMESPACE, "/".join(str(name) for name in names)))
    return str(uuid.uuid4())
