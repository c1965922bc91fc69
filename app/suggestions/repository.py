"""Reads what the index and the engine need, and runs as they were kept; keeps decisions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Select, Text, and_, bindparam, case, func, or_, select, type_coerce

from app.db.changes import ORGANISATION, PROFILE, SKILL_TIES, Position, changes_since, has_position, last_position
from app.db.prepared import Prepared
from app.db.repository import Repository
from app.db.session import connection_of
from app.matching.shelf import shelf_order
from app.matching.types import Document, Facets, Matrix
from app.organisations.tables import Label, Organisation
from app.profiles.composition import OrganisationFacts, ProgrammeFacts, facets
from app.profiles.repository import CHUNK, unpack
from app.profiles.tables import Embedding, Profile, ProfileSkill, ProfileTag
from app.suggestions.tables import Decision, Suggestion, SuggestionRun
from app.taxonomy.tables import SkillTie

ShelfRows = tuple[str, list[int], Matrix, list[Facets]]
"""Profile kind, keys, vectors (n, d) and facets of rows for one shelf."""

_JSON_COLUMNS = ("nace_codes", "ecosystems", "languages", "details", "found_skills", "ties")
_DATE_COLUMNS = ("valid_from", "valid_until", "starts_on", "ends_on")
_PLAIN_COLUMNS = (
    "pk", "kind", "organisation_pk", "programme_pk", "language", "language_detected", "valid_from",
    "valid_until", "nuts_code", "nace_revision", "eqf_level", "starts_on", "ends_on",
)  # fmt: skip

# JSON columns are read as text and each distinct text is parsed once: most rows of a shelf say the same.
_P, _E, _O = Profile.__table__.c, Embedding.__table__.c, Organisation.__table__.c
_FOUND_SKILLS = (
    select(func.json_group_array(ProfileSkill.uri))
    .where(ProfileSkill.profile_pk == _P.pk)
    .correlate(Profile.__table__)
    .scalar_subquery()
)
# Of what the profile declares and, for a trainee, its programme: starter skill → the catalogue's that means the same.
_TIES = (
    select(func.json_group_object(SkillTie.starter, SkillTie.uri))
    .join_from(ProfileTag, SkillTie, SkillTie.starter == ProfileTag.code)
    .where(ProfileTag.profile_pk.in_((_P.pk, _P.programme_pk)), ProfileTag.scheme == "skill")
    .correlate(Profile.__table__)
    .scalar_subquery()
)
_FACET_COLUMNS = [
    *(_P[name] for name in _PLAIN_COLUMNS),
    *(type_coerce(_P[name], Text).label(name) for name in _JSON_COLUMNS[:-2]),
    _FOUND_SKILLS.label("found_skills"),
    _TIES.label("ties"),
]
_FACET_NAMES = (*_PLAIN_COLUMNS, *_JSON_COLUMNS)


_WANTED = (
    select(
        *(_P[name] for name in ("id", "title", "text")),
        *(_E[name] for name in ("vector", "spans", "passages")),
        *(_O[name] for name in ("id", "name", "country", "nuts_code", "nace_codes", "nace_revision", "ecosystems")),
        *_FACET_COLUMNS,
    )
    .join_from(Profile.__table__, Embedding.__table__, _E.profile_pk == _P.pk)
    .join(Organisation.__table__, _P.organisation_pk == _O.pk)
    .where(
        _P.pk.in_(select(func.json_each(bindparam("pks")).table_valued("value").c.value)),
        _E.model_key == bindparam("model_key"),
    )
)
_DOCUMENTS = Prepared(_WANTED.where(_P.state == "published"))
_IN_ANY_STATE = Prepared(_WANTED)


_OWN = -len(_FACET_NAMES)
"""Where in a row of `_WANTED` the columns begin that the facets are made of: they stand last."""


class _Parser:
    """Parses each distinct JSON text once."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, text: str) -> Any:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = orjson.loads(text)
        return found


def _as_python(values: Sequence[Any], parse: _Parser) -> dict[str, Any]:
    """Return by name what `_FACET_NAMES` hold in the database, with what its texts mean."""
    row = dict(zip(_FACET_NAMES, values, strict=True))
    for name in _JSON_COLUMNS:
        row[name] = parse(row[name])
    for name in _DATE_COLUMNS:
        if row[name] is not None:
            row[name] = date.fromisoformat(row[name])
    return row


