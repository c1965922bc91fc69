"""Hard rules: each has a label, under which `words` has its sentences, and a mask over the shelf's rows.

Two families:

- conditions that the asker sets (`Filters`) and general ones reject what *lacks* the fact: missing data is never
  agreement;
- rules about the pair reject a *known* contradiction only; a fact missing on either side is reported as missing.

The same rules judge the rows of the index and, a second time, the rows that the database has now.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.matching.facets import Table
from app.matching.types import Query, Rows, Side

Mask = NDArray[np.bool_]
Period = tuple[date | None, date | None]


class Rule(Protocol):
    """A hard rule."""

    @property
    def label(self) -> str:
        """Its name in `rejected` and in GET /match-kinds."""

    def keep(self, query: Query, table: Table, rows: Rows) -> Mask | None:
        """Return which of `rows` may stay; None when all may, as when the rule does not apply to this query."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule with its own test of one facet; `test` returns None when the query sets no such condition."""

    label: str
    facet: str
    test: Callable[[Query], Callable[[Any], bool] | None]

    def keep(self, query: Query, table: Table, rows: Rows) -> Mask | None:
        """Return which of `rows` meet the condition."""
        test = self.test(query)
        return None if test is None else table.column(self.facet).keep(test, rows)


@dataclass(frozen=True, slots=True)
class NotOwn:
    """Nobody is matched with their own items."""

    label: str = "own_items"

    def keep(self, query: Query, table: Table, rows: Rows) -> Mask | None:
        """Return which of `rows` belong to another organisation."""
        owner = query.facets.get("organisation")
        return None if owner is None else ~table.column("organisation").equals(owner, rows)


@dataclass(frozen=True, slots=True)
class PairRule:
    """A rule about the pair: `compatible(seeker's value, offer's value)`, where both are known."""

    label: str
    seeker_facet: str
    offer_facet: str
    compatible: Callable[[Any, Any], bool]

    def facet(self, side: Side) -> str:
        """Return the facet that this rule reads on `side`."""
        return self.seeker_facet if side is Side.SEEKER else self.offer_facet

    def keep(self, query: Query, table: Table, rows: Rows) -> Mask | None:
        """Return which of `rows` do not contradict the query."""
        mine = query.facets.get(self.facet(query.side))
        if mine is None:
            return None

        def fits(theirs: Hashable) -> bool:
            if theirs is None:
                return True
            pair = (mine, theirs) if query.side is Side.SEEKER else (theirs, mine)
            return self.compatible(*pair)

        return table.column(self.facet(query.side.other)).keep(fits, rows)


@dataclass(frozen=True, slots=True)
class OfferRule:
    """A rule about the offer alone, such as "an event is no qualification"."""

    label: str
    facet: str
    acceptable: Callable[[Any], bool]

    def keep(self, query: Query, table: Table, rows: Rows) -> Mask | None:
        """Return which of `rows` are acceptable; asked from the offer's side it judges the query itself."""
        if query.side is Side.SEEKER:
            return table.column(self.facet).keep(self.acceptable, rows)
        if self.acceptable(query.facets.get(self.facet)):
            return None
        return np.zeros(len(rows), dtype=bool)


def overlap(first: Period, second: Period) -> bool:
    """Return whether two periods share a day; an open end reaches for ever.

    >>> overlap((date(2027, 1, 1), None), (None, date(2027, 1, 1)))
    True
    >>> overlap((date(2027, 1, 2), None), (None, date(2027, 1, 1)))
    False
    """
    (a, b), (c, d) = first, second
    return not ((b is not None and c is not None and b < c) or (d is not None and a is not None and d < a))


def reaches(mobility: frozenset[str], place: str) -> bool:
    """Return whether `place` lies, or may lie, in one of the NUTS areas that somebody moves in.

    Of a place that is only known by its country nobody can say that it lies elsewhere in it.

    >>> reaches(frozenset({"ES6"}), "ES61"), reaches(frozenset({"ES61"}), "ES"), reaches(frozenset({"ES61"}), "ES30")
    (True, True, False)
    """
    return any(place.startswith(prefix) or prefix.startswith(place) for prefix in mobility)


def _within_validity(query: Query) -> Callable[[Any], bool]:
    today = query.today
    return lambda validity: validity is None or overlap(validity, (today, today))


def _countries(query: Query) -> Callable[[Any], bool] | None:
    wanted = query.filters.countries
    return wanted.__contains__ if wanted else None


def _nuts(query: Query) -> Callable[[Any], bool] | None:
    wanted = query.filters.nuts
    return (lambda code: code is not None and code.startswith(wanted)) if wanted else None


def _any_of(name: str) -> Callable[[Query], Callable[[Any], bool] | None]:
    def test(query: Query) -> Callable[[Any], bool] | None:
        wanted: frozenset[str] = getattr(query.filters, name)
        return (lambda values: values is not None and not wanted.isdisjoint(values)) if wanted else None

    return test


def _eqf_levels(query: Query) -> Callable[[Any], bool] | None:
    wanted = query.filters.eqf_levels
    return wanted.__contains__ if wanted else None


def _label(query: Query) -> Callable[[Any], bool] | None:
    least = query.filters.label_min
    if least is None:
        return None
    day = query.filters.valid_on or query.today
    return lambda labels: bool(labels) and any(rank >= least and first <= day <= last for rank, first, last in labels)


def _dates(query: Query) -> Callable[[Any], bool] | None:
    window = (query.filters.starts_on, query.filters.ends_on)
    return (lambda period: period is not None and overlap(period, window)) if any(window) else None


@dataclass(frozen=True, slots=True)
class NotDeclined:
    """What this side declined is not suggested to it again."""

    label: str = "declined"

    def keep(self, query: Query, table: Table, rows: Rows) -> Mask | None:
        """Return which of `rows` this side has not declined."""
        if not query.excluded:
            return None
        return np.isin(table.pks[rows], np.array(sorted(query.excluded)), invert=True)


GENERAL_RULES: tuple[Rule, ...] = (
    Condition("countries", "country", _countries),
    Condition("nuts", "nuts", _nuts),
    Condition("validity", "validity", _within_validity),
    NotOwn(),
    NotDeclined(),
    Condition("sectors", "sectors", _any_of("sectors")),
    Condition("languages", "languages", _any_of("languages")),
    Condition("eqf_levels", "eqf_level", _eqf_levels),
    Condition("label_min", "labels", _label),
    Condition("dates", "period", _dates),
)
"""Rules of every match kind, in the order in which they reject."""


def first_failed(rules: Sequence[Rule], query: Query, table: Table, row: int) -> str | None:
    """Return the label of the first rule that rejects this one row, or None when every rule keeps it."""
    alone = np.array([row])
    for rule in rules:
        keep = rule.keep(query, table, alone)
        if keep is not None and not keep[0]:
            return rule.label
    return None


def reject(rules: Sequence[Rule], query: Query, table: Table, rows: Rows, rejected: dict[str, int]) -> Rows:
    """Return the rows that every rule keeps; count each rejected row under the first rule that rejects it."""
    for rule in rules:
        if not len(rows):
            break
        keep = rule.keep(query, table, rows)
        if keep is None:
            continue
        lost = len(rows) - int(np.count_nonzero(keep))
        if lost:
            rejected[rule.label] = rejected.get(rule.label, 0) + lost
            rows = rows[keep]
    return rows
