"""Whether languages and genders are treated alike: overlap of rankings, and correlation with people's judgement."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.matching.types import Matrix
from evaluation import own
from evaluation.encoders import Vectors
from evaluation.metrics import rbo, spearman
from evaluation.packs import SHARED

TOP = 5
DEPTH = 100
"""How deep two rankings are compared: at p = .9 what lies below weighs 0.003 %."""


class Means(NamedTuple):
    """A mean over all rows, and by kind or language."""

    mean: float
    parts: dict[str, float]
    size: int
    """How many texts were ranked: of the smallest pool, when there are several."""


def overlap(vectors: Vectors, shared: Path | None = SHARED, languages: Sequence[str] = own.LANGUAGES) -> Means:
    """Return the mean overlap@5 of the rankings by the es, pt and en text of each triple, pair by pair.

    `languages` are those of the pool's background texts (`own.pool`).
    """
    found: dict[str, list[float]] = defaultdict(list)
    sizes = []
    for kind in own.SIDES:
        pool = vectors.profiles(own.pool(kind, shared, languages))
        sizes.append(len(pool))
        for triple in own.triples():
            if triple.kind == kind:
                tops = [set(_first(pool, row, TOP)) for row in vectors.queries(triple.texts)]
                shares = [len(one & other) / TOP for one, other in combinations(tops, 2)]
                found[kind.value].append(float(np.mean(shares)))
    return _means(found, min(sizes))


def gender(vectors: Vectors, shared: Path | None = SHARED) -> Means:
    """Return the mean RBO (p = .9) of the rankings of occupation labels by a title's masculine and feminine form."""
    found: dict[str, list[float]] = defaultdict(list)
    sizes = []
    for language in dict.fromkeys(row.language for row in own.titles()):
        rows = [row for row in own.titles() if row.language == language]
        labels = vectors.documents(own.occupation_labels(language, shared))
        sizes.append(len(labels))
        for he, she in zip(
            vectors.queries([row.masculine for row in rows]),
            vectors.queries([row.feminine for row in rows]),
            strict=True,
        ):
            found[language].append(rbo(_first(labels, he, DEPTH), _first(labels, she, DEPTH)))
    return _means(found, min(sizes))


def sts(vectors: Vectors, shared: Path = SHARED) -> dict[str, float]:
    """Return, by language, Spearman's correlation of cosine and people's judgement of sentence pairs."""
    found = {}
    for language in own.sts_languages(shared):
        first, second, judged = zip(*own.sts(language, shared), strict=True)
        cosines = (vectors.documents(first) * vectors.documents(second)).sum(axis=1)
        found[language] = spearman(cosines, np.array(judged))
    return found


def _first(pool: Matrix, query: Matrix, count: int) -> list[str]:
    return [str(row) for row in np.argsort(-(pool @ query), kind="stable")[:count]]


def _means(found: dict[str, list[float]], size: int) -> Means:
    everything = [value for values in found.values() for value in values]
    by_part = {name: round(float(np.mean(values)), 4) for name, values in found.items()}
    return Means(round(float(np.mean(everything)), 4), by_part, size)