class ProjectionRepository(Repository):
    """What the index is filled from."""

    def last_position(self) -> Position:
        """Return the newest change's position."""
        return last_position(self.session)

    def has_position(self, position: Position) -> bool:
        """Return whether this database's history contains `position`."""
        return has_position(self.session, position)

    def changed_profiles(self, seq: int) -> list[int]:
        """Return the profiles that changed after `seq`, themselves, through their organisation or the catalogue."""
        pks, organisations = set[int](), list[int]()
        for kind, pk in changes_since(self.session, seq):
            if kind == PROFILE:
                pks.add(pk)
            elif kind == ORGANISATION:
                organisations.append(pk)
            elif kind == SKILL_TIES:
                declaring = select(ProfileTag.profile_pk).where(ProfileTag.scheme == "skill")
                theirs = or_(Profile.pk.in_(declaring), Profile.programme_pk.in_(declaring))
                pks.update(self.session.scalars(select(Profile.pk).where(theirs)))
        for start in range(0, len(organisations), CHUNK):
            chosen = organisations[start : start + CHUNK]
            pks.update(self.session.scalars(select(Profile.pk).where(Profile.organisation_pk.in_(chosen))))
        return sorted(pks)

    def everything(self, model_key: str, dim: int) -> Iterator[ShelfRows]:
        """Yield for each kind all published profiles that have vectors, in shelf order."""
        kinds = list(self.session.scalars(select(Profile.kind).distinct().order_by(Profile.kind)))
        organisations, programmes = self._organisations(None), self._programmes(None)
        published = and_(Profile.state == "published", Embedding.model_key == model_key)
        for kind in kinds:
            found = self._facets(
                select(*_FACET_COLUMNS)
                .join(Embedding, Embedding.profile_pk == Profile.pk)
                .where(published, Profile.kind == kind),
                organisations,
                programmes,
            )
            keys, rows = [pk for _, pk, _ in found], [row for _, _, row in found]
            order = shelf_order(keys, rows)
            place = {keys[old]: new for new, old in enumerate(order)}
            vectors = np.empty((len(keys), dim), dtype=np.float32)
            stream = self.session.execute(
                select(Embedding.profile_pk, Embedding.vector)
                .join(Profile, Embedding.profile_pk == Profile.pk)
                .where(published, Profile.kind == kind),
                execution_options={"yield_per": 2_000},
            )
            for pk, blob in stream:
                vectors[place[pk]] = np.frombuffer(blob, dtype="<f4")
            yield kind, [keys[old] for old in order], vectors, [rows[old] for old in order]

    def current(self, pks: Sequence[int], model_key: str, dim: int) -> Iterator[tuple[list[int], list[ShelfRows]]]:
        """Yield chunks of `pks` with the rows of those that are published and have vectors now."""
        for start in range(0, len(pks), CHUNK):
            chunk = list(pks[start : start + CHUNK])
            chosen = and_(Profile.state == "published", Embedding.model_key == model_key, Profile.pk.in_(chunk))
            joined = select(*_FACET_COLUMNS).join(Embedding, Embedding.profile_pk == Profile.pk).where(chosen)
            found = self._facets(joined, self._organisations(chunk), self._programmes(chunk))
            vectors_of = self.session.execute(
                select(Embedding.profile_pk, Embedding.vector)
                .join(Profile, Embedding.profile_pk == Profile.pk)
                .where(chosen)
            )
            # Not dict() of the result itself: it has a method `keys` and would be taken for a mapping.
            blobs = {row.profile_pk: row.vector for row in vectors_of}
            shelves: list[ShelfRows] = []
            for kind in sorted({kind for kind, _, _ in found}):
                keys = [pk for own, pk, _ in found if own == kind]
                rows = [row for own, _, row in found if own == kind]
                vectors = np.frombuffer(b"".join(blobs[pk] for pk in keys), dtype="<f4").reshape(-1, dim)
                shelves.append((kind, keys, vectors, rows))
            yield chunk, shelves

    def _facets(
        self,
        statement: Select[Any],
        organisations: Mapping[int, OrganisationFacts],
        programmes: Mapping[int, ProgrammeFacts],
    ) -> list[tuple[str, int, Facets]]:
        """Return (kind, key, facets) of each row; rows that say the same share one object."""
        parse = _Parser()
        known: dict[tuple[Any, ...], tuple[str, Facets]] = {}
        found: list[tuple[str, int, Facets]] = []
        for pk, *values in self.session.connection().execute(statement.order_by(_P.pk)):
            said = tuple(values)
            entry = known.get(said)
            if entry is None:
                row = dict(zip(_FACET_NAMES[1:], values, strict=True))
                for name in _JSON_COLUMNS:
                    row[name] = parse(row[name])
                programme = programmes.get(row["programme_pk"])
                entry = known[said] = (
                    row["kind"],
                    facets(row, organisations[row["organisation_pk"]], programme),
                )
            found.append((entry[0], pk, entry[1]))
        return found

    def _organisations(self, profile_pks: Sequence[int] | None) -> dict[int, OrganisationFacts]:
        statement = select(
            Organisation.pk,
            Organisation.country,
            Organisation.nuts_code,
            Organisation.nace_codes,
            Organisation.nace_revision,
            Organisation.ecosystems,
        )
        if profile_pks is not None:
            owners = select(Profile.organisation_pk).where(Profile.pk.in_(profile_pks))
            statement = statement.where(Organisation.pk.in_(owners))
        rows = list(self.session.execute(statement))
        held = self._labels([row[0] for row in rows])
        return {row[0]: OrganisationFacts(*row, labels=held.get(row[0], ())) for row in rows}

    def _labels(self, organisation_pks: Sequence[int]) -> dict[int, list[tuple[str, date, date]]]:
        held: dict[int, list[tuple[str, date, date]]] = {}
        for start in range(0, len(organisation_pks), CHUNK):
            chosen = organisation_pks[start : start + CHUNK]
            rows = self.session.execute(
                select(Label.organisation_pk, Label.level, Label.assessed_on, Label.valid_until).where(
                    Label.organisation_pk.in_(chosen)
                )
            )
            for pk, level, first, last in rows:
                held.setdefault(pk, []).append((level, first, last))
        return held

    def _programmes(self, trainee_pks: Sequence[int] | None) -> dict[int, ProgrammeFacts]:
        followed = select(Profile.programme_pk).where(Profile.programme_pk.is_not(None))
        if trainee_pks is not None:
            followed = followed.where(Profile.pk.in_(trainee_pks))
        rows = self.session.execute(
            select(Profile.pk, Profile.title, Profile.language, Profile.details, Profile.eqf_level).where(
                Profile.pk.in_(followed)
            )
        )
        return {
            pk: ProgrammeFacts(
                title, language, details.get("learning_outcomes", ()), details.get("skills", ()), eqf_level
            )
            for pk, title, language, details, eqf_level in rows
        }

    def documents(
        self, pks: Sequence[int], model_key: str, *, with_labels: bool, in_any_state: bool = False
    ) -> list[Document]:
        """Return, of `pks`, the published profiles with their vectors, as the database has them now.

        `Document.extra` is what the answer shows of the profile. Labels are read only when a condition needs them.
        """
        if not pks:
            return []
        values = {"pks": orjson.dumps(pks).decode(), "model_key": model_key}
        parse = _Parser()
        statement = _IN_ANY_STATE if in_any_state else _DOCUMENTS
        read = [
            (columns[:_OWN], _as_python(columns[_OWN:], parse))
            for columns in statement.all(connection_of(self.session), values)
        ]
        held = self._labels([row["organisation_pk"] for _, row in read]) if with_labels else {}
        followed = [row["pk"] for _, row in read if row["programme_pk"] is not None]
        programmes = self._programmes(followed) if followed else {}
        found = []
        for own, row in read:
            id_, title, text, vector, spans, passages, owner_id, name, country, nuts, nace, revision, ecosystems = own
            pk = row["organisation_pk"]
            owner = OrganisationFacts(pk, country, nuts, parse(nace), revision, parse(ecosystems), held.get(pk, ()))
            extra = {
                "id": id_,
                "kind": row["kind"],
                "title": title,
                "language": row["language"],
                "organisation": {"id": owner_id, "name": name, "nuts_code": nuts},
            }
            known = facets(row, owner, programmes.get(row["programme_pk"]))
            found.append(Document(row["pk"], text, known, unpack(vector, orjson.loads(spans), passages), extra))
        return found

    def asker(self, profile_pk: int) -> Facets | None:
        """Return the facets of a profile in any state, or None when it is gone."""
        found = self._facets(
            select(*_FACET_COLUMNS).where(Profile.pk == profile_pk),
            self._organisations([profile_pk]),
            self._programmes([profile_pk]),
        )
        return found[0][2] if found else None


