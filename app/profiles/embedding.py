"""Embed the profiles that have no vectors of the present encoder yet: after an upgrade, or with another `PUENTE_MODEL`.

Without this an upgraded service would find nothing in what is stored. Batch by batch: texts are embedded first, then
written in one transaction. A profile that changed meanwhile was embedded by whoever changed it, and is left alone. What
an interrupted pass leaves is found by the next one. Vectors of other encoders stay beside the new ones.
"""

from collections.abc import Callable

from app.db.session import Database
from app.matching.documents import embed_parts
from app.matching.embedder import Embedder
from app.profiles.composition import content_hash, parts
from app.profiles.repository import ProfileRepository
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import SkillNames

BATCH = 500


def embed_profiles(database: Database, embedder: Embedder, on_progress: Callable[[int], None] | None = None) -> int:
    """Embed all profiles that have something to compare and no vectors of `embedder`; return how many.

    `on_progress` is told how many were embedded so far.
    """
    last, done = 0, 0
    while True:
        with database.read() as session:
            rows = ProfileRepository(session).unembedded(embedder.model_key, last, BATCH)
            declared = {skill for row in rows for skill in row.details.get("skills", ())}
            names = SkillNames(CatalogueRepository(session), declared)
            contents = {row.pk: parts(row.kind, row.title, row.text, row.details, names) for row in rows}
            read = {row.pk: row.version for row in rows}
        if not rows:
            return done
        wanted = {pk: content for pk, content in contents.items() if not content.empty}
        vectors = dict(zip(wanted, embed_parts(embedder, list(wanted.values())), strict=True))
        with database.write() as session:
            write = ProfileRepository(session)
            present = write.versions(list(wanted))
            same = [pk for pk in wanted if present.get(pk) == read[pk]]
            entries = {pk: (content_hash(wanted[pk]), vectors[pk]) for pk in same}
            write.write_vectors(embedder.model_key, entries, new=False)
            write.note_changes(same)
        last, done = max(read), done + len(same)
        if on_progress is not None:
            on_progress(done)
