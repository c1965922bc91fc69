"""SQL decides, the index proposes: what it shows follows the database at once and never goes beyond it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.main import create_app
from app.matching import shelf
from app.matching.embedder import Embedder, HashEmbedder
from app.settings import Settings
from app.suggestions.projection import Projection
from tests.conftest import Service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    change,
    ids,
    need,
    offer,
    post,
    priority,
    remove,
    suggest,
    trainee,
)

CARS = "Electric vehicles and batteries"


@pytest.fixture
def house(service: Service) -> Service:
    """One organisation of each kind."""
    for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref)
    return service


def projection(service: Service) -> Projection:
    """Return the application's own index."""
    found: Projection = service.client.app.state.projection  # type: ignore[attr-defined]
    return found


def keys(service: Service) -> dict[str, set[int]]:
    """Return what stands on every shelf of the application's index."""
    own = projection(service)
    own.catch_up()
    return {kind: own.keys(kind) for kind in own.sizes()}


def behind_its_back(service: Service, statement: str, **values: Any) -> None:
    """Write to the database without telling the index, as a damaged index or a restored file would look."""
    with service.database.write() as session:
        session.execute(text(statement), values)


def again(service: Service) -> Projection:
    """Return an index made anew from the database."""
    made = Projection(service.database, "hash@1/384", 384)
    made.catch_up()
    return made


def test_a_late_index_costs_nothing_but_a_deeper_search(house: Service) -> None:
    best = [add_profile(house, priority("r", title=CARS, text=CARS)) for _ in range(3)]
    other = add_profile(house, priority("r", title="Fish", text="Boats and nets."))
    assert ids(suggest(house, "cluster-region", text=CARS, limit=1)) == best[:1]
    for gone in best:
        behind_its_back(house, "UPDATE profile SET state = 'withdrawn' WHERE id = :id", id=gone)
    assert len(projection(house).keys("priority")) == 4
    answer = suggest(house, "cluster-region", text=CARS, limit=1)
    assert (ids(answer), answer["status"]) == ([other], "ok")
    behind_its_back(house, "DELETE FROM profile WHERE id = :id", id=other)
    assert suggest(house, "cluster-region", text=CARS, limit=1)["status"] == "no_match"


def test_rules_and_scores_are_judged_by_what_the_database_says_now(house: Service) -> None:
    moved = add_profile(house, priority("r", nuts_code="ES61"))
    stayed = add_profile(house, priority(add_organisation(house, "region"), nuts_code="ES30"))
    assert set(ids(suggest(house, "cluster-region", text=CARS))) == {moved, stayed}
    behind_its_back(house, "UPDATE profile SET nuts_code = 'PT11' WHERE id = :id", id=moved)
    answer = suggest(house, "cluster-region", text=CARS, filters={"countries": ["ES"]})
    assert ids(answer) == [stayed]
    assert answer["rejected"] == {"countries": 1}
    behind_its_back(
        house,
        "UPDATE embedding SET vector = (SELECT vector FROM embedding WHERE profile_pk = :b) WHERE profile_pk = :a",
        a=1,
        b=2,
    )
    behind_its_back(house, "UPDATE profile SET title = 'Renamed', text = 'New words.' WHERE id = :id", id=stayed)
    (item,) = suggest(house, "cluster-region", text=CARS, filters={"countries": ["ES"]})["items"]
    assert item["profile"]["title"] == "Renamed"
    assert "New words."[item["evidence"][0]["offer"]["start"] :] == item["evidence"][0]["offer"]["text"]


def test_vectors_of_another_encoder_never_meet_ours(house: Service) -> None:
    ours, theirs = (add_profile(house, priority(owner)) for owner in ("r", add_organisation(house, "region")))
    with house.database.write() as session:
        pk = session.execute(text("SELECT pk FROM profile WHERE id = :id"), {"id": theirs}).scalar_one()
        session.execute(text("UPDATE embedding SET model_key = 'other@1/384' WHERE profile_pk = :pk"), {"pk": pk})
    assert again(house).sizes() == {"priority": 1}
    assert ids(suggest(house, "cluster-region", text=CARS)) == [ours]
    assert suggest(house, "cluster-region", profile_id=theirs)["status"] == "insufficient_data"
    change(house, f"/profiles/{theirs}", {"source_url": "https://x.example"})
    assert set(ids(suggest(house, "cluster-region", text=CARS))) == {ours, theirs}


