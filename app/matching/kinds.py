"""The one place where a match kind is declared.

A new kind is one entry in `MATCH_KINDS`; a new profile kind is one member of `ProfileKind` and one facet schema
(`profiles/schemas.py`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from app.matching.fairness import EXPOSURE_DEPTH, Copies, Fairness
from app.matching.features import (
    Feature,
    SemanticSimilarity,
    SharedFields,
    level_fit,
    region_sought,
    same_region,
    shared_language,
    shared_sectors,
    skill_coverage,
)
from app.matching.filters import GENERAL_RULES, OfferRule, PairRule, Rule, overlap, reaches
from app.matching.types import Side
from app.matching.words import DEFAULT, say

RULES_VERSION = "1"
"""Raised by hand when the meaning of a rule or feature changes; the rest of the version is a hash of the table's names
and figures."""


class ProfileKind(StrEnum):
    """Any text that seeks or offers."""

    PITCH = "pitch"
    PRIORITY = "priority"
    SKILL_NEED = "skill_need"
    TRAINING_OFFER = "training_offer"
    TRAINEE = "trainee"


class RiskTier(StrEnum):
    """Whether a suggestion is about organisations only, or about a person (AI Act, Annex III)."""

    LEGAL_PERSON = "legal_person"
    NATURAL_PERSON = "natural_person"


_FAIR = Fairness()
"""Copies count within an organisation: two schools that teach the same official programme, two regions with a priority
of the same name, are two partners."""

_FAIR_PITCHES = Fairness(copies=Copies(of_others=True))
"""A pitch is its author's own words: the same words in another's name are a copy."""

_FAIR_PEOPLE = Fairness(max_per_organisation=None, copies=None)
"""Nobody stands for another, nor waits behind another of the same school: people who learnt the same look the same."""


@dataclass(frozen=True, slots=True)
class MatchKind:
    """What is matched with what, by which hard rules, and how a pair scores: the sum of weight x value."""

    name: str
    seeker: ProfileKind
    offer: ProfileKind
    features: tuple[tuple[Feature, float], ...]
    pair_rules: tuple[Rule, ...] = ()
    risk_tier: RiskTier = RiskTier.LEGAL_PERSON
    bands: tuple[tuple[str, float], ...] = (("strong", 0.5), ("possible", 0.3), ("weak", 0.0))
    """The words for a score, while the kind is not calibrated."""

    shows_probability: bool = True
    """Whether answers tell the number; the band is told either way."""

    fair_seekers: Fairness = _FAIR
    """What a list of seekers may look like."""
    fair_offers: Fairness = _FAIR
    """What a list of offers may look like."""

    def __post_init__(self) -> None:
        total = sum(weight for _, weight in self.features)
        if any(weight <= 0 for _, weight in self.features):
            msg = f"{self.name} has a weight that is not above 0"
            raise ValueError(msg)
        if not self.features or abs(total - 1) > 1e-9:  # noqa: PLR2004 - rounding of the sum
            msg = f"the weights of {self.name} add up to {total}, not to 1"
            raise ValueError(msg)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All hard rules, in the order in which they reject."""
        return GENERAL_RULES + self.pair_rules

    def profile_kind(self, side: Side) -> ProfileKind:
        """Return which profiles stand on `side`."""
        return self.seeker if side is Side.SEEKER else self.offer

    def reads(self, side: Side, facet: str) -> bool:
        """Return whether a feature or pair rule looks at that facet on `side`."""
        readers = [feature.facet(side) for feature, _ in self.features]
        readers += [rule.facet(side) for rule in self.pair_rules if isinstance(rule, PairRule)]
        return facet in readers

    def side_of(self, profile_kind: str) -> Side | None:
        """Return the side on which a profile kind stands (the seeker's where both are the same), or None."""
        if profile_kind == self.seeker:
            return Side.SEEKER
        return Side.OFFER if profile_kind == self.offer else None

    def fairness(self, side: Side) -> Fairness:
        """Return what a list of profiles of `side`, the side that is suggested, may look like."""
        return self.fair_seekers if side is Side.SEEKER else self.fair_offers

    def band(self, score: float) -> str:
        """Return the word for a score."""
        return next(name for name, least in self.bands if score >= least)

    def describe(self, language: str = DEFAULT) -> dict[str, Any]:
        """Return the kind as GET /match-kinds shows it, worded in one of `words.LANGUAGES`."""
        return {
            "name": self.name,
            "seeker": self.seeker.value,
            "offer": self.offer.value,
            "risk_tier": self.risk_tier.value,
            "features": [
                {"name": f.name, "weight": weight, "sentence": say(f"feature.{f.name}", language)}
                for f, weight in self.features
            ],
            "rules": [{"label": rule.label, "sentence": say(f"rule.{rule.label}", language)} for rule in self.rules],
            "bands": [
                {"name": name, "words": say(f"band.{name}", language), "least_score": least}
                for name, least in self.bands
            ],
            "fairness": {side.value: self.fairness(side).describe(language) for side in Side},
        }

    def rules_version(self) -> str:
        """Return the version of features, weights, rules and bands: equal versions score equally."""
        return _rules_version(self)


