"""Organisations as JSON."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.taxonomy.codes import LabelLevel
from app.taxonomy.fields import Classified, Country, EqfLevel, Placed
from app.taxonomy.figures import parse_figure
from app.wall import Answer, Line, ReasonableDate, Reference, Slug, Summary, Wall, WebAddress

__all__ = ["EqfLevel", "FigureAnswer", "OrganisationAnswer", "OrganisationCreate", "OrganisationKind"]


class OrganisationKind(StrEnum):
    """The four kinds of organisation."""

    CLUSTER = "cluster"
    REGION = "region"
    COMPANY = "company"
    SCHOOL = "school"


class MembershipKind(StrEnum):
    """A member of a cluster organisation, or a partner in a partnership."""

    CLUSTER = "cluster"
    PARTNERSHIP = "partnership"


class MembershipInput(Wall):
    """The organisation that one belongs to, by its id or ref."""

    of: Reference
    kind: MembershipKind = MembershipKind.CLUSTER


class LabelInput(Wall):
    """An ECEI label, as evidence; it never raises a score, and once expired it never counts."""

    level: LabelLevel
    issuer: Line = "ESCA"
    assessed_on: ReasonableDate
    valid_until: ReasonableDate

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_until < self.assessed_on:
            msg = "valid_until lies before assessed_on"
            raise ValueError(msg)
        return self


class FigureInput(Wall):
    """A figure about the organisation, as its source writes it ("52.116", "over 200", "1 000 by 2030")."""

    name: Line
    as_written: Line
    unit: Line | None = None
    year: Annotated[int, Field(ge=1990, le=2199)] | None = None
    source_url: WebAddress | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        parse_figure(self.as_written)
        return self


class OrganisationFields(Placed, Classified):
    """What may be written about an organisation, after its kind."""

    name: Line = Field(examples=["Clúster TERA"])
    country: Country = Field(examples=["ES"])
    summary: Summary | None = None
    website: WebAddress | None = None
    source_url: WebAddress | None = Field(default=None, description="Where the facts come from.")
    illustrative: bool = Field(default=False, description="Made up for demonstration.")
    memberships: list[MembershipInput] = Field(default=[], max_length=100)
    labels: list[LabelInput] = Field(default=[], max_length=20)
    figures: list[FigureInput] = Field(default=[], max_length=50)

    @model_validator(mode="after")
    def _place_in_country(self) -> Self:
        if self.nuts_code is not None and self.nuts_code[:2] != self.country:
            msg = "nuts_code lies outside country"
            raise ValueError(msg)
        return self


class OrganisationCreate(OrganisationFields):
    """A new organisation."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "kind": "cluster",
                "ref": "cluster-tera",
                "name": "Clúster TERA",
                "country": "ES",
                "nuts_code": "ES13",
                "ecosystems": ["digital"],
                "languages": ["es"],
                "figures": [{"name": "members", "as_written": "62 companies"}],
            }
        }
    )

    kind: OrganisationKind
    ref: Slug | None = Field(default=None, description="Your own short name for it, unique; an import key.")


OrganisationPatch = dict[str, Any]
"""A JSON merge patch (RFC 7396) of the fields above; `kind` and `ref` stay as they are."""


class OrganisationBrief(Answer):
    """An organisation in one line."""

    id: str
    name: str
    nuts_code: str | None


class MembershipAnswer(Answer):
    """What an organisation belongs to."""

    of: OrganisationBrief
    kind: MembershipKind


class LabelAnswer(Answer):
    """An ECEI label and whether it counts today."""

    level: LabelLevel
    issuer: str
    assessed_on: date
    valid_until: date
    valid_today: bool


class FigureAnswer(FigureInput):
    """A figure as written and as understood; "over 200" is a lower bound, not 200."""

    value: float
    qualifier: Literal["exact", "at_least", "at_most", "about", "target"]


class OrganisationAnswer(Answer):
    """An organisation."""

    id: str
    ref: str | None
    kind: OrganisationKind
    name: str
    summary: str | None
    country: str
    nuts_code: str | None
    nuts_version: str
    nace_codes: list[str]
    nace_revision: str
    ecosystems: list[str]
    languages: list[str]
    memberships: list[MembershipAnswer]
    labels: list[LabelAnswer]
    figures: list[FigureAnswer]
    website: str | None
    source_url: str | None
    illustrative: bool
    version: int
    created_at: datetime
    updated_at: datetime


class OrganisationPage(Answer):
    """A page of organisations; `next` is the cursor of the following one, null on the last."""

    items: list[OrganisationAnswer]
    next: str | None
