"""The only place that reads and writes the skill catalogue's tables."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from sqlalchemy import bindparam, delete, func, literal, select, union_all, update

from app.db.base import now
from app.db.changes import SKILL_TIES, record_changes
from app.db.prepared import Prepared, insert_into
from app.db.repository import Repository
from app.db.session import connection_of
from app.matching.skills import VECTORS, Concept
from app.matching.types import Matrix
from app.taxonomy.skills import Skill, SkillCatalogue, default_catalogue
from app.taxonomy.tables import Catalogue, CatalogueSkill, SkillLabel, SkillTie, SkillVectors

ESCO = "esco"
OBSOLETE = "obsolete"
CHUNK = 500

_ADD_SKILL = insert_into(CatalogueSkill, "uri", "version", "status", "description")
_ADD_LABEL = insert_into(SkillLabel, "skill_pk", "language", "preferred", "alternatives")
_ADD_VECTORS = insert_into(
    SkillVectors, "skill_pk", "model_key", "content_hash", "preferred", "alternatives", "description"
)
_HEAD = Prepared(
    select(Catalogue.version, Catalogue.stamp, Catalogue.model_key).where(Catalogue.scheme == bindparam("scheme"))
)
_ADD_TIE = insert_into(SkillTie, "starter", "uri")
_WANTED = select(func.json_each(bindparam("uris")).table_valued("value").c.value)
_STARTER = ""
"""The language under which `_LABELS` gives a starter skill that is tied to one of the catalogue."""

_LABELS = Prepared(
    union_all(
        select(CatalogueSkill.uri, SkillLabel.language, SkillLabel.preferred)
        .join(SkillLabel, SkillLabel.skill_pk == CatalogueSkill.pk)
        .where(CatalogueSkill.uri.in_(_WANTED)),
        select(SkillTie.uri, literal(_STARTER), SkillTie.starter).where(SkillTie.uri.in_(_WANTED)),
    )
)


class Head(NamedTuple):
    """Which catalogue is imported."""

    version: str
    stamp: str
    model_key: str


class Embedded(NamedTuple):
    """The three vectors of a skill, None for what it lacks, and the identity of what they were made of."""

    content_hash: str
    vectors: tuple[Any, Any, Any]


class CatalogueRepository(Repository):
    """The imported skills."""

    def head(self) -> Head | None:
        """Return which catalogue is imported, or None."""
        row = _HEAD.first(connection_of(self.session), {"scheme": ESCO})
        return None if row is None else Head(*row)

    def labels(self, uris: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the preferred labels by language of those of `uris` that are skills of the catalogue.

        In a language that the catalogue was not imported in, a skill goes by the label of the starter skill that it is.
        """
        found: dict[str, dict[str, str]] = {}
        starters: list[tuple[str, str]] = []
        if uris:
            values = {"uris": orjson.dumps(sorted(uris)).decode()}
            for uri, language, label in _LABELS.all(connection_of(self.session), values):
                if language == _STARTER:
                    starters.append((label, uri))
                else:
                    found.setdefault(uri, {})[language] = label
        for starter, uri in sorted(starters):
            known = default_catalogue().get_skill(starter)
            for language, label in known.labels.items() if known else ():
                found[uri].setdefault(language, label)
        return found

    def ties(self) -> dict[str, str]:
        """Return, by starter skill, the skill of the catalogue that means the same."""
        rows = self.session.execute(select(SkillTie.starter, SkillTie.uri))
        return {starter: uri for starter, uri in rows}  # noqa: C416 - a result is taken for a mapping by dict()

    def catalogue(self) -> SkillCatalogue:
        """Return the whole catalogue, in order of uri."""
        labels: dict[int, dict[str, str]] = {}
        alt: dict[int, dict[str, tuple[str, ...]]] = {}
        rows = self.session.execute(
            select(SkillLabel.skill_pk, SkillLabel.language, SkillLabel.preferred, SkillLabel.alternatives)
        )
        for pk, language, preferred, alternatives in rows:
            labels.setdefault(pk, {})[language] = preferred
            if alternatives:
                alt.setdefault(pk, {})[language] = tuple(alternatives)
        skills = self.session.execute(
            select(CatalogueSkill.pk, CatalogueSkill.uri, CatalogueSkill.description, CatalogueSkill.status).order_by(
                CatalogueSkill.uri
            )
        )
        return SkillCatalogue(
            tuple(
                Skill(uri, labels.get(pk, {}), alt.get(pk, {}), description, status)
                for pk, uri, description, status in skills
            )
        )

    def hashes(self, model_key: str) -> dict[str, str]:
        """Return, by uri, the identity of what the vectors under that model were made of."""
        rows = self.session.execute(
            select(CatalogueSkill.uri, SkillVectors.content_hash)
            .join(SkillVectors, SkillVectors.skill_pk == CatalogueSkill.pk)
            .where(SkillVectors.model_key == model_key)
        )
        return {uri: content for uri, content in rows}  # noqa: C416 - a result is taken for a mapping by dict()

    def concepts(self) -> list[Concept]:
        """Return what texts may call each skill that is not obsolete, in order of uri."""
        return [
            Concept(
                skill.id,
                tuple(skill.labels[language] for language in sorted(skill.labels)),
                tuple(name for language in sorted(skill.alt) for name in skill.alt[language]),
            )
            for skill in self.catalogue().all_skills()
            if skill.status != OBSOLETE
        ]

    def vectors(self, uris: Sequence[str], model_key: str, dim: int) -> Matrix | None:
        """Return the vectors of those skills, shape (3, n, d), zeros where there is none; None without any."""
        place = {uri: position for position, uri in enumerate(uris)}
        found = np.zeros((VECTORS, len(uris), dim), dtype=np.float32)
        rows = self.session.execute(
            select(CatalogueSkill.uri, SkillVectors.preferred, SkillVectors.alternatives, SkillVectors.description)
            .join(SkillVectors, SkillVectors.skill_pk == CatalogueSkill.pk)
            .where(SkillVectors.model_key == model_key),
            execution_options={"yield_per": 2_000},
        )
        seen = False
        for uri, *blobs in rows:
            if uri in place:
                seen = True
                for number, blob in enumerate(blobs):
                    if blob:
                        found[number, place[uri]] = np.frombuffer(blob, dtype="<f2")
        return found if seen else None

    def replace(
        self,
        catalogue: SkillCatalogue,
        head: Head,
        vectors: Mapping[str, Embedded],
        ties: Mapping[str, str],
    ) -> None:
        """Write the catalogue over what there was; `vectors` are those that are not stored under that model yet.

        `ties` give for starter skills the one of the catalogue that means the same. Where they change, that is noted
        for the index.
        """
        connection = connection_of(self.session)
        tied = self.ties()
        stored = {skill.id: skill for skill in self.catalogue().all_skills()}
        wanted = {skill.id: skill for skill in catalogue.all_skills()}
        self._delete(sorted(stored.keys() - wanted.keys()))
        _ADD_SKILL.insert_all(
            connection,
            [
                {"uri": uri, "version": head.version, "status": skill.status, "description": skill.description}
                for uri, skill in sorted(wanted.items())
                if uri not in stored
            ],
        )
        self.session.execute(
            update(CatalogueSkill).where(CatalogueSkill.version != head.version).values(version=head.version)
        )
        for uri in sorted(stored.keys() & wanted.keys()):
            old, new = stored[uri], wanted[uri]
            if (old.status, old.description) != (new.status, new.description):
                self.session.execute(
                    update(CatalogueSkill)
                    .where(CatalogueSkill.uri == uri)
                    .values(status=new.status, description=new.description)
                )
        rows = self.session.execute(select(CatalogueSkill.uri, CatalogueSkill.pk))
        pks = {uri: pk for uri, pk in rows}  # noqa: C416 - a result is taken for a mapping by dict()
        renamed = [uri for uri, skill in wanted.items() if uri not in stored or _named(stored[uri]) != _named(skill)]
        self._delete_parts(SkillLabel, [pks[uri] for uri in renamed if uri in stored])
        _ADD_LABEL.insert_all(
            connection,
            [
                {
                    "skill_pk": pks[uri],
                    "language": language,
                    "preferred": label,
                    "alternatives": list(wanted[uri].alt.get(language, ())),
                }
                for uri in sorted(renamed)
                for language, label in sorted(wanted[uri].labels.items())
            ],
        )
        self.session.execute(delete(SkillVectors).where(SkillVectors.model_key != head.model_key))
        self._delete_parts(SkillVectors, [pks[uri] for uri in vectors if uri in stored])
        _ADD_VECTORS.insert_all(
            connection,
            [
                {
                    "skill_pk": pks[uri],
                    "model_key": head.model_key,
                    "content_hash": content,
                    "preferred": _packed(own[0]),
                    "alternatives": _packed(own[1]),
                    "description": _packed(own[2]),
                }
                for uri, (content, own) in sorted(vectors.items())
            ],
        )
        self.session.execute(delete(SkillTie))
        _ADD_TIE.insert_all(connection, [{"starter": starter, "uri": uri} for starter, uri in sorted(ties.items())])
        if ties != tied:
            record_changes(self.session, SKILL_TIES, [0])
        self.session.execute(delete(Catalogue).where(Catalogue.scheme == ESCO))
        languages = sorted({language for skill in wanted.values() for language in skill.labels})
        self.session.add(Catalogue(scheme=ESCO, **head._asdict(), languages=languages, imported_at=now()))
        self.session.flush()

    def _delete(self, uris: Sequence[str]) -> None:
        for start in range(0, len(uris), CHUNK):
            self.session.execute(delete(CatalogueSkill).where(CatalogueSkill.uri.in_(uris[start : start + CHUNK])))

    def _delete_parts(self, table: type[SkillLabel] | type[SkillVectors], pks: Sequence[int]) -> None:
        for start in range(0, len(pks), CHUNK):
            self.session.execute(delete(table).where(table.skill_pk.in_(pks[start : start + CHUNK])))


def _named(skill: Skill) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    return dict(skill.labels), dict(skill.alt)


def _packed(vector: Any) -> bytes:
    return b"" if vector is None else bytes(vector.astype("<f2").tobytes())
