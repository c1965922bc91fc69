"""Profiles as JSON: one schema a kind, told apart by `kind`.

A trainee is a pseudonymous code with programme, declared skills, languages, mobility and dates. There is no field
for a name, an address or free text, and the wall refuses unknown fields: what cannot be sent cannot leak.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from app.matching.kinds import ProfileKind
from app.organisations.schemas import OrganisationBrief
from app.taxonomy.codes import CooperationType, DualRegime, FpGrade, Mode, ProgrammeType, S3Axis, is_isced_f
from app.taxonomy.fields import Classified, EqfLevel, Language, NutsPrefixes, Placed, SkillIds
from app.wall import (
    Answer,
    Count,
    Line,
    LongLine,
    ReasonableDate,
    Reference,
    Slug,
    Text,
    TraineeCode,
    Wall,
    WebAddress,
    not_a_bool,
    unique,
)


class ProfileState(StrEnum):
    """Where an item is in its life; only what is published and within its dates is suggested."""

    DRAFT = "draft"
    PUBLISHED = "published"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


TRANSITIONS: dict[ProfileState, frozenset[ProfileState]] = {
    ProfileState.DRAFT: frozenset({ProfileState.PUBLISHED, ProfileState.WITHDRAWN}),
    ProfileState.PUBLISHED: frozenset({ProfileState.EXPIRED, ProfileState.WITHDRAWN, ProfileState.DRAFT}),
    ProfileState.EXPIRED: frozenset({ProfileState.PUBLISHED, ProfileState.WITHDRAWN}),
    ProfileState.WITHDRAWN: frozenset(),
}
"""What may follow what: an expired item can be renewed, a withdrawn one stays withdrawn."""

Skills = Annotated[SkillIds, Field(description="Ids of the skill catalogue.")]


def _in_order(first: date | None, last: date | None, name: str, other: str) -> None:
    if first is not None and last is not None and last < first:
        msg = f"{name} lies before {other}"
        raise ValueError(msg)


class Period(Wall):
    """When a course, an internship or a trainee's availability begins and ends."""

    starts_on: ReasonableDate | None = None
    ends_on: ReasonableDate | None = None

    @field_validator("ends_on")
    @classmethod
    def _after_start(cls, value: date | None, info: Any) -> date | None:
        _in_order(info.data.get("starts_on"), value, "ends_on", "starts_on")
        return value


class ProfileFields(Placed, Classified):
    """What every profile has."""

    details: ClassVar[tuple[str, ...]] = ()
    """The names of the fields that only this kind has and no column keeps."""

    organisation: Reference = Field(description="Id or ref of the organisation that owns it.")
    state: Literal[ProfileState.DRAFT, ProfileState.PUBLISHED, ProfileState.EXPIRED, ProfileState.WITHDRAWN] = (
        ProfileState.PUBLISHED
    )
    valid_from: ReasonableDate | None = Field(default=None, description="Not suggested before this day.")
    valid_until: ReasonableDate | None = Field(default=None, description="Not suggested after this day.")
    source_url: WebAddress | None = None
    illustrative: bool = False

    @field_validator("valid_until")
    @classmethod
    def _after_valid_from(cls, value: date | None, info: Any) -> date | None:
        _in_order(info.data.get("valid_from"), value, "valid_until", "valid_from")
        return value


class WrittenProfile(ProfileFields):
    """A profile that somebody wrote, in some language."""

    ref: Slug | None = Field(default=None, description="Your own short name for it, unique in its organisation.")
    title: Line
    text: Text
    language: Language | None = Field(default=None, description="Detected when it is not given.")


class PitchCreate(WrittenProfile):
    """A cooperation pitch of a cluster or company."""

    details = ("cooperation_type", "regions_sought")

    kind: Literal[ProfileKind.PITCH]
    cooperation_type: CooperationType | None = None
    regions_sought: NutsPrefixes = []


class PriorityCreate(WrittenProfile):
    """A priority of a regional authority, such as one of its smart specialisation strategy."""

    details = ("strategy_period", "s3_axis")

    kind: Literal[ProfileKind.PRIORITY]
    strategy_period: Annotated[str, Field(pattern=r"^(\d{4}-\d{4}|\d{4})$")] | None = None
    s3_axis: S3Axis | None = None


class SkillNeedCreate(WrittenProfile, Period):
    """A company's need for skills: places for vocational interns, at a place, in a period."""

    details = ("skills", "hours", "dual_regime", "mode")

    kind: Literal[ProfileKind.SKILL_NEED]
    skills: Skills = []
    places: Count = 1
    hours: Count | None = None
    eqf_level: EqfLevel | None = Field(default=None, description="The least level that is needed.")
    dual_regime: DualRegime | None = None
    mode: Mode | None = None


