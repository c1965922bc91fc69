"""Exact search by inner product within a set of rows.

`FaissIndex` is the one in use; `ExactIndex` (numpy) is its judge: both inherit one contract test. Neither knows ids
or facets: a row is a position, and whoever holds the index knows what stands there.
"""

from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from app.matching.types import Matrix, Rows, Vector

MAX_RUNS = 12
"""Eligible rows in up to that many runs are searched run by run, which needs no test per row."""

SPARSE = 0.02
"""Below this share of the span it is quicker to pick the rows than to test each (performance.md §2)."""


class VectorIndex(Protocol):
    """Rows of unit vectors, searched exactly."""

    dim: int

    def __len__(self) -> int: ...

    def add(self, vectors: Matrix) -> None:
        """Append rows, shape (n, dim); raises ValueError when they are not finite unit vectors."""

    def search(self, query: Vector, rows: Rows, k: int) -> tuple[Rows, NDArray[np.float32]]:
        """Return the min(k, len(rows)) best of `rows` (ascending positions) and their inner products, best first."""

    def vectors(self, rows: Rows) -> Matrix:
        """Return the vectors of `rows`, in any order, shape (len(rows), dim)."""

    def similarities(self, query: Vector, rows: Rows) -> NDArray[np.float32]:
        """Return the inner product of each of `rows`."""


def check_unit(vectors: Matrix, dim: int) -> Matrix:
    """Return `vectors` as contiguous float32; raises ValueError unless finite, of width `dim` and of length 1.

    FAISS itself checks none of that: a NaN row would disappear, a wrong width be read past its end.
    """
    found = np.ascontiguousarray(vectors, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] != dim:  # noqa: PLR2004 - two dimensions: rows and width
        msg = f"expected vectors of width {dim}"
        raise ValueError(msg)
    if not (abs(np.vecdot(found, found) - 1) < 0.02).all():  # noqa: PLR2004 - also false for NaN
        msg = "vectors must be finite and of length 1"
        raise ValueError(msg)
    return found


class ExactIndex:
    """Brute force in numpy: the definition of a right answer."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows: Matrix = np.empty((0, dim), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, vectors: Matrix) -> None:
        """Append rows."""
        self._rows = np.concatenate([self._rows, check_unit(vectors, self.dim)])

    def search(self, query: Vector, rows: Rows, k: int) -> tuple[Rows, NDArray[np.float32]]:
        """Return the best rows and their inner products."""
        similarities = self._rows[rows] @ query
        best = np.lexsort((rows, -similarities))[:k]
        return rows[best], similarities[best]

    def vectors(self, rows: Rows) -> Matrix:
        """Return the vectors of `rows`."""
        return self._rows[rows]

    def similarities(self, query: Vector, rows: Rows) -> NDArray[np.float32]:
        """Return the inner product of each of `rows`."""
        return np.asarray(self._rows[rows] @ query)


class FaissIndex:
    """FAISS's flat inner-product index. Not for concurrent use: its owner holds a lock."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._index = faiss.IndexFlatIP(dim)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, vectors: Matrix) -> None:
        """Append rows."""
        found = check_unit(vectors, self.dim)
        if len(found):
            self._index.add(found)

    def search(self, query: Vector, rows: Rows, k: int) -> tuple[Rows, NDArray[np.float32]]:
        """Return the best rows and their inner products."""
        k = min(k, len(rows))
        if k <= 0:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        question = check_unit(query.reshape(1, -1), self.dim)
        if rows[-1] - rows[0] == len(rows) - 1:
            return self._search(question, faiss.IDSelectorRange(int(rows[0]), int(rows[-1]) + 1), k)
        breaks = np.flatnonzero(rows[1:] - rows[:-1] != 1) + 1
        if len(breaks) < MAX_RUNS:
            found = [
                self._search(question, faiss.IDSelectorRange(int(run[0]), int(run[-1]) + 1), min(k, len(run)))
                for run in np.split(rows, breaks)
            ]
            positions = np.concatenate([pair[0] for pair in found])
            similarities = np.concatenate([pair[1] for pair in found])
            best = np.lexsort((positions, -similarities))[:k]
            return positions[best], similarities[best]
        if len(rows) < SPARSE * (int(rows[-1]) - int(rows[0])):
            # The selector reads this array while it searches: `picked` must outlive the call.
            picked = np.ascontiguousarray(rows, dtype=np.int64)
            return self._search(question, faiss.IDSelectorArray(len(picked), faiss.swig_ptr(picked)), k)
        allowed = np.zeros(len(self), dtype=bool)
        allowed[rows] = True
        bits = np.packbits(allowed, bitorder="little")
        return self._search(question, faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits)), k)

    def vectors(self, rows: Rows) -> Matrix:
        """Return the vectors of `rows`."""
        if not len(rows):
            return np.empty((0, self.dim), dtype=np.float32)
        found: Matrix = self._index.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64))
        return found

    def similarities(self, query: Vector, rows: Rows) -> NDArray[np.float32]:
        """Return the inner product of each of `rows`."""
        question = check_unit(query.reshape(1, -1), self.dim)
        picked = np.ascontiguousarray(rows, dtype=np.int64)
        found = np.empty(len(picked), dtype=np.float32)
        if len(picked):
            self._index.compute_distance_subset(  # type: ignore[attr-defined]  # made by SWIG
                1, faiss.swig_ptr(question), len(picked), faiss.swig_ptr(found), faiss.swig_ptr(picked)
            )
        return found

    def _search(self, question: Matrix, selector: object, k: int) -> tuple[Rows, NDArray[np.float32]]:
        within = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # made by SWIG
        similarities, positions = self._index.search(question, k, params=within)
        found = positions[0] >= 0
        return positions[0][found], similarities[0][found]