def test_a_trainee_follows_its_programme(house: Service) -> None:
    programme = add_profile(house, offer("s", ref="p", learning_outcomes=["Cooking"], skills=[], eqf_level=3))
    person = add_profile(house, trainee("s", "DAW-1", programme="p", languages=["en"]))
    asker = add_profile(house, need("c", eqf_level=5, skills=["puente:web-development"]))
    assert suggest(house, "company-trainee", profile_id=asker)["rejected"] == {"level_reached": 1}
    change(house, f"/profiles/{programme}", {"eqf_level": 5, "skills": ["puente:web-development"]})
    (item,) = suggest(house, "company-trainee", profile_id=asker)["items"]
    assert item["profile"]["id"] == person
    assert next(p["value"] for p in item["contributions"] if p["feature"] == "skill_coverage") == 1


def test_every_write_is_followed(house: Service) -> None:
    made = [add_profile(house, priority("r")) for _ in range(4)]
    remove(house, f"/profiles/{made[0]}")
    change(house, f"/profiles/{made[1]}", {"state": "draft"})
    change(house, f"/profiles/{made[2]}", {"text": "Something else entirely."})
    change(house, f"/profiles/{made[1]}", {"state": "published"})
    add_profile(house, trainee("s", "NOBODY-1"))
    assert keys(house) == {kind: again(house).keys(kind) for kind in ("priority",)} == {"priority": {2, 3, 4}}


def test_a_shelf_that_became_untidy_is_laid_out_anew(house: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "UNTIDY_LEAST", 3)
    owners = [add_organisation(house, "region") for _ in range(4)]
    made = [add_profile(house, priority(owner)) for owner in owners]
    for round_ in range(4):
        for profile in made:
            change(house, f"/profiles/{profile}", {"text": f"Round {round_} of {profile}."})
            assert set(ids(suggest(house, "cluster-region", text=CARS))) == set(made)
    own = projection(house)._shelf("priority")
    assert len(own) == 4
    assert len(own.table) <= 4 + 4


@pytest.fixture
def second(service: Service, hash_embedder: Embedder) -> Iterator[Service]:
    """Another worker on the same database."""
    app = create_app(Settings(database=str(service.database.path)), hash_embedder)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Service(client, service.writer, service.reader, service.database)


def test_another_worker_shows_at_once_what_this_one_wrote(house: Service, second: Service) -> None:
    for number in range(10):
        made = add_profile(house if number % 2 else second, priority("r", title=f"{number}", text=f"Hydrogen {number}"))
        for worker in (house, second):
            assert made in ids(suggest(worker, "cluster-region", text=f"Hydrogen {number}", limit=100))
        change(second, f"/profiles/{made}", {"state": "withdrawn"})
        assert ids(suggest(house, "cluster-region", text=f"Hydrogen {number}", limit=100)) == []
    run = suggest(house, "cluster-region", text=CARS)
    assert second.client.get(f"{API}/suggestions/runs/{run['run_id']}", headers=second.reader).json() == run


def test_a_restart_knows_everything(house: Service) -> None:
    made = add_profile(house, priority("r"))
    app = create_app(Settings(database=str(house.database.path)), HashEmbedder())
    with TestClient(app) as client:
        answer = client.post(f"{API}/suggestions/cluster-region", json={"text": CARS}, headers=house.reader)
        assert ids(answer.json()) == [made]


def test_readers_and_writers_do_not_hurt_each_other(house: Service) -> None:
    first = add_profile(house, priority("r"))

    def work(number: int) -> set[int]:
        seen = set()
        for turn in range(6):
            if number % 2:
                answer = suggest(house, "cluster-region", text=CARS, limit=100)
                assert first in ids(answer)
            else:
                owner = add_organisation(house, "region")
                body = priority(owner, title=f"{number} {turn}", text=f"Work {number} {turn}")
                made = post(house, "/profiles", body)["id"]
                assert made in ids(suggest(house, "cluster-region", text=f"Work {number} {turn}", limit=100))
            seen.add(turn)
        return seen

    with ThreadPoolExecutor(6) as pool:
        assert all(len(done) == 6 for done in pool.map(work, range(6)))
    assert keys(house) == {"priority": again(house).keys("priority")}
    assert len(keys(house)["priority"]) == 19