_RANK = re.compile("[1-9][0-9]{0,2}")


class SuggestionRepository(Repository):
    """Runs and suggestions as they were kept, and the decisions on them."""

    def run(self, run_id: str) -> tuple[SuggestionRun, list[Suggestion]] | None:
        """Return a run with its suggestions in order of rank, or None."""
        found = self.session.scalars(select(SuggestionRun).where(SuggestionRun.id == run_id)).one_or_none()
        if found is None:
            return None
        statement = select(Suggestion).where(Suggestion.run_pk == found.pk).order_by(Suggestion.rank)
        return found, list(self.session.scalars(statement))

    def suggestion(self, suggestion_id: str) -> tuple[Suggestion, SuggestionRun] | None:
        """Return a suggestion with its run, or None."""
        run_id, _, rank = suggestion_id.rpartition("-")
        if not _RANK.fullmatch(rank):
            return None
        row = self.session.execute(
            select(Suggestion, SuggestionRun)
            .join(SuggestionRun, Suggestion.run_pk == SuggestionRun.pk)
            .where(SuggestionRun.id == run_id, Suggestion.rank == int(rank))
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def named(self, profile_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return by id, of those that are still there, what `SimilarProfile` says of a profile."""
        rows = self.session.execute(
            select(_P.id, _P.title, _O.id, _O.name, _O.nuts_code)
            .join_from(Profile.__table__, Organisation.__table__, _P.organisation_pk == _O.pk)
            .where(_P.id.in_(profile_ids))
        )
        return {
            id_: {"id": id_, "title": title, "organisation": {"id": owner, "name": name, "nuts_code": nuts}}
            for id_, title, owner, name, nuts in rows
        }

    def decision(self, suggestion_id: str) -> Decision | None:
        """Return the decision taken on a suggestion, or None."""
        found: Decision | None = self.session.scalars(
            select(Decision).where(Decision.suggestion_id == suggestion_id)
        ).one_or_none()
        return found

    def decide(self, decision: Decision) -> None:
        """Keep a decision."""
        self.session.add(decision)
        self.session.flush()

    def decisions(self, match_kind: str) -> list[tuple[int | None, int, bool]]:
        """Return (key of who asked or None, key of the suggested profile, accepted) of the latest per pair.

        What a mere text was suggested has nobody who asked, and each of it counts as a pair of its own.
        """
        latest = (
            select(func.max(Decision.pk))
            .where(Decision.match_kind == match_kind)
            .group_by(Decision.asker_pk, Decision.profile_pk, case((Decision.asker_pk.is_(None), Decision.pk)))
        )
        rows = self.session.execute(
            select(Decision.asker_pk, Decision.profile_pk, Decision.decision)
            .where(Decision.pk.in_(latest))
            .order_by(Decision.pk)
        )
        return [(asker, profile, decision == "accepted") for asker, profile, decision in rows]

    def declined(self, match_kind: str, asker_pk: int) -> frozenset[int]:
        """Return the profiles whose latest suggestion to this asker was declined."""
        latest = (
            select(func.max(Decision.pk))
            .where(Decision.match_kind == match_kind, Decision.asker_pk == asker_pk)
            .group_by(Decision.profile_pk)
        )
        statement = select(Decision.profile_pk).where(Decision.pk.in_(latest), Decision.decision == "declined")
        return frozenset(self.session.scalars(statement))
