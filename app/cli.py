"""The command line: `puente serve`, `puente import`, `puente export`, `puente key`, `puente taxonomy import`."""

import contextlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from app import log
from app.accounts.principal import Role
from app.accounts.repository import ApiKeyRepository, LiveKeys
from app.accounts.service import ApiKeyService, check
from app.db.migrate import upgrade
from app.db.session import Database, UnsupportedDatabaseError
from app.errors import PuenteError
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.schemas import UNFINISHED, JobState
from app.jobs.service import JobService
from app.main import create_app
from app.matching.calibration import CalibrationError
from app.matching.embedder import Embedder, EmbedderError, load_embedder
from app.organisations.repository import OrganisationFilter, OrganisationRepository
from app.organisations.service import OrganisationService
from app.profiles.files import store_upload
from app.profiles.linking import link_profiles
from app.profiles.repository import ProfileFilter, ProfileRepository
from app.profiles.service import ProfileService, as_input
from app.profiles.tasks import IMPORT, ImportArguments, run_import
from app.settings import ROOT, Settings
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import CatalogueFileError, CatalogueService, SkillFinder, esco_version, read_esco

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

taxonomy = typer.Typer(no_args_is_help=True, help="Code lists that an operator brings.")
imports = typer.Typer(no_args_is_help=True, help="Import a code list.")
app.add_typer(taxonomy, name="taxonomy")
taxonomy.add_typer(imports, name="import")

TERRITORY = ROOT / "scripts" / "territory"
TERRITORY_FILES = ("organisations", "priorities", "pitches", "training_offers", "skill_needs", "trainees")
TERRITORY_JOB = "territory"
DEMO_KEY = "demo_api_key"
PAGE = 100

DatabaseOption = Annotated[str | None, typer.Option("--database", help="Path of the SQLite file (or PUENTE_DATABASE).")]


def _settings(database: str | None) -> Settings:
    return Settings(database=database) if database else Settings()


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    """Yield the migrated database."""
    log.configure(settings.log_level)
    upgrade(settings.database)
    database = Database(settings.database)
    try:
        yield database
    finally:
        database.close()


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    database: DatabaseOption = None,
    empty: Annotated[bool, typer.Option("--empty", help="Do not load the demonstration territory.")] = False,
) -> None:
    """Migrate, load the demonstration territory on first start, print how to begin, and serve."""
    settings = _settings(database)
    typer.echo("puente: loading the encoder (the first time it is exported, about 20 seconds) …", err=True)
    embedder = load_embedder(settings.model)
    with _opened(settings) as opened:
        if not empty:
            load_territory(settings, opened, embedder)
        key = _demo_key(opened)
    _greet(f"http://{host}:{port}", key, example=not empty)
    uvicorn.run(
        create_app(settings, embedder),
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=30,
    )


@app.command("import")
def import_files(
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, help="CSV, JSONL or XLSX files, in this order.")
    ],
    *,
    kind: Annotated[str | None, typer.Option(help="Kind of the rows that name none.")] = None,
    database: DatabaseOption = None,
) -> None:
    """Import organisations and profiles; bad rows are listed, good ones kept."""
    settings = _settings(database)
    refused = 0
    with _opened(settings) as opened:
        embedder = load_embedder(settings.model)
        for file in files:
            result = _import(settings, opened, embedder, file, kind)
            refused += result["failed"]
            counts = f"{result['created']} created, {result['updated']} updated, {result['failed']} refused"
            typer.echo(f"{file.name}: {counts}")
            for error in result["errors"]:
                typer.echo(f"  row {error['row']}: {error['field']}: {error['reason']}", err=True)
    raise typer.Exit(1 if refused else 0)


@app.command("export")
def export(
    *,
    file: Annotated[Path | None, typer.Option("--to", help="JSONL file to write; standard output without it.")] = None,
    database: DatabaseOption = None,
) -> None:
    """Write all organisations and profiles as JSONL that `puente import` reads again."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_opened(_settings(database)))
        target = stack.enter_context(file.open("w", encoding="utf-8")) if file else sys.stdout
        for line in _exported(opened):
            target.write(
                json.dumps({k: v for k, v in line.items() if v not in (None, [], "")}, ensure_ascii=False) + "\n"
            )


@app.command("key")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    role: Annotated[Role, typer.Option(help="reader or writer.")] = Role.READER,
    database: DatabaseOption = None,
) -> None:
    """Make an API key and print it; it cannot be shown again."""
    with _opened(_settings(database)) as opened, opened.write() as session:
        key = ApiKeyService(ApiKeyRepository(session)).create(role, name)
    typer.echo(key)


@imports.command("esco")
def import_esco(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the official CSV download.")],
    *,
    version: Annotated[
        str | None, typer.Option("--as", help="Version of ESCO; by default in the folder's name.")
    ] = None,
    database: DatabaseOption = None,
) -> None:
    """Import ESCO's skills from skills_en.csv and its like, and find them in the profiles that are stored."""
    settings = _settings(database)
    given = read_esco(folder)
    named = version or esco_version(folder)
    if named is None:
        raise CatalogueFileError(f"{folder}: its name holds no version such as v1.2.0: give --as")
    with _opened(settings) as opened:
        embedder = load_embedder(settings.model)
        typer.echo(f"puente: reading {len(given)} skills (minutes, the first time) …", err=True)
        with opened.read() as session:
            service = CatalogueService(CatalogueRepository(session), embedder)
            prepared = service.prepare(given, named)
        if prepared.changed:
            with opened.write() as session:
                service.store(CatalogueRepository(session), prepared)
        linked = link_profiles(opened, SkillFinder(embedder))
    size = len(prepared.catalogue)
    state = "stored" if prepared.changed else "already there"
    counts = f"{len(prepared.vectors)} embedded, {len(prepared.ties)} tied to ours, {linked} profiles read"
    typer.echo(f"ESCO {named}: {size} skills {state}, {counts}")


