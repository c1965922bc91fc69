"""Skills of the starter list that are the same as one of the imported catalogue, over HTTP."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select

from app.matching.embedder import Embedder, HashEmbedder
from app.suggestions.projection import Projection
from app.taxonomy.tables import CatalogueSkill, SkillTie
from tests.conftest import Service, make_service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    change,
    need,
    offer,
    read,
    suggest,
    trainee,
    without_ids,
)
from tests.fixtures.esco import ENGLISH, SPANISH, URI, Rows, import_folder, write_folder

WEB, CNC, VINES, FULL = (
    "puente:web-development", "puente:cnc-machining", "puente:viticulture", "puente:full-stack-development",
)  # fmt: skip
MORE: Rows = [
    *ENGLISH,
    ("webdev", "Web development (ICT)", ("full-stack web development",), "Build what browsers show."),
    ("vines", "viticulture", ("grape growing",), "Grow grapes."),
]
ASKING = "We look for web development. They prune vines, too."


@pytest.fixture
def house(service: Service) -> Service:
    """A company and a school, without ESCO."""
    for kind, ref in (("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref, nuts_code="ES61")
    return service


def bring_esco(service: Service, folder: Path, version: str = "1.2.0", **languages: Rows) -> None:
    rows = languages or {"en": MORE, "es": SPANISH}
    import_folder(service.database, HashEmbedder(), write_folder(folder, **rows), version)


def ties(service: Service) -> dict[str, str]:
    with service.database.read() as session:
        return {tie.starter: tie.uri.removeprefix(URI) for tie in session.scalars(select(SkillTie))}


def known_by_the_index(service: Service, skill: str) -> int:
    """Return how many trainees have that skill on the application's own shelf, once it caught up."""
    projection: Projection = service.client.app.state.projection  # type: ignore[attr-defined]
    projection.catch_up()
    shelf = projection._shelf("trainee")
    has = shelf.table.column("skills").apply(lambda own: bool(own and skill in own), shelf.rows(), np.bool_)
    return int(has.sum())


def item_of(answer: dict[str, Any], profile: str) -> dict[str, Any]:
    return next(dict(item) for item in answer["items"] if item["profile"]["id"] == profile)


def uris(item: dict[str, Any], which: str) -> list[str]:
    return [skill["uri"].removeprefix(URI) for skill in item["skills"][which]]


def coverage(item: dict[str, Any]) -> float:
    return float({part["feature"]: part["value"] for part in item["contributions"]}["skill_coverage"])


def test_a_declared_starter_skill_covers_what_a_text_asks_for(house: Service, tmp_path: Path) -> None:
    person = add_profile(house, trainee("s", "T-1", skills=[WEB, CNC], languages=["en"]))
    assert suggest(house, "company-trainee", text=ASKING)["items"][0]["skills"]["shared"] == []
    bring_esco(house, tmp_path / "esco")
    assert ties(house) == {WEB: "webdev", VINES: "vines"}
    answer = suggest(house, "company-trainee", text=ASKING)
    item = item_of(answer, person)
    assert item["skills"]["shared"] == [{"uri": URI + "webdev", "label": "Web development (ICT)"}]
    assert uris(item, "missing") == ["prune"]
    assert coverage(item) == 0.5
    assert read(house, f"/profiles/{person}")["skills"] == [WEB, CNC]
    assert without_ids(suggest(house, "company-trainee", text=ASKING)) == without_ids(answer)


def test_a_skill_that_is_declared_and_found_counts_once_on_either_side(house: Service, tmp_path: Path) -> None:
    asker = add_profile(house, need("c", text=ASKING, skills=[WEB, CNC]))
    course = add_profile(house, offer("s", text="Web development is taught here.", skills=[WEB]))
    person = add_profile(house, trainee("s", "T-1", skills=[WEB], programme=course))
    bring_esco(house, tmp_path / "esco")
    both = add_profile(house, trainee("s", "T-2", skills=[URI + "webdev", WEB]))
    answer = suggest(house, "company-trainee", profile_id=asker)
    for own in (person, both):
        item = item_of(answer, own)
        assert (uris(item, "shared"), sorted(uris(item, "missing"))) == (["webdev"], ["prune", CNC])
        assert coverage(item) == pytest.approx(1 / 3, abs=1e-3)
    item = item_of(suggest(house, "company-school", profile_id=asker), course)
    assert (uris(item, "shared"), sorted(uris(item, "missing"))) == (["webdev"], ["prune", CNC])
    back = item_of(suggest(house, "company-trainee", profile_id=both), asker)
    assert (uris(back, "shared"), sorted(uris(back, "missing"))) == (["webdev"], ["prune", CNC])


def test_a_trainee_has_the_tied_skills_of_its_programme_and_the_index_follows_them(
    house: Service, tmp_path: Path
) -> None:
    course = add_profile(house, offer("s", title="Wine", text="A course.", skills=[VINES], language="en"))
    person = add_profile(house, trainee("s", "T-1", programme=course, languages=["en"]))
    others = [add_profile(house, trainee("s", f"T-{n}", skills=[CNC], languages=["en"])) for n in range(2, 6)]
    asking = "Viticulture."
    before = suggest(house, "company-trainee", text=asking, limit=5)
    bring_esco(house, tmp_path / "esco")
    assert known_by_the_index(house, URI + "vines") == 1
    first = suggest(house, "company-trainee", text=asking, limit=5, max_per_organisation=5)
    item = item_of(first, person)
    assert (uris(item, "shared"), uris(item, "missing"), coverage(item)) == (["vines"], [], 1.0)
    assert first["index_seq"] > before["index_seq"]
    assert {own["profile"]["id"] for own in first["items"]} == {person, *others}
    bring_esco(house, tmp_path / "less", "1.3.0", en=ENGLISH)
    assert known_by_the_index(house, URI + "vines") == 0
    assert known_by_the_index(house, VINES) == 1


