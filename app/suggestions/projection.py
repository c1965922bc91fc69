"""The search index as a projection of the database (architecture.md §2).

Every search first asks for the newest change and catches up: one reads one's own writes on any thread, worker or
restart, with no messages. There is no index file: filling from SQL costs as little as loading one.
"""

import threading
from collections.abc import Callable

from app import log
from app.db.changes import Position
from app.db.session import Database
from app.matching.calibration import Calibration
from app.matching.engine import propose, stand
from app.matching.index import FaissIndex, VectorIndex
from app.matching.kinds import MatchKind, reads_fields
from app.matching.shelf import Shelf
from app.matching.types import FieldReader, Proposal, Query, Standing
from app.suggestions.repository import ProjectionRepository

_log = log.get(__name__)


class Projection:
    """One shelf per profile kind; all access goes through one lock, since FAISS bears no concurrent change."""

    def __init__(
        self,
        database: Database,
        model_key: str,
        dim: int,
        make_index: Callable[[int], VectorIndex] = FaissIndex,
        fields: FieldReader | None = None,
    ) -> None:
        self._database = database
        self._model_key = model_key
        self._dim = dim
        self._make_index = make_index
        self._fields = fields
        self._lock = threading.Lock()
        self._shelves: dict[str, Shelf] = {}
        self._position: Position | None = None

    def propose(
        self, seen: Position, kind: MatchKind, query: Query, limit: int, calibration: Calibration | None = None
    ) -> tuple[Proposal, int]:
        """Return what the index proposes, at least as new as `seen`, and the number of the last change it knows."""
        with self._lock:
            position = self._catch_up(seen)
            shelf = self._shelf(kind.profile_kind(query.side.other))
            return propose(shelf, kind, query, limit, calibration), position.seq

    def stand(
        self, seen: Position, kind: MatchKind, query: Query, pk: int, calibration: Calibration | None = None
    ) -> tuple[Standing | None, int]:
        """Return where one profile stands, None when it is not eligible, and the number of the last change known."""
        with self._lock:
            position = self._catch_up(seen)
            shelf = self._shelf(kind.profile_kind(query.side.other))
            return stand(shelf, kind, query, pk, calibration), position.seq

    def catch_up(self) -> int:
        """Bring the index to the database's present and return the number of its last change."""
        with self._lock:
            return self._catch_up(None).seq

    def sizes(self) -> dict[str, int]:
        """Return how many profiles stand on each shelf."""
        with self._lock:
            return {name: len(shelf) for name, shelf in sorted(self._shelves.items())}

    def keys(self, profile_kind: str) -> set[int]:
        """Return the keys on one shelf: for checks that index and database say the same."""
        with self._lock:
            shelf = self._shelf(profile_kind)
            return {int(pk) for pk in shelf.table.pks[shelf.rows()]}

    def _shelf(self, profile_kind: str) -> Shelf:
        if profile_kind not in self._shelves:
            reader = self._fields if reads_fields(profile_kind) else None
            self._shelves[profile_kind] = Shelf(self._dim, self._make_index, reader)
        return self._shelves[profile_kind]

    def _catch_up(self, seen: Position | None) -> Position:
        if self._position is not None and seen == self._position:
            return self._position
        # A session of its own: the asker's may show an older state than another request has brought us to.
        with self._database.read() as session:
            repository = ProjectionRepository(session)
            newest = repository.last_position()
            if newest == self._position:
                return newest
            # Should what follows fail half way, nothing is built upon what it leaves: the next one fills anew.
            known, self._position = self._position, None
            if known is None or newest.seq < known.seq or not repository.has_position(known):
                self._fill(repository)
            else:
                self._replay(repository, known.seq)
                if any(shelf.untidy for shelf in self._shelves.values()):
                    self._fill(repository)
            self._position = newest
            return newest

    def _fill(self, repository: ProjectionRepository) -> None:
        self._shelves.clear()
        for kind, pks, vectors, facets in repository.everything(self._model_key, self._dim):
            self._shelf(kind).fill(pks, vectors, facets)
        _log.info("index filled", sizes={name: len(shelf) for name, shelf in sorted(self._shelves.items())})

    def _replay(self, repository: ProjectionRepository, seq: int) -> None:
        changed = repository.changed_profiles(seq)
        for chunk, rows in repository.current(changed, self._model_key, self._dim):
            for shelf in self._shelves.values():
                shelf.remove(chunk)
            for kind, pks, vectors, facets in rows:
                self._shelf(kind).replace(pks, vectors, facets)
