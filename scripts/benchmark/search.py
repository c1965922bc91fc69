"""Search within a mask: Puente's shelf, bare FAISS with a bitmap, and numpy's full product as the judge.

All three run in one process on one thread, over the same vectors, and take turns question by question.
"""

import json
import time
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from app.matching.embedder import load_embedder
from app.matching.engine import propose
from app.matching.index import FaissIndex
from app.matching.kinds import MATCH_KINDS
from app.matching.shelf import Shelf, shelf_order
from app.matching.types import Filters, Matrix, Passages, Query, Rows, Side, Vector

K = 10
SAME = 1e-6
"""Similarities this near count as equal: which of two equal texts is found does not matter."""

NEAR = 10_000
"""Profiles that are near to the question and not eligible, in the test of the only eligible one."""

_Found = tuple[Rows, NDArray[np.float32]]


class Mask(NamedTuple):
    """The rows that a condition keeps, as each side holds them: positions in its own order."""

    shelf: Rows
    plain: NDArray[np.bool_]
    share: float


class Contest:
    """The three, over `vectors.npy`, `rows.json` and the questions' `questions.npy` of a folder."""

    def __init__(self, folder: Path) -> None:
        faiss.omp_set_num_threads(1)
        self._embedder = load_embedder()
        self._vectors: Matrix = np.load(folder / "vectors.npy", mmap_mode="r")
        self._questions: Matrix = np.load(folder / "questions.npy")
        rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        self._countries = np.array([row[1] for row in rows])
        facets = [{"country": row[1], "nuts": row[1], "organisation": row[1]} for row in rows]
        keys = list(range(len(rows)))
        self._order = np.array(shelf_order(keys, facets))
        self._shelf = Shelf(self._vectors.shape[1], FaissIndex)
        self._shelf.fill([keys[i] for i in self._order], self._vectors[self._order], [facets[i] for i in self._order])
        self._flat = faiss.IndexFlatIP(self._vectors.shape[1])
        self._flat.add(self._vectors)

    def run(self, countries: list[str], share: float, count: int) -> dict[str, Any]:
        """Let the three search among those countries' rows, or among a random `share` of all when there are none.

        Returned are the share kept, each one's milliseconds by question, and the recall@10 of the first two.
        """
        mask = self._mask(countries, share)
        spent: dict[str, list[float]] = {"ours": [], "faiss": [], "numpy": []}
        recall: dict[str, list[float]] = {"ours": [], "faiss": []}
        for question in self._questions[:count]:
            (found, _), seconds = _timed(self._ours, question, mask)
            spent["ours"].append(seconds)
            (bare, _), seconds = _timed(self._faiss, question, mask)
            spent["faiss"].append(seconds)
            (_, similarities), seconds = _timed(self._numpy, question, mask)
            spent["numpy"].append(seconds)
            recall["ours"].append(self._recall(question, self._order[found], similarities, mask))
            recall["faiss"].append(self._recall(question, bare, similarities, mask))
        return {
            "share": mask.share,
            "ms": {name: [1e3 * value for value in own] for name, own in spent.items()},
            "recall": {name: float(np.mean(own)) for name, own in recall.items()},
        }

    def floor(self, countries: list[str], texts: list[str]) -> dict[str, list[float]]:
        """Encode each text, then search with it among those countries' rows; return the seconds of both, by text.

        In turn, as any service must: alone, each would find the processor's caches full of its own.
        """
        mask = self._mask(countries, 0)
        spent: dict[str, list[float]] = {"encode": [], "search": []}
        for text in texts:
            started = time.perf_counter()
            question = self._embedder.embed_queries([text])[0]
            spent["encode"].append(time.perf_counter() - started)
            spent["search"].append(_timed(self._ours, question, mask)[1])
        return spent

    def only_eligible(self) -> bool:
        """Tell whether the only eligible profile is proposed among 10,000 that are nearer to the question."""
        generator = np.random.default_rng(0)
        question = self._questions[0]
        near = question + generator.standard_normal((NEAR, len(question))).astype(np.float32) * 0.01
        vectors = np.concatenate([near / np.linalg.norm(near, axis=1, keepdims=True), -question.reshape(1, -1)])
        facets = [{"country": "ES", "nuts": "ES61"}] * NEAR + [{"country": "PT", "nuts": "PT11"}]
        shelf = Shelf(len(question), FaissIndex)
        shelf.fill(list(range(NEAR + 1)), vectors, facets)
        passages = Passages(((0, 1),), question.reshape(1, -1), question)
        query = Query(Side.SEEKER, "?", passages, {}, date(2027, 1, 1), Filters(countries=frozenset({"PT"})))
        return propose(shelf, MATCH_KINDS["cluster-region"], query, K).pks == (NEAR,)

    def _mask(self, countries: list[str], share: float) -> Mask:
        if countries:
            plain = np.isin(self._countries, countries)
        else:
            plain = np.random.default_rng(1).random(len(self._countries)) < share
            plain[0] = True
        return Mask(np.flatnonzero(plain[self._order]), plain, float(plain.mean()))

    def _ours(self, question: Vector, mask: Mask) -> _Found:
        return self._shelf.search(question, mask.shelf, K)

    def _faiss(self, question: Vector, mask: Mask) -> _Found:
        bits = np.packbits(mask.plain, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # made by SWIG
        similarities, found = self._flat.search(question.reshape(1, -1), K, params=parameters)
        return found[0][found[0] >= 0], similarities[0]

    def _numpy(self, question: Vector, mask: Mask) -> _Found:
        similarities = np.where(mask.plain, self._vectors @ question, -np.inf)
        best = np.argpartition(-similarities, min(K, len(similarities) - 1))[:K]
        best = best[np.argsort(-similarities[best])]
        best = best[np.isfinite(similarities[best])]
        return best, similarities[best]

    def _recall(self, question: Vector, found: Rows, best: NDArray[np.float32], mask: Mask) -> float:
        """Return the share of the k best that were found; what is not eligible does not count as found."""
        own = self._vectors[found] @ question
        good = np.count_nonzero(mask.plain[found] & (own >= best[-1] - SAME))
        return float(good) / len(best)


def _timed(function: Any, question: Vector, mask: Mask) -> tuple[_Found, float]:
    started = time.perf_counter()
    found: _Found = function(question, mask)
    return found, time.perf_counter() - started
