"""Features: things that score in [0, 1] **and** word themselves, so that score and explanation cannot disagree.

What they say stands in `words`, under their name.

A feature whose facet is missing on either side is worth 0 and is reported as missing.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.matching.facets import Table
from app.matching.types import Change, Document, Query, Rows, Side, Texts, Vector
from app.matching.words import number, say

Values = NDArray[np.float64]

MOST_FIELDS = 2
LEAST_FIELD = 0.1
"""So many fields are named, of those that make up at least this much of the affinity."""

Sentence = tuple[str, dict[str, Any]]
"""The key of a message in `words`, and the values in it; codes come as `Codes`, to be named in the asker's language."""


class Codes(NamedTuple):
    """Codes of one facet, of which a sentence speaks."""

    facet: str
    codes: frozenset[str]

    def listed(self, query: Query) -> str:
        """Return their names in the asker's language, in order."""
        return ", ".join(sorted(query.name(self.facet, code, query.language) for code in self.codes))


class Raise(NamedTuple):
    """A change that would raise a score, as `Change` tells it, not yet in words: of several only the best is worded.

    `what` is a fact that `side` could give, or a skill: the one that `code` stands for.
    """

    feature: str
    facet: str
    side: Side
    gain: float
    what: str
    code: str | None = None

    def worded(self, query: Query) -> Change:
        """Return it in the asker's language."""
        language, code = query.language, self.code
        named = say(f"fact.{self.facet}", language) if code is None else query.name(self.facet, code, language)
        said = {self.what: named, "whose": say(f"side.{self.side}", language), "gain": number(self.gain, language)}
        return Change(self.feature, self.facet, self.side, self.gain, say(f"raise.{self.what}", language, **said))


class Feature(Protocol):
    """Something that scores a pair."""

    @property
    def name(self) -> str:
        """Its name in contributions and in GET /match-kinds."""

    def facet(self, side: Side) -> str | None:
        """Return the facet that it reads on `side`; None when it reads the text."""

    def known(self, query: Query) -> bool:
        """Return whether it has what it reads of the asker."""

    def values(self, query: Query, table: Table, rows: Rows, texts: Texts) -> Values:
        """Return the value of each of `rows`, in [0, 1]; 0 where a fact is missing."""

    def words(self, value: float, query: Query, document: Document) -> str:
        """Return one sentence, in the asker's language, that says why the value is what it is."""

    def change(self, weight: float, query: Query, document: Document) -> Raise | None:
        """Return what would raise this feature's contribution most, or None when nothing of the kind is known."""


@dataclass(frozen=True, slots=True)
class SemanticSimilarity:
    """How near the two texts are in meaning: the cosine of their vectors, negative ones counting as 0."""

    name: str = "semantic_similarity"

    def facet(self, side: Side) -> str | None:
        """Return None: it reads the text."""
        del side
        return None

    def known(self, query: Query) -> bool:
        """Return True: there is always a text."""
        del query
        return True

    def values(self, query: Query, table: Table, rows: Rows, texts: Texts) -> Values:
        """Return the cosines, cut to [0, 1]."""
        del query, table, rows
        return np.clip(texts.similarities, 0.0, 1.0)

    def words(self, value: float, query: Query, document: Document) -> str:
        """Word the nearness of the texts."""
        del document
        steps = ((0.6, "same"), (0.4, "close"), (0.25, "some"))
        nearness = next((name for least, name in steps if value >= least), "little")
        return say(f"similarity.{nearness}", query.language)

    def change(self, weight: float, query: Query, document: Document) -> Raise | None:
        """Return None: which words would bring two texts nearer cannot be read off their vectors."""
        del weight, query, document
        return None


