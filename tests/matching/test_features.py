"""Features at their edges: values in [0, 1], the same from both sides, and words that say why."""

import doctest
from typing import Any

import numpy as np
import pytest

from app.matching import features as module
from app.matching.facets import FacetTable
from app.matching.features import (
    PairFeature,
    SemanticSimilarity,
    level_fit,
    region_sought,
    same_region,
    shared_language,
    shared_sectors,
    skill_coverage,
)
from app.matching.types import Side, Texts
from app.matching.words import LANGUAGES, say
from tests.matching.worlds import document, passages, query

VECTOR = passages(np.ones(1, dtype=np.float32)).vector
NO_TEXTS = Texts(np.zeros(1), lambda _: np.zeros(1))


def value_and_words(feature: PairFeature, seeker: Any, offer: Any) -> tuple[float, str]:
    """Return value and words of a pair, the same whoever of the two asks."""
    found = set()
    for side in Side:
        mine, theirs = (seeker, offer) if side is Side.SEEKER else (offer, seeker)
        question = query(VECTOR, {feature.facet(side): mine}, side)
        known = {feature.facet(side.other): theirs}
        value = float(feature.values(question, FacetTable([1], [known]), np.array([0]), NO_TEXTS)[0])
        found.add((value, feature.words(value, question, document(1, VECTOR, known))))
    assert len(found) == 1
    return found.pop()


def codes(*values: str) -> frozenset[str]:
    return frozenset(values)


def test_the_examples_hold() -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("feature", "seeker", "offer", "value", "words"),
    [
        (same_region(), "ES617", "ES61", 1, "Both are in ES61."),
        (same_region(), "ES61", "ES30", 0.5, "Both are in ES."),
        (same_region(), "ES6", "ES61", 0.5, "Both are in ES."),
        (same_region(), "ES", "ES", 0.5, "Both are in ES."),
        (same_region(), "ES61", "PT11", 0, "They are in different countries: ES and PT."),
        (region_sought(), codes("ES6", "PT"), "ES61", 1, "ES61 is among the regions sought (ES6, PT)."),
        (region_sought(), codes("ES61"), "ES", 0, "ES is not among the regions sought (ES61)."),
        (shared_sectors(), codes("a", "b"), codes("b", "c"), 0.5, "Both work in b."),
        (shared_sectors(), codes("a"), codes("a", "b", "c"), 1, "Both work in a."),
        (shared_sectors(), codes("a"), codes("b"), 0, "They name no sector in common."),
        (shared_language(), codes("es", "pt"), codes("pt", "en"), 1, "Both use pt."),
        (shared_language(), codes("es"), codes("en"), 0, "They share no language."),
        (skill_coverage(), codes("a", "b"), codes("b", "c"), 0.5, "1 of 2 skills needed are covered."),
        (skill_coverage(), codes("a"), codes("a", "b"), 1, "1 of 1 skills needed are covered."),
        (skill_coverage(), codes("a"), codes("b"), 0, "0 of 1 skills needed are covered."),
        (level_fit(), 5, 5, 1, "EQF level 5 is needed, 5 is offered."),
        (level_fit(), 5, 6, 1, "EQF level 5 is needed, 6 is offered."),
        (level_fit(), 5, 7, 2 / 3, "EQF level 5 is needed, 7 is offered."),
        (level_fit(), 5, 4, 2 / 3, "EQF level 5 is needed, 4 is offered."),
        (level_fit(), 8, 1, 0, "EQF level 8 is needed, 1 is offered."),
    ],
)
def test_values_and_words(feature: PairFeature, seeker: Any, offer: Any, value: float, words: str) -> None:
    found = value_and_words(feature, seeker, offer)
    assert found[0] == pytest.approx(value)
    assert found[1] == words


@pytest.mark.parametrize(
    "feature", [same_region(), region_sought(), shared_sectors(), shared_language(), skill_coverage(), level_fit()]
)
def test_what_is_unknown_is_worth_nothing_and_said_to_be_unknown(feature: PairFeature) -> None:
    in_words = {
        "nuts": "place", "eqf_level": "EQF level", "regions_sought": "regions sought", "sectors": "sectors",
        "languages": "languages", "skills": "skills",
    }  # fmt: skip
    known = 5 if feature.name == "level_fit" else codes("ES61")
    value, words = value_and_words(feature, None, known)
    assert value == 0
    assert words == f"Not known: the seeker gives no {in_words[feature.seeker_facet]}."
    value, words = value_and_words(feature, known, None)
    assert value == 0
    assert words == f"Not known: the offer gives no {in_words[feature.offer_facet]}."
    assert all(say(f"feature.{feature.name}", language).endswith(".") for language in LANGUAGES)


def test_similarity_is_cut_to_what_a_score_may_be() -> None:
    feature = SemanticSimilarity()
    given = Texts(np.array([-1, -0.1, 0, 0.3, 1, 1.0000002]), lambda _: np.zeros(6))
    found = feature.values(query(VECTOR), FacetTable(), np.arange(6), given)
    np.testing.assert_array_equal(found, [0, 0, 0, 0.3, 1, 1])
    assert feature.facet(Side.SEEKER) is feature.facet(Side.OFFER) is None
    words = [feature.words(value, query(VECTOR), document(1, VECTOR)) for value in (0, 0.25, 0.4, 0.6)]
    assert len(set(words)) == 4
