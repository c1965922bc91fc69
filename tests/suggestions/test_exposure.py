"""Who is in too many lists gives way to what is nearly as good, and the count is a function of what was kept."""

import json
import random
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.changes import PROFILE, Position, last_position, record_changes
from app.main import create_app
from app.matching.embedder import HashEmbedder
from app.matching.fairness import ExposurePolicy, Fairness
from app.matching.kinds import MATCH_KINDS
from app.matching.types import Side
from app.settings import Settings
from app.suggestions import exposure
from app.suggestions.exposure import ExposureCounts
from app.suggestions.run_repository import RunRepository
from tests.conftest import Service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    ids,
    load,
    pitch,
    priority,
    read,
    remove,
    suggest,
    without_ids,
)

ASKERS = 24
KIND = MATCH_KINDS["cluster-region"]


def askers(service: Service, count: int) -> list[str]:
    """Store pitches of one cluster and return their ids."""
    owner = add_organisation(service, "cluster")
    lines = [pitch(owner, ref=f"a{number}", title=f"Electric mobility {number}") for number in range(count)]
    load(service, "pitches.jsonl", "\n".join(map(json.dumps, lines)).encode())
    return [found["id"] for found in read(service, "/profiles", kind="pitch", limit=100)["items"]]


def test_what_everybody_is_shown_gives_way_to_its_equal_and_to_nothing_less(service: Service) -> None:
    first, second = (add_profile(service, priority(add_organisation(service, "region"))) for _ in range(2))
    worse = add_profile(
        service, priority(add_organisation(service, "region"), title="Fish", text="Boats and nets at sea.")
    )
    everybody = askers(service, ASKERS)
    for asker in everybody[:20]:
        answer = suggest(service, "cluster-region", profile_id=asker, limit=1)
        assert (ids(answer), answer["rejected"]) == ([first], {})
    late = everybody[20]
    answers = [suggest(service, "cluster-region", profile_id=late, limit=1) for _ in range(3)]
    assert len({without_ids(answer) for answer in answers}) == len({answer["exposure_seq"] for answer in answers}) == 1
    assert (ids(answers[0]), answers[0]["rejected"]) == ([second], {"exposure": 1})
    assert ids(suggest(service, "cluster-region", profile_id=late)) == [second, first, worse]
    # Their own list does not count against it: nineteen others are too few to say.
    again = suggest(service, "cluster-region", profile_id=everybody[0], limit=1)
    assert ids(again) == [second]
    asked = suggest(service, "cluster-region", text="Electric vehicles and batteries", limit=1)
    assert ids(asked) == [second]
    remove(service, f"/profiles/{second}")
    assert ids(suggest(service, "cluster-region", profile_id=late, limit=1)) == [first]
    with TestClient(create_app(Settings(database=str(service.database.path)), HashEmbedder())) as client:
        body = {"text": "Electric vehicles and batteries", "limit": 1}
        elsewhere = client.post(f"{API}/suggestions/cluster-region", json=body, headers=service.reader).json()
    here = suggest(service, "cluster-region", **body)
    assert elsewhere["exposure_seq"] == here["exposure_seq"] > asked["exposure_seq"]
    assert without_ids(elsewhere) == without_ids(here)


def test_texts_push_nobody_down(service: Service) -> None:
    first, _ = (add_profile(service, priority(add_organisation(service, "region"))) for _ in range(2))
    for number in range(25):
        answer = suggest(service, "cluster-region", text=f"Electric vehicles and batteries {number}", limit=1)
        assert (ids(answer), answer["exposure_seq"]) == ([first], 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_followed_step_by_step_it_says_what_it_says_after_a_restart(
    service: Service, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(exposure, "MAX_ASKERS", 5)
    monkeypatch.setattr(exposure, "HORIZON", 14)
    region = add_organisation(service, "region")
    shown = [add_profile(service, priority(region, ref=f"p{number}")) for number in range(4)]
    askers(service, 8)
    database, chance = service.database, random.Random(seed)  # noqa: S311 - made-up runs, no secret
    with database.read() as session:
        statement = text("SELECT pk FROM profile WHERE kind = :kind")
        pks = {kind: list(session.scalars(statement, {"kind": kind})) for kind in ("pitch", "priority")}
    assert len(pks["priority"]) == len(shown)
    kind = replace(KIND, fair_offers=Fairness(exposure=ExposurePolicy(least_askers=2)))
    followed = ExposureCounts(database)
    counted = set()
    for number in range(120):
        what = chance.random()
        if what < 0.85 or len(pks["pitch"]) < 4:
            asker = chance.choice([*pks["pitch"], None])
            run = {
                "id": f"run-{seed}-{number}",
                "match_kind": KIND.name,
                "side": "seeker",
                "profile_pk": asker,
                "key_id": "k",
                "head": {},
            }
            listed = chance.sample(pks["priority"], chance.randint(0, 3))
            items = [{"rank": rank, "profile_pk": pk, "item": {}} for rank, pk in enumerate(listed, start=1)]
            connection = database.recorder()
            with connection, connection.begin():
                RunRepository(connection).add(run, items)
        elif what < 0.92:
            with database.write() as session:
                session.execute(text("DELETE FROM suggestion_run WHERE pk = (SELECT max(pk) FROM suggestion_run)"))
        else:
            gone = pks["pitch"].pop(chance.randrange(len(pks["pitch"])))
            with database.write() as session:
                session.execute(text("DELETE FROM profile WHERE pk = :pk"), {"pk": gone})
                record_changes(session, PROFILE, [gone])
        with database.read() as session:
            position: Position = last_position(session)
        for asker in (None, *pks["pitch"]):
            mine = followed.seen_by(asker, kind, Side.SEEKER, position)
            assert mine == ExposureCounts(database).seen_by(asker, kind, Side.SEEKER, position)
            counted.add(bool(mine.often_shown))
    assert counted == {True, False}
