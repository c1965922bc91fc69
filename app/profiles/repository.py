"""The only place that reads and writes the profiles' tables."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import CompoundSelect, Select, delete, func, literal, or_, select, text, union, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app.db.base import now
from app.db.changes import PROFILE, record_changes
from app.db.pages import keyset_page
from app.db.prepared import insert_into
from app.db.repository import Repository
from app.db.session import connection_of
from app.errors import Conflict, PreconditionFailed
from app.matching.kinds import ProfileKind
from app.matching.types import Passages
from app.organisations.tables import Organisation
from app.profiles.tables import Embedding, Profile, ProfileTag
from app.taxonomy.tables import SkillTie

CHUNK = 500
"""Bound variables per statement stay below SQLite's limit."""


_COLUMNS = tuple(column.name for column in Profile.__table__.columns)
_ADD = insert_into(Profile, *_COLUMNS)
_ADD_CODE = insert_into(ProfileTag, "profile_pk", "scheme", "code")
_ADD_VECTORS = insert_into(Embedding, "profile_pk", "model_key", "content_hash", "vector", "spans", "passages")


_LAST_KEY = text("SELECT seq FROM sqlite_sequence WHERE name = 'profile'")
"""The last key ever given: one that is free again after a deletion is not given twice."""


class ProfileFilter(NamedTuple):
    """What a list may be narrowed by; None means no condition."""

    kind: str | None = None
    state: str | None = None
    organisation: str | None = None
    country: str | None = None
    nuts: str | None = None
    ecosystem: str | None = None
    nace: str | None = None
    language: str | None = None
    skill: str | None = None
    eqf_level: int | None = None
    eligible_on: date | None = None


class Owner(NamedTuple):
    """The organisation that a profile belongs to."""

    pk: int
    id: str
    kind: str


class Unembedded(NamedTuple):
    """A profile without vectors, and what they are made of."""

    pk: int
    version: int
    kind: str
    title: str
    text: str | None
    details: dict[str, Any]


def pack(passages: Passages) -> dict[str, Any]:
    """Return the columns of `Embedding` that hold these passages."""
    return {
        "vector": passages.vector.astype("<f4").tobytes(),
        "spans": [list(span) if span else None for span in passages.spans],
        "passages": passages.vectors.astype("<f2").tobytes() if len(passages.spans) > 1 else b"",
    }


def unpack(vector: bytes, spans: Sequence[Sequence[int] | None], blob: bytes) -> Passages:
    """Return the passages that `pack` wrote."""
    places = tuple([(span[0], span[1]) if span else None for span in spans])
    whole = np.frombuffer(vector, dtype="<f4")
    if not blob:
        return Passages(places, whole[np.newaxis], whole)
    return Passages(places, np.frombuffer(blob, dtype="<f2").astype(np.float32).reshape(len(spans), -1), whole)


