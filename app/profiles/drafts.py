"""From what was sent to a profile's columns and codes, not yet embedded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.db.base import public_id
from app.errors import FieldError
from app.matching.documents import Parts
from app.matching.kinds import ProfileKind
from app.matching.types import Passages
from app.profiles.composition import Names, ProgrammeFacts, parts, trainee_text
from app.profiles.repository import Owner
from app.profiles.schemas import OWNERS, ProfileFields
from app.profiles.tables import Profile
from app.taxonomy.languages import detect_language
from app.taxonomy.service import Found, SkillNames

COLUMNS = (
    "state", "valid_from", "valid_until", "nuts_code", "nuts_version", "nace_codes", "nace_revision", "ecosystems",
    "languages", "source_url", "illustrative", "eqf_level", "starts_on", "ends_on", "places",
)  # fmt: skip
"""Fields that have a column of the same name; those that a kind lacks are null."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A profile ready to be stored; `vectors` is None when the stored ones still hold."""

    values: Mapping[str, Any]
    codes: tuple[tuple[str, str], ...]
    content: Parts
    vectors: Passages | None
    pk: int | None = None
    version: int = 0
    dependants: tuple["Prepared", ...] = ()
    programme: tuple[int, int] | None = None
    """Key and version of the training offer that a trainee's text was made of."""
    skills: Found | None = None
    """What its text was found to speak of; None when what is stored still holds, or no catalogue is imported."""

    @property
    def new(self) -> bool:
        """Whether the profile is not stored yet."""
        return self.pk is None


def programme_facts(offer: Profile) -> ProgrammeFacts:
    """Return what of a training offer counts for its trainees."""
    return ProgrammeFacts(
        offer.title,
        offer.language,
        offer.details.get("learning_outcomes", ()),
        offer.details.get("skills", ()),
        offer.eqf_level,
    )


def owner_errors(item: ProfileFields, owner: Owner | None) -> list[FieldError]:
    """Return what is wrong with the owner of an item."""
    if owner is None:
        return [FieldError(field="organisation", reason="no organisation has this id or ref")]
    kind = ProfileKind(getattr(item, "kind"))  # noqa: B009 - every subclass has it
    if owner.kind not in OWNERS[kind]:
        allowed = " or ".join(sorted(OWNERS[kind]))
        return [FieldError(field="organisation", reason=f"a {kind} belongs to a {allowed}, not to a {owner.kind}")]
    return []


def skill_errors(item: ProfileFields, names: SkillNames) -> list[FieldError]:
    """Return what is wrong with the declared skills: each must be in the starter list or the imported catalogue."""
    return [
        FieldError(field=f"skills.{place}", reason="the imported catalogue has no such skill")
        for place, skill in enumerate(getattr(item, "skills", ()))
        if skill not in names
    ]


def draft(
    item: ProfileFields, owner: Owner, programme: Profile | None, existing: Profile | None, names: Names
) -> Prepared:
    """Return the columns and codes of an item, not yet embedded."""
    plain = item.model_dump()
    kind = ProfileKind(plain["kind"])
    details = {name: value for name, value in item.model_dump(mode="json", include=set(item.details)).items() if value}
    if plain.get("cost_eur") == 0:
        details["cost_eur"] = 0
    values: dict[str, Any] = {name: plain.get(name) for name in COLUMNS}
    values["state"] = str(plain["state"])
    values["ecosystems"] = [str(ecosystem) for ecosystem in plain["ecosystems"]]
    values |= {
        "kind": kind.value,
        "ref": plain["ref"],
        "organisation_pk": owner.pk,
        "programme_pk": programme.pk if programme else None,
        "details": details,
    }
    if kind is ProfileKind.TRAINEE:
        facts = programme_facts(programme) if programme else None
        text = trainee_text(facts, details.get("skills", ()), names)
        values |= {"title": plain["ref"], "text": text, "language": None, "language_detected": False}
    else:
        text = plain["text"] or "\n".join(details.get("learning_outcomes", ()))
        language, detected = plain["language"], False
        if language is None:
            found = detect_language(f"{plain['title']}\n{text}")
            language, detected = (found[0] if found else None), found is not None
        values |= {"title": plain["title"], "text": text, "language": language, "language_detected": detected}
    if existing is None:
        values["id"] = public_id("profile", owner.id, kind.value, plain["ref"])
    codes = [("ecosystem", code) for code in values["ecosystems"]]
    codes += [("nace", code) for code in values["nace_codes"]]
    codes += [("language", code) for code in {*values["languages"], values["language"]} if code]
    codes += [("skill", code) for code in details.get("skills", ())]
    return Prepared(
        values,
        tuple(sorted(set(codes))),
        parts(kind, values["title"], values["text"], details, names),
        None,
        existing.pk if existing else None,
        existing.version if existing else 0,
        programme=(programme.pk, programme.version) if programme else None,
    )


def redraft(trainee: Profile, programme: ProgrammeFacts, names: Names) -> Prepared:
    """Return a trainee whose programme changed: only the lines that it is known by change with it."""
    text = trainee_text(programme, trainee.details.get("skills", ()), names)
    codes = [("language", code) for code in trainee.languages]
    codes += [("skill", code) for code in trainee.details.get("skills", ())]
    codes += [("ecosystem", code) for code in trainee.ecosystems] + [("nace", code) for code in trainee.nace_codes]
    return Prepared(
        {"text": text, "kind": trainee.kind},
        tuple(sorted(set(codes))),
        parts(trainee.kind, trainee.title, text, trainee.details, names),
        None,
        trainee.pk,
        trainee.version,
    )
