"""Find the skills of the profiles that are stored already, after a catalogue was imported.

Batch by batch: texts are read and their skills found first, then written in one transaction. A profile that changed
meanwhile was read by whoever changed it, with the new catalogue, and is left alone. What an interrupted pass leaves
is found by the next one.
"""

from collections.abc import Callable

from app.db.session import Database
from app.profiles.composition import found_in
from app.profiles.repository import ProfileRepository
from app.profiles.skill_repository import ProfileSkillRepository
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import SkillFinder

BATCH = 200


def link_profiles(database: Database, finder: SkillFinder, on_progress: Callable[[int], None] | None = None) -> int:
    """Find the skills of all profiles that were not read with the present catalogue and encoder; return how many.

    `on_progress` is told how many were read so far.
    """
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
        own = dict(zip(read, found, strict=True))
        with database.write() as session:
            write = ProfileRepository(session)
            same = [pk for pk, version in write.versions(list(read)).items() if version == read[pk]]
            if same:
                ProfileSkillRepository(session).write({pk: own[pk] for pk in same}, new=False)
                write.note_changes(same)
        last, done = max(read), done + len(same)
        if on_progress is not None:
            on_progress(done)