def test_a_missing_skill_names_courses_that_declare_it_under_either_id_each_once(
    house: Service, tmp_path: Path
) -> None:
    bring_esco(house, tmp_path / "esco")
    one = add_profile(house, offer("s", title="Vines", text="Nothing.", skills=[VINES]))
    two = add_profile(house, offer("s", title="Grapes", text="Nothing.", skills=[URI + "vines", VINES]))
    other = add_profile(house, offer("s", title="Machines", text="Nothing.", skills=[CNC]))
    item = item_of(suggest(house, "company-school", text="They know viticulture."), other)
    (missing,) = item["skills"]["missing"]
    assert missing["uri"] == URI + "vines"
    assert [course["id"] for course in missing["training_offers"]] == [one, two]
    for code, found in ((VINES, [one, two]), (URI + "vines", [one, two]), (CNC, [other]), (WEB, [])):
        assert [item["id"] for item in read(house, "/profiles", skill=code)["items"]] == found


def test_two_starter_skills_that_are_one_of_the_catalogue_count_once(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path / "esco", en=MORE, es=[("webdev", "Desarrollo full-stack", (), "")])
    assert ties(house) == {WEB: "webdev", FULL: "webdev", VINES: "vines"}
    made = [add_profile(house, offer("s", title=f"Web {n}", text="Nothing.", skills=[WEB, FULL])) for n in range(4)]
    other = add_profile(house, offer("s", title="Machines", text="Nothing.", skills=[CNC]))
    asker = add_profile(house, need("c", text="They prune vines.", skills=[FULL, WEB]))
    answer = suggest(house, "company-school", profile_id=asker, max_per_organisation=5)
    own = item_of(answer, made[0])
    assert (uris(own, "shared"), uris(own, "missing"), coverage(own)) == (["webdev"], ["prune"], 0.5)
    missing = {skill["uri"]: skill["training_offers"] for skill in item_of(answer, other)["skills"]["missing"]}
    assert [course["id"] for course in missing[URI + "webdev"]] == made[:3]


def test_a_tied_skill_is_named_in_a_language_that_the_catalogue_lacks(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path / "esco")
    asker = add_profile(house, need("c", text="They know viticulture and bake bread."))
    add_profile(house, offer("s", text="Nothing."))
    for language, names in (("pt", ["bake bread", "viticultura"]), ("en", ["bake bread", "viticulture"])):
        item = suggest(house, "company-school", profile_id=asker, answer_language=language)["items"][0]
        assert [skill["label"] for skill in item["skills"]["missing"]] == names


def test_another_catalogue_undoes_the_ties_and_an_unchanged_one_keeps_them(house: Service, tmp_path: Path) -> None:
    person = add_profile(house, trainee("s", "T-1", skills=[WEB], languages=["en"]))
    asker = add_profile(house, need("c", text="Web development.", skills=[WEB]))
    without = suggest(house, "company-trainee", profile_id=asker)
    assert without["items"][0]["skills"]["shared"] == [{"uri": WEB, "label": "web development"}]
    bring_esco(house, tmp_path / "esco")
    bring_esco(house, tmp_path / "esco")
    assert uris(item_of(suggest(house, "company-trainee", profile_id=asker), person), "shared") == ["webdev"]
    bring_esco(house, tmp_path / "less", "1.3.0", en=ENGLISH)
    assert ties(house) == {}
    after = suggest(house, "company-trainee", profile_id=asker)
    assert after["items"][0]["skills"] == {**without["items"][0]["skills"], "available": True}
    assert coverage(after["items"][0]) == coverage(without["items"][0])


def test_ties_of_an_older_database_come_with_the_next_import(house: Service, tmp_path: Path) -> None:
    person = add_profile(house, trainee("s", "T-1", skills=[WEB], languages=["en"]))
    bring_esco(house, tmp_path / "esco")
    with house.database.write() as session:
        session.execute(delete(SkillTie))
    bring_esco(house, tmp_path / "esco")
    assert ties(house) == {WEB: "webdev", VINES: "vines"}
    assert uris(item_of(suggest(house, "company-trainee", text=ASKING), person), "shared") == ["webdev"]


def test_ties_go_with_the_skill_and_outlive_a_restart(house: Service, tmp_path: Path, hash_embedder: Embedder) -> None:
    person = add_profile(house, trainee("s", "T-1", skills=[WEB, FULL], languages=["en"]))
    bring_esco(house, tmp_path / "esco")
    before = suggest(house, "company-trainee", text=ASKING)
    assert uris(item_of(before, person), "shared") == ["webdev"]
    for again in make_service(house.database.path, hash_embedder):
        assert without_ids(suggest(again, "company-trainee", text=ASKING)) == without_ids(before)
    with house.database.write() as session:
        session.execute(delete(CatalogueSkill).where(CatalogueSkill.uri == URI + "webdev"))
    assert ties(house) == {VINES: "vines"}


def test_profiles_that_are_stored_after_the_import_count_as_well(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path / "esco")
    person = add_profile(house, trainee("s", "T-1", skills=[CNC], languages=["en"]))
    assert uris(suggest(house, "company-trainee", text=ASKING)["items"][0], "shared") == []
    change(house, f"/profiles/{person}", {"skills": [WEB]})
    assert uris(item_of(suggest(house, "company-trainee", text=ASKING), person), "shared") == ["webdev"]
