"""The engine: the index proposes, the database's rows are judged, and the shown ones explained.

`propose` and `judge` are two calls, because between them the caller asks the database what is true now
(architecture.md §2): the index may be late or damaged, and then costs recall for one request, never privacy.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.matching.facets import ShortTable, Table
from app.matching.fairness import Fairness, Places, fair_list
from app.matching.features import SemanticSimilarity
from app.matching.filters import PairRule, reject
from app.matching.kinds import MatchKind
from app.matching.shelf import Shelf
from app.matching.types import (
    Candidate,
    Contribution,
    Document,
    Evidence,
    Matrix,
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
    """Return the keys of the first `limit` profiles of the fair list, from the index, of those that no rule rejects.

    The best by *score* are wanted, the index finds the best by *similarity*: the search goes deeper until no row
    that was not seen could reach the score of the last one shown (Fagin's threshold algorithm), so the answer is
    exact under any filter, and whatever the caps pass over.
    """
    rejected: dict[str, int] = {}
    rows = shelf.rows()
    if query.filters.countries:
        # The commonest condition, and the shelf is laid out by it: no need to look at every row.
        inside = shelf.rows_in(query.filters.countries)
        if len(inside) < len(rows):
            rejected["countries"] = len(rows) - len(inside)
        rows = inside
    if query.absent:
        rows = rows[np.isin(shelf.table.pks[rows], np.array(sorted(query.absent)), invert=True)]
    rows = reject(kind.rules, query, shelf.table, rows, rejected)
    fairness = _fairness(kind, query)
    depth = max(FIRST_DEPTH, 2 * limit)
    while True:
        found, similarities = shelf.search(query.passages.vector, rows, depth)
        complete = len(found) >= len(rows)
        scores = _weigh(kind, query, shelf.table, found, similarities)[1]
        floor = -np.inf if complete else _bound(kind, query, similarities)
        listed = fair_list(
            fairness,
            shelf.table.pks[found],
            scores,
            partial(_owners, shelf.table, found),
            partial(_vectors, shelf, found),
            limit,
            floor=floor,
            often_shown=query.often_shown,
        )
        if complete or listed.full:
            break
        depth *= DEEPER
    pks = shelf.table.pks[found]
    shown, similar = ([int(pk) for pk in pks[list(places)]] for places in (listed.shown, listed.all_similar()))
    whole = complete and listed.walked >= len(rows)
    return Proposal(tuple(shown), len(rows), rejected, whole, tuple(similar), listed.held)


def judge(kind: MatchKind, query: Query, documents: Sequence[Document], limit: int) -> Ranking:
    """Return the fair list of `documents`, as the database has them now: rules, scores, words and evidence."""
    rejected: dict[str, int] = {}
    table = ShortTable([document.pk for document in documents], [document.facets for document in documents])
    rows = reject(kind.rules, query, table, np.arange(len(documents)), rejected)
    vectors = [documents[row].passages.vector for row in rows]
    similarities = np.stack(vectors) @ query.passages.vector if vectors else np.empty(0, dtype=np.float32)
    parts, scores = _weigh(kind, query, table, rows, similarities)
    listed = fair_list(
        _fairness(kind, query),
        table.pks[rows],
        scores,
        partial(_owners, table, rows),
        lambda places: np.stack([vectors[place] for place in places]),
        limit,
        often_shown=query.often_shown,
    )
    columns = parts.T.tolist()
    candidates = []
    for place in listed.shown:
        similar = tuple(documents[rows[other]] for other in listed.similar.get(place, ()))
        found = _candidate(kind, query, documents[rows[place]], columns[place], float(scores[place]))
        candidates.append(found._replace(similar=similar))
    eligible = frozenset(table.pks[rows].tolist())
    return Ranking(tuple(candidates), rejected, missing_facts(kind, query), eligible)


def _owners(table: Table, rows: Rows, places: Places) -> NDArray[np.int64]:
    return table.column("organisation").numbers(rows[places])


def _vectors(shelf: Shelf, rows: Rows, places: Places) -> Matrix:
    return shelf.vectors(rows[places])


def _fairness(kind: MatchKind, query: Query) -> Fairness:
    return kind.fairness(query.side.other).with_most(query.max_per_organisation)


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


def _candidate(kind: MatchKind, query: Query, document: Document, parts: list[float], score: float) -> Candidate:
    contributions = []
    for (feature, weight), contribution in zip(kind.features, parts, strict=True):
        value = round(contribution / weight, 6)
        contributions.append(
            Contribution(feature.name, value, weight, contribution, feature.words(value, query, document.facets))
        )
    return Candidate(document, score, None, kind.band(score), tuple(contributions), evidence(query, document))


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
