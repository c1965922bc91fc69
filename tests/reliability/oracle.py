"""What must be true of a database and of an index over it, worked out without the code that is under test.

Everything here reads plain SQL rows and returns sentences that name what is wrong: an empty list is a pass.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.db.session import Database
from app.matching.facets import COLUMNS
from app.matching.shelf import Shelf
from app.organisations.tables import Label, Organisation
from app.profiles.composition import OrganisationFacts, ProgrammeFacts, content_hash, facets, parts, trainee_text
from app.profiles.tables import Embedding, Profile, ProfileTag
from app.suggestions.projection import Projection

LISTED = 5
"""So many differences are named; a thousand lines say no more."""

Facts = tuple[bytes, tuple[Any, ...]]
"""A vector's bytes and its facets in the order of `COLUMNS`."""

Shelves = dict[str, dict[int, Facts]]
"""By kind and key, what an index must hold."""


class Stored(NamedTuple):
    """All profiles with their organisations, labels, vectors and tags, as SQL has them."""

    profiles: dict[int, Mapping[str, Any]]
    organisations: dict[int, OrganisationFacts]
    vectors: dict[tuple[int, str], tuple[str, bytes]]
    tags: dict[int, set[tuple[str, str]]]


def read_stored(session: Session) -> Stored:
    """Read everything, row by row and without the repositories."""
    labels: dict[int, list[tuple[str, date, date]]] = {}
    for row in session.execute(select(Label.__table__)).mappings():
        labels.setdefault(row["organisation_pk"], []).append((row["level"], row["assessed_on"], row["valid_until"]))
    organisations = {
        row["pk"]: OrganisationFacts(
            row["pk"],
            row["country"],
            row["nuts_code"],
            row["nace_codes"],
            row["nace_revision"],
            row["ecosystems"],
            labels.get(row["pk"], ()),
        )
        for row in session.execute(select(Organisation.__table__)).mappings()
    }
    tags: dict[int, set[tuple[str, str]]] = {}
    for pk, scheme, code in session.execute(select(ProfileTag.profile_pk, ProfileTag.scheme, ProfileTag.code)):
        tags.setdefault(pk, set()).add((scheme, code))
    embedded = select(Embedding.profile_pk, Embedding.model_key, Embedding.content_hash, Embedding.vector)
    return Stored(
        {row["pk"]: row for row in session.execute(select(Profile.__table__)).mappings()},
        organisations,
        {(pk, model): (content, vector) for pk, model, content, vector in session.execute(embedded)},
        tags,
    )


def damage(session: Session, model_key: str, stored: Stored | None = None) -> list[str]:
    """Return what is broken in the file, dangling, or half written; `stored` spares reading it again."""
    found = [f"integrity_check: {line}" for (line,) in session.execute(text("PRAGMA integrity_check")) if line != "ok"]
    found += [f"foreign_key_check: {tuple(row)}" for row in session.execute(text("PRAGMA foreign_key_check"))]
    stored = stored or read_stored(session)
    changed = set(session.scalars(text("SELECT entity_pk FROM index_change WHERE entity_kind = 'profile'")))
    for pk, row in stored.profiles.items():
        if stored.tags.get(pk, set()) != _tags(row):
            found.append(f"profile {pk}: its codes are not those of its row")
        content = parts(row["kind"], row["title"], row["text"], row["details"])
        embedding = stored.vectors.get((pk, model_key))
        if content.empty != (embedding is None):
            found.append(f"profile {pk}: vectors {'without' if embedding else 'are missing for'} content")
        elif embedding is not None and embedding[0] != content_hash(content):
            found.append(f"profile {pk}: its vectors are those of another text")
        if row["kind"] == "trainee" and row["text"] != trainee_text(
            _programme(stored, row), row["details"].get("skills", ())
        ):
            found.append(f"profile {pk}: its text is not that of its programme and skills")
        if pk not in changed:
            found.append(f"profile {pk}: no change was noted for the index")
    return _some(found)