@lru_cache(maxsize=64)
def _rules_version(kind: MatchKind) -> str:
    # What decides a score and a list, and no sentence: a better wording must not undo a calibration.
    decisive = (
        (kind.name, kind.seeker, kind.offer, kind.risk_tier, kind.bands),
        [(feature.name, [feature.facet(side) for side in Side], weight) for feature, weight in kind.features],
        [rule.label for rule in kind.rules],
        [asdict(kind.fairness(side)) for side in Side],
        EXPOSURE_DEPTH,
    )
    return f"{RULES_VERSION}-{hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]}"


_SAME_PERIOD = PairRule("period", "period", "period", overlap)
_SAME_REGIME = PairRule(
    "dual_regime",
    "dual_regimes",
    "dual_regimes",
    lambda first, second: not first.isdisjoint(second),
)
_LANGUAGE_SPOKEN = PairRule(
    "language_spoken",
    "languages",
    "languages",
    lambda first, second: not first.isdisjoint(second),
)
_LEVEL_REACHED = PairRule(
    "level_reached",
    "eqf_level",
    "eqf_level",
    lambda needed, given: given >= needed - 1,
)
_WITHIN_MOBILITY = PairRule(
    "mobility",
    "nuts",
    "mobility",
    lambda place, mobility: reaches(mobility, place),
)
_NO_EVENT = OfferRule(
    "qualification",
    "programme_type",
    lambda programme_type: programme_type != "event",
)

MATCH_KINDS: dict[str, MatchKind] = {
    kind.name: kind
    for kind in (
        MatchKind(
            "cluster-region",
            ProfileKind.PITCH,
            ProfileKind.PRIORITY,
            (
                # Between what a regression on the labelled pairs gives the fields and what it gives them where the best
                # of unrelated questions count too (scripts/evaluation/README.md).
                (SemanticSimilarity(), 0.60),
                (SharedFields(), 0.20),
                (shared_sectors(), 0.10),
                (region_sought(), 0.05),
                (same_region(), 0.05),
            ),
            fair_seekers=_FAIR_PITCHES,
        ),
        MatchKind(
            "company-school",
            ProfileKind.SKILL_NEED,
            ProfileKind.TRAINING_OFFER,
            (
                (SemanticSimilarity(), 0.70),
                (skill_coverage(), 0.15),
                (same_region(), 0.05),
                (level_fit(), 0.05),
                (shared_language(), 0.05),
            ),
            (_NO_EVENT, _SAME_PERIOD, _SAME_REGIME, _LEVEL_REACHED),
        ),
        MatchKind(
            "company-trainee",
            ProfileKind.SKILL_NEED,
            ProfileKind.TRAINEE,
            (
                (SemanticSimilarity(), 0.50),
                (skill_coverage(), 0.30),
                (same_region(), 0.10),
                (shared_language(), 0.10),
            ),
            (_SAME_PERIOD, _SAME_REGIME, _LANGUAGE_SPOKEN, _WITHIN_MOBILITY, _LEVEL_REACHED),
            risk_tier=RiskTier.NATURAL_PERSON,
            fair_offers=_FAIR_PEOPLE,
        ),
    )
}
"""Every kind of match, by name."""


def reads_fields(profile_kind: str) -> bool:
    """Return whether a match kind compares the fields of intervention that profiles of that kind speak of."""
    return any(
        isinstance(feature, SharedFields)
        for kind in MATCH_KINDS.values()
        if profile_kind in {kind.seeker, kind.offer}
        for feature, _ in kind.features
    )
