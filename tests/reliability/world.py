"""A database and everything that writes to it, without HTTP: what the histories of the model are made of."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from app.db.session import Database
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.schemas import JobState
from app.jobs.service import JobService
from app.matching.calibration import NONE
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.engine import judge
from app.matching.kinds import MatchKind
from app.matching.types import Query, Ranking
from app.organisations.repository import OrganisationRepository
from app.organisations.schemas import OrganisationCreate
from app.organisations.service import OrganisationService
from app.profiles.drafts import Prepared
from app.profiles.files import store_upload
from app.profiles.repository import ProfileRepository, pack
from app.profiles.schemas import PROFILE_CREATE
from app.profiles.service import ProfileService
from app.profiles.tables import Embedding, Profile
from app.profiles.tasks import IMPORT, ImportArguments, run_import
from app.suggestions.exposure import ExposureCounts
from app.suggestions.projection import Projection
from app.suggestions.repository import ProjectionRepository, SuggestionRepository
from app.suggestions.service import SuggestionService
from tests.matching.worlds import uncapped

OWNERS = {"cluster": "c", "region": "r", "company": "k", "school": "s"}
OWNER_OF = {
    "pitch": "cluster",
    "priority": "region",
    "skill_need": "company",
    "training_offer": "school",
    "trainee": "school",
}
MARGIN = 1.01e-4
"""Scores are rounded to 1e-4; FAISS and numpy add in another order and may round a tie apart."""


class Known(NamedTuple):
    """A stored profile, as the history sees it."""

    pk: int
    id: str
    kind: str
    state: str
    version: int


class Pending(NamedTuple):
    """Something that a writer has prepared, and not stored yet."""

    service: ProfileService
    prepared: Prepared


class World:
    """A database with organisations of every kind and the services over it; `close` when done."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self.path = path
        self.embedder = embedder
        self.database = Database(str(path))
        self._numbers = count(1)
        for kind, ref in OWNERS.items():
            self.add_organisation({"kind": kind, "ref": ref, "name": kind, "country": "ES"})

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def projection(self, **options: Any) -> Projection:
        """Return a new, empty index over the database: what a restart or another worker has."""
        return Projection(
            self.database, self.embedder.model_key, self.embedder.dim, fields=self.embedder.fields, **options
        )

    def known(self, *kinds: str) -> list[Known]:
        """Return the stored profiles of those kinds (all without), in order of their key."""
        with self.database.read() as session:
            statement = select(Profile.pk, Profile.id, Profile.kind, Profile.state, Profile.version)
            if kinds:
                statement = statement.where(Profile.kind.in_(kinds))
            return [Known(*row) for row in session.execute(statement.order_by(Profile.pk))]

    def add_organisation(self, data: Mapping[str, Any]) -> None:
        """Create an organisation, or a new version of it."""
        with self.database.write() as session:
            OrganisationService(OrganisationRepository(session)).upsert(OrganisationCreate.model_validate(data))

    def patch_organisation(self, ref: str, changes: dict[str, Any]) -> None:
        """Change an organisation as PATCH does."""
        with self.database.write() as session:
            service = OrganisationService(OrganisationRepository(session))
            found = service.get(ref)
            service.patch(ref, changes, version=(found.id, found.version))

    def prepare(self, item: Mapping[str, Any]) -> Pending:
        """Do the first half of POST: resolve, check and embed."""
        owned = {"organisation": OWNERS[OWNER_OF[item["kind"]]], **item}
        with self.database.read() as session:
            service = ProfileService(ProfileRepository(session), self.embedder)
            prepared = service.prepare([PROFILE_CREATE.validate_python(owned)])[0]
        assert isinstance(prepared, Prepared), prepared
        return Pending(service, prepared)

    def prepare_patch(self, known: Known, changes: Mapping[str, Any]) -> Pending:
        """Do the first half of PATCH."""
        with self.database.read() as session:
            service = ProfileService(ProfileRepository(session), self.embedder)
            return Pending(service, service.prepare_patch(known.id, changes, version=(known.id, known.version)))

    def store(self, pending: Pending) -> int:
        """Do the second half of POST or PATCH and return the key."""
        with self.database.write() as session:
            return pending.service.store(ProfileRepository(session), [pending.prepared])[0]

    def create(self, item: Mapping[str, Any]) -> int:
        """Create a profile and return its key."""
        return self.store(self.prepare(item))

    def patch(self, known: Known, changes: Mapping[str, Any]) -> None:
        """Change a profile."""
        self.store(self.prepare_patch(known, changes))

    def delete(self, known: Known) -> None:
        """Delete a profile as DELETE does."""
        with self.database.write() as session:
            ProfileRepository(session).delete(known.pk, known.version)

    def crash_while_storing(self, pending: Pending) -> None:
        """Write everything and lose the transaction before its commit."""
        try:
            with self.database.write() as session:
                pending.service.store(ProfileRepository(session), [pending.prepared])
                raise KeyboardInterrupt  # noqa: TRY301 - what a commit that never came looks like
        except KeyboardInterrupt:
            pass

    def import_rows(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Import rows as POST /imports does and return the job's result."""
        content = "\n".join(
            json.dumps({"organisation": OWNERS[OWNER_OF[row["kind"]]], **row})
            if row["kind"] in OWNER_OF
            else json.dumps(row)
            for row in rows
        )
        path = store_upload(BytesIO(content.encode()), self.path.parent / "uploads", limit=1_000_000)
        arguments = ImportArguments(path=str(path), name="rows.jsonl", default_kind=None)
        with self.database.write() as session:
            job_id = JobService(JobRepository(session)).create(IMPORT, dict(arguments)).id
        profiles = partial(ProfileService, embedder=self.embedder)
        task = partial(run_import, database=self.database, profiles=profiles)
        runner = JobRunner(self.database, {IMPORT: task})
        assert runner.run(job_id) is JobState.DONE
        runner.stop()
        with self.database.read() as session:
            return dict(JobService(JobRepository(session)).get(job_id).result or {})

    def add_foreign_vectors(self, pk: int) -> None:
        """Give a profile vectors of another model, which must never be seen by this one's index."""
        other = embed_parts(self.embedder, [Parts(text="vectors of another model")])[0]
        with self.database.write() as session:
            session.merge(Embedding(profile_pk=pk, model_key="other@1/384", content_hash="0" * 32, **pack(other)))
            ProfileRepository(session).note_changes([pk])

    def backup(self) -> Path:
        """Copy the database as it is now, consistently, and return the copy's path."""
        copy = self.path.with_name(f"backup-{next(self._numbers)}.db")
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    def restore(self, copy: Path) -> None:
        """Put an older copy's content into the database, under the connections that are open."""
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(self.path)) as target:
            source.backup(target)

    def search_differences(self, projection: Projection, kind: MatchKind, query: Query, limit: int) -> list[str]:
        """Return how the service's ranking differs from judging every profile in the database."""
        with self.database.read() as session:
            rows = ProjectionRepository(session)
            service = SuggestionService(
                rows,
                ProfileRepository(session),
                SuggestionRepository(session),
                self.embedder,
                projection,
                ExposureCounts(self.database),
                NONE,
            )
            # The search is judged here; what the caps leave of a ranking is judged in tests/matching/test_fairness.py.
            kind = uncapped(kind)
            ranking = service.rank(kind, query, limit, rows.last_position()).ranking
            wanted = kind.profile_kind(query.side.other)
            pks = list(session.scalars(select(Profile.pk).where(Profile.kind == wanted)))
            everything = judge(
                kind, query, rows.documents(pks, self.embedder.model_key, with_labels=True), len(pks) + 1
            )
        return ranking_differences(ranking, everything, limit)


def ranking_differences(ranking: Ranking, everything: Ranking, limit: int) -> list[str]:
    """Return how the `limit` best differ from the same cut of a ranking of everything; ties may be cut either way."""
    best = everything.candidates[:limit]
    found = []
    if ranking.rejected != everything.rejected:
        found.append(f"rejected {dict(ranking.rejected)} instead of {dict(everything.rejected)}")
    if len(ranking.candidates) != len(best):
        found.append(f"{len(ranking.candidates)} candidates instead of {len(best)}")
    scores = {candidate.document.pk: candidate for candidate in everything.candidates}
    for mine, right in zip(ranking.candidates, best, strict=False):
        if abs(mine.score - right.score) > MARGIN:
            found.append(f"score {mine.score} instead of {right.score}")
        same = scores.get(mine.document.pk)
        if same is None or same.contributions != mine.contributions:
            found.append(f"profile {mine.document.pk} is not what the database says")
    if len({candidate.document.pk for candidate in ranking.candidates}) != len(ranking.candidates):
        found.append("a profile stands twice")
    return found
