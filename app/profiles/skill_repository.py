"""The skills found in profiles, and the training offers that teach a skill."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeAlias

import orjson
from sqlalchemy import ColumnElement, Date, Select, bindparam, delete, func, or_, select, union_all

from app.db.prepared import Prepared, insert_into
from app.db.repository import Repository
from app.db.session import connection_of
from app.matching.kinds import ProfileKind
from app.organisations.tables import Organisation
from app.profiles.repository import CHUNK
from app.profiles.tables import Profile, ProfileSkill, ProfileTag, SkillReading
from app.taxonomy.service import Found
from app.taxonomy.tables import SkillTie

_ADD_SKILL = insert_into(ProfileSkill, "profile_pk", "uri", "field", "start", "end", "similarity", "found_by")
_ADD_READING = insert_into(SkillReading, "profile_pk", "stamp")

_P, _O = Profile.__table__.c, Organisation.__table__.c
_TAG, _SKILL = ProfileTag.__table__.c, ProfileSkill.__table__.c
MAX_COURSES = 3
"""Training offers that are named for a skill."""


_Column: TypeAlias = ColumnElement[str]


def _courses(
    profile_pk: ColumnElement[int], means: Callable[[_Column], ColumnElement[bool]], *more: ColumnElement[bool]
) -> Select[Any]:
    """Return the first published training offers that the rows (profile, skill) name for each skill wanted.

    `means(skill)` holds of the rows that name a skill; of one offer that may be several, and it is named once.
    """
    wanted = func.json_each(bindparam("skills")).table_valued("value")
    covering = Profile.__table__.alias("covering")
    day = bindparam("today", type_=Date)
    first = (
        select(covering.c.pk)
        .where(
            profile_pk == covering.c.pk,
            means(wanted.c.value),
            *more,
            covering.c.kind == ProfileKind.TRAINING_OFFER.value,
            covering.c.state == "published",
            or_(covering.c.valid_from.is_(None), covering.c.valid_from <= day),
            or_(covering.c.valid_until.is_(None), covering.c.valid_until >= day),
            func.json_extract(covering.c.details, "$.programme_type") != "event",
        )
        .group_by(profile_pk)
        .order_by(profile_pk)
        .limit(MAX_COURSES)
        .correlate(wanted)
    )
    return (
        select(wanted.c.value, _P.pk, _P.id, _P.title, _O.id.label("owner"), _O.name)
        .select_from(wanted.join(Profile.__table__, _P.pk.in_(first)))
        .join(Organisation.__table__, _P.organisation_pk == _O.pk)
    )


def _tied_to(skill: _Column) -> ColumnElement[bool]:
    # Not a join: SQLite would go through all tags and look up the tie of each.
    return _TAG.code.in_(select(SkillTie.starter).where(SkillTie.uri == skill).correlate_except(SkillTie))


_COURSES = Prepared(
    union_all(
        _courses(_TAG.profile_pk, lambda skill: _TAG.code == skill, _TAG.scheme == "skill"),
        _courses(_TAG.profile_pk, _tied_to, _TAG.scheme == "skill"),
        _courses(_SKILL.profile_pk, lambda skill: _SKILL.uri == skill),
    )
)


class Course(NamedTuple):
    """A training offer in brief, and whose it is."""

    id: str
    title: str
    organisation_id: str
    organisation_name: str


class ProfileSkillRepository(Repository):
    """The skills found in profiles' texts."""

    def write(self, found: Mapping[int, Found], *, new: bool) -> None:
        """Write the skills found in each profile, over what was found before."""
        if not found:
            return
        if not new:
            for table in (ProfileSkill, SkillReading):
                self.session.execute(delete(table).where(table.profile_pk.in_(list(found))))
        connection = connection_of(self.session)
        _ADD_READING.insert_all(connection, [{"profile_pk": pk, "stamp": own.stamp} for pk, own in found.items()])
        rows = [
            {
                "profile_pk": pk, "uri": skill.id, "field": field, "start": skill.start, "end": skill.end,
                "similarity": skill.similarity, "found_by": skill.by.value,
            }
            for pk, own in found.items()
            for field, skill in own.skills
        ]  # fmt: skip
        _ADD_SKILL.insert_all(connection, rows)

    def found(self, pks: Sequence[int]) -> list[ProfileSkill]:
        """Return the skills found in those profiles, in order of their place in each."""
        order = (ProfileSkill.profile_pk, ProfileSkill.field, ProfileSkill.start, ProfileSkill.uri)
        statement = select(ProfileSkill).where(ProfileSkill.profile_pk.in_(pks)).order_by(*order)
        return list(self.session.scalars(statement))

    def courses(self, skills: Collection[str], today: date) -> dict[str, list[Course]]:
        """Return for each skill up to three published training offers that teach it, in order of key.

        Events are left out: none of them stands in for a qualification.
        """
        values = {"skills": orjson.dumps(sorted(skills)).decode(), "today": today}
        found: dict[str, dict[int, Course]] = {}
        for skill, pk, *shown in _COURSES.all(connection_of(self.session), values) if skills else ():
            found.setdefault(skill, {})[pk] = Course(*shown)
        return {skill: [own[pk] for pk in sorted(own)[:MAX_COURSES]] for skill, own in found.items()}

    def courses_by_id(self, ids: Collection[str]) -> dict[str, Course]:
        """Return those training offers that are still there, by id."""
        columns = (Profile.id, Profile.title, Organisation.id, Organisation.name)
        statement = select(*columns).join(Organisation, Profile.organisation_pk == Organisation.pk)
        wanted = sorted(ids)
        found: dict[str, Course] = {}
        for start in range(0, len(wanted), CHUNK):
            rows = self.session.execute(statement.where(Profile.id.in_(wanted[start : start + CHUNK])))
            found.update((row[0], Course(*row)) for row in rows)
        return found

    def readings(self, pks: Sequence[int]) -> dict[int, str]:
        """Return the stamp under which the skills of each profile were found."""
        found: dict[int, str] = {}
        for start in range(0, len(pks), CHUNK):
            chosen = SkillReading.profile_pk.in_(pks[start : start + CHUNK])
            rows = self.session.execute(select(SkillReading.profile_pk, SkillReading.stamp).where(chosen))
            found.update((pk, stamp) for pk, stamp in rows)
        return found

    def unread(self, stamp: str, after: int, limit: int) -> list[Profile]:
        """Return the first profiles behind the key `after` whose skills were not found under that stamp."""
        done = select(SkillReading.profile_pk).where(SkillReading.stamp == stamp)
        statement = select(Profile).where(
            Profile.pk > after, Profile.kind != ProfileKind.TRAINEE, Profile.pk.not_in(done)
        )
        return list(self.session.scalars(statement.order_by(Profile.pk).limit(limit)))
