"""A shelf: the vectors and facets of all published profiles of one kind, row beside row.

Rows of one country stand together, so that the commonest filter is one run. Changes are appended and what they
replace is marked dead; when a fifth of the rows is dead or out of order the shelf is laid out anew.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.matching.facets import FacetTable
from app.matching.index import VectorIndex
from app.matching.types import Facets, FieldReader, Matrix, Rows, Vector

_VECTOR_PART = 0.5
_ROOTS_PART = 0.75**0.5
"""What an embedding and what is read off it are multiplied by where they stand in one row, which so has length 1; by
the first number without any rounding."""

_CHUNK = 4_096
"""So many are read at once: reading is in double precision, and the index is filled with all at once."""

_NO_READER = "this shelf reads no fields"

UNTIDY_SHARE = 0.2
UNTIDY_LEAST = 1_000


def shelf_order(pks: Sequence[int], facets: Sequence[Facets]) -> list[int]:
    """Return the places of the profiles in order of country and key."""
    return sorted(range(len(pks)), key=lambda place: (str(facets[place].get("country") or ""), pks[place]))


class Shelf:
    """Published profiles of one kind. Not for concurrent use: its owner holds a lock.

    With a `reader` the fields of intervention that a text speaks of stand beside its embedding, in the same row of the
    index: what is nearest by both is then found by one search, as exactly as by the embedding alone.
    """

    def __init__(self, dim: int, make_index: Callable[[int], VectorIndex], reader: FieldReader | None = None) -> None:
        self._dim = dim
        self._make_index = make_index
        self._reader = reader
        self._clear()

    def _clear(self) -> None:
        self.table = FacetTable()
        self._index = self._make_index(self._dim + (len(self._reader.codes) + 1 if self._reader else 0))
        self._alive: NDArray[np.bool_] = np.empty(0, dtype=bool)
        self._row_of: dict[int, int] = {}
        self._rows: Rows | None = None
        self._tidy = 0
        self._runs: dict[str, list[tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, pk: int) -> bool:
        return pk in self._row_of

    @property
    def untidy(self) -> bool:
        """Whether it is worth laying the shelf out anew from the database."""
        loose = len(self.table) - self._tidy + int(self._tidy - np.count_nonzero(self._alive[: self._tidy]))
        return loose > max(UNTIDY_LEAST, UNTIDY_SHARE * len(self.table))

    def rows(self) -> Rows:
        """Return the positions that are alive; not to be written to."""
        if self._rows is None:
            self._rows = np.flatnonzero(self._alive)
        return self._rows

    def rows_in(self, countries: frozenset[str]) -> Rows:
        """Return the positions that are alive and lie in those countries: runs, and what was appended since."""
        column = self.table.column("country")
        runs = sorted(run for country in countries for run in self._runs.get(country, ()))
        found = [np.arange(first, last) for first, last in runs]
        loose = np.arange(self._tidy, len(self.table))
        if len(loose):
            found.append(loose[column.apply(countries.__contains__, loose, np.bool_)])
        rows = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        return rows[self._alive[rows]]

    def fill(self, pks: Sequence[int], vectors: Matrix, facets: Sequence[Facets]) -> None:
        """Lay the shelf out anew with these profiles, shape (n, d), which had best stand in `shelf_order`."""
        self._clear()
        self._append(pks, vectors, facets)
        self._tidy = len(pks)
        places = [str(row.get("country") or "") for row in facets]
        starts = [place for place in range(len(places)) if place == 0 or places[place] != places[place - 1]]
        for first, last in pairwise([*starts, len(places)]):
            self._runs.setdefault(places[first], []).append((first, last))

    def replace(self, pks: Sequence[int], vectors: Matrix, facets: Sequence[Facets]) -> None:
        """Put the profiles on the shelf, in the place of what it had under the same keys."""
        self.remove(pks)
        self._append(pks, vectors, facets)

    def remove(self, pks: Sequence[int]) -> None:
        """Take profiles off the shelf; keys that it does not have are ignored."""
        for pk in pks:
            row = self._row_of.pop(pk, None)
            if row is not None:
                self._alive[row] = False
                self._rows = None

    def _append(self, pks: Sequence[int], vectors: Matrix, facets: Sequence[Facets]) -> None:
        self._rows = None
        self._index.add(self._beside(vectors))
        first = len(self.table)
        self.table.extend(pks, facets)
        self._alive = np.concatenate([self._alive, np.ones(len(pks), dtype=bool)])
        self._row_of.update({pk: first + offset for offset, pk in enumerate(pks)})

    def search(
        self, query: Vector, rows: Rows, k: int, fields: NDArray[np.float64] | None = None
    ) -> tuple[Rows, NDArray[np.float32]]:
        """Return the k best of `rows` and how near they are, best first.

        That is the cosine with `query`; with `fields`, roots that weigh what they are to weigh beside the cosine, the
        inner product with them is added.
        """
        question, length = self._question(query, fields)
        found, near = self._index.search(question, rows, k)
        return found, near * np.float32(length)

    def vectors(self, rows: Rows) -> Matrix:
        """Return the vectors of `rows`, in any order, shape (n, d)."""
        found = self._index.vectors(rows)
        return found if self._reader is None else found[:, : self._dim] / np.float32(_VECTOR_PART)

    def similarities(self, query: Vector, rows: Rows) -> NDArray[np.float32]:
        """Return the cosine of each of `rows` with `query`."""
        question, length = self._question(query, None)
        return self._index.similarities(question, rows) * np.float32(length)

    def affinities(self, rows: Rows, roots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inner product of the roots of each of `rows` with those given; ValueError without a reader."""
        if self._reader is None:
            raise ValueError(_NO_READER)
        length = float(np.linalg.norm(roots))
        if not length:
            return np.zeros(len(rows))
        question = np.zeros(self._index.dim, dtype=np.float32)
        question[self._dim : -1] = roots / length
        return self._index.similarities(question, rows).astype(np.float64) * (length / _ROOTS_PART)

    def _beside(self, vectors: Matrix) -> Matrix:
        """Return the rows of the index: embeddings, with a reader the roots of all that they are about beside them."""
        if self._reader is None:
            return vectors
        wide = np.empty((len(vectors), self._index.dim), dtype=np.float32)
        for start in range(0, len(vectors), _CHUNK):
            some, row = vectors[start : start + _CHUNK], wide[start : start + _CHUNK]
            roots = self._reader.roots(some)
            row[:, : self._dim] = some * np.float32(_VECTOR_PART)
            row[:, self._dim : -1] = roots * _ROOTS_PART
            row[:, -1] = np.sqrt(np.clip(1 - (roots**2).sum(axis=1), 0, 1)) * _ROOTS_PART
        return wide

    def _question(self, query: Vector, fields: NDArray[np.float64] | None) -> tuple[Vector, float]:
        """Return what the index is asked, of length 1, and what its answers are to be multiplied by."""
        if self._reader is None and fields is not None:
            raise ValueError(_NO_READER)
        if self._reader is None:
            return query, 1.0
        wide = np.zeros(self._index.dim)
        wide[: self._dim] = query / _VECTOR_PART
        if fields is not None:
            wide[self._dim : -1] = fields / _ROOTS_PART
        length = float(np.linalg.norm(wide))
        return (wide / length).astype(np.float32), length