def _tags(row: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the codes that a profile's row asks for."""
    named = {
        "ecosystem": row["ecosystems"],
        "nace": row["nace_codes"],
        "language": [*row["languages"], row["language"]],
        "skill": row["details"].get("skills", ()),
    }
    return {(scheme, code) for scheme, codes in named.items() for code in codes if code}


def expected_shelves(stored: Stored, model_key: str) -> Shelves:
    """Return by kind what the index must hold: the published profiles that have vectors."""
    shelves: Shelves = {}
    for pk, row in stored.profiles.items():
        embedding = stored.vectors.get((pk, model_key))
        if row["state"] == "published" and embedding is not None:
            own = facets(row, stored.organisations[row["organisation_pk"]], _programme(stored, row))
            shelves.setdefault(row["kind"], {})[pk] = (embedding[1], tuple(own.get(name) for name in COLUMNS))
    return shelves


def _programme(stored: Stored, row: Mapping[str, Any]) -> ProgrammeFacts | None:
    offer = stored.profiles.get(row["programme_pk"])
    if offer is None:
        return None
    details = offer["details"]
    outcomes, skills = details.get("learning_outcomes", ()), details.get("skills", ())
    return ProgrammeFacts(offer["title"], offer["language"], outcomes, skills, offer["eqf_level"])


def shelf_contents(shelf: Shelf) -> Iterator[tuple[int, Facts]]:
    """Yield (key, facts) of each row that is alive, in the order of the rows; a key may come twice."""
    index: Any = shelf._index
    vectors = index._index.reconstruct_n(0, len(index)) if len(index) else np.empty((0, index.dim), np.float32)
    columns = [shelf.table.column(name) for name in COLUMNS]
    for row in shelf.rows():
        own = tuple(column.values[column._codes[row]] for column in columns)
        yield int(shelf.table.pks[row]), (vectors[row].astype("<f4").tobytes(), own)


def divergence(projection: Projection, wanted: Shelves) -> list[str]:
    """Return how an index that has caught up differs from the database: keys, vectors (bitwise) and facets."""
    found: list[str] = []
    for kind in sorted({*wanted, *projection._shelves}):
        shelf, rows = projection._shelves.get(kind), wanted.get(kind, {})
        held = list(shelf_contents(shelf)) if shelf is not None else []
        known = dict(held)
        if shelf is not None and not len(shelf._index) == len(shelf.table) == len(shelf._alive):
            found.append(f"{kind}: vectors and facets are out of step")
        if len(known) != len(held):
            found.append(f"{kind}: {len(held) - len(known)} keys stand twice")
        if known.keys() != projection.keys(kind) or (shelf is not None and known.keys() != shelf._row_of.keys()):
            found.append(f"{kind}: the shelf does not know its own keys")
        found += [f"{kind} {pk}: is not in the index" for pk in sorted(rows.keys() - known.keys())]
        found += [f"{kind} {pk}: is in the index and should not" for pk in sorted(known.keys() - rows.keys())]
        for pk in sorted(pk for pk, facts in known.items() if pk in rows and rows[pk] != facts):
            if rows[pk][0] != known[pk][0]:
                found.append(f"{kind} {pk}: another vector")
            wrong = [name for name, a, b in zip(COLUMNS, rows[pk][1], known[pk][1], strict=True) if a != b]
            if wrong:
                found.append(f"{kind} {pk}: other facets: {', '.join(wrong)}")
    return _some(found)


def check_index(projection: Projection, database: Database, model_key: str) -> list[str]:
    """Let the index catch up and return how it differs; nobody may write meanwhile."""
    projection.catch_up()
    with database.read() as session:
        return divergence(projection, expected_shelves(read_stored(session), model_key))


def _some(found: list[str]) -> list[str]:
    return found if len(found) <= LISTED else [*found[:LISTED], f"and {len(found) - LISTED} more"]


def same_json(first: Any, second: Any) -> bool:
    """Return whether two JSON values are the same, byte for byte once written in one order."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
