"""On the demonstration territory, with the real encoder: any pair has one first reason, and quotes carry the score."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.cli import TERRITORY, TERRITORY_FILES, _import
from app.db.session import Database
from app.matching.documents import embed_parts
from app.matching.embedder import Embedder
from app.matching.engine import explain
from app.matching.kinds import MATCH_KINDS, MatchKind
from app.matching.types import Document, Query, Side
from app.profiles.composition import parts
from app.profiles.repository import ProfileRepository
from app.profiles.tables import Profile
from app.settings import Settings
from tests.conftest import Service, make_service
from tests.fixtures.builders import all_pages, change, read, suggest

PAIRS = 500
LIMIT = 100
KINDS = sorted(MATCH_KINDS)
LANGUAGES = ("en", "es", "pt")


@pytest.fixture(scope="module")
def territory(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, real_embedder: Embedder
) -> Iterator[Service]:
    """The application on the demonstration territory."""
    path = Path(shutil.copy(migrated_file, tmp_path_factory.mktemp("territory") / "puente.db"))
    database = Database(str(path))
    for name in TERRITORY_FILES:
        result = _import(Settings(database=str(path)), database, real_embedder, TERRITORY / f"{name}.jsonl", None)
        assert result["failed"] == 0
    database.close()
    yield from make_service(path, real_embedder)


@pytest.fixture(scope="module")
def profiles(territory: Service) -> dict[str, list[dict[str, Any]]]:
    """All profiles as the API shows them, by kind, in whatever state."""
    wanted = sorted({kind.profile_kind(side) for kind in MATCH_KINDS.values() for side in Side})
    return {kind: all_pages(territory, "/profiles", kind=kind, limit=100) for kind in wanted}


def test_each_of_500_random_pairs_has_exactly_one_first_reason(
    territory: Service, profiles: dict[str, list[dict[str, Any]]]
) -> None:
    rng = random.Random(3)  # noqa: S311 - the same pairs each time
    answers: dict[tuple[str, str, str], dict[str, Any] | None] = {}
    seen: Counter[str] = Counter()
    for number in range(PAIRS):
        kind = MATCH_KINDS[KINDS[number % len(KINDS)]]
        side = Side.OFFER if number % 5 == 0 else Side.SEEKER
        seeker, offer = (rng.choice(profiles[kind.profile_kind(own)]) for own in Side)
        mine, theirs = (seeker, offer) if side is Side.SEEKER else (offer, seeker)
        query = {"seeker": seeker["id"], "offer": offer["id"], "from": side.value}
        found = read(territory, f"/suggestions/{kind.name}/why", **query, answer_language=LANGUAGES[number % 3])
        reason = found["first_reason"]
        assert reason["words"]
        key = (kind.name, side.value, mine["id"])
        if key not in answers:
            late = mine["state"] in ("expired", "withdrawn")
            question = {"profile_id": mine["id"], "from_": side.value, "limit": LIMIT}
            answers[key] = None if late else suggest(territory, kind.name, **question)
        answer = answers[key]
        seen[reason.get("label", "rank")] += 1
        ranks = {item["profile"]["id"]: item["rank"] for item in answer["items"]} if answer else {}
        if reason["kind"] == "rule":
            assert theirs["id"] not in ranks
            continue
        assert reason["kind"] == "rank"
        assert answer is not None
        assert 1 <= reason["rank"] <= reason["of"]
        assert ranks.get(theirs["id"]) == (reason["rank"] if reason["rank"] <= LIMIT else None)
        assert len(answer["items"]) == min(LIMIT, reason["of"])
        item = answer["items"][reason["rank"] - 1]
        assert found["item"]["score"] == item["score"]
        assert found["item"]["evidence"] == item["evidence"]
    assert seen["rank"] > 100
    assert len(seen) > 4
    assert sum(seen.values()) == PAIRS


def documents(database: Database, embedder: Embedder, kind: str) -> list[tuple[Profile, Document]]:
    """Return the published profiles of a kind that have vectors, as the engine sees them, without facets."""
    with database.read() as session:
        repository, found = ProfileRepository(session), []
        rows = session.scalars(select(Profile).where(Profile.kind == kind, Profile.state == "published")).all()
        for profile in rows:
            passages = repository.passages(profile.pk, embedder.model_key)
            if passages is not None:
                found.append((profile, Document(profile.pk, profile.text, {}, passages)))
        session.expunge_all()
        return found


def similarity(kind: MatchKind, query: Query, document: Document) -> float:
    """Return what meaning adds to the score."""
    return explain(kind, query, document).contributions[0].contribution


@pytest.mark.parametrize("name", KINDS)
def test_without_the_sentence_quoted_first_meaning_adds_less(
    territory: Service, real_embedder: Embedder, name: str
) -> None:
    kind, rng = MATCH_KINDS[name], random.Random(5)  # noqa: S311 - the same pairs each time
    seekers, offers = (documents(territory.database, real_embedder, kind.profile_kind(side)) for side in Side)
    checked = 0
    for _ in range(250):
        (_, asker), (profile, document) = rng.choice(seekers), rng.choice(offers)
        query = Query(Side.SEEKER, asker.text, asker.passages, {}, date(2026, 11, 23))
        pairs = explain(kind, query, document).evidence
        if not pairs:
            continue
        for pair in pairs:
            assert str(asker.text)[pair.seeker.start : pair.seeker.end] == pair.seeker.text
            assert str(document.text)[pair.offer.start : pair.offer.end] == pair.offer.text
        quote = pairs[0].offer
        rest = str(document.text)[: quote.start] + str(document.text)[quote.end :]
        if not any(character.isalnum() for character in rest):
            continue
        content = parts(profile.kind, profile.title, profile.text, profile.details)
        less = document._replace(text=rest, passages=embed_parts(real_embedder, [replace(content, text=rest)])[0])
        assert similarity(kind, query, less) < similarity(kind, query, document), (profile.ref, quote)
        checked += 1
    # Priorities of the territory are one sentence each: without it nothing is left.
    assert checked >= (0 if name == "cluster-region" else 50)


def test_the_same_over_http(territory: Service, profiles: dict[str, list[dict[str, Any]]]) -> None:
    asker = next(p for p in profiles["priority"] if p["state"] == "published")
    item = suggest(territory, "cluster-region", profile_id=asker["id"], from_="offer")["items"][0]
    seeker, quote = item["profile"]["id"], item["evidence"][0]["seeker"]
    text = read(territory, f"/profiles/{seeker}")["text"]
    assert text[quote["start"] : quote["end"]] == quote["text"] != text
    change(territory, f"/profiles/{seeker}", {"text": text[: quote["start"]] + text[quote["end"] :]})
    query = {"seeker": seeker, "offer": asker["id"], "from": "offer"}
    assert read(territory, "/suggestions/cluster-region/why", **query)["item"]["score"] < item["score"]
    change(territory, f"/profiles/{seeker}", {"text": text})
    assert read(territory, "/suggestions/cluster-region/why", **query)["item"]["score"] == item["score"]
