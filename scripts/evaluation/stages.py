"""The stages of retrieval that are compared: each gives every row of a pack's corpus a score for a query."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from app.matching.kinds import MATCH_KINDS
from app.matching.nearness import Near, ratio
from evaluation import lexical, skills
from evaluation.encoders import Vectors
from evaluation.metrics import Judge
from evaluation.packs import Pack

Scores = NDArray[np.floating]
Stage = Callable[[Pack, Vectors], Iterator[Scores]]
"""Yields, for each query of the pack in turn, a score of each row of its corpus; the greater the better."""


def dense(pack: Pack, vectors: Vectors) -> Iterator[Scores]:
    """Cosine of query and row, as the index computes it."""
    corpus = vectors.documents([row.text for row in pack.corpus])
    for query in vectors.queries([query.text for query in pack.queries]):
        yield corpus @ query


def fields(pack: Pack, vectors: Vectors) -> Iterator[Scores]:
    """How near query and row are as texts of clusters and regions: the cosine and the fields that they share."""
    corpus = vectors.documents([row.text for row in pack.corpus])
    near = Near(vectors.embedder.fields, ratio(MATCH_KINDS["cluster-region"]), corpus)
    for query in vectors.queries([query.text for query in pack.queries]):
        yield near.to(query)


STAGES: dict[str, Stage] = {"dense": dense, "lexical": lexical.fused, "skills": skills.fused, "fields": fields}
"""By name, in the order of the table; each of the later ones adds to the first."""


def ranked(pack: Pack, scores: Iterator[Scores]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of the corpus for each query, best first; equal scores keep the order of the corpus."""
    for query, found in zip(pack.queries, scores, strict=True):
        order = np.argsort(-found, kind="stable")
        itself = pack.dropped(query)
        yield order if itself is None else order[~itself[order]]


def judge(pack: Pack, rankings: Iterator[NDArray[np.int64]]) -> dict[str, float]:
    """Return every metric of those rankings of the pack's queries."""
    judged = Judge()
    for query, order in zip(pack.queries, rankings, strict=True):
        judged.add(pack.groups[order], pack.wanted(query))
    return judged.means()


def score(pack: Pack, stage: str, vectors: Vectors) -> dict[str, float]:
    """Return every metric of one stage on one pack; KeyError for a stage that does not exist."""
    return judge(pack, ranked(pack, STAGES[stage](pack, vectors)))


def names() -> Sequence[str]:
    """Return the names of the stages."""
    return list(STAGES)
