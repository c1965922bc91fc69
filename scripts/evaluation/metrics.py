"""How good a ranking is, by ir-measures where it has the metric; definitions are those of `packs/score.py`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ir_measures
import numpy as np
from ir_measures import P, R, Success, nDCG
from numpy.typing import NDArray
from scipy.stats import spearmanr

DEPTH = 50
"""How far ir-measures looks: no cut-off metric of ours looks deeper."""

CUT: dict[str, Any] = {"accuracy@1": Success @ 1, "P@10": P @ 10, "recall@50": R @ 50, "nDCG@20": nDCG @ 20}
"""Metrics of the first rows, by our name."""

METRICS = (*CUT, "MRR", "MAP", "RP@5")

Groups = NDArray[np.int64]


@dataclass
class Judge:
    """Takes rankings one by one and gives the mean of each metric over all queries.

    MRR and MAP look at the whole ranking, 33,606 rows in the largest pack: ir-measures would want a Python object for
    each row of each query, so these two are computed here, from the places of the relevant rows (a test compares
    both). RP@5 (how many of the first five groups are relevant, of the most that could be) is not in ir-measures.
    """

    _qrels: list[Any] = field(default_factory=list)
    _run: list[Any] = field(default_factory=list)
    _deep: dict[str, list[float]] = field(default_factory=lambda: {"MRR": [], "MAP": [], "RP@5": []})

    def add(self, groups: Groups, relevant: frozenset[int]) -> None:
        """Take the groups of the ranked rows, best first, and the groups that are relevant to the query."""
        hits = np.isin(groups, list(relevant))
        places = np.flatnonzero(hits) + 1
        query = str(len(self._deep["MRR"]))
        self._qrels += [ir_measures.Qrel(query, str(place), 1) for place in places]
        self._run += [
            ir_measures.ScoredDoc(query, str(place), float(-place)) for place in range(1, min(DEPTH, len(groups)) + 1)
        ]
        self._deep["MRR"].append(reciprocal_rank(places))
        self._deep["MAP"].append(average_precision(places))
        first = list(dict.fromkeys(groups[:2_000].tolist()))[:5]
        self._deep["RP@5"].append(sum(group in relevant for group in first) / min(5, max(1, len(relevant))))

    def means(self) -> dict[str, float]:
        """Return the mean of every metric, to four decimals; a query that nothing answers counts as 0."""
        queries = len(self._deep["MRR"])
        if not queries:
            raise ValueError("no query to judge")
        totals = dict.fromkeys(CUT, 0.0)
        names = {str(measure): name for name, measure in CUT.items()}
        if self._qrels:
            for found in ir_measures.iter_calc(list(CUT.values()), self._qrels, self._run):
                totals[names[str(found.measure)]] += found.value
        means = {name: total / queries for name, total in totals.items()}
        means |= {name: float(np.mean(values)) for name, values in self._deep.items()}
        return {name: round(means[name], 4) for name in METRICS}


def reciprocal_rank(places: NDArray[np.int64]) -> float:
    """Return 1 / the first of the relevant rows' places (from 1, ascending), or 0 without any."""
    return float(1 / places[0]) if len(places) else 0.0


def average_precision(places: NDArray[np.int64]) -> float:
    """Return the mean, over the relevant rows' places (from 1, ascending), of the precision there; 0 without any."""
    return float(np.mean(np.arange(1, len(places) + 1) / places)) if len(places) else 0.0


def rbo(first: Sequence[str], second: Sequence[str], p: float = 0.9) -> float:
    """Return the extrapolated rank-biased overlap of two rankings of equal length without repetitions.

    Webber, Moffat & Zobel 2010, "A similarity measure for indefinite rankings", equation 23: 1 for equal rankings,
    0 for disjoint ones; at p = .9 the first ten places carry 86 % of the weight.
    """
    if len(first) != len(second) or not first:
        raise ValueError("rankings of one length, and not empty, are needed")
    seen: dict[str, int] = {}
    agreement = np.empty(len(first))
    common = 0
    for depth, pair in enumerate(zip(first, second, strict=True)):
        for item in pair:
            seen[item] = seen.get(item, 0) + 1
            common += seen[item] == 2
        agreement[depth] = common / (depth + 1)
    weights = p ** np.arange(1, len(first) + 1)
    return float(agreement[-1] * weights[-1] + (1 - p) / p * (agreement @ weights))


def spearman(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    """Return the rank correlation of similarities with people's, to four decimals."""
    return round(float(spearmanr(ours, theirs).statistic), 4)
