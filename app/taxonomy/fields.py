"""Field types and mixins for schemas that carry official codes; an unknown code is an error at its field."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator

from app.taxonomy.codes import IndustrialEcosystem
from app.taxonomy.countries import normalise_country
from app.taxonomy.languages import normalise_language
from app.taxonomy.nace import normalise_nace
from app.taxonomy.nuts import is_nuts, is_prefix
from app.taxonomy.skills import default_catalogue
from app.wall import Wall, not_a_bool, unique

ESCO_URI = re.compile(r"http://data\.europa\.eu/esco/skill/[0-9A-Za-z.-]{1,80}")
"""Whether there is such a skill, the imported catalogue says."""


def _country(value: str) -> str:
    found = normalise_country(value)
    if found is None:
        msg = "not a known country (two letters, such as ES; Greece is EL)"
        raise ValueError(msg)
    return found


def _language(value: str) -> str:
    found = normalise_language(value)
    if found is None:
        msg = "not a known language tag (such as es or pt-PT)"
        raise ValueError(msg)
    return found


def _prefix(value: str) -> str:
    if not is_prefix(value):
        msg = "not the beginning of any NUTS code"
        raise ValueError(msg)
    return value


def _skill(value: str) -> str:
    if default_catalogue().get_skill(value) is None and not ESCO_URI.fullmatch(value):
        msg = "not a skill of the catalogue (see GET /api/v1/skills), nor an ESCO skill's address"
        raise ValueError(msg)
    return value


Country = Annotated[str, StringConstraints(min_length=2, max_length=2), AfterValidator(_country)]
"""A country as NUTS writes it: ISO 3166 alpha-2, with EL for Greece and UK for the United Kingdom."""

Language = Annotated[str, StringConstraints(min_length=2, max_length=12), AfterValidator(_language)]
"""A BCP 47 tag: language, or language and region."""

NUTS_PATTERN = r"^[A-Z]{2}[A-Z0-9]{0,3}$"

NutsPrefix = Annotated[str, StringConstraints(pattern=NUTS_PATTERN), AfterValidator(_prefix)]
"""A NUTS code of any level, or a country: everything below it is meant."""

SkillId = Annotated[str, StringConstraints(min_length=3, max_length=120), AfterValidator(_skill)]
"""The id of a skill: of the starter list, or the URI of one of ESCO, which the services look up."""

Countries = Annotated[list[Country], Field(max_length=60), AfterValidator(unique)]
Languages = Annotated[list[Language], Field(max_length=30), AfterValidator(unique)]
NutsPrefixes = Annotated[list[NutsPrefix], Field(max_length=60), AfterValidator(unique)]
SkillIds = Annotated[list[SkillId], Field(max_length=60), AfterValidator(unique)]
Ecosystems = Annotated[list[IndustrialEcosystem], Field(max_length=14), AfterValidator(unique)]
EqfLevel = Annotated[int, Field(ge=1, le=8), BeforeValidator(not_a_bool)]


class Placed(Wall):
    """Where something is: a NUTS code and the version of NUTS that it belongs to."""

    nuts_version: Literal["2021", "2024"] = "2024"
    nuts_code: Annotated[str, StringConstraints(pattern=NUTS_PATTERN)] | None = Field(
        default=None, validate_default=False, examples=["ES61"]
    )

    @field_validator("nuts_code")
    @classmethod
    def _known_place(cls, value: str | None, info: ValidationInfo) -> str | None:
        version = info.data.get("nuts_version")
        if value is not None and version is not None and not is_nuts(value, version):
            msg = f"not a NUTS {version} code"
            raise ValueError(msg)
        return value


class Classified(Wall):
    """What something is about: economic activities, industrial ecosystems and languages."""

    nace_revision: Literal["2.0", "2.1"] = "2.1"
    nace_codes: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=7)]],
        Field(max_length=20),
    ] = Field(default=[], examples=[["62.10"]])
    ecosystems: Ecosystems = []
    languages: Languages = []

    @field_validator("nace_codes")
    @classmethod
    def _known_activities(cls, values: list[str], info: ValidationInfo) -> list[str]:
        revision = info.data.get("nace_revision")
        if revision is None:
            return values
        normal = [found for code in values if (found := normalise_nace(code, revision)) is not None]
        if len(normal) < len(values):
            msg = f"contains a code that NACE {revision} does not have"
            raise ValueError(msg)
        return unique(normal)
