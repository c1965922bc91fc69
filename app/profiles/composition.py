"""From a profile to what the engine reads: the parts that are embedded, and the facets."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from app.matching.documents import PASSAGES_VERSION, Parts
from app.matching.kinds import ProfileKind
from app.taxonomy.languages import primary
from app.taxonomy.nace import nace_section, normalise_nace
from app.taxonomy.skills import default_catalogue

LABEL_RANKS = {"bronze": 1, "silver": 2, "gold": 3}


class OrganisationFacts(NamedTuple):
    """What of an organisation counts for its profiles' facets."""

    pk: int
    country: str
    nuts_code: str | None
    nace_codes: Sequence[str]
    nace_revision: str
    ecosystems: Sequence[str]
    labels: Sequence[tuple[str, date, date]]


class ProgrammeFacts(NamedTuple):
    """What of a training offer counts for its trainees."""

    title: str
    language: str | None
    learning_outcomes: Sequence[str]
    skills: Sequence[str]
    eqf_level: int | None


class Names(Protocol):
    """Says what skills are called."""

    def label(self, id_: str, language: str = "en", /) -> str:
        """Return the label in that language, or in English where there is none."""


class _StarterNames:
    def label(self, id_: str, language: str = "en", /) -> str:
        return default_catalogue().label(id_, language) or id_


STARTER_NAMES = _StarterNames()
"""Knows the skills of the starter list only."""


def skill_labels(skills: Sequence[str], language: str, names: Names = STARTER_NAMES) -> list[str]:
    """Return the labels of skills in that language, or in English where there is none."""
    return [names.label(skill, language) for skill in skills]


def found_in(kind: str, title: str, text: str | None, details: Mapping[str, Any]) -> dict[str, str]:
    """Return, by field, what of a profile is read for skills; nothing of a trainee, whose skills are declared only."""
    if kind == ProfileKind.TRAINEE:
        return {}
    outcomes = "\n".join(details.get("learning_outcomes", ()))
    read = {"text": text or "", "title": title, "learning_outcomes": "" if outcomes == text else outcomes}
    return {name: value for name, value in read.items() if value}


def trainee_text(programme: ProgrammeFacts | None, skills: Sequence[str], names: Names = STARTER_NAMES) -> str | None:
    """Return the lines a trainee is known by: the programme's learning outcomes and labels of the declared skills.

    Nothing else of a person is ever embedded.
    """
    language = (primary(programme.language) if programme and programme.language else None) or "en"
    lines = [programme.title, *programme.learning_outcomes] if programme else []
    lines += skill_labels(skills, language, names)
    return "\n".join(dict.fromkeys(lines)) or None


def parts(kind: str, title: str, text: str | None, details: Mapping[str, Any], names: Names = STARTER_NAMES) -> Parts:
    """Return what of a profile is embedded; `text` is quotable, the rest carries meaning only.

    A trainee's title is a code and means nothing. Skills are named in English, the encoder's best language.
    """
    if kind == ProfileKind.TRAINEE:
        return Parts(text=text)
    extra = skill_labels(details.get("skills", ()), "en", names)
    outcomes = details.get("learning_outcomes", ())
    if outcomes and text != "\n".join(outcomes):
        extra = [*outcomes, *extra]
    return Parts(title=title, text=text, extra=tuple(dict.fromkeys(extra)))


def content_hash(what: Parts) -> str:
    """Return the identity of what is embedded: equal hashes have equal vectors."""
    return hashlib.blake2b(f"{PASSAGES_VERSION}{what!r}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@lru_cache(maxsize=4096)
def sector_codes(code: str, revision: str) -> frozenset[str]:
    """Return a NACE code with its division, group and section: a filter on any of them finds it."""
    normal = normalise_nace(code, revision)
    if normal is None:
        return frozenset()
    levels = {normal[:length] for length in (2, 4, 5)} if normal[0].isdigit() else {normal}
    return frozenset(levels | {nace_section(code, revision) or normal})


def _sectors(ecosystems: Sequence[str], nace_codes: Sequence[str], revision: str) -> frozenset[str] | None:
    found = frozenset(ecosystems).union(*(sector_codes(code, revision) for code in nace_codes))
    return found or None


def _pair(first: date | None, last: date | None) -> tuple[date | None, date | None] | None:
    return None if first is None and last is None else (first, last)


def facets(
    row: Mapping[str, Any], organisation: OrganisationFacts, programme: ProgrammeFacts | None = None
) -> dict[str, Hashable]:
    """Return the facets of a profile (a mapping with its columns); what is unknown is None.

    A profile without a place or sectors of its own has its organisation's. Skills are those declared and those found
    in its text; a trainee has the declared ones, its own and its programme's. One of the starter list that is the same
    as one of the imported catalogue goes by that one's id: `ties`, so that either counts and both count once.
    """
    details = row["details"]
    nuts = row["nuts_code"] or organisation.nuts_code or organisation.country
    # A need's language may be a guess by its text, and a guess must not keep a person away from a place.
    guessed = row["language_detected"] and row["kind"] == ProfileKind.SKILL_NEED
    tags = row["languages"] if guessed else [*row["languages"], row["language"]]
    languages = {primary(tag) for tag in tags if tag} - {None}
    own_sectors = row["ecosystems"] or row["nace_codes"]
    source = (
        (row["ecosystems"], row["nace_codes"], row["nace_revision"])
        if own_sectors
        else (organisation.ecosystems, organisation.nace_codes, organisation.nace_revision)
    )
    declared = [*details.get("skills", ()), *(programme.skills if programme else ())]
    ties = row.get("ties", {})
    skills = [*(ties.get(skill, skill) for skill in declared), *row.get("found_skills", ())]
    eqf_level = row["eqf_level"]
    if programme is not None:
        eqf_level = eqf_level or programme.eqf_level
    regimes = details.get("dual_regimes") or [details.get("dual_regime")]
    return {
        "country": nuts[:2],
        "nuts": nuts,
        "sectors": _sectors(*source),
        "languages": frozenset(languages) or None,
        "eqf_level": eqf_level,
        "period": _pair(row["starts_on"], row["ends_on"]),
        "validity": _pair(row["valid_from"], row["valid_until"]),
        "organisation": organisation.pk,
        "labels": frozenset((LABEL_RANKS[level], first, last) for level, first, last in organisation.labels) or None,
        "mode": details.get("mode"),
        "programme_type": details.get("programme_type"),
        "dual_regimes": frozenset(r for r in regimes if r) or None,
        "skills": frozenset(skills) or None,
        "mobility": frozenset(details.get("mobility", ())) or None,
        "regions_sought": frozenset(details.get("regions_sought", ())) or None,
    }
