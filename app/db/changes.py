"""The change log that the search index follows (architecture.md §2).

A row says only "this thing changed"; a reader takes the *current* state of what changed, so that replaying is
idempotent and deletions need no payload.
"""

import secrets
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.db.base import Base
from app.db.prepared import Prepared, insert_into
from app.db.session import connection_of

PROFILE = "profile"
ORGANISATION = "organisation"
SKILL_TIES = "skill_ties"
"""All of them at once, under the key 0: which skills of the starter list are which of the imported catalogue."""


class IndexChange(Base):
    """One change: `seq` only grows, also over deletions; `token` tells histories apart after a restore."""

    __tablename__ = "index_change"
    __table_args__ = (
        Index("ix_index_change_entity", "entity_kind", "entity_pk"),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    entity_kind: Mapped[str] = mapped_column(String(20))
    entity_pk: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[bytes] = mapped_column(LargeBinary(8))


_ADD = insert_into(IndexChange, "entity_kind", "entity_pk", "token")


def record_changes(session: Session, entity_kind: str, pks: Iterable[int]) -> None:
    """Note in the running transaction that the things `pks` of `entity_kind` changed."""
    rows = [{"entity_kind": entity_kind, "entity_pk": pk, "token": secrets.token_bytes(8)} for pk in pks]
    _ADD.insert_all(connection_of(session), rows)


class Position(NamedTuple):
    """A place in the log. Two histories that share a number differ in its token."""

    seq: int
    token: bytes


START = Position(0, b"")

_COLUMNS = IndexChange.__table__.c
_LAST = Prepared(select(_COLUMNS.seq, _COLUMNS.token).order_by(_COLUMNS.seq.desc()).limit(1))


def last_position(session: Session) -> Position:
    """Return the newest change's position, `START` when there is none."""
    row = _LAST.first(connection_of(session), {})
    return START if row is None else Position(row[0], row[1])


def has_position(session: Session, position: Position) -> bool:
    """Return whether this database's history contains `position`: false after an older backup was restored."""
    if position == START:
        return True
    token = session.execute(select(IndexChange.token).where(IndexChange.seq == position.seq)).scalar()
    return token == position.token


def changes_since(session: Session, seq: int) -> list[tuple[str, int]]:
    """Return the distinct (entity kind, pk) that changed after `seq`, in order of pk."""
    rows = session.execute(
        select(IndexChange.entity_kind, IndexChange.entity_pk)
        .where(IndexChange.seq > seq)
        .distinct()
        .order_by(IndexChange.entity_kind, IndexChange.entity_pk)
    )
    return [(kind, pk) for kind, pk in rows]
