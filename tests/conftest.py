"""Shared fixtures: a database migrated once and copied per test, the application on it, and keys."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.accounts.principal import Role
from app.accounts.repository import ApiKeyRepository
from app.accounts.service import ApiKeyService
from app.db.migrate import upgrade
from app.db.session import Database
from app.main import create_app
from app.matching.embedder import Embedder, load_embedder
from app.settings import Settings

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at head with no rows; tests copy it."""
    path = tmp_path_factory.mktemp("migrated") / "empty.db"
    upgrade(str(path))
    database = Database(str(path))
    database.erase_traces()
    database.close()
    return path


@pytest.fixture
def database_file(migrated_file: Path, tmp_path: Path) -> Path:
    """A database of this test's own."""
    return Path(shutil.copy(migrated_file, tmp_path / "puente.db"))


@pytest.fixture
def database(database_file: Path) -> Iterator[Database]:
    """The test's database, opened."""
    opened = Database(str(database_file))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def hash_embedder() -> Embedder:
    """The encoder without a model, for tests in which meaning does not matter."""
    return load_embedder("hash")


@pytest.fixture(scope="session")
def real_embedder() -> Embedder:
    """The default encoder."""
    return load_embedder()


@dataclass(frozen=True)
class Service:
    """The application behind HTTP, with a key of each role."""

    client: TestClient
    writer: dict[str, str]
    reader: dict[str, str]
    database: Database


def make_service(database_file: Path, embedder: Embedder, *, calibrated: bool = False) -> Iterator[Service]:
    """Yield the application on that database; uncalibrated it answers with all there is, however unlikely."""
    opened = Database(str(database_file))
    with opened.write() as session:
        keys = ApiKeyService(ApiKeyRepository(session))
        writer, reader = keys.create(Role.WRITER, "test"), keys.create(Role.READER, "test")
    settings = Settings(database=str(database_file))
    if not calibrated:
        settings.calibrations = database_file.parent / "no_calibrations"
    app = create_app(settings, embedder)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Service(client, {"X-API-Key": writer}, {"X-API-Key": reader}, opened)
    opened.close()


@pytest.fixture
def service(database_file: Path, hash_embedder: Embedder) -> Iterator[Service]:
    """The application on the test's own empty database, with the encoder without a model."""
    yield from make_service(database_file, hash_embedder)


@pytest.fixture
def real_service(database_file: Path, real_embedder: Embedder) -> Iterator[Service]:
    """The application on the test's own empty database, with the default encoder."""
    yield from make_service(database_file, real_embedder)


@pytest.fixture
def calibrated_service(database_file: Path, real_embedder: Embedder) -> Iterator[Service]:
    """The same with the shipped calibrations."""
    yield from make_service(database_file, real_embedder, calibrated=True)