def _import(settings: Settings, database: Database, embedder: Embedder, file: Path, kind: str | None) -> dict[str, Any]:
    """Run an import job here and now, with a progress bar, and return its result.

    The job has a copy of the file: when it is killed, the next start goes on in the file as it was.
    """
    with file.open("rb") as source:
        path = store_upload(source, settings.uploads_folder(), limit=settings.upload_limit)
    with database.write() as session:
        arguments = ImportArguments(path=str(path), name=file.name, default_kind=kind)
        job_id = JobService(JobRepository(session)).create(IMPORT, dict(arguments)).id
    with typer.progressbar(length=1, label=f"{file.name:24}", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        task = partial(
            run_import,
            database=database,
            profiles=partial(ProfileService, embedder=embedder),
            on_progress=show,
        )
        runner = JobRunner(database, {IMPORT: task})
        state = runner.run(job_id)
        runner.stop()
    with database.read() as session:
        job = JobService(JobRepository(session)).get(job_id)
        if state is not JobState.DONE:
            typer.echo(f"puente: {file.name}: {job.error or state}", err=True)
            raise typer.Exit(2)
        return dict(job.result or {"created": 0, "updated": 0, "failed": 0, "errors": []})


def _exported(database: Database) -> Iterator[dict[str, Any]]:
    """Yield organisations, then profiles; trainees come last, after the programmes that they follow."""
    with database.read() as session:
        organisations = OrganisationRepository(session)
        service = OrganisationService(organisations)
        cursor: str | None = None
        memberships = []
        while True:
            rows, cursor = organisations.page(OrganisationFilter(), limit=PAGE, cursor=cursor)
            for row in rows:
                line = {**service.as_input(row), "ref": row.ref or row.id}
                if line["memberships"]:
                    memberships.append(line)
                yield {**line, "memberships": []}
            if cursor is None:
                break
        yield from memberships
        profiles = ProfileRepository(session)
        for kind in ("priority", "pitch", "skill_need", "training_offer", "trainee"):
            cursor = None
            while True:
                found, cursor = profiles.page(ProfileFilter(kind=kind), limit=PAGE, cursor=cursor)
                for profile in found:
                    yield as_input(profile)
                if cursor is None:
                    break


def load_territory(settings: Settings, database: Database, embedder: Embedder) -> None:
    """Load the demonstration territory into a database that has no organisations.

    A job notes that it has begun, so that a load that was interrupted is told from somebody's own data and begun
    anew: every item has a ref, so nothing comes twice.
    """
    with database.read() as session:
        rows, _ = OrganisationRepository(session).page(OrganisationFilter(), limit=1, cursor=None)
        begun = JobService(JobRepository(session)).page(kind=TERRITORY_JOB, limit=1).items
    if begun and begun[0].state in UNFINISHED:
        job_id = begun[0].id
    elif begun or rows:
        return
    else:
        with database.write() as session:
            job_id = JobService(JobRepository(session)).create(TERRITORY_JOB, {}).id
    typer.echo("puente: loading the demonstration territory …", err=True)
    for name in TERRITORY_FILES:
        result = _import(settings, database, embedder, TERRITORY / f"{name}.jsonl", None)
        for error in result["errors"]:
            typer.echo(f"  {name} row {error['row']}: {error['field']}: {error['reason']}", err=True)
    with database.write() as session:
        jobs = JobService(JobRepository(session))
        jobs.start(job_id)
        jobs.finish(job_id)


def _demo_key(database: Database) -> str:
    """Return the demonstration key of this database, kept beside it and readable by its owner only."""
    path = database.path.with_name(f"{database.path.name}.{DEMO_KEY}")
    if path.exists():
        key = path.read_text(encoding="ascii").strip()
        with database.look() as connection:
            if check(key, LiveKeys(connection)):
                return key
    with database.write() as session:
        key = ApiKeyService(ApiKeyRepository(session)).create(Role.WRITER, "demonstration")
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(key + "\n", encoding="ascii")
    return key


def _greet(address: str, key: str, *, example: bool) -> None:
    typer.echo(f"\nPuente    {address}/api/v1\nDocs      {address}/docs\nDemo key  {key}\n")
    if not example:
        return
    questions = (
        (
            "cluster-region",
            {
                "text": "Automotive suppliers seek partner regions for lightweight vehicle parts and mechatronics.",
                "limit": 3,
            },
        ),
        (
            "company-school",
            {"text": "Buscamos estudiantes en prácticas para desarrollar aplicaciones web.", "limit": 3},
        ),
        (
            "company-trainee",
            {"text": "Estágio em cozinha num hotel: preparação de pratos e pastelaria.", "limit": 3},
        ),
    )
    typer.echo("Try:")
    for kind, question in questions:
        body = json.dumps(question, ensure_ascii=False)
        typer.echo(
            f"curl -s {address}/api/v1/suggestions/{kind} -H 'X-API-Key: {key}' "
            f"-H 'Content-Type: application/json' -d '{body}'"
        )
    typer.echo("")


def main() -> None:
    """Run the command line; errors that a person can mend are one line."""
    try:
        app()
    except (PuenteError, EmbedderError, CalibrationError, CatalogueFileError, UnsupportedDatabaseError) as error:
        typer.echo(f"puente: {error}", err=True)
        raise SystemExit(2) from error
