"""The vector indexes keep their contract, and agree."""

import numpy as np

from app.matching.index import ExactIndex, FaissIndex
from tests.matching.contracts import VectorIndexContract, sphere


class TestExactIndex(VectorIndexContract):
    make = ExactIndex


class TestFaissIndex(VectorIndexContract):
    make = FaissIndex


def test_they_agree_at_the_encoders_width() -> None:
    rng = np.random.default_rng(11)
    vectors, query = sphere(rng, 3000, 384), sphere(rng, 1, 384)[0]
    exact, faiss = ExactIndex(384), FaissIndex(384)
    for index in (exact, faiss):
        index.add(vectors)
    for share in (1.0, 0.5, 0.1, 0.01):
        rows = np.flatnonzero(rng.random(3000) < share)
        first, second = exact.search(query, rows, 50), faiss.search(query, rows, 50)
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_allclose(first[1], second[1], atol=1e-6)
        # To the last bit: a rank is counted by these, and a list ordered by those.
        np.testing.assert_array_equal(faiss.similarities(query, second[0]), second[1])
