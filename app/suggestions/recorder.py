"""Keeps runs of suggestions without a disk flush per request.

The commit survives the death of the process at once, but does not wait for the disk; the decision that points to a
run is a full commit later in the same write-ahead log, so that a decision can never outlive its run. A thread folds
the log into the file now and then, off the requests' path.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError, OperationalError

from app import log
from app.db.session import BUSY_TIMEOUT_MS, Database
from app.errors import Unavailable
from app.suggestions.run_repository import RunRepository

CHECKPOINT_S = 1.0
LONG_LOG = 4_000
"""Pages of the write-ahead log (16 MB) from which on it is begun anew; under load it grows by as much in a second."""

_log = log.get(__name__)


class RunRecorder:
    """Writes runs, one at a time: waiting for each other here is quicker than in SQLite, which sleeps and retries.

    `close` when done.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.recorder()
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._checkpoints, name="checkpoints", daemon=True)
        self._thread.start()

    def record(self, run: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Return once the run is kept.

        Raises `Unavailable` when too many wait behind a writer that holds the database, and whatever that raises.
        """
        # As patient as SQLite is: without a limit each would wait for the patience of all before it.
        if not self._lock.acquire(timeout=BUSY_TIMEOUT_MS / 1_000):
            raise Unavailable("the database is busy")
        try:
            self._keep(run, suggestions)
        finally:
            self._lock.release()
        self._dirty.set()

    def _keep(self, run: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> None:
        try:
            with self._connection.begin():
                RunRepository(self._connection).add(run, suggestions)
        except IntegrityError:
            # A profile was deleted since it asked or was suggested: keep what a later deletion would have left.
            with self._connection.begin():
                RunRepository(self._connection).add_rest(run, suggestions)

    def close(self) -> None:
        """Stop the thread; what was recorded is kept already."""
        self._closing.set()
        self._thread.join()
        self._connection.close()

    def _checkpoints(self) -> None:
        while not self._closing.wait(CHECKPOINT_S):
            if self._dirty.is_set():
                self._dirty.clear()
                try:
                    if self._database.checkpoint() >= LONG_LOG:
                        # Most is folded in by now. What is left costs milliseconds, in which no run is added to it.
                        with self._lock:
                            self._database.checkpoint(restart=True)
                except OperationalError as error:
                    _log.warning("checkpoint failed", exception=type(error).__name__)
