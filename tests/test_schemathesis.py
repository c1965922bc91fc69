"""Every operation, asked with what its OpenAPI allows and forbids: nothing breaks, and what it says holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.python import asgi
from starlette.types import ASGIApp, Receive, Scope, Send

from app.accounts.principal import Role
from app.accounts.repository import ApiKeyRepository
from app.accounts.service import ApiKeyService
from app.db.session import Database
from app.main import create_app
from app.matching.embedder import Embedder
from app.settings import Settings

EXAMPLES = 15

# A form that holds may still name a place, a skill or an owner that does not exist.
MEANINGLESS = ["400", "412", "413", "422", "428"]

# What is created is read by the schemas that read the cells of tables too, and so takes "2" for 2 and 0 for false; a
# file that is "no string but an object" is sent as bytes like any other. test_poison says what these must refuse.
READ_LENIENTLY = ["POST /api/v1/organisations", "POST /api/v1/profiles", "POST /api/v1/imports"]

CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"with-security-parameters": False},  # the key is ours
        "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", *MEANINGLESS]}},
        "operations": [
            {"include-name": name, "checks": {"negative_data_rejection": {"enabled": False}}} for name in READ_LENIENTLY
        ],
    }
)


class Later:
    """The application, made when there is a database for it: the tests are collected before."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


# The snapshot, which test_openapi holds equal to what the application says.
schema = schemathesis.openapi.from_path(Path(__file__).with_name("openapi.json"), config=CONFIG)
schema.app = Later()


@pytest.fixture(scope="module")
def writer(migrated_file: Path, hash_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A writer's key of an application of our own."""
    path = tmp_path_factory.mktemp("schemathesis") / "puente.db"
    path.write_bytes(migrated_file.read_bytes())
    database = Database(str(path))
    with database.write() as session:
        key = ApiKeyService(ApiKeyRepository(session)).create(Role.WRITER, "test")
    database.close()
    schema.app.app = create_app(Settings(database=str(path)), hash_embedder)
    yield key
    asgi.shutdown_lifespans()


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_its_word(case: schemathesis.Case, writer: str) -> None:
    case.call_and_validate(headers={"X-API-Key": writer})
