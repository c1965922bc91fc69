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


class SuggestionQuestion(Wall):
    """Exactly one of `text` and `profile_id`."""

    model_config = ConfigDict(
        populate_by_name=False,
        json_schema_extra={
            "example": {
                "text": "We are an automotive cluster looking for regions that invest in electric mobility.",
                "filters": {"countries": ["ES", "PT"]},
                "limit": 5,
            }
        },
    )

    text: Text | None = None
    profile_id: Reference | None = None
    side: Side | None = Field(
        default=None,
        alias="from",
        description="The side that asks; by default the profile's own, and the seeker's for a text.",
    )
    language: Language | None = Field(default=None, description="Of the text; detected when it is not given.")
    filters: SuggestionFilters = SuggestionFilters()
    limit: Annotated[int, Field(ge=1, le=100, strict=True)] = 10


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
    """Two passages that speak of the same thing."""

    similarity: float
    seeker: QuoteAnswer
    offer: QuoteAnswer


class NamedSkill(Answer):
    """A skill, by its URI (or its id in the starter list), and its label in the asker's language, else in English."""

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


class SuggestionItem(Answer):
    """One suggestion; the contributions add up to the score."""

    suggestion_id: str
    rank: int
    profile: SuggestedProfile
    score: float
    probability: float | None = Field(description="Null until this match kind is calibrated.")
    band: str
    contributions: list[ContributionAnswer]
    evidence: list[EvidenceAnswer]
    skills: ItemSkills


class SuggestionAnswer(Answer):
    """A run: the answer and everything that it depends on."""

    run_id: str
    match_kind: str
    side: Side = Field(alias="from")
    status: Status
    model: str = Field(description="Key of the encoder whose vectors were compared.")
    index_seq: int = Field(description="Number of the last change that the index had seen.")
    rules_version: str = Field(description="Version of rules, features, weights and bands.")
    missing: list[str] = Field(description="Facts about the asker that would have counted and are not known.")
    rejected: dict[str, int] = Field(description="How many profiles each hard rule left out.")
    items: list[SuggestionItem]


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


class MatchKindFeature(Answer):
    """A feature, its weight and what it measures."""

    name: str
    weight: float
    sentence: str


class MatchKindRule(Answer):
    """A hard rule and what it demands."""

    label: str
    sentence: str


class MatchKindBand(Answer):
    """A band and the least score in it."""

    name: str
    least_score: float


class MatchKindAnswer(Answer):
    """A match kind: its sides, hard rules, features and weights."""

    name: str
    seeker: str
    offer: str
    risk_tier: str
    rules_version: str
    features: list[MatchKindFeature]
    rules: list[MatchKindRule]
    bands: list[MatchKindBand]
