"""What the engine says as the JSON of answers, and conditions as the engine takes them."""

from collections.abc import Iterable
from typing import Any

from app.matching.calibration import Calibrations
from app.matching.kinds import MatchKind
from app.matching.types import Candidate, Filters, Quote, Ranking
from app.matching.words import DEFAULT, say
from app.profiles.composition import LABEL_RANKS
from app.suggestions.gaps import without_courses
from app.suggestions.kind_schemas import MatchKindAnswer, MatchKindCalibration, MatchKindProbabilityBand
from app.suggestions.schemas import Status, SuggestionFilters
from app.taxonomy.languages import primary

AnswerJson = dict[str, Any]
"""Plain JSON: answers are many and large, and checking our own words again would cost more than the search."""

PUBLIC_NAMES = {
    "country": "country",
    "nuts": "nuts_code",
    "sectors": "ecosystems",
    "languages": "languages",
    "eqf_level": "eqf_level",
    "period": "starts_on",
    "dual_regimes": "dual_regime",
    "skills": "skills",
    "mobility": "mobility",
    "regions_sought": "regions_sought",
    "programme_type": "programme_type",
}
"""How the JSON calls the facets that can be missing."""


def describe(kind: MatchKind, calibrations: Calibrations, language: str) -> MatchKindAnswer:
    """Return a match kind as JSON shows it, worded in `language`."""
    found = calibrations.applied.get(kind.name)
    calibration = found and MatchKindCalibration(
        version=found.version,
        method=found.curve.method,
        basis=found.curve.basis,
        threshold=found.threshold,
        bands=[
            MatchKindProbabilityBand(name=name, words=say(f"band.{name}", language), least_probability=least)
            for name, least in found.bands
        ],
        figures=dict(found.figures),
        made_on=found.made_on,
        labelled=found.labelled,
        labelled_sha256=found.labelled_sha256,
    )
    return MatchKindAnswer(
        **kind.describe(language),
        rules_version=kind.rules_version(),
        calibration=calibration,
        not_calibrated=calibrations.reason(kind.name, language),
    )


def nothing_because(status: Status, ranking: Ranking, language: str) -> str | None:
    """Return in words why there is no suggestion, or None when there is one."""
    if status is Status.OK:
        return None
    if status is Status.INSUFFICIENT_DATA:
        return say("nothing.insufficient_data", language)
    if ranking.nearest_miss is not None:
        return say("nothing.below_threshold", language)
    return say("nothing.rejected" if ranking.rejected else "nothing.empty", language)


def public_names(facets: Iterable[str]) -> list[str]:
    """Return how the JSON calls those facets, in order."""
    return sorted(PUBLIC_NAMES.get(name, name) for name in facets)


def explained(kind: MatchKind, found: Candidate, skills: AnswerJson, language: str) -> AnswerJson:
    """Return a judged profile, and what it says of skills, as `ExplainedPair` describes it."""
    change = found.change
    return {
        "profile": found.document.extra,
        "score": found.score,
        "probability": found.probability if kind.shows_probability else None,
        "band": found.band,
        "band_words": say(f"band.{found.band}", language),
        "contributions": [
            {
                "feature": part.feature,
                "value": part.value,
                "weight": part.weight,
                "contribution": part.contribution,
                "words": part.words,
            }
            for part in found.contributions
        ],
        "evidence": [
            {"similarity": pair.similarity, "seeker": _quote(pair.seeker), "offer": _quote(pair.offer)}
            for pair in found.evidence
        ],
        "skills": skills,
        "similar": [{name: other.extra[name] for name in ("id", "title", "organisation")} for other in found.similar],
        "raise_score": change
        and {
            "feature": change.feature,
            "field": PUBLIC_NAMES.get(change.facet, change.facet),
            "side": change.side.value,
            "gain": change.gain,
            "words": change.words,
        },
    }


def _quote(quote: Quote) -> AnswerJson:
    return {"text": quote.text, "start": quote.start, "end": quote.end}


FIRST_HEAD: AnswerJson = {"exposure_seq": 0, "answer_language": DEFAULT, "calibration": None, "reason": None}
"""What a run does not say that was kept before lists were fair, explained in three languages and calibrated."""


def as_now(item: AnswerJson) -> AnswerJson:
    """Return a kept item with what those of the first runs do not say."""
    words = say(f"band.{item['band']}", DEFAULT)
    return {"band_words": words, "similar": [], "raise_score": None, **item}


def kept(item: AnswerJson) -> AnswerJson:
    """Return what is kept of an item: of others than the one suggested the ids only, so that nothing outlives them."""
    return {**without_courses(item), "similar": [other["id"] for other in item["similar"]]}


def filters_of(given: SuggestionFilters) -> Filters:
    """Return the conditions of a question as the engine takes them."""
    languages = {code for tag in given.languages if (code := primary(tag)) is not None}
    return Filters(
        frozenset(given.countries),
        tuple(given.nuts),
        frozenset(given.sectors),
        frozenset(languages),
        frozenset(given.eqf_levels),
        LABEL_RANKS[given.label_min] if given.label_min else None,
        given.valid_on,
        given.starts_on,
        given.ends_on,
    )
