"""Which skills two sides share, which the seeker misses, and who teaches those.

The answer names courses in full; what is kept names them by id, so that a course that is deleted leaves no trace in
the runs that mentioned it.
"""

from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from app.matching.types import Facets, Namer, Side
from app.profiles.skill_repository import Course, ProfileSkillRepository
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import SkillNames

NO_SKILLS: Mapping[str, Any] = {"available": False, "shared": [], "missing": []}
"""What a run says of skills that was kept before skills were explained."""


class _Gap(NamedTuple):
    shared: list[str]
    missing: list[str]


def gap(side: Side, asker: Facets, shown: Facets) -> _Gap:
    """Return the skills of both, and those of the seeker that are not known of the offer, in order of id.

    >>> gap(Side.SEEKER, {"skills": frozenset({"a", "b"})}, {"skills": frozenset({"b", "c"})})
    _Gap(shared=['b'], missing=['a'])
    """
    own, theirs = _skills(asker.get("skills")), _skills(shown.get("skills"))
    seeker, offer = (own, theirs) if side is Side.SEEKER else (theirs, own)
    return _Gap(sorted(seeker & offer), sorted(seeker - offer))


def _skills(value: Hashable) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


class SkillGaps(NamedTuple):
    """Words the gaps of all items of an answer: one statement for the names, and one for who teaches what."""

    catalogue: CatalogueRepository
    profiles: ProfileSkillRepository

    def names(self, side: Side, asker: Facets, shown: Sequence[Facets]) -> SkillNames:
        """Return the names of the seekers' skills: what is shared and what is missing is among them."""
        seekers = [asker] if side is Side.SEEKER else shown
        return SkillNames(self.catalogue, {skill for facets in seekers for skill in _skills(facets.get("skills"))})

    def explain(
        self,
        side: Side,
        asker: Facets,
        shown: Sequence[Facets],
        name: Namer,
        *,
        language: str,
        available: bool,
        today: date,
    ) -> list[dict[str, Any]]:
        """Return what each item says of skills, as `ItemSkills` describes it, in that language.

        `name` says what skills are called (`names`).
        """
        gaps = [gap(side, asker, facets) for facets in shown]
        lacking = {skill for own in gaps for skill in own.missing}
        courses = self.profiles.courses(lacking, today)

        def named(skill: str) -> dict[str, Any]:
            return {"uri": skill, "label": name("skills", skill, language)}

        return [
            {
                "available": available,
                "shared": [named(skill) for skill in own.shared],
                "missing": [
                    {**named(skill), "training_offers": [_shown(course) for course in courses.get(skill, ())]}
                    for skill in own.missing
                ],
            }
            for own in gaps
        ]

    def restored(self, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return kept items as they were shown, less the courses that were deleted since."""
        items = [{**item, "skills": item.get("skills", NO_SKILLS)} for item in items]
        ids = {id_ for item in items for skill in item["skills"]["missing"] for id_ in skill["training_offers"]}
        courses = self.profiles.courses_by_id(ids)

        def full(skill: dict[str, Any]) -> dict[str, Any]:
            left = [_shown(courses[id_]) for id_ in skill["training_offers"] if id_ in courses]
            return {**skill, "training_offers": left}

        return [{**item, "skills": _missing_as(item["skills"], full)} for item in items]


def without_courses(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as it is kept: courses by id."""

    def short(skill: dict[str, Any]) -> dict[str, Any]:
        return {**skill, "training_offers": [course["id"] for course in skill["training_offers"]]}

    return {**item, "skills": _missing_as(item["skills"], short)}


def _missing_as(skills: Mapping[str, Any], change: Any) -> dict[str, Any]:
    return {**skills, "missing": [change(skill) for skill in skills["missing"]]}


def _shown(course: Course) -> dict[str, Any]:
    owner = {"id": course.organisation_id, "name": course.organisation_name}
    return {"id": course.id, "title": course.title, "organisation": owner}