class ProfileRepository(Repository):
    """Profiles with their vectors and codes."""

    def get(self, id_: str) -> Profile | None:
        """Return the profile with that id, with its organisation and programme."""
        found: Profile | None = self.session.scalars(_whole(select(Profile)).where(Profile.id == id_)).one_or_none()
        return found

    def by_pks(self, pks: Sequence[int]) -> dict[int, Profile]:
        """Return the profiles with those keys."""
        rows: list[Profile] = []
        for start in range(0, len(pks), CHUNK):
            chosen = pks[start : start + CHUNK]
            rows += self.session.scalars(_whole(select(Profile)).where(Profile.pk.in_(chosen)))
        return {row.pk: row for row in rows}

    def page(self, where: ProfileFilter, *, limit: int, cursor: str | None) -> tuple[list[Profile], str | None]:
        """Return one page in order of creation, and the next cursor."""
        statement = _whole(select(Profile)).join(Organisation, Profile.organisation_pk == Organisation.pk)
        place = func.coalesce(Profile.nuts_code, Organisation.nuts_code, Organisation.country)
        conditions = [
            (where.kind, Profile.kind == where.kind),
            (where.state, Profile.state == where.state),
            (
                where.organisation,
                or_(Organisation.id == where.organisation, Organisation.ref == where.organisation),
            ),
            (where.country, place.startswith(where.country or "", autoescape=True)),
            (where.nuts, place.startswith(where.nuts or "", autoescape=True)),
            (where.eqf_level, Profile.eqf_level == where.eqf_level),
        ]
        statement = statement.where(*(condition for value, condition in conditions if value is not None))
        for scheme in ("ecosystem", "nace", "language", "skill"):
            code = getattr(where, scheme)
            if code is not None:
                codes = _same_skill(code) if scheme == "skill" else select(literal(code))
                tagged = select(ProfileTag.profile_pk).where(ProfileTag.scheme == scheme, ProfileTag.code.in_(codes))
                statement = statement.where(Profile.pk.in_(tagged))
        if where.eligible_on is not None:
            day = where.eligible_on
            statement = statement.where(
                Profile.state == "published",
                or_(Profile.valid_from.is_(None), Profile.valid_from <= day),
                or_(Profile.valid_until.is_(None), Profile.valid_until >= day),
            )
        return keyset_page(self.session, statement.order_by(Profile.pk), limit=limit, cursor=cursor)

    def owners(self, ids_or_refs: Sequence[str]) -> dict[str, Owner]:
        """Return the organisations with those ids or refs; unknown ones are absent."""
        wanted = list(dict.fromkeys(ids_or_refs))
        known: dict[str, Owner] = {}
        for start in range(0, len(wanted), CHUNK):
            chosen = wanted[start : start + CHUNK]
            for column in (Organisation.ref, Organisation.id):
                rows = self.session.execute(
                    select(column, Organisation.pk, Organisation.id, Organisation.kind).where(column.in_(chosen))
                )
                known.update({name: Owner(pk, id_, kind) for name, pk, id_, kind in rows if name})
        return known

    def existing(self, kind: str, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Profile]:
        """Return the profiles of `kind` with those (organisation pk, ref)."""
        wanted = set(keys)
        refs = list(dict.fromkeys(ref for _, ref in keys))
        found: dict[tuple[int, str], Profile] = {}
        for start in range(0, len(refs), CHUNK):
            rows = self.session.scalars(
                _whole(select(Profile)).where(Profile.kind == kind, Profile.ref.in_(refs[start : start + CHUNK]))
            )
            found.update(
                {
                    (row.organisation_pk, row.ref): row
                    for row in rows
                    if row.ref is not None and (row.organisation_pk, row.ref) in wanted
                }
            )
        return found

    def programmes(self, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Profile]:
        """Return the training offers with those (organisation pk, id or ref)."""
        wanted = set(keys)
        names = list(dict.fromkeys(name for _, name in keys))
        rows = self.session.scalars(
            _whole(select(Profile)).where(
                Profile.kind == ProfileKind.TRAINING_OFFER, or_(Profile.ref.in_(names), Profile.id.in_(names))
            )
        )
        found = {}
        for row in rows:
            for name in (row.ref, row.id):
                if name is not None and (row.organisation_pk, name) in wanted:
                    found[row.organisation_pk, name] = row
        return found

    def trainees_of(self, programme_pk: int) -> list[Profile]:
        """Return the trainees of a training offer."""
        statement = _whole(select(Profile)).where(Profile.programme_pk == programme_pk).order_by(Profile.pk)
        return list(self.session.scalars(statement))

    def versions(self, pks: Sequence[int]) -> dict[int, int]:
        """Return the version of each of those profiles; what is gone is absent."""
        found: dict[int, int] = {}
        for start in range(0, len(pks), CHUNK):
            chosen = Profile.pk.in_(pks[start : start + CHUNK])
            rows = self.session.execute(select(Profile.pk, Profile.version).where(chosen))
            found.update((pk, version) for pk, version in rows)
        return found

    def followers(self, pks: Sequence[int]) -> dict[int, set[int]]:
        """Return the keys of the trainees of each of those training offers; one without any is absent."""
        found: dict[int, set[int]] = {}
        for start in range(0, len(pks), CHUNK):
            chosen = Profile.programme_pk.in_(pks[start : start + CHUNK])
            for programme, pk in self.session.execute(select(Profile.programme_pk, Profile.pk).where(chosen)):
                found.setdefault(int(programme or 0), set()).add(pk)
        return found

    def hashes(self, pks: Sequence[int], model_key: str) -> dict[int, str]:
        """Return the content hash under which each profile was embedded with that model."""
        found: dict[int, str] = {}
        for start in range(0, len(pks), CHUNK):
            rows = self.session.execute(
                select(Embedding.profile_pk, Embedding.content_hash).where(
                    Embedding.profile_pk.in_(pks[start : start + CHUNK]), Embedding.model_key == model_key
                )
            )
            found.update((pk, content) for pk, content in rows)
        return found

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Insert profiles and return their keys in order; raises `Conflict` when a ref is taken.

        The transaction is the only writer, so the next keys are ours to give.
        """
        if not rows:
            return []
        connection = connection_of(self.session)
        last = connection.execute(_LAST_KEY).scalar() or 0
        moment = now()
        numbered = [
            {**row, "pk": pk, "created_at": moment, "updated_at": moment} for pk, row in enumerate(rows, start=last + 1)
        ]
        try:
            with self.session.begin_nested():
                _ADD.insert_all(connection, numbered)
        except IntegrityError as error:
            raise Conflict("a ref is already taken, or an organisation or programme is gone") from error
        return [row["pk"] for row in numbered]

    def update(self, pk: int, version: int, values: Mapping[str, Any]) -> None:
        """Write `values` over that version of a profile; raises `PreconditionFailed` when it changed meanwhile."""
        try:
            with self.session.begin_nested():
                written = self.session.execute(
                    update(Profile)
                    .where(Profile.pk == pk, Profile.version == version)
                    .values(**values, version=version + 1)
                    .execution_options(synchronize_session=False)
                )
        except IntegrityError as error:
            raise Conflict("a ref is already taken, or an organisation or programme is gone") from error
        if written.rowcount != 1:  # type: ignore[attr-defined]
            raise PreconditionFailed

    def write_codes(self, codes: Mapping[int, Sequence[tuple[str, str]]], *, new: bool) -> None:
        """Write the (scheme, code) rows of each profile, over what it had."""
        if not new:
            self.session.execute(delete(ProfileTag).where(ProfileTag.profile_pk.in_(list(codes))))
        rows = [{"profile_pk": pk, "scheme": scheme, "code": code} for pk, own in codes.items() for scheme, code in own]
        _ADD_CODE.insert_all(connection_of(self.session), rows)

    def write_vectors(self, model_key: str, vectors: Mapping[int, tuple[str, Passages] | None], *, new: bool) -> None:
        """Write each profile's vectors under that model, over what it had; None means it has nothing to compare."""
        if not new:
            self.session.execute(
                delete(Embedding).where(Embedding.profile_pk.in_(list(vectors)), Embedding.model_key == model_key)
            )
        rows = [
            {"profile_pk": pk, "model_key": model_key, "content_hash": entry[0], **pack(entry[1])}
            for pk, entry in vectors.items()
            if entry is not None
        ]
        _ADD_VECTORS.insert_all(connection_of(self.session), rows)

    def note_changes(self, pks: Sequence[int]) -> None:
        """Note the changes for the index."""
        record_changes(self.session, PROFILE, pks)

    def delete(self, pk: int, version: int) -> None:
        """Delete that version of a profile and all that belongs to it.

        Raises `Conflict` while trainees follow the programme, `PreconditionFailed` when it changed meanwhile.
        """
        try:
            with self.session.begin_nested():
                gone = self.session.execute(delete(Profile).where(Profile.pk == pk, Profile.version == version))
        except IntegrityError as error:
            raise Conflict("trainees follow this programme: delete or move them first") from error
        if gone.rowcount != 1:  # type: ignore[attr-defined]
            raise PreconditionFailed
        self.note_changes([pk])

    def passages(self, pk: int, model_key: str) -> Passages | None:
        """Return a profile's passages under that model, or None when it has none."""
        row = self.session.execute(
            select(Embedding.vector, Embedding.spans, Embedding.passages).where(
                Embedding.profile_pk == pk, Embedding.model_key == model_key
            )
        ).one_or_none()
        return None if row is None else unpack(*row)

    def unembedded(self, model_key: str, last: int, limit: int) -> list[Unembedded]:
        """Return the first profiles beyond the key `last` that have no vectors under that model, in order of key."""
        done = select(Embedding.profile_pk).where(Embedding.model_key == model_key, Embedding.profile_pk == Profile.pk)
        rows = self.session.execute(
            select(Profile.pk, Profile.version, Profile.kind, Profile.title, Profile.text, Profile.details)
            .where(Profile.pk > last, ~done.exists())
            .order_by(Profile.pk)
            .limit(limit)
        )
        return [Unembedded(*row) for row in rows]


def _same_skill(code: str) -> CompoundSelect[Any]:
    """Return the codes under which a skill may be declared: its own, and those of the skills that it is tied to."""
    concept = select(SkillTie.uri).where(SkillTie.starter == code)
    starters = select(SkillTie.starter).where(or_(SkillTie.uri == code, SkillTie.uri.in_(concept)))
    return union(select(literal(code)), concept, starters)


def _whole(statement: Select[Any]) -> Select[Any]:
    return statement.options(joinedload(Profile.organisation), joinedload(Profile.programme))
