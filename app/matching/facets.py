"""Facets in columns, so that a hard rule is a mask over all rows.

Values are interned: a column keeps each distinct value once and a code per row. A rule is then evaluated once per
distinct value, in plain Python, and spread over the rows by one numpy look-up.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.matching.types import Facets, Rows

COLUMNS = (
    "country",
    "nuts",
    "sectors",
    "languages",
    "eqf_level",
    "period",
    "validity",
    "organisation",
    "labels",
    "mode",
    "programme_type",
    "dual_regimes",
    "skills",
    "mobility",
    "regions_sought",
)
"""The facets that rules and features may look at."""


class Column:
    """One facet of all rows: distinct values, and the code of each row's value."""

    def __init__(self) -> None:
        self.values: list[Hashable] = []
        self._codes_of: dict[Hashable, int] = {}
        self._codes = np.empty(0, dtype=np.int32)

    def extend(self, values: Sequence[Hashable], which: NDArray[np.int64]) -> None:
        """Append rows: row i has the value `values[which[i]]`."""
        codes = np.empty(len(values), dtype=np.int32)
        for position, value in enumerate(values):
            code = self._codes_of.get(value)
            if code is None:
                code = self._codes_of[value] = len(self.values)
                self.values.append(value)
            codes[position] = code
        self._codes = np.concatenate([self._codes, codes[which]])

    def equals(self, value: Hashable, rows: Rows) -> NDArray[np.bool_]:
        """Return for each of `rows` whether it has that value."""
        code = self._codes_of.get(value, -1)
        return np.asarray(self._codes[rows] == code)

    def numbers(self, rows: Rows) -> NDArray[np.int64]:
        """Return for each of `rows` a number that stands for its value, -1 where it is unknown."""
        codes = self._codes[rows].astype(np.int64)
        codes[codes == self._codes_of.get(None, -1)] = -1
        return codes

    def keep(self, test: Callable[[Any], bool], rows: Rows) -> NDArray[np.bool_] | None:
        """Return for each of `rows` whether its value passes, or None when every value does."""
        if len(self.values) <= len(rows):
            passed = [test(value) for value in self.values]
            return None if all(passed) else np.asarray(np.array(passed, dtype=np.bool_)[self._codes[rows]])
        return self.apply(test, rows, np.bool_)

    def apply(self, function: Callable[[Any], float | bool], rows: Rows, dtype: type) -> NDArray[Any]:
        """Return `function(value)` for each of `rows`, calling it once per distinct value."""
        codes = self._codes[rows]
        if len(self.values) <= len(codes):
            table: NDArray[Any] = np.fromiter((function(value) for value in self.values), dtype, len(self.values))
            return np.asarray(table[codes])
        distinct, inverse = np.unique(codes, return_inverse=True)
        table = np.fromiter((function(self.values[code]) for code in distinct), dtype, len(distinct))
        return np.asarray(table[inverse])


class FacetTable:
    """The columns of one shelf; all have the same rows, in the same order."""

    def __init__(self, pks: Sequence[int] = (), rows: Sequence[Facets] = ()) -> None:
        self._columns = {name: Column() for name in COLUMNS}
        self.pks: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.extend(pks, rows)

    def __len__(self) -> int:
        return len(self.pks)

    def extend(self, pks: Sequence[int], rows: Sequence[Facets]) -> None:
        """Append rows with their keys; a facet that a row lacks is None. Rows that are one object are read once."""
        places: dict[int, int] = {}
        distinct: list[Facets] = []
        which = np.empty(len(rows), dtype=np.int64)
        for position, row in enumerate(rows):
            place = places.setdefault(id(row), len(distinct))
            if place == len(distinct):
                distinct.append(row)
            which[position] = place
        for name, column in self._columns.items():
            column.extend([row.get(name) for row in distinct], which)
        self.pks = np.concatenate([self.pks, np.asarray(pks, dtype=np.int64)])

    def column(self, name: str) -> Column:
        """Return a column; raises KeyError for a facet that does not exist."""
        return self._columns[name]


class ShortColumn:
    """What `Column` does, for a handful of rows: their values as they stand."""

    def __init__(self, values: list[Hashable]) -> None:
        self._values = values

    def equals(self, value: Hashable, rows: Rows) -> NDArray[np.bool_]:
        """Return for each of `rows` whether it has that value."""
        return np.array([self._values[row] == value for row in rows], dtype=np.bool_)

    def numbers(self, rows: Rows) -> NDArray[np.int64]:
        """Return for each of `rows` a number that stands for its value, -1 where it is unknown."""
        known: dict[Hashable, int] = {None: -1}
        return np.array([known.setdefault(self._values[row], len(known)) for row in rows], dtype=np.int64)

    def keep(self, test: Callable[[Any], bool], rows: Rows) -> NDArray[np.bool_] | None:
        """Return for each of `rows` whether its value passes, or None when all do."""
        passed = [test(self._values[row]) for row in rows]
        return None if all(passed) else np.array(passed, dtype=np.bool_)

    def apply(self, function: Callable[[Any], float | bool], rows: Rows, dtype: type) -> NDArray[Any]:
        """Return `function(value)` for each of `rows`."""
        return np.array([function(self._values[row]) for row in rows], dtype=dtype)


class ShortTable:
    """What `FacetTable` does, for a handful of rows that are looked at once."""

    def __init__(self, pks: Sequence[int], rows: Sequence[Facets]) -> None:
        self.pks: NDArray[np.int64] = np.array(pks, dtype=np.int64)
        self._rows = rows

    def column(self, name: str) -> ShortColumn:
        """Return a column; raises KeyError for a facet that does not exist."""
        if name not in COLUMNS:
            raise KeyError(name)
        return ShortColumn([row.get(name) for row in self._rows])


Table: TypeAlias = FacetTable | ShortTable
