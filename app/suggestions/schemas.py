"""Questions, answers and decisions as JSON."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from app.matching.types import Side
from app.taxonomy.codes import IndustrialEcosystem, LabelLevel
from app.taxonomy.fields import Countries, EqfLevel, Language, Languages, NutsPrefixes
from app.taxonomy.nace import normalise_nace
from app.wall import Answer, Line, ReasonableDate, Reference, Summary, Text, Wall, unique


def _sector(value: str) -> str:
    if value in IndustrialEcosystem.__members__.values():
        return value
    code = normalise_nace(value, "2.1") or normalise_nace(value, "2.0")
    if code is None:
        msg = "neither an industrial ecosystem nor a NACE code"
        raise ValueError(msg)
    return code


Sector = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(_sector)]


class SuggestionFilters(Wall):
    """Conditions that every suggestion must meet; what lacks the fact is left out."""

    countries: Countries = []
    nuts: NutsPrefixes = Field(default=[], description="NUTS codes of any level: everything below is meant.")
    sectors: Annotated[list[Sector], Field(max_length=40), AfterValidator(unique)] = Field(
        default=[], description="Industrial ecosystems or NACE codes."
    )
    languages: Languages = []
    eqf_levels: Annotated[
        list[Annotated[EqfLevel, Field(strict=True)]], Field(max_length=8), AfterValidator(unique)
    ] = []
    label_min: LabelLevel | None = Field(default=None, description="Least ECEI label of its organisation.")
    valid_on: ReasonableDate | None = Field(default=None, description="Day on which the label must be valid.")
    starts_on: ReasonableDate | None = Field(default=None, description="Takes place on or after this day.")
    ends_on: ReasonableDate | None = Field(default=None, description="Takes place on or before this day.")

    @field_validator("ends_on")
    @classmethod
    def _after_start(cls, value: Any, info: ValidationInfo) -> Any:
        first = info.data.get("starts_on")
        if value is not None and first is not None and value < first:
            msg = "lies before starts_on"
            raise ValueError(msg)
        return value


MOST_SUGGESTIONS = 100
"""The longest list that can be asked for."""

AnswerLanguage = Literal["en", "es", "pt"]
"""The languages that explanations are worded in."""


class Question(Wall):
    """Exactly one of `text` and `profile_id`."""

    model_config = ConfigDict(populate_by_name=False)

    text: Text | None = None
    profile_id: Reference | None = None
    side: Side | None = Field(
        default=None,
        alias="from",
        description="The side that asks; by default the profile's own, and the seeker's for a text.",
    )
    language: Language | None = Field(default=None, description="Of the text; detected when it is not given.")
    answer_language: AnswerLanguage | None = Field(
        default=None,
        description="Of the explanations; by default that of the text or profile where it is one of the three, "
        "else English.",
    )
    filters: SuggestionFilters = SuggestionFilters()
    max_per_organisation: Annotated[int, Field(ge=1, le=100, strict=True)] | None = Field(
        default=None,
        description="At most that many items of one organisation, whatever the limit. By default the match kind's own "
        "number (`GET /match-kinds`), so that a list compares partners. Raise it where the conditions leave few "
        "organisations, such as one region's priorities; 100 sets no cap. `rejected.per_organisation` says how many "
        "it passed over.",
    )


class SuggestionQuestion(Question):
    """Who asks, and for how many; exactly one of `text` and `profile_id`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "text": "We are an automotive cluster looking for regions that invest in electric mobility.",
                "filters": {"countries": ["ES", "PT"]},
                "limit": 5,
            }
        },
    )

    limit: Annotated[int, Field(ge=1, le=MOST_SUGGESTIONS, strict=True)] = 10


class Status(StrEnum):
    """Whether there is an answer, nothing fits, or too little is known to say."""

    OK = "ok"
    NO_MATCH = "no_match"
    INSUFFICIENT_DATA = "insufficient_data"


class SuggestedOrganisation(Answer):
    """The organisation that a suggested profile belongs to."""

    id: str
    name: str
    nuts_code: str | None


class SuggestedProfile(Answer):
    """The suggested profile in brief."""

    id: str
    kind: str
    title: str
    language: str | None
    organisation: SuggestedOrganisation


class ContributionAnswer(Answer):
    """What one feature adds: value x weight = contribution."""

    feature: str
    value: float
    weight: float
    contribution: float
    words: str


class QuoteAnswer(Answer):
    """A quote: characters `start` to `end` of the question's text or of the profile's `text`."""

    text: str
    start: int
    end: int


class EvidenceAnswer(Answer):
    """Two sentences that speak of the same thing; without either the texts would be further apart."""

    similarity: float
    seeker: QuoteAnswer
    offer: QuoteAnswer


class NamedSkill(Answer):
    """A skill, by its URI (or its id in the starter list), and its label in the answer's language, else in English."""

    uri: str
    label: str


class CourseOwner(Answer):
    """Whose a training offer is."""

    id: str
    name: str


class CourseAnswer(Answer):
    """A training offer in brief."""

    id: str
    title: str
    organisation: CourseOwner


class MissingSkill(NamedSkill):
    """A skill that the seeker wants and that is not known of the offer, and who teaches it."""

    training_offers: list[CourseAnswer] = Field(description="Published ones, three at most.")


class ItemSkills(Answer):
    """Skills that both sides declare or speak of, and those that only the seeker does."""

    available: bool = Field(description="Whether a catalogue is imported, so that skills are found in texts.")
    shared: list[NamedSkill]
    missing: list[MissingSkill]


