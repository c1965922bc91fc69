"""How near two texts are for a match kind: the cosine of their vectors and, where it counts, the fields they share."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.matching.features import SemanticSimilarity, SharedFields
from app.matching.kinds import MatchKind
from app.matching.types import FieldReader, Matrix, Query, Vector

_Floats = NDArray[np.float64]


def field_weight(kind: MatchKind, query: Query) -> float:
    """Return the weight of the fields that texts share; 0 where they do not count or are not read."""
    return _weight(kind, SharedFields) if query.fields is not None else 0.0


def ratio(kind: MatchKind) -> float:
    """Return what a full affinity of fields weighs against a cosine of 1."""
    of_text = text_weight(kind)
    return _weight(kind, SharedFields) / of_text if of_text else 0.0


def text_weight(kind: MatchKind) -> float:
    """Return the weight of the cosine."""
    return _weight(kind, SemanticSimilarity)


def fields_sought(kind: MatchKind, query: Query) -> _Floats | None:
    """Return the roots of the query's fields times what they weigh against the cosine; None where they do not count."""
    weighs = ratio(kind)
    if query.fields is None or not weighs:
        return None
    roots: _Floats = query.fields.roots(query.passages.vector[np.newaxis])[0] * weighs
    return roots


class Near:
    """How near each of `vectors` is to another one: the cosine, and `weighs` times the affinity of their fields."""

    def __init__(self, reader: FieldReader | None, weighs: float, vectors: Matrix) -> None:
        self._vectors = vectors
        self._reader = reader if weighs else None
        self._roots = weighs * self._reader.roots(vectors) if self._reader is not None else None

    def to(self, other: Vector) -> _Floats:
        """Return it for one other vector, shape (n,)."""
        cosines = (self._vectors @ other).astype(np.float64)
        if self._reader is None or self._roots is None:
            return cosines
        affinities: _Floats = self._roots @ self._reader.roots(other[np.newaxis])[0]
        return cosines + affinities


def nearness(kind: MatchKind, query: Query) -> Callable[[Matrix, Vector], _Floats]:
    """Return how near vectors are to another one as it counts for that kind and query."""
    return lambda vectors, other: Near(query.fields, ratio(kind), vectors).to(other)


def _weight(kind: MatchKind, of: type) -> float:
    return sum(weight for feature, weight in kind.features if isinstance(feature, of))
