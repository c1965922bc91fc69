"""Skills that are found, declared, shared, missing and taught, over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from app.matching.embedder import Embedder, HashEmbedder
from tests.conftest import Service, make_service
from tests.fixtures.builders import (
    add_organisation,
    add_profile,
    change,
    fields_of,
    need,
    offer,
    pitch,
    post,
    priority,
    read,
    remove,
    suggest,
    trainee,
)
from tests.fixtures.esco import ENGLISH, URI, import_folder, write_folder

WEB, PYTHON = "puente:web-development", "puente:aquaculture"
WELD, BAKE, PRUNE = URI + "weld", URI + "bake", URI + "prune"


@pytest.fixture
def house(service: Service) -> Service:
    """One organisation of each kind, without ESCO."""
    for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref, nuts_code="ES61")
    return service


def bring_esco(service: Service, folder: Path, embedder: Embedder | None = None) -> tuple[int, int]:
    return import_folder(service.database, embedder or HashEmbedder(), write_folder(folder / "esco"))


def skills_of(answer: dict[str, Any], profile: str) -> dict[str, Any]:
    """Return what the item of that profile says of skills."""
    return next(dict(item["skills"]) for item in answer["items"] if item["profile"]["id"] == profile)


def found_of(service: Service, profile: str) -> list[tuple[str, str, str]]:
    """Return (skill, field, quote) of what was found in a profile."""
    shown = read(service, f"/profiles/{profile}")
    texts = {
        "text": shown["text"],
        "title": shown["title"],
        "learning_outcomes": "\n".join(shown.get("learning_outcomes") or ()),
    }
    return [
        (skill["uri"].removeprefix(URI), skill["field"], texts[skill["field"]][skill["start"] : skill["end"]])
        for skill in shown["found_skills"]
    ]


def test_without_esco_declared_skills_are_compared_and_it_says_so(house: Service) -> None:
    asker = add_profile(house, need("c", skills=[WEB, PYTHON]))
    course = add_profile(house, offer("s", skills=[WEB]))
    other = add_profile(house, offer("s", title="Fish farming", text="Farming fish.", skills=[PYTHON]))
    answer = suggest(house, "company-school", profile_id=asker)
    assert skills_of(answer, course) == {
        "available": False,
        "shared": [{"uri": WEB, "label": "web development"}],
        "missing": [
            {
                "uri": PYTHON,
                "label": "aquaculture",
                "training_offers": [
                    {
                        "id": other,
                        "title": "Fish farming",
                        "organisation": {
                            k: v for k, v in read(house, "/organisations/s").items() if k in ("id", "name")
                        },
                    }
                ],
            }
        ],
    }
    assert read(house, f"/profiles/{asker}")["found_skills"] == []
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == answer


def test_what_is_found_is_shown_with_its_evidence(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path)
    asker = add_profile(house, need("c", text="We look for people who weld metal parts. They prune vines, too."))
    assert found_of(house, asker) == [("weld", "text", "weld metal parts"), ("prune", "text", "prune vines")]
    shown = read(house, f"/profiles/{asker}")
    assert [(skill["label"], skill["similarity"], skill["found_by"]) for skill in shown["found_skills"]] == [
        ("weld metal parts", 1, "exact"),
        ("prune vines", 1, "exact"),
    ]
    assert shown["skills"] is None
    listed = read(house, "/profiles", kind="skill_need")["items"][0]
    assert listed["found_skills"] == shown["found_skills"]
    course = add_profile(
        house,
        offer("s", text="A course.", title="Bake bread", learning_outcomes=["Wine", "Podar vides"], language="es"),
    )
    assert found_of(house, course) == [("prune", "learning_outcomes", "Podar vides"), ("bake", "title", "Bake bread")]
    change(house, f"/profiles/{asker}", {"text": "We bake bread."})
    assert found_of(house, asker) == [("bake", "text", "bake bread")]
    change(house, f"/profiles/{asker}", {"state": "draft"})
    assert found_of(house, asker) == [("bake", "text", "bake bread")]


def test_found_skills_are_covered_shared_and_missing(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path)
    asker = add_profile(house, need("c", text="They weld metal parts and bake bread.", skills=[WEB]))
    course = add_profile(house, offer("s", text="Soldadura de metales.", title="Taller", language="es"))
    ids = [add_profile(house, offer("s", title=f"Bakery {number}", text="Here you bake bread.")) for number in range(4)]
    add_profile(house, offer("s", title="Bakery day", text="Here you bake bread.", programme_type="event"))
    change(house, f"/profiles/{ids[1]}", {"state": "withdrawn"})
    answer = suggest(house, "company-school", profile_id=asker)
    own = skills_of(answer, course)
    assert (own["available"], own["shared"]) == (True, [{"uri": WELD, "label": "weld metal parts"}])
    missing = {skill["uri"]: [taught["id"] for taught in skill["training_offers"]] for skill in own["missing"]}
    assert missing == {BAKE: [ids[0], ids[2], ids[3]], WEB: []}
    item = next(item for item in answer["items"] if item["profile"]["id"] == course)
    value = {part["feature"]: part["value"] for part in item["contributions"]}["skill_coverage"]
    assert value == pytest.approx(1 / 3, abs=1e-3)
    assert read(house, f"/suggestions/runs/{answer['run_id']}") == answer
    back = suggest(house, "company-school", profile_id=course)
    assert {**skills_of(back, asker), "missing": []} == {
        "available": True, "shared": [{"uri": WELD, "label": "soldar piezas metálicas"}], "missing": [],
    }  # fmt: skip
    assert {skill["uri"] for skill in skills_of(back, asker)["missing"]} == {BAKE, WEB}


def test_a_deleted_course_leaves_the_runs_that_named_it(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path)
    asker = add_profile(house, need("c", text="They bake bread."))
    course = add_profile(house, offer("s", text="Nothing."))
    gone = add_profile(house, offer("s", title="Unmistakable bakery", text="Bake bread."))
    answer = suggest(house, "company-school", profile_id=asker)
    assert [taught["id"] for taught in skills_of(answer, course)["missing"][0]["training_offers"]] == [gone]
    remove(house, f"/profiles/{gone}")
    run = read(house, f"/suggestions/runs/{answer['run_id']}")
    assert skills_of(run, course)["missing"][0]["training_offers"] == []
    house.database.erase_traces()
    assert b"Unmistakable" not in house.database.path.read_bytes()


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ({"text": "They bake bread."}, "bake bread"),
        ({"text": "Necesitamos personas que sepan hornear pan en nuestra panadería del centro."}, "hornear pan"),
        ({"text": "They bake bread.", "language": "pt-PT"}, "cozer pão"),
        ({"text": "They bake bread.", "language": "fi"}, "bake bread"),
    ],
)
def test_a_question_is_read_and_answered_in_its_language(
    house: Service, tmp_path: Path, question: dict[str, str], label: str
) -> None:
    bring_esco(house, tmp_path)
    course = add_profile(house, offer("s", text="Bake bread."))
    own = skills_of(suggest(house, "company-school", **question), course)
    assert (own["shared"], own["missing"]) == ([{"uri": BAKE, "label": label}], [])


def test_pitches_and_priorities_are_read_too(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path)
    asker = add_profile(house, pitch("k", text="Our members prune vines."))
    wanted = add_profile(house, priority("r", text="The region wants to prune vines."))
    own = skills_of(suggest(house, "cluster-region", profile_id=asker), wanted)
    assert (own["shared"], own["missing"]) == ([{"uri": PRUNE, "label": "prune vines"}], [])


def test_a_person_has_declared_skills_only(house: Service, tmp_path: Path) -> None:
    bring_esco(house, tmp_path)
    programme = add_profile(house, offer("s", text="Prune vines.", learning_outcomes=["Bake bread"]))
    person = add_profile(house, trainee("s", "T-1", programme=programme, skills=[WELD], languages=["en"]))
    shown = read(house, f"/profiles/{person}")
    assert (shown["skills"], shown["found_skills"]) == ([WELD], [])
    assert "weld metal parts" in shown["text"].splitlines()
    asker = add_profile(house, need("c", text="They weld metal parts and bake bread."))
    answer = suggest(house, "company-trainee", profile_id=asker)
    own = skills_of(answer, person)
    assert [skill["uri"] for skill in own["shared"]] == [WELD]
    assert [skill["uri"] for skill in own["missing"]] == [BAKE]


def test_a_declared_skill_must_be_there(house: Service, tmp_path: Path) -> None:
    refused = post(house, "/profiles", need("c", skills=[WEB, WELD]), status=422)
    assert fields_of(refused) == {"body.skills.1"}
    refused = post(house, "/profiles", need("c", skills=["http://elsewhere.example/1"]), status=422)
    assert any(field.endswith("skills.0") for field in fields_of(refused))
    bring_esco(house, tmp_path)
    asker = add_profile(house, need("c", skills=[WEB, WELD]))
    assert read(house, f"/profiles/{asker}")["skills"] == [WEB, WELD]
    refused = change(house, f"/profiles/{asker}", {"skills": [URI + "nothing"]}, status=422)
    assert fields_of(refused) == {"body.skills.0"}
    assert [item["id"] for item in read(house, "/profiles", skill=WELD)["items"]] == [asker]


def test_an_import_reads_what_is_stored_and_the_index_follows(house: Service, tmp_path: Path) -> None:
    asker = add_profile(house, need("c", text="They bake bread."))
    course = add_profile(house, offer("s", text="Bake bread."))
    add_profile(house, trainee("s", "T-1", skills=[WEB]))
    assert suggest(house, "company-school", profile_id=asker)["items"][0]["skills"]["shared"] == []
    assert bring_esco(house, tmp_path) == (5, 2)
    answer = suggest(house, "company-school", profile_id=asker)
    assert [skill["uri"] for skill in skills_of(answer, course)["shared"]] == [BAKE]
    assert bring_esco(house, tmp_path) == (0, 0)
    import_folder(house.database, HashEmbedder(), write_folder(tmp_path / "less", en=ENGLISH[:1]), "1.3.0")
    assert found_of(house, asker) == []
    own = skills_of(suggest(house, "company-school", profile_id=asker), course)
    assert own == {"available": True, "shared": [], "missing": []}


def test_found_skills_outlive_a_restart(house: Service, tmp_path: Path, hash_embedder: Embedder) -> None:
    bring_esco(house, tmp_path)
    asker = add_profile(house, need("c", text="They bake bread."))
    add_profile(house, offer("s", text="Bake bread."))
    before = suggest(house, "company-school", profile_id=asker)
    for again in make_service(house.database.path, hash_embedder):
        after = suggest(again, "company-school", profile_id=asker)
        assert [item["skills"] for item in after["items"]] == [item["skills"] for item in before["items"]]
        assert found_of(again, asker) == [("bake", "text", "bake bread")]


@pytest.mark.parametrize(("language", "label"), [("en", "bake bread"), ("es", "hornear pan"), ("pt", "cozer pão")])
def test_skills_are_named_in_the_language_of_the_answer(
    house: Service, tmp_path: Path, language: str, label: str
) -> None:
    bring_esco(house, tmp_path)
    asker = add_profile(house, need("c", text="They bake bread.", eqf_level=5, languages=["en"]))
    course = add_profile(house, offer("s", text="Prune vines.", eqf_level=5))
    item = suggest(house, "company-school", profile_id=asker, answer_language=language)["items"][0]
    assert [skill["label"] for skill in item["skills"]["missing"]] == [label]
    assert item["raise_score"]["field"] == "skills"
    assert label in item["raise_score"]["words"]
    query = {"seeker": asker, "offer": course, "answer_language": language}
    found = read(house, "/suggestions/company-school/why", **query)["item"]
    assert found == {name: value for name, value in item.items() if name not in ("suggestion_id", "rank")}
    back = suggest(house, "company-school", profile_id=course, answer_language=language)["items"][0]
    assert (back["skills"]["missing"], back["raise_score"]["words"]) == (
        item["skills"]["missing"],
        item["raise_score"]["words"],
    )