class SimilarProfile(Answer):
    """A profile that says nearly the same as the one suggested, ranks lower, and was not shown beside it."""

    id: str
    title: str
    organisation: SuggestedOrganisation


class ChangeAnswer(Answer):
    """The one change that would raise the score most."""

    feature: str = Field(description="The contribution that it would raise.")
    field: str = Field(description="The field of the profile that would change.")
    side: Side = Field(description="Whose profile it is.")
    gain: float = Field(
        description="An upper bound of what it would add through this feature: the fact may turn out to add less, and "
        "what it changes besides (how near the texts are, whether a hard rule rejects) is not counted."
    )
    words: str


class ExplainedPair(Answer):
    """What the engine says of a pair; the contributions add up to the score."""

    profile: SuggestedProfile
    score: float
    probability: float | None = Field(description="That people would find it fits; null where it is not calibrated.")
    band: str
    band_words: str
    contributions: list[ContributionAnswer]
    evidence: list[EvidenceAnswer]
    skills: ItemSkills
    similar: list[SimilarProfile] = Field(
        description="The first five of what was collapsed into it on the way to the last one shown."
    )
    raise_score: ChangeAnswer | None = Field(
        description="Null when nothing is known that the asker could add and no skill is missing."
    )


class SuggestionItem(ExplainedPair):
    """One suggestion."""

    suggestion_id: str
    rank: int


class SuggestionAnswer(Answer):
    """A run: the answer and everything that it depends on."""

    run_id: str
    match_kind: str
    side: Side = Field(alias="from")
    status: Status
    model: str = Field(description="Key of the encoder whose vectors were compared.")
    index_seq: int = Field(description="Number of the last change that the index had seen.")
    exposure_seq: int = Field(
        description="Number of the latest run of others from which it was counted who is shown often; 0 for none."
    )
    rules_version: str = Field(description="Version of rules, features, weights and bands.")
    answer_language: AnswerLanguage = Field(description="What the explanations are worded in.")
    missing: list[str] = Field(description="Facts about the asker that would have counted and are not known.")
    rejected: dict[str, int] = Field(
        description="How many profiles each hard rule left out; how many the caps of a fair list passed over on the "
        "way to the last one shown (`near_duplicate`, `per_organisation`, `exposure`); and, where the list goes down "
        "to them, how many were too unlikely to fit (`below_threshold`)."
    )
    calibration: str | None = Field(
        default=None, description="Version of the calibration; null where none applies, and /match-kinds says why."
    )
    reason: str | None = Field(default=None, description="Why there is no suggestion.")
    nearest_miss: ExplainedPair | None = Field(
        default=None,
        description="What came nearest when all was too unlikely: no suggestion, and not kept with the run.",
    )
    items: list[SuggestionItem]


class PairQuestion(Question):
    """A question as for suggestions, and the one profile that is asked about, on the other side."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "text": "We are an automotive cluster looking for regions that invest in electric mobility.",
                "offer": "41524620-e060-54b9-9aaf-852a9862c4ef",
                "answer_language": "en",
            }
        },
    )

    seeker: Reference | None = Field(default=None, description="Id of a profile; when it is the offer that asks.")
    offer: Reference | None = Field(default=None, description="Id of a profile; when it is the seeker that asks.")


class FailedRule(Answer):
    """The first rule, in the order in which they reject, that keeps the pair from being suggested."""

    kind: Literal["rule"]
    label: str = Field(
        description="That of a hard rule of the match kind; before all of those one of not_published, expired, "
        "withdrawn, insufficient_data; after them below_threshold or, of what is likely enough, that of the cap of a "
        "fair list which passes it over: near_duplicate, per_organisation, exposure."
    )
    words: str


class RankReason(Answer):
    """The place of a pair in the list of suggestions, were it long enough."""

    kind: Literal["rank"]
    rank: int = Field(
        description="From 1. What stands beyond the first thousand has its place by score, less what was passed over "
        "on the way there."
    )
    of: int = Field(description="How many profiles no rule rejects and are likely enough to fit; caps not counted.")
    low_part: str | None = Field(
        description="The contribution that lacks most against that of the first in rank; null for the first itself, "
        "and for one that lacks nothing against it."
    )
    words: str


class PairAnswer(Answer):
    """Why a pair is suggested where it is, or why not."""

    match_kind: str
    side: Side = Field(alias="from")
    model: str = Field(description="Key of the encoder whose vectors were compared.")
    index_seq: int = Field(description="Number of the last change that the index had seen.")
    exposure_seq: int = Field(
        description="Number of the latest run of others from which it was counted who is shown often; 0 for none."
    )
    rules_version: str = Field(description="Version of rules, features, weights and bands.")
    calibration: str | None = Field(description="Version of the calibration; null where none applies.")
    answer_language: AnswerLanguage = Field(description="What the explanations are worded in.")
    missing: list[str] = Field(description="Facts about the asker that would have counted and are not known.")
    first_reason: Annotated[FailedRule | RankReason, Field(discriminator="kind")]
    item: ExplainedPair | None = Field(
        description="The pair as it would be explained if no rule rejected it; null when there is nothing to compare."
    )


class DecisionInput(Wall):
    """What a person decided, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"decision": "declined", "reason": "We already work with them.", "decided_by": "Marta Ruiz"}
        }
    )

    decision: Literal["accepted", "declined"]
    reason: Summary
    decided_by: Line | None = Field(
        default=None, description="Who decided; needed where the suggestion is about a person."
    )


class DecisionAnswer(Answer):
    """A decision as it is kept."""

    suggestion_id: str
    decision: Literal["accepted", "declined"]
    reason: str
    decided_by: str | None
    created_at: datetime
