"""Keeps runs of suggestions without a disk flush per request.

Requests hand their run to one thread, which writes all that wait in one transaction and wakes them. The commit
survives the death of the process at once; the decision that points to a run is a full commit later in the same
write-ahead log, so that a decision can never outlive its run.
"""

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from app.db.session import Database
from app.suggestions.repository import SuggestionRepository

BATCH = 64
DEADLINE_S = 15.0


class _Entry(NamedTuple):
    run: Mapping[str, Any]
    suggestions: Sequence[Mapping[str, Any]]
    done: "Future[None]"


class RunRecorder:
    """Writes runs in groups; `close` when done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="run-recorder", daemon=True)
        self._thread.start()

    def record(self, run: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Return once the run is kept; raises whatever the database raised for it."""
        entry = _Entry(run, suggestions, Future())
        self._waiting.put(entry)
        entry.done.result(timeout=DEADLINE_S)

    def close(self) -> None:
        """Write what waits and stop."""
        self._waiting.put(None)
        self._thread.join(timeout=DEADLINE_S)

    def _work(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            entries, last = [first], False
            while len(entries) < BATCH:
                try:
                    entry = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    last = True
                    break
                entries.append(entry)
            self._write_all(entries)
            if last:
                return

    def _write_all(self, entries: Sequence[_Entry]) -> None:
        try:
            self._write(entries)
        except Exception as error:  # noqa: BLE001 - each waiting request gets its own outcome
            if len(entries) == 1:
                entries[0].done.set_exception(error)
                return
            # One bad run (its profile was deleted meanwhile) must not fail its neighbours.
            for entry in entries:
                self._write_all([entry])
        else:
            for entry in entries:
                entry.done.set_result(None)

    def _write(self, entries: Sequence[_Entry]) -> None:
        with self._database.record() as session:
            SuggestionRepository(session).add_runs(
                [entry.run for entry in entries], [item for entry in entries for item in entry.suggestions]
            )