class TrainingOfferCreate(ProfileFields, Period):
    """A training offer of a school; `text` may be left out when there are learning outcomes."""

    details = (
        "programme_type", "skills", "learning_outcomes", "hours", "isced_f", "fp_family", "fp_grade",
        "dual_regimes", "mode", "cost_eur",
    )  # fmt: skip

    kind: Literal[ProfileKind.TRAINING_OFFER]
    ref: Slug | None = None
    title: Line
    learning_outcomes: Annotated[list[LongLine], Field(max_length=100)] = Field(
        default=[], description="Official names of its modules or learning outcomes."
    )
    text: Text | None = None
    language: Language | None = None
    programme_type: ProgrammeType
    skills: Skills = []
    places: Count | None = None
    hours: Count | None = None
    eqf_level: EqfLevel | None = None
    isced_f: Annotated[str, Field(pattern=r"^\d{2,4}$")] | None = None
    fp_family: Line | None = None
    fp_grade: FpGrade | None = None
    dual_regimes: Annotated[list[DualRegime], Field(max_length=2), AfterValidator(unique)] = []
    mode: Mode | None = None
    cost_eur: Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(not_a_bool)] | None = Field(
        default=None, description="0 means free."
    )

    @field_validator("isced_f")
    @classmethod
    def _known_field(cls, value: str | None) -> str | None:
        if value is not None and not is_isced_f(value):
            msg = "not an ISCED-F 2013 field"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.text is None and not self.learning_outcomes:
            msg = "text or learning_outcomes is needed"
            raise ValueError(msg)
        return self


class TraineeCreate(ProfileFields, Period):
    """A trainee, known by a pseudonymous code only."""

    details = ("skills", "mobility", "dual_regime", "mode")

    kind: Literal[ProfileKind.TRAINEE]
    ref: TraineeCode = Field(description="The pseudonymous code that the school gave.")
    programme: Reference | None = Field(default=None, description="Id or ref of a training offer of the school.")
    skills: Skills = []
    mobility: NutsPrefixes = []
    eqf_level: EqfLevel | None = None
    dual_regime: DualRegime | None = None
    mode: Mode | None = None


ProfileCreate = Annotated[
    PitchCreate | PriorityCreate | SkillNeedCreate | TrainingOfferCreate | TraineeCreate,
    Field(discriminator="kind"),
]
"""A new profile of any kind."""

PROFILE_CREATE: TypeAdapter[PitchCreate | PriorityCreate | SkillNeedCreate | TrainingOfferCreate | TraineeCreate] = (
    TypeAdapter(ProfileCreate)
)

SCHEMAS: dict[ProfileKind, type[ProfileFields]] = {
    ProfileKind.PITCH: PitchCreate,
    ProfileKind.PRIORITY: PriorityCreate,
    ProfileKind.SKILL_NEED: SkillNeedCreate,
    ProfileKind.TRAINING_OFFER: TrainingOfferCreate,
    ProfileKind.TRAINEE: TraineeCreate,
}
"""The facet schema of each profile kind."""

OWNERS: dict[ProfileKind, frozenset[str]] = {
    ProfileKind.PITCH: frozenset({"cluster", "company"}),
    ProfileKind.PRIORITY: frozenset({"region"}),
    ProfileKind.SKILL_NEED: frozenset({"company", "cluster"}),
    ProfileKind.TRAINING_OFFER: frozenset({"school", "company", "cluster", "region"}),
    ProfileKind.TRAINEE: frozenset({"school"}),
}
"""Which kinds of organisation may own a profile of that kind."""


class FoundSkillAnswer(Answer):
    """A skill of the imported catalogue that was found in a profile, and where: characters of its `field`."""

    model_config = ConfigDict(from_attributes=True)

    uri: str
    label: str = ""
    field: str = Field(description="`text`, `title`, or `learning_outcomes`: these one a line.")
    start: int
    end: int
    similarity: float
    found_by: str = Field(
        description="`exact` for a label that stands there; else what the passage is near to: `label`, "
        "`alternatives` or `description`."
    )


class ProfileAnswer(Answer):
    """A profile of any kind; fields that its kind does not have are absent.

    `text` is what quotes point into: the author's text, or for a training offer without one and for a trainee the
    learning outcomes and skill labels, one a line.
    """

    model_config = ConfigDict(extra="allow", from_attributes=True)

    id: str
    kind: ProfileKind
    ref: str | None
    organisation: OrganisationBrief
    title: str
    text: str | None
    language: str | None
    language_detected: bool
    state: ProfileState
    found_skills: list[FoundSkillAnswer] = Field(
        description="Found in its text, beside the declared `skills`; none without an imported catalogue."
    )
    eligible_today: bool = Field(description="Published, within its dates, and with something to compare.")
    valid_from: date | None
    valid_until: date | None
    nuts_code: str | None
    nuts_version: str
    nace_codes: list[str]
    nace_revision: str
    ecosystems: list[str]
    languages: list[str]
    source_url: str | None
    illustrative: bool
    version: int
    created_at: datetime
    updated_at: datetime


class ProfilePage(Answer):
    """A page of profiles; `next` is the cursor of the following one, null on the last."""

    items: list[ProfileAnswer]
    next: str | None
