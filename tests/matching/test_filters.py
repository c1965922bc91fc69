"""Hard rules at their edges: what they keep, what they reject, and when they do not apply."""

import doctest
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from app.matching import filters as module
from app.matching.facets import FacetTable
from app.matching.filters import GENERAL_RULES, overlap, reject
from app.matching.kinds import MATCH_KINDS
from app.matching.types import Filters, Side
from tests.matching.worlds import TODAY, passages, query

VECTOR = passages(np.ones(1, dtype=np.float32)).vector
DAY = timedelta(days=1)


def kept(
    known: dict[str, Any],
    asker: dict[str, Any] | None = None,
    *,
    kind: str | None = None,
    side: Side = Side.SEEKER,
    excluded: frozenset[int] = frozenset(),
    **conditions: Any,
) -> str | None:
    """Return the label of the rule that rejects this profile, or None when it stays."""
    rules = MATCH_KINDS[kind].rules if kind else GENERAL_RULES
    rejected: dict[str, int] = {}
    question = query(VECTOR, asker, side, filters=Filters(**conditions), excluded=excluded)
    rows = reject(rules, question, FacetTable([7], [known]), np.array([0]), rejected)
    assert (len(rows), sum(rejected.values())) in {(1, 0), (0, 1)}
    return next(iter(rejected), None)


def test_the_examples_hold() -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_nothing_set_rejects_nothing() -> None:
    assert kept({}) is None
    for kind in MATCH_KINDS:
        for side in Side:
            assert kept({}, kind=kind, side=side) is None


@pytest.mark.parametrize(
    ("label", "known", "conditions", "stays"),
    [
        ("countries", {"country": "ES"}, {"countries": frozenset({"ES"})}, True),
        ("countries", {"country": "PT"}, {"countries": frozenset({"ES"})}, False),
        ("countries", {}, {"countries": frozenset({"ES"})}, False),
        ("nuts", {"nuts": "ES61"}, {"nuts": ("ES6",)}, True),
        ("nuts", {"nuts": "ES61"}, {"nuts": ("PT", "ES61")}, True),
        ("nuts", {"nuts": "ES6"}, {"nuts": ("ES61",)}, False),
        ("nuts", {}, {"nuts": ("ES",)}, False),
        ("sectors", {"sectors": frozenset({"62", "62.10"})}, {"sectors": frozenset({"62"})}, True),
        ("sectors", {"sectors": frozenset({"62"})}, {"sectors": frozenset({"62.10"})}, False),
        ("sectors", {}, {"sectors": frozenset({"62"})}, False),
        ("languages", {"languages": frozenset({"es", "pt"})}, {"languages": frozenset({"pt", "en"})}, True),
        ("languages", {"languages": frozenset({"es"})}, {"languages": frozenset({"pt"})}, False),
        ("languages", {}, {"languages": frozenset({"pt"})}, False),
        ("eqf_levels", {"eqf_level": 5}, {"eqf_levels": frozenset({4, 5})}, True),
        ("eqf_levels", {"eqf_level": 6}, {"eqf_levels": frozenset({4, 5})}, False),
        ("eqf_levels", {}, {"eqf_levels": frozenset({4, 5})}, False),
        ("dates", {}, {"starts_on": TODAY}, False),
        ("dates", {"period": (TODAY, TODAY)}, {"starts_on": TODAY, "ends_on": TODAY}, True),
        ("dates", {"period": (TODAY - DAY, TODAY)}, {"starts_on": TODAY}, True),
        ("dates", {"period": (None, TODAY - DAY)}, {"starts_on": TODAY}, False),
        ("dates", {"period": (TODAY + DAY, None)}, {"ends_on": TODAY}, False),
        ("dates", {"period": (TODAY, None)}, {"ends_on": TODAY}, True),
        ("validity", {"validity": (TODAY, TODAY)}, {}, True),
        ("validity", {"validity": (None, TODAY - DAY)}, {}, False),
        ("validity", {"validity": (TODAY + DAY, None)}, {}, False),
        ("validity", {}, {}, True),
    ],
)
def test_conditions_reject_what_lacks_the_fact(
    label: str, known: dict[str, Any], conditions: dict[str, Any], *, stays: bool
) -> None:
    assert kept(known, **conditions) == (None if stays else label)


@pytest.mark.parametrize(
    ("first", "last", "day", "counts"),
    [
        (TODAY, TODAY, TODAY, True),
        (TODAY - DAY, TODAY + DAY, TODAY, True),
        (TODAY - DAY, TODAY, TODAY, True),
        (TODAY, TODAY + DAY, TODAY, True),
        (TODAY - 2 * DAY, TODAY - DAY, TODAY, False),
        (TODAY + DAY, TODAY + 2 * DAY, TODAY, False),
        (TODAY - 2 * DAY, TODAY - DAY, TODAY - DAY, True),
        (TODAY - 2 * DAY, TODAY - DAY, None, False),
        (TODAY, TODAY, None, True),
    ],
)
def test_a_label_counts_from_its_first_to_its_last_day(
    first: date, last: date, day: date | None, *, counts: bool
) -> None:
    known = {"labels": frozenset({(2, first, last)})}
    for least, fits in ((1, True), (2, True), (3, False)):
        expected = None if counts and fits else "label_min"
        assert kept(known, label_min=least, valid_on=day) == expected


