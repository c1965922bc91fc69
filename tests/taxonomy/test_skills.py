import json
import re
from pathlib import Path

import pytest

from app.taxonomy import skills
from app.taxonomy.skills import Skill, SkillCatalogue, default_catalogue, load_skills

ESCO_CSV = """conceptType,conceptUri,skillType,preferredLabel,altLabels,description
KnowledgeSkillCompetence,http://data.europa.eu/esco/skill/a1,skill,weld parts,"join parts
weld pieces

join parts",Joins parts by heat.
KnowledgeSkillCompetence,http://data.europa.eu/esco/skill/b2,skill,prune vines,,
,,,,,
"""


def test_the_starter_list() -> None:
    listed = default_catalogue().all_skills()
    assert len(listed) == len(default_catalogue()) >= 260
    for skill in listed:
        assert re.fullmatch(r"puente:[a-z0-9]+(-[a-z0-9]+)*", skill.id)
        assert set(skill.labels) == {"en", "es", "pt"}
        assert set(skill.alt) <= {"en", "es", "pt"}
        names = [*skill.labels.values(), *(name for names in skill.alt.values() for name in names)]
        assert all(name == " ".join(name.split()) and 1 <= len(name) <= 60 for name in names)


def test_every_label_of_the_starter_list_finds_its_skill() -> None:
    for skill in default_catalogue().all_skills():
        names = [*skill.labels.values(), *(name for names in skill.alt.values() for name in names)]
        assert {skills.find_skill(name) for name in names} == {skill}


def test_look_ups() -> None:
    skill = skills.get_skill("puente:tig-welding")
    assert skill is not None
    assert skills.find_skill("soldadura tig") is skill
    assert skills.find_skill("  SOLDADURA   TIG ") is skill
    plc = skills.find_skill("programacion de PLC")
    assert plc is not None
    assert plc.id == "puente:plc-programming"
    assert skills.find_skill("quantum basket weaving") is None
    assert skills.find_skill("") is None
    assert skills.get_skill("puente:nothing") is None
    assert skills.all_skills() is default_catalogue().skills


def test_labels_fall_back_to_english() -> None:
    assert skills.label("puente:aquaculture", "es") == "acuicultura"
    assert skills.label("puente:aquaculture", "pt-PT") == "aquicultura"
    assert skills.label("puente:aquaculture", "fi") == "aquaculture"
    assert skills.label("puente:aquaculture") == "aquaculture"
    assert skills.label("puente:nothing") is None
    assert Skill("x", {"eu": "soldadura"}).label("es") == "soldadura"


def test_a_preferred_label_goes_before_an_alternative() -> None:
    first = Skill("a", {"en": "baking"}, {"en": ("cooking",)})
    second = Skill("b", {"en": "Cooking"})
    assert SkillCatalogue((first, second)).find_skill("cooking") is second


def test_an_id_stands_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        SkillCatalogue((Skill("a", {"en": "one"}), Skill("a", {"en": "two"})))


def test_reads_the_official_esco_file(tmp_path: Path) -> None:
    path = tmp_path / "skills_en.csv"
    path.write_text(ESCO_CSV, encoding="utf-8-sig")
    catalogue = load_skills(path)
    assert len(catalogue) == 2
    welding = catalogue.find_skill("Weld pieces")
    assert welding == Skill(
        "http://data.europa.eu/esco/skill/a1",
        {"en": "weld parts"},
        {"en": ("join parts", "weld pieces")},
        "Joins parts by heat.",
    )
    vines = catalogue.get_skill("http://data.europa.eu/esco/skill/b2")
    assert vines == Skill("http://data.europa.eu/esco/skill/b2", {"en": "prune vines"})


def test_languages_of_esco_join(tmp_path: Path) -> None:
    (tmp_path / "en.csv").write_text(ESCO_CSV, encoding="utf-8")
    (tmp_path / "es.csv").write_text(
        "conceptUri,preferredLabel,altLabels,description\n"
        "http://data.europa.eu/esco/skill/a1,soldar piezas,,Une piezas.\n"
        "http://data.europa.eu/esco/skill/c3,pescar,,\n",
        encoding="utf-8",
    )
    joined = load_skills(tmp_path / "en.csv").merged(load_skills(tmp_path / "es.csv", "es"))
    assert [skill.id[-2:] for skill in joined.all_skills()] == ["a1", "b2", "c3"]
    welding = joined.find_skill("soldar piezas")
    assert welding is joined.find_skill("join parts")
    assert welding is not None
    assert welding.labels == {"es": "soldar piezas", "en": "weld parts"}
    assert welding.description == "Joins parts by heat."


def test_reads_our_json(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    listed = [{"id": "acme:graft", "labels": {"es": "injertar"}, "alt": {"es": ["injerto"]}, "description": "x"}]
    path.write_text(json.dumps(listed), encoding="utf-8")
    assert load_skills(path).find_skill("Injerto") == Skill("acme:graft", {"es": "injertar"}, {"es": ("injerto",)}, "x")


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "not json",
        '["a"]',
        '[{"labels": {"en": "x"}}]',
        '[{"id": "", "labels": {"en": "x"}}]',
        '[{"id": "a"}]',
        '[{"id": "a", "labels": {}}]',
        '[{"id": "a", "labels": {"en": " "}}]',
        '[{"id": "a", "labels": {"en": 3}}]',
        '[{"id": "a", "labels": {"en": "x"}, "alt": ["y"]}]',
        '[{"id": "a", "labels": {"en": "x"}, "alt": {"en": "y"}}]',
        '[{"id": "a", "labels": {"en": "x"}, "alt": {"en": [1]}}]',
        '[{"id": "a", "labels": {"en": "x"}, "description": 1}]',
        '[{"id": "a", "labels": {"en": "x"}}, {"id": "a", "labels": {"en": "y"}}]',
    ],
)
def test_refuses_what_is_no_list_of_skills(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"[a-z]"):
        load_skills(path)


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", "conceptUri,preferredLabel\nx,\n", f"conceptUri,preferredLabel\nx,{'y' * 200_000}\n"],
)
def test_refuses_what_is_no_esco_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "skills.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"[a-z]"):
        load_skills(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_skills(tmp_path / "skills.csv")
