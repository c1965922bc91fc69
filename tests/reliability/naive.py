"""The negative control: the service with an index that is kept in a file.

It commits a row, then adds it to the index in memory, then, every few changes, writes the index to a file; at its
start it loads the file and takes it for the present. That is how it is usually done, and what `Projection` is not:
the harness of `test_kill.py` must see it diverge. Run as `python -m tests.reliability.naive serve …`.

With PUENTE_DIE_BEFORE_WRITING=n the process kills itself at the n-th change, between commit and file.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from sqlalchemy.orm import Session

import app.main
from app.cli import main
from app.db.changes import Position
from app.db.session import Database
from app.matching.types import FieldReader
from app.suggestions.projection import Projection
from app.suggestions.repository import ProjectionRepository

WRITE_EVERY = 5
"""Changes between two writings of the file."""

VARIABLE = "PUENTE_DIE_BEFORE_WRITING"


class NaiveDatabase(Database):
    """Tells when a transaction was committed."""

    committed: Callable[[], object] | None = None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session; once it is committed, let the index add what came."""
        with super().write() as session:
            yield session
        if self.committed is not None:
            self.committed()


class NaiveProjection(Projection):
    """Believes its file."""

    def __init__(self, database: NaiveDatabase, model_key: str, dim: int, *, fields: FieldReader | None = None) -> None:
        super().__init__(database, model_key, dim, fields=fields)
        self._folder = Path(f"{database.path}.index")
        self._unwritten = self._changes = 0
        self._die_at = int(os.environ.get(VARIABLE, "0"))
        database.committed = self.catch_up

    def _catch_up(self, seen: Position | None) -> Position:
        before = self._position
        if before is None:
            self._load()
            return self._position or Position(0, b"")
        position = super()._catch_up(seen)
        if position != before:
            self._changes += 1
            self._unwritten += 1
            if self._changes == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._unwritten >= WRITE_EVERY:
                self._write()
                self._unwritten = 0
        return position

    def _load(self) -> None:
        """Fill the shelves from the files; only the facets come from the database."""
        with self._database.read() as session:
            repository = ProjectionRepository(session)
            for file in sorted(self._folder.glob("*.faiss")):
                keys: list[int] = json.loads(file.with_suffix(".json").read_text())
                facets: dict[int, Any] = {}
                for _, rows in repository.current(keys, self._model_key, self._dim):
                    for _, pks, _, own in rows:
                        facets.update(zip(pks, own, strict=True))
                index = faiss.read_index(str(file))
                vectors = index.reconstruct_n(0, index.ntotal)
                known = [place for place, pk in enumerate(keys[: index.ntotal]) if pk in facets]
                self._shelf(file.stem).fill(
                    [keys[place] for place in known],
                    np.ascontiguousarray(vectors[known]),
                    [facets[keys[place]] for place in known],
                )
            self._position = repository.last_position()

    def _write(self) -> None:
        self._folder.mkdir(exist_ok=True)
        for kind, shelf in self._shelves.items():
            alive = shelf.rows()
            index = faiss.IndexFlatIP(self._dim)
            if len(alive):
                index.add(shelf.vectors(alive))
            faiss.write_index(index, str(self._folder / f"{kind}.faiss"))
            keys = [int(pk) for pk in shelf.table.pks[alive]]
            (self._folder / f"{kind}.json").write_text(json.dumps(keys))


if __name__ == "__main__":
    app.main.Database = NaiveDatabase  # type: ignore[misc]
    app.main.Projection = NaiveProjection  # type: ignore[misc]
    main()