def test_an_expired_gold_does_not_lend_its_rank_to_a_valid_bronze() -> None:
    expired, valid = (3, TODAY - 9 * DAY, TODAY - DAY), (1, TODAY, TODAY)
    known = {"labels": frozenset({expired, valid})}
    assert kept(known, label_min=1) is None
    assert kept(known, label_min=2) == "label_min"
    assert kept(known, label_min=3, valid_on=TODAY - DAY) is None
    assert kept({"labels": frozenset()}, label_min=1) == "label_min"
    assert kept({}, label_min=1) == "label_min"


def test_a_day_without_a_level_asks_for_no_label() -> None:
    assert kept({}, valid_on=TODAY) is None


def test_own_and_declined() -> None:
    assert kept({"organisation": 3}, {"organisation": 3}) == "own_items"
    assert kept({"organisation": 3}, {"organisation": 4}) is None
    assert kept({"organisation": 3}) is None
    assert kept({}, {"organisation": 3}) is None
    assert kept({}, excluded=frozenset({7})) == "declined"
    assert kept({}, excluded=frozenset({8})) is None


def pair(kind: str, need: dict[str, Any], offer: dict[str, Any]) -> str | None:
    """Return what rejects the pair, the same whoever of the two asks."""
    asked = kept(offer, need, kind=kind, side=Side.SEEKER)
    assert kept(need, offer, kind=kind, side=Side.OFFER) == asked
    return asked


@pytest.mark.parametrize("name", ["company-school", "company-trainee"])
def test_periods_levels_and_regimes_reject_a_known_contradiction_only(name: str) -> None:
    spring, autumn = (date(2027, 3, 1), date(2027, 6, 30)), (date(2027, 7, 1), date(2027, 9, 1))
    assert pair(name, {"period": spring}, {"period": autumn}) == "period"
    assert pair(name, {"period": spring}, {"period": (date(2027, 6, 30), None)}) is None
    assert pair(name, {"period": spring}, {"period": (None, date(2027, 3, 1))}) is None
    assert pair(name, {"period": spring}, {}) is None
    assert pair(name, {}, {"period": spring}) is None
    for given, rejected in ((3, True), (4, False), (5, False), (8, False)):
        assert pair(name, {"eqf_level": 5}, {"eqf_level": given}) == ("level_reached" if rejected else None)
    assert pair(name, {"eqf_level": 5}, {}) is None
    general, intensive = {"dual_regimes": frozenset({"general"})}, {"dual_regimes": frozenset({"intensivo"})}
    assert pair(name, general, intensive) == "dual_regime"
    assert pair(name, general, {"dual_regimes": frozenset({"general", "intensivo"})}) is None
    assert pair(name, general, {}) is None


def test_an_event_is_never_offered_for_a_need() -> None:
    for known in ({"programme_type": "event"}, {"programme_type": "event", "eqf_level": 5}):
        assert pair("company-school", {}, known) == "qualification"
    for programme in ("course", "bootcamp", "training_cycle", "specialisation"):
        assert pair("company-school", {}, {"programme_type": programme}) is None
    assert pair("company-school", {}, {}) is None


def test_a_trainee_moves_where_it_says_and_speaks_a_language_of_the_place() -> None:
    def fits(place: str, *areas: str) -> bool:
        return pair("company-trainee", {"nuts": place}, {"mobility": frozenset(areas)}) is None

    assert fits("ES617", "ES61")
    assert fits("ES61", "PT", "ES")
    assert not fits("ES30", "ES61", "PT11")
    assert fits("ES", "ES61"), "of a place known by its country alone nobody can say that it lies elsewhere"
    assert not fits("PT", "ES61")
    assert pair("company-trainee", {"nuts": "ES30"}, {}) is None
    assert pair("company-trainee", {}, {"mobility": frozenset({"ES30"})}) is None
    spoken = frozenset({"es", "ca"})
    assert pair("company-trainee", {"languages": frozenset({"pt"})}, {"languages": spoken}) == "language_spoken"
    assert pair("company-trainee", {"languages": frozenset({"pt", "ca"})}, {"languages": spoken}) is None
    assert pair("company-trainee", {}, {"languages": spoken}) is None


def test_each_profile_is_counted_under_the_first_rule_that_rejects_it() -> None:
    table = FacetTable(
        [1, 2, 3], [{"country": "PT"}, {"country": "ES", "nuts": "ES30"}, {"country": "ES", "nuts": "ES61"}]
    )
    rejected: dict[str, int] = {}
    question = query(VECTOR, filters=Filters(countries=frozenset({"ES"}), nuts=("ES61",)))
    rows = reject(GENERAL_RULES, question, table, np.arange(3), rejected)
    assert (rows.tolist(), rejected) == ([2], {"countries": 1, "nuts": 1})


def test_overlap_is_symmetric() -> None:
    days = [None, TODAY - DAY, TODAY, TODAY + DAY]
    periods = [(a, b) for a in days for b in days if a is None or b is None or a <= b]
    for first in periods:
        for second in periods:
            assert overlap(first, second) == overlap(second, first)
        assert overlap(first, (None, None))
        assert overlap(first, first)
