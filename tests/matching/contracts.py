"""What every vector index must do; a test class inherits `VectorIndexContract` and says how one is made."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.matching.index import VectorIndex
from app.matching.types import Matrix

DIM = 8


def grid(rng: np.random.Generator, count: int, dim: int = DIM) -> Matrix:
    """Return unit vectors with four components of ±1/2: all their products are exact, and many are equal."""
    vectors = np.zeros((count, dim), dtype=np.float32)
    for row in vectors:
        row[rng.choice(dim, 4, replace=False)] = rng.choice((-0.5, 0.5), 4)
    return vectors


def sphere(rng: np.random.Generator, count: int, dim: int = DIM) -> Matrix:
    """Return unit vectors in all directions."""
    vectors = rng.normal(size=(count, dim))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


MASKS: dict[str, Callable[[np.random.Generator, int], NDArray[np.bool_]]] = {
    "all": lambda _, n: np.ones(n, dtype=bool),
    "none": lambda _, n: np.zeros(n, dtype=bool),
    "one run": lambda rng, n: np.roll(np.arange(n) < n // 3, int(rng.integers(0, n // 2 + 1))),
    "two runs": lambda _, n: (np.arange(n) < n // 4) | (np.arange(n) > n // 2),
    "three runs": lambda _, n: (np.arange(n) // max(1, n // 5)) % 2 == 0,
    "some runs": lambda rng, n: (np.arange(n) // max(1, n // 9)) % 2 == rng.integers(2),
    "half": lambda rng, n: rng.random(n) < 0.5,
    "few": lambda rng, n: rng.random(n) < 0.01,
    "last": lambda _, n: np.arange(n) == n - 1,
}
"""Every way in which the eligible rows can lie: each takes another path through FAISS."""


class VectorIndexContract:
    """Inherit it and set `make`."""

    make: ClassVar[Callable[[int], VectorIndex]]

    def filled(self, vectors: Matrix) -> VectorIndex:
        """Return an index with these rows."""
        index = type(self).make(vectors.shape[1])
        index.add(vectors)
        return index

    def check(self, vectors: Matrix, query: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> None:
        """Compare one search with brute force in double precision."""
        index = self.filled(vectors)
        found, similarities = index.search(query, rows, k)
        assert len(found) == len(similarities) == min(k, len(rows))
        assert len(set(found.tolist())) == len(found)
        assert set(found.tolist()) <= set(rows.tolist())
        exact = vectors.astype(np.float64) @ query.astype(np.float64)
        np.testing.assert_allclose(similarities, exact[found], atol=1e-6)
        assert np.all(np.diff(similarities) <= 0)
        np.testing.assert_allclose(similarities, np.sort(exact[rows])[::-1][: len(found)], atol=1e-6)
        np.testing.assert_allclose(index.similarities(query, rows), exact[rows], atol=1e-6)

    @pytest.mark.parametrize("vectors", [grid, sphere])
    @pytest.mark.parametrize("mask", MASKS)
    def test_it_is_exact_within_any_mask(self, mask: str, vectors: Callable[..., Matrix]) -> None:
        rng = np.random.default_rng(7)
        stored, query = vectors(rng, 1000), vectors(rng, 1)[0]
        rows = np.flatnonzero(MASKS[mask](rng, 1000))
        for k in (1, 10, 100, 1000, 5000):
            self.check(stored, query, rows, k)

    # One contract, inherited by each index: that is the several executors.
    @settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        seed=st.integers(0, 2**32 - 1),
        alive=st.lists(st.booleans(), max_size=60),
        k=st.integers(0, 70),
        exact=st.booleans(),
    )
    def test_it_is_exact_within_a_mask_of_any_shape(self, seed: int, alive: list[bool], k: int, *, exact: bool) -> None:
        rng = np.random.default_rng(seed)
        make = grid if exact else sphere
        stored, query = make(rng, len(alive)), make(rng, 1)[0]
        self.check(stored, query, np.flatnonzero(np.array(alive, dtype=bool)), k)

    def test_an_empty_index(self) -> None:
        index = type(self).make(DIM)
        assert (len(index), index.dim) == (0, DIM)
        query = grid(np.random.default_rng(0), 1)[0]
        found, similarities = index.search(query, np.empty(0, dtype=np.int64), 5)
        assert (len(found), len(similarities)) == (0, 0)
        index.add(np.empty((0, DIM), dtype=np.float32))
        assert len(index) == 0

    def test_rows_added_later_stand_behind(self) -> None:
        rng = np.random.default_rng(1)
        vectors, query = sphere(rng, 50), sphere(rng, 1)[0]
        parts = self.filled(vectors[:20])
        parts.add(vectors[20:])
        assert len(parts) == 50
        whole, rows = self.filled(vectors), np.arange(50)
        for mine, theirs in zip(parts.search(query, rows, 50), whole.search(query, rows, 50), strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_it_gives_back_the_vectors_of_any_rows(self) -> None:
        vectors = sphere(np.random.default_rng(4), 20)
        index = self.filled(vectors)
        for rows in ([], [7], [19, 0, 7, 7]):
            found = index.vectors(np.array(rows, dtype=np.int64))
            assert found.shape == (len(rows), DIM)
            np.testing.assert_array_equal(found, vectors[rows])

    def test_the_same_question_has_the_same_answer(self) -> None:
        rng = np.random.default_rng(2)
        vectors, query = grid(rng, 500), grid(rng, 1)[0]
        rows = np.flatnonzero(rng.random(500) < 0.5)
        first = self.filled(vectors).search(query, rows, 20)
        second = self.filled(vectors).search(query, rows, 20)
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])

    @pytest.mark.parametrize(
        "row",
        [
            [np.nan] + [0] * 7,
            [np.inf] + [0] * 7,
            [0] * 8,
            [0.5] + [0] * 7,
            [2] + [0] * 7,
            [1] + [0] * 6,
            [1] + [0] * 8,
        ],
    )
    def test_what_is_no_unit_vector_of_its_width_is_refused_whole(self, row: list[float]) -> None:
        index = self.filled(grid(np.random.default_rng(3), 5))
        good = [1.0] + [0.0] * (len(row) - 1)
        with pytest.raises(ValueError, match="vectors"):
            index.add(np.array([good, row], dtype=np.float32))
        with pytest.raises(ValueError, match="vectors"):
            index.add(np.array(good, dtype=np.float32))
        assert len(index) == 5

    @pytest.mark.parametrize("width", [DIM - 1, DIM + 1])
    def test_a_question_of_another_width_is_refused(self, width: int) -> None:
        index = self.filled(grid(np.random.default_rng(4), 5))
        with pytest.raises(ValueError, match=r"width|mismatch|shape"):
            index.search(np.full(width, width**-0.5, dtype=np.float32), np.arange(5), 2)

    def test_other_types_of_numbers_are_taken_for_what_they_say(self) -> None:
        rng = np.random.default_rng(5)
        vectors, query = grid(rng, 30), grid(rng, 1)[0]
        index = type(self).make(DIM)
        index.add(np.asfortranarray(vectors.astype(np.float64)).astype(np.float32))
        index.add(np.repeat(vectors, 2, axis=0)[::2])
        found, similarities = index.search(query, np.arange(60), 60)
        np.testing.assert_array_equal(similarities, np.concatenate([vectors, vectors])[found] @ query)
