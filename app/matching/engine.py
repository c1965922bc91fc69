"""The engine: the index proposes, the database's rows are judged, and the shown ones explained.

`propose` and `judge` are two calls, because between them the caller asks the database what is true now
(architecture.md §2): the index may be late or damaged, and then costs recall for one request, never privacy.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.matching.calibration import Calibration
from app.matching.evidence import Quotes
from app.matching.facets import ShortTable, Table
from app.matching.fairness import EXPOSURE, Fairness, Places, fair_list, fate
from app.matching.features import SemanticSimilarity, SharedFields
from app.matching.filters import PairRule, first_failed, reject
from app.matching.kinds import MatchKind
from app.matching.nearness import field_weight, fields_sought, nearness, text_weight
from app.matching.shelf import Shelf
from app.matching.types import (
    DECIMALS,
    Candidate,
    Contribution,
    Document,
    Matrix,
    Proposal,
    Query,
    Ranking,
    Rows,
    Standing,
    Texts,
)

FIRST_DEPTH = 64
DEEPER = 4

BELOW_THRESHOLD = "below_threshold"
"""Counts in `rejected` what no rule rejects and is still too unlikely to fit."""

_STEP = 10.0**-DECIMALS
"""The index and the database add in another order: the same score may be rounded either way."""

_Floats = NDArray[np.float64]


class _Reading(NamedTuple):
    """A score, its probability, None where the kind is not calibrated, and its band."""

    score: float
    probability: float | None
    band: str


class _Scale:
    """What the scores of one query mean: probabilities, bands, and who is likely enough to be shown."""

    def __init__(self, kind: MatchKind, query: Query, calibration: Calibration | None) -> None:
        self._kind = kind
        self._calibration = calibration
        self._known = known_weight(kind, query)

    def likely(self, scores: _Floats) -> NDArray[np.bool_]:
        """Return which scores reach the threshold; uncalibrated all do."""
        if self._calibration is None:
            return np.ones(len(scores), dtype=bool)
        return np.asarray(self._calibration.curve(scores, self._known) >= self._calibration.threshold)

    def read(self, scores: _Floats) -> list[_Reading]:
        """Return what each score means."""
        if self._calibration is None:
            return [_Reading(score, None, self._kind.band(score)) for score in scores.tolist()]
        band, probabilities = self._calibration.band, self._calibration.curve(scores, self._known).tolist()
        return [_Reading(score, one, band(one)) for score, one in zip(scores.tolist(), probabilities, strict=True)]


def propose(
    shelf: Shelf, kind: MatchKind, query: Query, limit: int, calibration: Calibration | None = None
) -> Proposal:
    """Return the keys of the first `limit` profiles of the fair list, from the index, of those that no rule rejects.

    The best by *score* are wanted, the index finds the best by *similarity*: the search goes deeper until no row
    that was not seen could reach the score of the last one shown (Fagin's threshold algorithm), so the answer is
    exact under any filter, and whatever the caps pass over. With a calibration the list ends where what follows is
    too unlikely; when all is, the best of it is proposed, as the nearest miss.
    """
    rejected: dict[str, int] = {}
    rows = _eligible(shelf, kind, query, rejected)
    fairness, scale = _fairness(kind, query), _Scale(kind, query, calibration)
    depth = max(FIRST_DEPTH, 2 * limit)
    fields = fields_sought(kind, query)
    while True:
        found, near = shelf.search(query.passages.vector, rows, depth, fields)
        complete = len(found) >= len(rows)
        texts = _texts_on(shelf, query, found, near if fields is None else None)
        scores = _weigh(kind, query, shelf.table, found, texts)[1]
        bound = -np.inf if complete else _bound(kind, query, near)
        likely = np.flatnonzero(scale.likely(scores))
        enough = complete or not scale.likely(np.array([bound + _STEP]))[0]
        listed = fair_list(
            fairness,
            shelf.table.pks[found[likely]],
            scores[likely],
            partial(_owners, shelf.table, found[likely]),
            partial(_vectors, shelf, found[likely]),
            limit,
            floor=-np.inf if enough else bound,
            often_shown=query.often_shown,
        )
        if listed.full or (enough and (len(likely) or not len(found) or scores.max() > bound)):
            break
        depth *= DEEPER
    pks = shelf.table.pks[found]
    shown, similar = ([int(pk) for pk in pks[likely[list(places)]]] for places in (listed.shown, listed.all_similar()))
    if not listed.full:
        # What is too unlikely by a hair is proposed as well: the database's vectors decide.
        doubtful = scale.likely(scores + _STEP)
        doubtful[likely] = False
        shown += pks[doubtful][:limit].tolist()
    if len(found) and not shown:
        shown = [int(pks[_best(pks, scores)])]
    whole = complete and listed.walked >= len(rows)
    return Proposal(tuple(shown), len(rows), rejected, whole, tuple(similar), listed.held)


def _best(keys: Rows, scores: _Floats) -> int:
    """Return the place of the greatest score, of equal ones that with the lowest key."""
    return int(np.lexsort((keys, -scores))[0])


def _eligible(shelf: Shelf, kind: MatchKind, query: Query, rejected: dict[str, int]) -> Rows:
    rows = shelf.rows()
    if query.filters.countries:
        # The commonest condition, and the shelf is laid out by it: no need to look at every row.
        inside = shelf.rows_in(query.filters.countries)
        if len(inside) < len(rows):
            rejected["countries"] = len(rows) - len(inside)
        rows = inside
    if query.absent:
        rows = rows[np.isin(shelf.table.pks[rows], np.array(sorted(query.absent)), invert=True)]
    return reject(kind.rules, query, shelf.table, rows, rejected)


def stand(
    shelf: Shelf, kind: MatchKind, query: Query, pk: int, calibration: Calibration | None = None
) -> Standing | None:
    """Return where one profile, which is likely enough, stands in a list that is long enough.

    None when the index does not have it, or a rule rejects it.
    """
    rows = _eligible(shelf, kind, query, {})
    if pk not in shelf.table.pks[rows]:
        return None
    scores = _weigh(kind, query, shelf.table, rows, _texts_on(shelf, query, rows))[1]
    likely = _Scale(kind, query, calibration).likely(scores) | (shelf.table.pks[rows] == pk)
    rows, scores = rows[likely], scores[likely]
    keys = shelf.table.pks[rows]
    rank, cap = fate(
        _fairness(kind, query),
        keys,
        scores,
        partial(_owners, shelf.table, rows),
        partial(_vectors, shelf, rows),
        int(np.flatnonzero(keys == pk)[0]),
        often_shown=query.often_shown,
    )
    return Standing(rank, len(rows), cap)


def rejecting_rule(kind: MatchKind, query: Query, document: Document) -> str | None:
    """Return the label of the first hard rule that rejects this document, or None when it may be suggested."""
    return first_failed(kind.rules, query, ShortTable([document.pk], [document.facets]), 0)


def explain(kind: MatchKind, query: Query, document: Document, calibration: Calibration | None = None) -> Candidate:
    """Return what `judge` would say of this document, were no rule, cap or threshold to keep it out."""
    table = ShortTable([document.pk], [document.facets])
    parts, scores = _weigh_documents(kind, query, table, [document], np.array([0]))
    (reading,) = _Scale(kind, query, calibration).read(scores)
    return _candidate(kind, Quotes(query, nearness(kind, query)), document, parts[:, 0].tolist(), reading)


def judge(
    kind: MatchKind,
    query: Query,
    documents: Sequence[Document],
    limit: int,
    calibration: Calibration | None = None,
) -> Ranking:
    """Return the fair list of `documents`, as the database has them now: rules, scores, words and evidence.

    With a calibration each candidate has a probability, and who is below its threshold is not in the list; when all
    are, the best of them is the ranking's nearest miss. How many are below it these few do not tell (`too_unlikely`).
    """
    rejected: dict[str, int] = {}
    table = ShortTable([document.pk for document in documents], [document.facets for document in documents])
    rows = reject(kind.rules, query, table, np.arange(len(documents)), rejected)
    parts, scores = _weigh_documents(kind, query, table, documents, rows)
    scale = _Scale(kind, query, calibration)
    likely = np.flatnonzero(scale.likely(scores))
    kept = rows[likely]
    listed = fair_list(
        _fairness(kind, query),
        table.pks[kept],
        scores[likely],
        partial(_owners, table, kept),
        lambda places: np.stack([documents[kept[place]].passages.vector for place in places]),
        limit,
        often_shown=query.often_shown,
    )
    missed = len(rows) > 0 and not len(likely)
    told = np.array([_best(table.pks[rows], scores)]) if missed else likely[list(listed.shown)]
    quotes, columns = Quotes(query, nearness(kind, query)), parts[:, told].T.tolist()
    candidates = [
        _candidate(kind, quotes, documents[rows[place]], column, reading)
        for place, column, reading in zip(told, columns, scale.read(scores[told]), strict=True)
    ]
    miss = candidates.pop() if missed else None
    for rank, place in enumerate(listed.shown):
        if place in listed.similar:
            similar = tuple(documents[kept[other]] for other in listed.similar[place])
            candidates[rank] = candidates[rank]._replace(similar=similar)
    eligible = frozenset(table.pks[rows].tolist())
    return Ranking(tuple(candidates), rejected, missing_facts(kind, query), eligible, miss)


def _weigh_documents(
    kind: MatchKind, query: Query, table: ShortTable, documents: Sequence[Document], rows: Rows
) -> tuple[_Floats, _Floats]:
    if not len(rows):
        return _weigh(kind, query, table, rows, Texts(np.empty(0), lambda _: np.empty(0)))
    vectors = np.stack([documents[row].passages.vector for row in rows])

    def affinities(roots: _Floats) -> _Floats:
        return query.fields.roots(vectors) @ roots if query.fields is not None else np.zeros(len(vectors))

    similarities = (vectors @ query.passages.vector).astype(np.float64)
    return _weigh(kind, query, table, rows, Texts(similarities, affinities))


def _texts_on(shelf: Shelf, query: Query, rows: Rows, similarities: NDArray[np.float32] | None = None) -> Texts:
    """Return the texts of rows of the shelf; their cosines, where they are not given, are computed."""
    known = shelf.similarities(query.passages.vector, rows) if similarities is None else similarities
    return Texts(known.astype(np.float64), partial(shelf.affinities, rows))


def _owners(table: Table, rows: Rows, places: Places) -> NDArray[np.int64]:
    return table.column("organisation").numbers(rows[places])


def _vectors(shelf: Shelf, rows: Rows, places: Places) -> Matrix:
    return shelf.vectors(rows[places])


def _fairness(kind: MatchKind, query: Query) -> Fairness:
    return kind.fairness(query.side.other).with_most(query.max_per_organisation)


def known_weight(kind: MatchKind, query: Query) -> float:
    """Return the weights of the features whose facts are known of the asker, added up: the greatest score possible."""
    return sum(weight for feature, weight in kind.features if feature.known(query))


def missing_facts(kind: MatchKind, query: Query) -> tuple[str, ...]:
    """Return the facets that features and pair rules would look at and that the query does not have."""
    wanted = [feature.facet(query.side) for feature, _ in kind.features]
    wanted += [rule.facet(query.side) for rule in kind.pair_rules if isinstance(rule, PairRule)]
    return tuple(sorted({name for name in wanted if name is not None and query.facets.get(name) is None}))


def _weigh(kind: MatchKind, query: Query, table: Table, rows: Rows, texts: Texts) -> tuple[_Floats, _Floats]:
    """Return the contributions, shape (features, rows), and the scores, both rounded: parts add up exactly."""
    parts = np.zeros((len(kind.features), len(rows)))
    for part, (feature, weight) in zip(parts, kind.features, strict=True):
        if feature.known(query):
            np.multiply(weight, feature.values(query, table, rows, texts), out=part)
    parts.round(DECIMALS, out=parts)
    return parts, parts.sum(axis=0).round(DECIMALS)


def _bound(kind: MatchKind, query: Query, near: NDArray[np.float32]) -> float:
    """Return a score that no row beyond the depth searched can reach; `near` is what `Shelf.search` answered.

    A row beyond is no nearer than the last one, by cosine and fields together; unless its cosine is below 0, which
    counts as 0: then it has nothing but its fields.
    """
    bound = max(text_weight(kind) * float(near[-1]), field_weight(kind, query)) + _STEP * (len(kind.features) + 1)
    return bound + sum(
        weight
        for feature, weight in kind.features
        if not isinstance(feature, SemanticSimilarity | SharedFields) and feature.known(query)
    )


def _candidate(kind: MatchKind, quotes: Quotes, document: Document, parts: list[float], reading: _Reading) -> Candidate:
    query, contributions, changes = quotes.query, [], []
    for (feature, weight), contribution in zip(kind.features, parts, strict=True):
        value = round(contribution / weight, 6)
        contributions.append(
            Contribution(feature.name, value, weight, contribution, feature.words(value, query, document))
        )
        changes.append(feature.change(weight, query, document))
    most = max(filter(None, changes), key=lambda change: change.gain, default=None)
    return Candidate(
        document,
        *reading,
        tuple(contributions),
        quotes.evidence(document),
        change=most.worded(query) if most else None,
    )


def too_unlikely(proposal: Proposal, ranking: Ranking, limit: int) -> dict[str, int]:
    """Return how many that no rule rejects are below the threshold, where the list goes down to them.

    A calibrated list that is not full ends where all that follows is too unlikely.
    """
    held = sum(count for label, count in proposal.held.items() if label != EXPOSURE)
    below = proposal.eligible - held - len(ranking.candidates)
    return {BELOW_THRESHOLD: below} if len(ranking.candidates) < limit and below > 0 else {}


def total_rejected(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add up rejections by label, in order of label."""
    labels = sorted({label for count in counts for label in count})
    return {label: sum(count.get(label, 0) for count in counts) for label in labels}
