"""Embed the profiles that have no vectors of the present encoder yet: after an upgrade, or with another `PUENTE_MODEL`.

Without this an upgraded service would find nothing in what is stored. Batch by batch: texts are embedded first, then
written in one transaction. A profile that changed meanwhile was embedded by whoever changed it, and is left alone. What
an interrupted pass leaves is found by the next one. Vectors of other encoders stay beside the new ones.
"""

from collections.abc import Mapping
from functools import partial

from sqlalchemy.orm import Session

from app.db.session import Database
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.types import Passages
from app.profiles.composition import content_hash, parts
from app.profiles.passes import keep_unchanged
from app.profiles.repository import ProfileRepository
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import SkillNames

BATCH = 500


def embed_profiles(database: Database, embedder: Embedder) -> int:
    """Embed all profiles that have something to compare and no vectors of `embedder`; return how many."""
    last, done = 0, 0
    while True:
        with database.read() as session:
            rows = ProfileRepository(session).unembedded(embedder.model_key, last, BATCH)
            declared = {skill for row in rows for skill in row.details.get("skills", ())}
            names = SkillNames(CatalogueRepository(session), declared)
            contents = {row.pk: parts(row.kind, row.title, row.text, row.details, names) for row in rows}
            read = {row.pk: row.version for row in rows if not contents[row.pk].empty}
        if not rows:
            return done
        passages = embed_parts(embedder, [contents[pk] for pk in read])
        write = partial(_write, embedder.model_key, contents, dict(zip(read, passages, strict=True)))
        last, done = max(contents), done + keep_unchanged(database, read, write)


def _write(
    model_key: str, contents: Mapping[int, Parts], passages: Mapping[int, Passages], session: Session, pks: list[int]
) -> None:
    entries = {pk: (content_hash(contents[pk]), passages[pk]) for pk in pks}
    ProfileRepository(session).write_vectors(model_key, entries, new=False)
