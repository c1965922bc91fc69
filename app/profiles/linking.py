"""Find the skills of the profiles that are stored already, after a catalogue was imported.

Batch by batch: texts are read and their skills found first, then written in one transaction. A profile that changed
meanwhile was read by whoever changed it, with the new catalogue, and is left alone. What an interrupted pass leaves
is found by the next one.
"""

from collections.abc import Mapping
from functools import partial

from sqlalchemy.orm import Session

from app.db.session import Database
from app.profiles.composition import found_in
from app.profiles.passes import keep_unchanged
from app.profiles.skill_repository import ProfileSkillRepository
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import Found, SkillFinder

BATCH = 200


def link_profiles(database: Database, finder: SkillFinder) -> int:
    """Find the skills of all profiles that were not read with the present catalogue and encoder; return how many."""
    last, done = 0, 0
    while True:
        with database.read() as session:
            catalogue, profiles = CatalogueRepository(session), ProfileSkillRepository(session)
            stamp = finder.stamp(catalogue)
            rows = [] if stamp is None else profiles.unread(stamp, last, BATCH)
            texts = [found_in(row.kind, row.title, row.text, row.details) for row in rows]
            found = finder.find(catalogue, texts) if rows else None
            read = {row.pk: row.version for row in rows}
        if not found:
            return done
        write = partial(_write, dict(zip(read, found, strict=True)))
        last, done = max(read), done + keep_unchanged(database, read, write)


def _write(found: Mapping[int, Found], session: Session, pks: list[int]) -> None:
    ProfileSkillRepository(session).write({pk: found[pk] for pk in pks}, new=False)
