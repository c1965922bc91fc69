"""Made-up profiles for the engine: facets, vectors, shelves, and a judge that looks at one profile at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from app.matching.facets import FacetTable
from app.matching.fairness import Fairness
from app.matching.index import FaissIndex
from app.matching.interventions import InterventionFields
from app.matching.kinds import MatchKind
from app.matching.shelf import Shelf, shelf_order
from app.matching.types import Document, Facets, FieldReader, Filters, Passages, Query, Side, Texts, Vector

TODAY = date(2027, 3, 1)
PLACES = ("ES", "ES61", "ES617", "ES30", "PT11", "PT", "EL30")
SECTORS = ("digital", "health", "62", "62.10")
LANGUAGES = ("es", "pt", "en")
SKILLS = ("a", "b", "c", "d")
PROGRAMMES = ("course", "training_cycle", "event")

_days = st.integers(-3, 3).map(lambda days: TODAY + timedelta(days=days))
_periods = st.tuples(st.none() | _days, st.none() | _days).filter(
    lambda pair: any(pair) and (None in pair or pair[0] <= pair[1])
)


def _some(codes: Sequence[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(codes), min_size=1, max_size=3)


_labels = st.tuples(st.integers(1, 3), _days, _days).filter(lambda label: label[1] <= label[2])

facets = st.fixed_dictionaries(
    {},
    optional={
        "country": st.sampled_from(("ES", "PT", "EL")),
        "nuts": st.sampled_from(PLACES),
        "sectors": _some(SECTORS),
        "languages": _some(LANGUAGES),
        "eqf_level": st.integers(1, 8),
        "period": _periods,
        "validity": _periods,
        "organisation": st.integers(1, 3),
        "labels": st.frozensets(_labels, min_size=1, max_size=2),
        "programme_type": st.sampled_from(PROGRAMMES),
        "dual_regimes": _some(("general", "intensivo")),
        "skills": _some(SKILLS),
        "mobility": _some(PLACES),
        "regions_sought": _some(PLACES),
    },
)
"""Facets of which any may be unknown."""

filters = st.builds(
    Filters,
    countries=st.frozensets(st.sampled_from(("ES", "PT")), max_size=2),
    nuts=st.lists(st.sampled_from(PLACES), max_size=2, unique=True).map(tuple),
    sectors=st.frozensets(st.sampled_from(SECTORS), max_size=1),
    languages=st.frozensets(st.sampled_from(LANGUAGES), max_size=2),
    eqf_levels=st.frozensets(st.integers(1, 8), max_size=4),
    label_min=st.none() | st.integers(1, 3),
    valid_on=st.none() | _days,
    starts_on=st.none() | _days,
)
"""Conditions, most of them unset."""


def uncapped(kind: MatchKind) -> MatchKind:
    """Return a match kind whose lists are its ranking, cut: no cap, no copies, no exposure."""
    free = Fairness(None, None)
    return replace(kind, fair_seekers=free, fair_offers=free)


def passages(vector: Vector) -> Passages:
    """Return one passage that cannot be quoted."""
    return Passages((None,), vector.reshape(1, -1), vector)


def document(pk: int, vector: Vector, known: Facets | None = None) -> Document:
    """Return a profile without text."""
    return Document(pk, None, known or {}, passages(vector))


def query(vector: Vector, known: Facets | None = None, side: Side = Side.SEEKER, **more: Any) -> Query:
    """Return a question without text."""
    return Query(side, None, passages(vector), known or {}, TODAY, **more)


def fields(dim: int, seed: int = 0) -> InterventionFields:
    """Return what reads five made-up fields off vectors of `dim` columns."""
    weights = np.random.default_rng(seed).normal(scale=4, size=(dim, 6))
    return InterventionFields(("010", "020", "030", "040", "050"), weights, np.zeros(6))


def shelf_of(documents: Sequence[Document], reader: FieldReader | None = None) -> Shelf:
    """Return a shelf with these profiles."""
    shelf = Shelf(documents[0].passages.vector.shape[0] if documents else 8, FaissIndex, reader)
    if documents:
        order = shelf_order([d.pk for d in documents], [d.facets for d in documents])
        placed = [documents[place] for place in order]
        shelf.fill([d.pk for d in placed], np.stack([d.passages.vector for d in placed]), [d.facets for d in placed])
    return shelf


def rejected_by(kind: MatchKind, question: Query, candidate: Document) -> str | None:
    """Return the first rule that rejects this profile, looked at alone."""
    table, row = FacetTable([candidate.pk], [candidate.facets]), np.array([0])
    for rule in kind.rules:
        keep = rule.keep(question, table, row)
        if keep is not None and not keep[0]:
            return rule.label
    return None


def score_of(kind: MatchKind, question: Query, candidate: Document) -> float:
    """Return the score of this profile, looked at alone: the sum of its contributions, each to four decimals."""
    table, row = FacetTable([candidate.pk], [candidate.facets]), np.array([0])
    similarity = float(candidate.passages.vector.astype(np.float64) @ question.passages.vector.astype(np.float64))
    reader, alone = question.fields, candidate.passages.vector[np.newaxis]
    texts = Texts(np.array([similarity]), lambda roots: reader.roots(alone) @ roots if reader else np.zeros(1))
    parts = [
        round(weight * float(feature.values(question, table, row, texts)[0]), 4) for feature, weight in kind.features
    ]
    return round(sum(parts), 4)


def brute_force(
    kind: MatchKind, question: Query, documents: Sequence[Document]
) -> tuple[list[tuple[float, int]], Mapping[str, int]]:
    """Return (score, key) of every eligible profile, best first, and how many each rule rejected."""
    found: list[tuple[float, int]] = []
    rejected: dict[str, int] = {}
    for candidate in documents:
        label = rejected_by(kind, question, candidate)
        if label is None:
            found.append((score_of(kind, question, candidate), candidate.pk))
        else:
            rejected[label] = rejected.get(label, 0) + 1
    return sorted(found, key=lambda entry: (-entry[0], entry[1])), rejected