@dataclass(frozen=True, slots=True)
class SharedFields:
    """How alike the fields of intervention are that the two texts speak of: the affinity of the two distributions.

    That is the sum over the fields of the square root of the product of both shares (Bhattacharyya 1943): 1 where they
    are equal, 0 where they have no field in common. A text that is about none of the fields has little of any.
    """

    name: str = "shared_fields"

    def facet(self, side: Side) -> str | None:
        """Return None: it reads the text."""
        del side
        return None

    def known(self, query: Query) -> bool:
        """Return whether the encoder in use reads fields."""
        return query.fields is not None

    def values(self, query: Query, table: Table, rows: Rows, texts: Texts) -> Values:
        """Return the affinities; 0 where the encoder in use reads no fields."""
        del table
        if query.fields is None:
            return np.zeros(len(rows))
        return np.asarray(texts.affinities(_roots(query, query.passages.vector)).clip(0.0, 1.0))

    def words(self, value: float, query: Query, document: Document) -> str:
        """Name the fields that make up most of what the texts have in common, at most two."""
        del value
        if query.fields is None:
            return say("fields.unread", query.language)
        parts = _roots(query, query.passages.vector) * _roots(query, document.passages.vector)
        first = [int(place) for place in np.argsort(-parts, kind="stable")[:MOST_FIELDS] if parts[place] >= LEAST_FIELD]
        if not first:
            return say("fields.none", query.language)
        names = [query.name("intervention_fields", query.fields.codes[place], query.language) for place in first]
        return say("fields.some", query.language, both="; ".join(names))

    def change(self, weight: float, query: Query, document: Document) -> Raise | None:
        """Return None: a text is about what it is about."""
        del weight, query, document
        return None


def _roots(query: Query, vector: Vector) -> Values:
    if query.fields is None:
        msg = "the encoder in use reads no fields"
        raise ValueError(msg)
    roots: Values = query.fields.roots(vector[np.newaxis])[0]
    return roots


@dataclass(frozen=True, slots=True)
class PairFeature:
    """A feature of two facets: `value(seeker's, offer's)` in [0, 1], worded by `explain(seeker's, offer's)`.

    `lacking`, where there is one, gives the codes that the offer would need for the full value, all worth the same.
    """

    name: str
    seeker_facet: str
    offer_facet: str
    value: Callable[[Any, Any], float]
    explain: Callable[[Any, Any], Sentence]
    lacking: Callable[[Any, Any], frozenset[str]] | None = None

    def facet(self, side: Side) -> str | None:
        """Return the facet that it reads on `side`."""
        return self.seeker_facet if side is Side.SEEKER else self.offer_facet

    def known(self, query: Query) -> bool:
        """Return whether the asker gives the fact."""
        return query.facets.get(str(self.facet(query.side))) is not None

    def values(self, query: Query, table: Table, rows: Rows, texts: Texts) -> Values:
        """Return the value of each row; 0 where either side lacks the fact."""
        del texts
        mine = query.facets.get(str(self.facet(query.side)))
        if mine is None:
            return np.zeros(len(rows))
        column = table.column(str(self.facet(query.side.other)))

        def value(theirs: Hashable) -> float:
            return 0.0 if theirs is None else self.value(*self._pair(mine, theirs, query.side))

        return column.apply(value, rows, np.float64)

    def words(self, value: float, query: Query, document: Document) -> str:
        """Word the value, or say which fact is missing."""
        del value
        mine = query.facets.get(str(self.facet(query.side)))
        theirs = document.facets.get(str(self.facet(query.side.other)))
        if mine is None or theirs is None:
            whose = query.side if mine is None else query.side.other
            return _unknown(str(self.facet(whose)), whose, query.language)
        key, said = self.explain(*self._pair(mine, theirs, query.side))
        named = {name: told.listed(query) if isinstance(told, Codes) else told for name, told in said.items()}
        return say(key, query.language, **named)

    def change(self, weight: float, query: Query, document: Document) -> Raise | None:
        """Return the fact that the asker could give, or else the first code that the offer lacks."""
        own = str(self.facet(query.side))
        mine, theirs = query.facets.get(own), document.facets.get(str(self.facet(query.side.other)))
        if theirs is None:
            return None
        if mine is None:
            # Nobody has more in common with a fact than itself; where the two are of different kinds, all is possible.
            most = self.value(theirs, theirs) if self.seeker_facet == self.offer_facet else 1.0
            return self._raise(own, query.side, weight * most, "fact")
        if self.lacking is None:
            return None
        needed, given = self._pair(mine, theirs, query.side)
        lacking = self.lacking(needed, given)
        if not lacking:
            return None
        gain = weight * (1 - self.value(needed, given)) / len(lacking)
        first = min((query.name(self.offer_facet, code, query.language), code) for code in lacking)[1]
        return self._raise(self.offer_facet, Side.OFFER, gain, "skill", first)

    def _raise(self, facet: str, side: Side, gain: float, what: str, code: str | None = None) -> Raise | None:
        gain = round(gain, 4)
        return Raise(self.name, facet, side, gain, what, code) if gain > 0 else None

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


