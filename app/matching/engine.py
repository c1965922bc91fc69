"""The engine: the index proposes, the database's rows are judged, and the shown ones explained.

`propose` and `judge` are two calls, because between them the caller asks the database what is true now
(architecture.md §2): the index may be late or damaged, and then costs recall for one request, never privacy.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.matching.calibration import Calibration
from app.matching.facets import ShortTable, Table
from app.matching.features import SemanticSimilarity
from app.matching.filters import PairRule, reject
from app.matching.kinds import MatchKind
from app.matching.shelf import Shelf
from app.matching.types import (
    Candidate,
    Contribution,
    Document,
    Evidence,
    Passages,
    Proposal,
    Query,
    Quote,
    Ranking,
    Rows,
    Side,
)

DECIMALS = 4
"""Scores are rounded to 1e-4 and ties broken by key, so that the same question has the same answer."""

FIRST_DEPTH = 64
DEEPER = 4
MAX_EVIDENCE = 3

_Floats = NDArray[np.float64]


def propose(shelf: Shelf, kind: MatchKind, query: Query, limit: int) -> Proposal:
    """Return the keys of the `limit` best-scoring profiles that no rule rejects, from the index.

    The best by *score* are wanted, the index finds the best by *similarity*: the search goes deeper until no row
    that was not seen could reach the score of the last one kept (Fagin's threshold algorithm), so the answer is
    exact under any filter.
    """
    rejected: dict[str, int] = {}
    rows = shelf.rows()
    if query.filters.countries:
        # The commonest condition, and the shelf is laid out by it: no need to look at every row.
        inside = shelf.rows_in(query.filters.countries)
        if len(inside) < len(rows):
            rejected["countries"] = len(rows) - len(inside)
        rows = inside
    rows = reject(kind.rules, query, shelf.table, rows, rejected)
    depth = max(FIRST_DEPTH, 2 * limit)
    while True:
        found, similarities = shelf.search(query.passages.vector, rows, depth)
        complete = len(found) >= len(rows)
        scores = _weigh(kind, query, shelf.table, found, similarities)[1]
        order = np.lexsort((shelf.table.pks[found], -scores))[:limit]
        if complete or (len(order) == limit and _bound(kind, query, similarities) < scores[order[-1]]):
            break
        depth *= DEEPER
    pks = tuple(int(pk) for pk in shelf.table.pks[found[order]])
    return Proposal(pks, len(rows), rejected, complete and len(rows) <= limit)


BELOW_THRESHOLD = "below_threshold"
"""Counts in `rejected` what no rule rejects and is still too unlikely to fit."""


def judge(
    kind: MatchKind,
    query: Query,
    documents: Sequence[Document],
    limit: int,
    calibration: Calibration | None = None,
) -> Ranking:
    """Return the ranking of `documents`, as the database has them now: rules, scores, words and evidence.

    With a calibration each candidate has a probability, and those below its threshold are left out; when all are, the
    best of them is the ranking's nearest miss.
    """
    rejected: dict[str, int] = {}
    table = ShortTable([document.pk for document in documents], [document.facets for document in documents])
    rows = reject(kind.rules, query, table, np.arange(len(documents)), rejected)
    vectors = [documents[row].passages.vector for row in rows]
    similarities = np.stack(vectors) @ query.passages.vector if vectors else np.empty(0, dtype=np.float32)
    parts, scores = _weigh(kind, query, table, rows, similarities)
    order = np.lexsort((table.pks[rows], -scores))[:limit]
    columns = parts.T.tolist()

    def candidate(place: int, probability: float | None) -> Candidate:
        band = (
            kind.band(float(scores[place]))
            if calibration is None or probability is None
            else calibration.band(probability)
        )
        return _candidate(kind, query, documents[rows[place]], columns[place], float(scores[place]), probability, band)

    missing = missing_facts(kind, query)
    if calibration is None:
        return Ranking(tuple([candidate(place, None) for place in order]), rejected, missing)
    likely = calibration.curve(scores[order], known_weight(kind, query)).tolist()
    # Probabilities fall with the scores within one query, so what is kept stands first.
    kept = sum(probability >= calibration.threshold for probability in likely)
    if kept < len(order):
        rejected[BELOW_THRESHOLD] = len(order) - kept
    candidates = tuple([candidate(place, likely[rank]) for rank, place in enumerate(order[:kept])])
    miss = candidate(order[0], likely[0]) if len(order) and not kept else None
    return Ranking(candidates, rejected, missing, miss)


def known_weight(kind: MatchKind, query: Query) -> float:
    """Return the weights of the features whose facts are known of the asker, added up: the greatest score possible."""
    names = ((feature.facet(query.side), weight) for feature, weight in kind.features)
    return sum(weight for name, weight in names if name is None or query.facets.get(name) is not None)


def missing_facts(kind: MatchKind, query: Query) -> tuple[str, ...]:
    """Return the facets that features and pair rules would look at and that the query does not have."""
    wanted = [feature.facet(query.side) for feature, _ in kind.features]
    wanted += [rule.facet(query.side) for rule in kind.pair_rules if isinstance(rule, PairRule)]
    return tuple(sorted({name for name in wanted if name is not None and query.facets.get(name) is None}))


def _weigh(
    kind: MatchKind, query: Query, table: Table, rows: Rows, similarities: NDArray[np.float32]
) -> tuple[_Floats, _Floats]:
    """Return the contributions, shape (features, rows), and the scores, both rounded: parts add up exactly."""
    exact = similarities.astype(np.float64)
    parts = np.zeros((len(kind.features), len(rows)))
    for part, (feature, weight) in zip(parts, kind.features, strict=True):
        name = feature.facet(query.side)
        if name is None or query.facets.get(name) is not None:
            np.multiply(weight, feature.values(query, table, rows, exact), out=part)
    parts.round(DECIMALS, out=parts)
    return parts, parts.sum(axis=0).round(DECIMALS)


def _bound(kind: MatchKind, query: Query, similarities: NDArray[np.float32]) -> float:
    """Return a score that no row beyond the depth searched can reach."""
    furthest = max(float(similarities[-1]), 0.0)
    slack = 1e-4 * (len(kind.features) + 1)
    bound = slack
    for feature, weight in kind.features:
        name = feature.facet(query.side)
        if isinstance(feature, SemanticSimilarity):
            bound += weight * furthest
        elif name is None or query.facets.get(name) is not None:
            bound += weight
    return bound


def _candidate(
    kind: MatchKind,
    query: Query,
    document: Document,
    parts: list[float],
    score: float,
    probability: float | None,
    band: str,
) -> Candidate:
    contributions = []
    for (feature, weight), contribution in zip(kind.features, parts, strict=True):
        value = round(contribution / weight, 6)
        contributions.append(
            Contribution(feature.name, value, weight, contribution, feature.words(value, query, document.facets))
        )
    return Candidate(document, score, probability, band, tuple(contributions), evidence(query, document))


def evidence(query: Query, document: Document) -> tuple[Evidence, ...]:
    """Return up to three pairs of quoted passages, the nearest first, each passage of the document once.

    The document's vector is the weighted sum of its passages', so the pairs shown are large terms of the similarity
    itself, not an afterthought.
    """
    if query.text is None or document.text is None:
        return ()
    mine, theirs = _quotable(query.passages), _quotable(document.passages)
    if not mine or not theirs:
        return ()
    table = (query.passages.vectors @ document.passages.vectors.T).tolist()
    best = [max(mine, key=lambda own: table[own][other]) for other in theirs]
    # Passages are kept in half precision: the cosine of equal ones may come out a little above 1.
    near = [round(max(-1.0, min(1.0, table[own][other])), DECIMALS) for own, other in zip(best, theirs, strict=True)]
    found = []
    for place in sorted(range(len(theirs)), key=lambda place: (-near[place], place))[:MAX_EVIDENCE]:
        own = _quote(query.text, query.passages, best[place])
        other = _quote(document.text, document.passages, theirs[place])
        pair = (own, other) if query.side is Side.SEEKER else (other, own)
        found.append(Evidence(near[place], *pair))
    return tuple(found)


def _quotable(passages: Passages) -> list[int]:
    return [place for place, span in enumerate(passages.spans) if span is not None]


def _quote(text: str, passages: Passages, place: int) -> Quote:
    span = passages.spans[place]
    if span is None:
        msg = "this passage is not quoted"
        raise ValueError(msg)
    return Quote(text[span[0] : span[1]], span[0], span[1])


def total_rejected(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add up rejections by label, in order of label."""
    labels = sorted({label for count in counts for label in count})
    return {label: sum(count.get(label, 0) for count in counts) for label in labels}
