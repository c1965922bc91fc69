"""What passes over the stored profiles share: what was computed is kept for those that are still as they were read."""

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from app.db.session import Database
from app.profiles.repository import ProfileRepository


def keep_unchanged(database: Database, read: Mapping[int, int], write: Callable[[Session, list[int]], None]) -> int:
    """Call `write(session, keys)` for the profiles whose version is still the one in `read`; return how many.

    In one transaction, and the changes are noted for the index. A profile that changed meanwhile was treated by
    whoever changed it, and is left alone.
    """
    with database.write() as session:
        profiles = ProfileRepository(session)
        same = sorted(pk for pk, version in profiles.versions(list(read)).items() if version == read[pk])
        if same:
            write(session, same)
            profiles.note_changes(same)
    return len(same)