@cache
def _unknown(facet: str, whose: Side, language: str) -> str:
    """Say that `whose` gives no such fact: a handful of sentences, and most that a bare text is told."""
    return say("unknown", language, whose=say(f"side.{whose}", language), fact=say(f"fact.{facet}", language))


def _explain_region(first: str, second: str) -> Sentence:
    nearness = nuts_nearness(first, second)
    if nearness > 0:
        return "region.same", {"place": first[:4] if nearness == 1 else first[:2]}
    return "region.different", {"first": first[:2], "second": second[:2]}


def _sought(sought: frozenset[str], place: str) -> bool:
    return any(place.startswith(prefix) for prefix in sought)


def _explain_sought(sought: frozenset[str], place: str) -> Sentence:
    found = "yes" if _sought(sought, place) else "no"
    return f"sought.{found}", {"place": place, "sought": Codes("regions_sought", sought)}


def _explain_sectors(first: frozenset[str], second: frozenset[str]) -> Sentence:
    both = first & second
    return ("sectors.some", {"both": Codes("sectors", both)}) if both else ("sectors.none", {})


def _explain_languages(first: frozenset[str], second: frozenset[str]) -> Sentence:
    both = first & second
    return ("language.some", {"both": Codes("languages", both)}) if both else ("language.none", {})


def _explain_skills(needed: frozenset[str], given: frozenset[str]) -> Sentence:
    # Which ones, the answer says beside it: what is found in a text are dozens at times.
    return "skills.covered", {"count": len(needed & given), "needed": len(needed)}


def _level_fit(needed: int, given: int) -> float:
    """1 at or one above the level needed, falling by a third for each level further above or below."""
    distance = needed - given if given < needed else max(0, given - needed - 1)
    return max(0.0, 1 - distance / 3)


def same_region() -> PairFeature:
    """Nearness of the two places."""
    return PairFeature(
        "same_region",
        "nuts",
        "nuts",
        nuts_nearness,
        _explain_region,
    )


def region_sought() -> PairFeature:
    """Whether the offer lies where the seeker looks."""
    return PairFeature(
        "region_sought",
        "regions_sought",
        "nuts",
        lambda sought, place: float(_sought(sought, place)),
        _explain_sought,
    )


def shared_sectors() -> PairFeature:
    """Sectors in common, as a share of the shorter list."""
    return PairFeature(
        "shared_sectors",
        "sectors",
        "sectors",
        lambda first, second: max(share(first, second), share(second, first)),
        _explain_sectors,
    )


def shared_language() -> PairFeature:
    """Whether they have a language in common."""
    return PairFeature(
        "shared_language",
        "languages",
        "languages",
        lambda first, second: float(not first.isdisjoint(second)),
        _explain_languages,
    )


def skill_coverage() -> PairFeature:
    """Share of the skills needed that the offer covers."""
    return PairFeature(
        "skill_coverage",
        "skills",
        "skills",
        share,
        _explain_skills,
        lambda needed, given: needed - given,
    )


def level_fit() -> PairFeature:
    """How well the EQF level of the offer fits the one needed."""
    return PairFeature(
        "level_fit",
        "eqf_level",
        "eqf_level",
        _level_fit,
        lambda needed, given: ("level.both", {"needed": needed, "given": given}),
    )
