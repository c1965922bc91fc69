"""The web application: the only place where routes, database, engine and jobs are wired together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import faiss
from fastapi import APIRouter, FastAPI, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from app import log, problems
from app.db.migrate import head_revision, upgrade
from app.db.session import Database
from app.http import API, BodyLimit, SecurityHeaders
from app.jobs.runner import JobRunner
from app.matching.calibration import load_calibrations
from app.matching.embedder import Embedder, load_embedder
from app.matching.kinds import MATCH_KINDS
from app.metrics import RequestMetrics
from app.organisations.routes import router as organisations
from app.profiles.import_routes import router as imports
from app.profiles.renewal import renew
from app.profiles.routes import router as profiles
from app.profiles.service import ProfileService
from app.profiles.tasks import IMPORT, run_import, tidy_uploads
from app.profiles.taxonomy_routes import router as taxonomy
from app.settings import Settings
from app.suggestions.exposure import ExposureCounts
from app.suggestions.projection import Projection
from app.suggestions.recorder import RunRecorder
from app.suggestions.routes import router as suggestions
from app.suggestions.turns import Turns
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import SkillFinder

DESCRIPTION = """
Explained matches between clusters, regions, companies, schools and trainees.

Send an API key in `X-API-Key`. Errors are `application/problem+json` (RFC 9457) and name the field that is wrong.
Lists are paged by a cursor: pass `next` as `cursor`. To change or delete an item, send its `ETag` as `If-Match`.
"""

INDEX_SEQ = Gauge("puente_index_seq", "Number of the last change that the search index has seen")
INDEX_PROFILES = Gauge("puente_index_profiles", "Profiles on the shelves of the search index", ["kind"])


def create_app(settings: Settings | None = None, embedder: Embedder | None = None) -> FastAPI:
    """Return the application; the database is migrated and the index filled when it starts."""
    settings = settings or Settings()
    log.configure(settings.log_level)
    faiss.omp_set_num_threads(1)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        upgrade(settings.database)
        database = Database(settings.database)
        encoder = embedder or load_embedder(settings.model)
        state = app.state
        state.database, state.embedder = database, encoder
        state.skills = SkillFinder(encoder)
        if any(renewed := renew(database, encoder, state.skills)):
            log.get(__name__).info("renewed for this encoder", model=encoder.model_key, sizes=renewed._asdict())
        state.projection = Projection(database, encoder.model_key, encoder.dim, fields=encoder.fields)
        state.exposure = ExposureCounts(database)
        state.calibrations = load_calibrations(settings.calibrations, MATCH_KINDS, encoder.model_key)
        state.recorder = RunRecorder(database)
        state.turns = Turns()
        state.uploads, state.upload_limit = settings.uploads_folder(), settings.upload_limit
        profiles_of = partial(ProfileService, embedder=encoder, finder=state.skills)
        task = partial(run_import, database=database, profiles=profiles_of)
        state.runner = JobRunner(database, {IMPORT: task})
        encoder.embed_queries(["warm"])
        state.projection.catch_up()
        with database.read() as session:
            state.skills.find(CatalogueRepository(session), [])
        tidy_uploads(database, state.uploads)
        state.runner.start()
        try:
            yield
        finally:
            state.runner.stop()
            state.recorder.close()
            database.close()

    app = FastAPIOffline(
        title="Puente",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        openapi_tags=[
            {"name": "suggestions", "description": "Ask for matches, and keep what people decide."},
            {
                "name": "profiles",
                "description": "Pitches, priorities, skill needs, training offers, trainees.",
            },
            {"name": "organisations", "description": "Clusters, regions, companies and schools."},
            {"name": "imports", "description": "Files of organisations and profiles."},
            {"name": "taxonomy", "description": "The skill catalogue."},
        ],
    )
    problems.install(app)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(
        BodyLimit,
        limit=settings.body_limit,
        longer={f"{API}/imports": settings.upload_limit + settings.body_limit},
    )
    for router in (suggestions, profiles, organisations, imports, taxonomy):
        app.include_router(router, prefix=API)
    app.include_router(_health(app))
    app.add_middleware(RequestMetrics, unmeasured=frozenset({"/live", "/ready", "/metrics"}))
    return app


def _health(app: FastAPI) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """Say that the process runs."""
        return {"status": "live"}

    @router.get("/ready", responses={503: {"description": "Not ready; `problems` says why."}})
    def ready(response: Response) -> dict[str, object]:
        """Say whether the service can answer, and if not, why."""
        found: list[str] = []
        try:
            revision = app.state.database.ping()
            if revision != head_revision():
                found.append("the database is not at this version's schema")
            INDEX_SEQ.set(app.state.projection.catch_up())
            for kind, size in app.state.projection.sizes().items():
                INDEX_PROFILES.labels(kind).set(size)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
            found.append(f"the database or the index does not answer ({type(error).__name__})")
        response.status_code = 503 if found else 200
        return {"status": "not ready" if found else "ready", "problems": found}

    @router.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Say what was counted and measured, for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
