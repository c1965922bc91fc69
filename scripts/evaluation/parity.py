"""Whether languages and genders are treated alike: overlap of rankings, and correlation with people's judgement."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.matching.documents import Parts
from app.matching.nearness import Near, ratio
from evaluation import lexical, own
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


def overlap(
    vectors: Vectors, shared: Path | None = SHARED, languages: Sequence[str] = own.LANGUAGES, *, words: bool = False
) -> Means:
    """Return the mean overlap@5 of the rankings by the es, pt and en text of each triple, pair by pair.

    Ranked is by what the texts count for in the triple's match kind: the cosine and, where they count, the fields.

    `languages` are those of the pool's background texts (`own.pool`). With `words` they count beside the vectors.
    """
    found: dict[str, list[float]] = defaultdict(list)
    sizes = []
    for kind in own.SIDES:
        items = own.pool(kind, shared, languages)
        pool = vectors.profiles(items)
        near = Near(vectors.embedder.fields, ratio(own.match_kind(kind)), pool)
        sizes.append(len(pool))
        index = lexical.OwnLanguage([_said(item) for item in items]) if words else None
        for triple in own.triples():
            if triple.kind == kind:
                scores: list[NDArray[np.floating]] = [near.to(row) for row in vectors.queries(triple.texts)]
                if index is not None:
                    asked = zip(triple.texts, own.LANGUAGES, scores, strict=True)
                    scores = [lexical.fuse(cosine, index.search(text, language)) for text, language, cosine in asked]
                tops = [set(_first(row, TOP)) for row in scores]
                shares = [len(one & other) / TOP for one, other in combinations(tops, 2)]
                found[kind.value].append(float(np.mean(shares)))
        if index is not None:
            index.close()
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
            found[language].append(rbo(_first(labels @ he, DEPTH), _first(labels @ she, DEPTH)))
    return _means(found, min(sizes))


def sts(vectors: Vectors, shared: Path = SHARED) -> dict[str, float]:
    """Return, by language, Spearman's correlation of cosine and people's judgement of sentence pairs."""
    found = {}
    for language in own.sts_languages(shared):
        first, second, judged = zip(*own.sts(language, shared), strict=True)
        cosines = (vectors.documents(first) * vectors.documents(second)).sum(axis=1)
        found[language] = spearman(cosines, np.array(judged))
    return found


def _said(item: Parts) -> str:
    return "\n".join(filter(None, (item.title, item.text, *item.extra)))


def _first(scores: NDArray[np.floating], count: int) -> list[str]:
    return [str(row) for row in np.argsort(-scores, kind="stable")[:count]]


def _means(found: dict[str, list[float]], size: int) -> Means:
    everything = [value for values in found.values() for value in values]
    by_part = {name: round(float(np.mean(values)), 4) for name, values in found.items()}
    return Means(round(float(np.mean(everything)), 4), by_part, size)
