"""Engines and sessions: one way to read, one way to write.

SQLite needs three engines, because the driver's defaults lose updates (measured: 450 of 600):

- write: `BEGIN IMMEDIATE`, `synchronous=FULL`; a commit is on the disk before the answer leaves;
- record: the same with `synchronous=NORMAL`, for runs of suggestions; a commit survives the death of the
  process, and the next full commit (such as the decision that points to the run) makes it durable, since
  both stand in one write-ahead log;
- read: `query_only`.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from fastapi import Request
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session

from app.db.prepared import run_raw

BUSY_TIMEOUT_MS = 10_000
RESTART_TIMEOUT_MS = 200
POOL_SIZE = 20


class UnsupportedDatabaseError(ValueError):
    """The address names a database that this version cannot use."""


def database_url(address: str) -> str:
    """Return the SQLAlchemy address of `address`, a path or a `sqlite:///` address.

    Raises `UnsupportedDatabaseError` for any other scheme.
    """
    if address.startswith("sqlite:///"):
        return address
    if "://" in address:
        msg = "only SQLite is supported: give a path or sqlite:///PATH"
        raise UnsupportedDatabaseError(msg)
    return f"sqlite:///{Path(address).expanduser().resolve()}"


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


class Database:
    """The engines of one database; `close` when done."""

    def __init__(self, address: str) -> None:
        self.url = database_url(address)
        self.path = Path(self.url.removeprefix("sqlite:///"))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write = self._engine("BEGIN IMMEDIATE", "journal_mode=WAL", "synchronous=FULL")
        self._record = self._engine("BEGIN IMMEDIATE", "synchronous=NORMAL", "wal_autocheckpoint=0")
        self._read = self._engine("BEGIN", "query_only=ON")
        self._looking = Lock()
        self._look: Connection | None = None

    def _engine(self, begin: str, *pragmas: str) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=POOL_SIZE,
            max_overflow=-1,  # never wait for a connection: the event loop asks for them too, and gives them back
            pool_use_lifo=True,  # the connection used last has the warmest caches
            connect_args={"check_same_thread": False},
            json_serializer=_to_json,
            json_deserializer=orjson.loads,
            hide_parameters=True,  # an error's text is logged, and must not repeat what somebody sent
        )
        common = (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
            "secure_delete=ON",
            "trusted_schema=OFF",
            "temp_store=MEMORY",
            "cache_size=-4000",
        )

        def on_connect(connection: Any, _record: Any) -> None:
            # The driver must not begin transactions by itself: it begins deferred ones, and late.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in (*common, *pragmas):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        event.listen(engine, "connect", on_connect)
        event.listen(engine, "begin", lambda connection: run_raw(connection, begin))
        return engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one snapshot and cannot write.

        On a connection that has begun, so that what is `Prepared` costs no session's work: see `connection_of`.
        """
        with self._read.connect() as connection, connection.begin(), Session(connection, autoflush=False) as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """Yield a reader's connection outside any transaction: for one `Prepared` statement, seen as of now.

        It is always the same one, which costs no pool's work, and is lent to one thread at a time.
        """
        with self._looking:
            if self._look is None:
                self._look = self._read.connect()
            yield self._look

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose transaction is committed at the end, or rolled back on any error."""
        with Session(self._write, expire_on_commit=False) as session, session.begin():
            yield session

    def recorder(self) -> Connection:
        """Return a connection of its own, to be closed, whose commits do not wait for the disk."""
        return self._record.connect()

    def erase_traces(self) -> None:
        """Fold the write-ahead log into the file and empty it, so that deleted rows are gone from both."""
        with self._write.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raw.close()

    def checkpoint(self, *, restart: bool = False) -> int:
        """Fold what the write-ahead log holds into the file, as far as no reader needs it; return the log's pages.

        Commits by `record` leave that to this call: with a reader open, each would try it again, at a flush each.
        With `restart` writers wait, for `RESTART_TIMEOUT_MS` at most, until all of it is folded in and no reader needs
        the log, so that the next commit begins it anew. Without that it would grow for as long as readers overlap.
        """
        with self._record.connect() as connection:
            raw = connection.connection.cursor()
            try:
                if restart:
                    raw.execute(f"PRAGMA busy_timeout={RESTART_TIMEOUT_MS}")
                raw.execute(f"PRAGMA wal_checkpoint({'RESTART' if restart else 'PASSIVE'})")
                pages = int((raw.fetchone() or (0, 0))[1])
            finally:
                raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
                raw.close()
            return pages

    def ping(self) -> str | None:
        """Return the migration revision that the database stands at, or None when it has none."""
        with self.read() as session:
            found = session.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'")
            ).scalar()
            if found is None:
                return None
            revision: str | None = session.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return revision

    def close(self) -> None:
        """Close all connections."""
        with self._looking:
            if self._look is not None:
                self._look.close()
                self._look = None
        for engine in (self._read, self._record, self._write):
            engine.dispose()


def connection_of(session: Session) -> Connection:
    """Return the connection of a session, within its transaction."""
    bind = session.bind
    return bind if isinstance(bind, Connection) else session.connection()


def get_database(request: Request) -> Database:
    """Return the database that the application was wired with."""
    database: Database = request.app.state.database
    return database


async def get_read_session(request: Request) -> AsyncIterator[Session]:
    """Yield the request's read session; use with `Depends(..., scope="function")`.

    Asynchronous, though it awaits nothing: opening and closing a session cost microseconds, a hop to a worker thread
    and back costs more.
    """
    with get_database(request).read() as session:
        yield session


def get_session(request: Request) -> Iterator[Session]:
    """Yield the request's write session; with `scope="function"` the commit precedes the answer."""
    with get_database(request).write() as session:
        yield session
