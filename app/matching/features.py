"""Features: things that score in [0, 1] **and** word themselves, so that score and explanation cannot disagree.

A feature whose facet is missing on either side is worth 0 and is reported as missing.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.matching.facets import Table
from app.matching.types import Facets, Query, Rows, Side

Values = NDArray[np.float64]

_IN_WORDS = {"nuts": "place", "eqf_level": "EQF level"}


class Feature(Protocol):
    """Something that scores a pair."""

    @property
    def name(self) -> str:
        """Its name in contributions and in GET /match-kinds."""

    @property
    def sentence(self) -> str:
        """What it measures."""

    def facet(self, side: Side) -> str | None:
        """Return the facet that it reads on `side`; None when it reads the text."""

    def values(self, query: Query, table: Table, rows: Rows, similarities: Values) -> Values:
        """Return the value of each of `rows`, in [0, 1]; 0 where a fact is missing."""

    def words(self, value: float, query: Query, facets: Facets) -> str:
        """Return one sentence that says why the value is what it is."""


@dataclass(frozen=True, slots=True)
class SemanticSimilarity:
    """How near the two texts are in meaning: the cosine of their vectors, negative ones counting as 0."""

    name: str = "semantic_similarity"
    sentence: str = "Cosine of the two texts' vectors; negative values count as 0."

    def facet(self, side: Side) -> str | None:
        """Return None: it reads the text."""
        del side
        return None

    def values(self, query: Query, table: Table, rows: Rows, similarities: Values) -> Values:
        """Return the cosines, cut to [0, 1]."""
        del query, table, rows
        return np.clip(similarities, 0.0, 1.0)

    def words(self, value: float, query: Query, facets: Facets) -> str:
        """Word the nearness of the texts."""
        del query, facets
        for least, sentence in (
            (0.6, "The texts speak of the same thing."),
            (0.4, "The texts speak of closely related things."),
            (0.25, "The texts have something in common."),
        ):
            if value >= least:
                return sentence
        return "The texts have little in common."


@dataclass(frozen=True, slots=True)
class PairFeature:
    """A feature of two facets: `value(seeker's, offer's)` in [0, 1], worded by `explain(seeker's, offer's)`."""

    name: str
    sentence: str
    seeker_facet: str
    offer_facet: str
    value: Callable[[Any, Any], float]
    explain: Callable[[Any, Any], str]

    def facet(self, side: Side) -> str | None:
        """Return the facet that it reads on `side`."""
        return self.seeker_facet if side is Side.SEEKER else self.offer_facet

    def values(self, query: Query, table: Table, rows: Rows, similarities: Values) -> Values:
        """Return the value of each row; 0 where either side lacks the fact."""
        del similarities
        mine = query.facets.get(str(self.facet(query.side)))
        if mine is None:
            return np.zeros(len(rows))
        column = table.column(str(self.facet(query.side.other)))

        def value(theirs: Hashable) -> float:
            return 0.0 if theirs is None else self.value(*self._pair(mine, theirs, query.side))

        return column.apply(value, rows, np.float64)

    def words(self, value: float, query: Query, facets: Facets) -> str:
        """Word the value, or say which fact is missing."""
        del value
        mine = query.facets.get(str(self.facet(query.side)))
        theirs = facets.get(str(self.facet(query.side.other)))
        if mine is None or theirs is None:
            whose = query.side if mine is None else query.side.other
            facet = str(self.facet(whose))
            return f"Not known: the {whose} gives no {_IN_WORDS.get(facet, facet.replace('_', ' '))}."
        return self.explain(*self._pair(mine, theirs, query.side))

    @staticmethod
    def _pair(mine: Any, theirs: Any, side: Side) -> tuple[Any, Any]:
        return (mine, theirs) if side is Side.SEEKER else (theirs, mine)


def nuts_nearness(first: str, second: str) -> float:
    """Return 1 for the same NUTS 2 region, 0.5 for the same country, else 0; a country alone is worth 0.5.

    >>> nuts_nearness("ES617", "ES61"), nuts_nearness("ES61", "ES30"), nuts_nearness("ES61", "PT11")
    (1.0, 0.5, 0.0)
    """
    if first[:2] != second[:2]:
        return 0.0
    level_2 = 4
    same = len(first) >= level_2 and len(second) >= level_2 and first[:level_2] == second[:level_2]
    return 1.0 if same else 0.5


def share(wanted: frozenset[str], given: frozenset[str]) -> float:
    """Return the share of `wanted` that `given` covers.

    >>> share(frozenset("ab"), frozenset("bc"))
    0.5
    """
    return len(wanted & given) / len(wanted) if wanted else 0.0


def _explain_region(first: str, second: str) -> str:
    nearness = nuts_nearness(first, second)
    if nearness == 1:
        return f"Both are in {first[:4]}."
    if nearness > 0:
        return f"Both are in {first[:2]}."
    return f"They are in different countries: {first[:2]} and {second[:2]}."


def _listed(codes: frozenset[str]) -> str:
    return ", ".join(sorted(codes))


def _explain_sectors(first: frozenset[str], second: frozenset[str]) -> str:
    both = first & second
    return f"Both work in {_listed(both)}." if both else "They name no sector in common."


def _explain_languages(first: frozenset[str], second: frozenset[str]) -> str:
    both = first & second
    return f"Both use {_listed(both)}." if both else "They share no language."


def _explain_skills(needed: frozenset[str], given: frozenset[str]) -> str:
    # Which ones, the answer says by their labels: an id, or ESCO's address, tells a reader nothing.
    return f"{len(needed & given)} of {len(needed)} skills needed are covered."


def _level_fit(needed: int, given: int) -> float:
    """1 at or one above the level needed, falling by a third for each level further above or below."""
    distance = needed - given if given < needed else max(0, given - needed - 1)
    return max(0.0, 1 - distance / 3)


def same_region() -> PairFeature:
    """Nearness of the two places."""
    return PairFeature(
        "same_region",
        "1 in the same NUTS 2 region, 0.5 in the same country, else 0.",
        "nuts",
        "nuts",
        nuts_nearness,
        _explain_region,
    )


def region_sought() -> PairFeature:
    """Whether the offer lies where the seeker looks."""
    return PairFeature(
        "region_sought",
        "1 when the offer lies in a region that the seeker looks for, else 0.",
        "regions_sought",
        "nuts",
        lambda sought, place: float(any(place.startswith(prefix) for prefix in sought)),
        lambda sought, place: (
            f"{place} is {'' if any(place.startswith(p) for p in sought) else 'not '}"
            f"among the regions sought ({_listed(sought)})."
        ),
    )


def shared_sectors() -> PairFeature:
    """Sectors in common, as a share of the shorter list."""
    return PairFeature(
        "shared_sectors",
        "Sectors in common, as a share of the shorter list.",
        "sectors",
        "sectors",
        lambda first, second: max(share(first, second), share(second, first)),
        _explain_sectors,
    )


def shared_language() -> PairFeature:
    """Whether they have a language in common."""
    return PairFeature(
        "shared_language",
        "1 when they have a language in common, else 0.",
        "languages",
        "languages",
        lambda first, second: float(not first.isdisjoint(second)),
        _explain_languages,
    )


def skill_coverage() -> PairFeature:
    """Share of the skills needed that the offer covers."""
    return PairFeature(
        "skill_coverage",
        "Share of the skills needed that the offer covers.",
        "skills",
        "skills",
        share,
        _explain_skills,
    )


def level_fit() -> PairFeature:
    """How well the EQF level of the offer fits the one needed."""
    return PairFeature(
        "level_fit",
        "1 at the EQF level needed or one above, a third less for each level further away.",
        "eqf_level",
        "eqf_level",
        _level_fit,
        lambda needed, given: f"EQF level {needed} is needed, {given} is offered.",
    )
