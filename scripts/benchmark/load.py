"""Fills a database with the benchmark's priorities, from vectors that are given.

Priorities belong to regions: one organisation for each region that the data names, else one for the country.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.accounts.principal import Role
from app.accounts.repository import ApiKeyRepository
from app.accounts.service import ApiKeyService
from app.db.base import public_id
from app.db.migrate import upgrade
from app.db.session import Database
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.matching.embedder import Embedder
from app.matching.kinds import ProfileKind
from app.matching.types import Passages
from app.organisations.repository import OrganisationRepository
from app.organisations.schemas import OrganisationCreate
from app.organisations.service import OrganisationService
from app.profiles.drafts import Prepared
from app.profiles.repository import ProfileRepository
from app.profiles.service import ProfileService
from app.profiles.tasks import IMPORT, ImportArguments, run_import
from app.suggestions.projection import Projection
from app.taxonomy.nuts import nuts_versions
from benchmark.corpus import Embedded, Row

BATCH = 2_000
"""Profiles a transaction."""

ONLY_COUNTRY = "LI"
"""A country that the data does not have: one priority there is the only eligible one among all others."""

ONLY = Row("the-only-one", ONLY_COUNTRY, None, "en", "Alpine postage stamps", "Stamps for letters from the mountains.")


def region_ref(row: Row) -> str:
    """Return the ref of the organisation that owns a row."""
    return f"region-{(row.nuts_code or row.country).lower()}"


def version_of(nuts_code: str | None) -> str:
    """Return the newest version of NUTS that has the code."""
    return nuts_versions(nuts_code)[-1] if nuts_code else "2024"


def create(path: Path, rows: Sequence[Row]) -> tuple[dict[str, tuple[int, str]], str]:
    """Make a new database with the regions that own `rows` and a reader's key.

    Returned are each organisation's key and id by its ref, and the API key.
    """
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    upgrade(str(path))
    database = Database(str(path))
    owners: dict[str, tuple[int, str]] = {}
    with database.write() as session:
        service = OrganisationService(OrganisationRepository(session))
        for row in rows:
            ref = region_ref(row)
            if ref not in owners:
                place = row.nuts_code or row.country
                stored, _ = service.upsert(
                    OrganisationCreate.model_validate(
                        {
                            "kind": "region",
                            "ref": ref,
                            "name": f"Region {place}",
                            "country": row.country,
                            "nuts_code": row.nuts_code,
                            "nuts_version": version_of(row.nuts_code),
                            "ecosystems": ["digital"],
                        }
                    )
                )
                owners[ref] = (stored.pk, stored.id)
        key = ApiKeyService(ApiKeyRepository(session)).create(Role.READER, "benchmark")
    database.close()
    return owners, key


def as_input(row: Row) -> dict[str, Any]:
    """Return the row as a line of a file to import."""
    fields = {
        "kind": ProfileKind.PRIORITY.value,
        "organisation": region_ref(row),
        "ref": row.ref,
        "title": row.title,
        "text": row.text,
        "language": row.language,
        "nuts_code": row.nuts_code,
        "nuts_version": version_of(row.nuts_code),
    }
    return {name: value for name, value in fields.items() if value is not None}


def prepared(row: Row, owner: tuple[int, str], passages: Passages) -> Prepared:
    """Return a row as `ProfileService.prepare` would, were its vectors known."""
    pk, organisation_id = owner
    values = {
        "id": public_id("profile", organisation_id, ProfileKind.PRIORITY.value, row.ref),
        "ref": row.ref,
        "kind": ProfileKind.PRIORITY.value,
        "organisation_pk": pk,
        "programme_pk": None,
        "title": row.title,
        "text": row.text,
        "language": row.language,
        "language_detected": False,
        "state": "published",
        "valid_from": None,
        "valid_until": None,
        "nuts_code": row.nuts_code,
        "nuts_version": version_of(row.nuts_code),
        "nace_codes": [],
        "nace_revision": "2.1",
        "ecosystems": [],
        "languages": [],
        "eqf_level": None,
        "starts_on": None,
        "ends_on": None,
        "places": None,
        "details": {},
        "source_url": None,
        "illustrative": False,
    }
    codes = (("language", row.language),) if row.language else ()
    return Prepared(values, codes, row.parts, passages)


def fill(
    database: Database,
    embedder: Embedder,
    rows: Sequence[Row],
    vectors: Embedded,
    owners: Mapping[str, tuple[int, str]],
    on_progress: Callable[[int], None],
) -> float:
    """Store `rows` with their vectors through the service's own `store`; return the seconds it took."""
    spent = 0.0
    for start in range(0, len(rows), BATCH):
        batch = range(start, min(start + BATCH, len(rows)))
        items = [prepared(rows[i], owners[region_ref(rows[i])], vectors.passages_of(i)) for i in batch]
        started = time.perf_counter()
        with database.write() as session:
            repository = ProfileRepository(session)
            ProfileService(repository, embedder).store(repository, items)
        spent += time.perf_counter() - started
        on_progress(batch.stop)
    return spent


def add_only(database: Database, embedder: Embedder, owners: Mapping[str, tuple[int, str]]) -> None:
    """Store the one priority of its country."""
    vector = embedder.embed_documents([ONLY.plain])
    passages = Passages(((0, len(ONLY.text)),), vector, np.asarray(vector[0]))
    with database.write() as session:
        repository = ProfileRepository(session)
        item = prepared(ONLY, owners[region_ref(ONLY)], passages)
        ProfileService(repository, embedder).store(repository, [item])


class Importer:
    """Imports files into one database and brings its index up to date, as the service does."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._embedder = embedder
        self._database = Database(str(path))
        self._projection = Projection(self._database, embedder.model_key, embedder.dim, fields=embedder.fields)
        self._projection.catch_up()

    def run(self, file: Path) -> dict[str, float]:
        """Import a file as a job; return the seconds it took, the index's part of them, and the rows refused."""
        started = time.perf_counter()
        arguments = ImportArguments(path=str(file), name=file.name, default_kind=None)
        with self._database.write() as session:
            job_id = JobService(JobRepository(session)).create(IMPORT, dict(arguments)).id
        profiles = partial(ProfileService, embedder=self._embedder)
        runner = JobRunner(self._database, {IMPORT: partial(run_import, database=self._database, profiles=profiles)})
        runner.run(job_id)
        runner.stop()
        stored = time.perf_counter()
        self._projection.catch_up()
        ended = time.perf_counter()
        with self._database.read() as session:
            result = JobService(JobRepository(session)).get(job_id).result or {}
        return {
            "seconds": ended - started,
            "index_seconds": ended - stored,
            "created": result["created"],
            "failed": result["failed"],
        }
