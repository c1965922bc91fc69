"""Bring a database to this version's schema."""

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.db.session import database_url

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def _config(address: str | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if address is not None:
        url = database_url(address)
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        config.attributes["url"] = url
    return config


def upgrade(address: str) -> None:
    """Run the migrations that the database at `address` lacks, each in one transaction."""
    command.upgrade(_config(address), "head")


@lru_cache(maxsize=1)
def head_revision() -> str | None:
    """Return the newest migration's revision."""
    return ScriptDirectory.from_config(_config()).get_current_head()
