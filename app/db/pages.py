"""Keyset pages: a cursor names the last row seen, so that pages neither skip nor repeat under writes."""

from typing import Any

from sqlakeyset import InvalidPage, PageSerializationError, select_page
from sqlakeyset.results import Page
from sqlalchemy import Select
from sqlalchemy.orm import Session

from app.errors import InvalidInput


def keyset_page(
    session: Session, statement: Select[Any], *, limit: int, cursor: str | None
) -> tuple[list[Any], str | None]:
    """Return up to `limit` scalars of the ordered `statement` after `cursor`, and the next cursor or None.

    Raises `InvalidInput` when the cursor is not one of ours.
    """
    try:
        page: Page[Any] = select_page(session, statement, per_page=limit, page=cursor)
    except (InvalidPage, PageSerializationError, ValueError) as error:
        raise InvalidInput.at("query.cursor", "not a cursor of this list") from error
    rows = [row[0] for row in page]
    return rows, page.paging.bookmark_next if page.paging.has_next else None
