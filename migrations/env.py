"""Run by Alembic: its own engine, with foreign keys off and transactional DDL.

With foreign keys on, SQLite's batch mode deletes the rows of CASCADE children without an error; so they are off
while a migration runs, and checked before it is committed. A new migration is made with

    python -c "from alembic import command; from app.db.migrate import _config; \
               command.revision(_config('var/dev.db'), 'what it does', autogenerate=True)"
"""

from alembic import context
from sqlalchemy import create_engine, event

import app.accounts.tables
import app.db.changes
import app.jobs.tables
import app.organisations.tables
import app.profiles.tables
import app.suggestions.tables
import app.taxonomy.tables  # noqa: F401 - each registers its tables
from app.db.base import Base


def _on_connect(connection, _record):
    connection.isolation_level = None
    cursor = connection.cursor()
    pragmas = ("foreign_keys=OFF", "secure_delete=ON", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


engine = create_engine(context.config.attributes["url"])
event.listen(engine, "connect", _on_connect)
event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))

with engine.begin() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
        transaction_per_migration=False,
    )
    context.run_migrations()
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        msg = f"the migration leaves {len(broken)} rows that refer to nothing"
        raise RuntimeError(msg)
engine.dispose()
