"""The demonstration territory: every line is accepted by the API's schemas, and its facts hold."""

import csv
import json
import re
from collections import Counter
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from app.organisations.schemas import OrganisationCreate
from app.profiles.schemas import OWNERS, PROFILE_CREATE
from app.taxonomy.figures import parse_figure

ROOT = Path(__file__).resolve().parents[1]
TERRITORY = ROOT / "scripts" / "territory"
DATA = ROOT.parent / "shared" / "data"

TODAY = date(2026, 11, 23)
"""The day on which the files were written: they show every state as of then."""

PROFILES = {
    "priorities": "priority",
    "pitches": "pitch",
    "training_offers": "training_offer",
    "skill_needs": "skill_need",
    "trainees": "trainee",
}
TRAINEE_FIELDS = {
    "kind", "organisation", "ref", "programme", "skills", "languages", "mobility",
    "starts_on", "ends_on", "eqf_level", "dual_regime", "mode", "illustrative",
}  # fmt: skip
NAMES_A_DOCUMENT = re.compile(r"seed document|'vet_es_ca'")

Item = dict[str, Any]


@lru_cache
def load(name: str) -> tuple[Item, ...]:
    lines = (TERRITORY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def organisations() -> dict[str, Item]:
    return {item["ref"]: item for item in load("organisations")}


def published_facts(folder: str, name: str) -> list[dict[str, str]]:
    path = DATA / folder / f"{name}.tsv"
    if not path.exists():
        pytest.skip(f"the real data ../shared/data/{folder} is not here")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def one_spaced(text: str) -> str:
    return " ".join(text.split())


# --- shape --------------------------------------------------------------------


def test_every_organisation_is_accepted() -> None:
    for item in load("organisations"):
        accepted = OrganisationCreate.model_validate_json(json.dumps(item))
        assert accepted.ref == item["ref"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_accepted(name: str) -> None:
    for item in load(name):
        accepted = PROFILE_CREATE.validate_json(json.dumps(item))
        assert accepted.kind == PROFILES[name]


def test_files_keep_one_tidy_object_a_line() -> None:
    assert {path.stem for path in TERRITORY.glob("*.jsonl")} == {"organisations", *PROFILES}
    for path in TERRITORY.glob("*.jsonl"):
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n")
        assert "\n\n" not in text
        assert "\r" not in text


def test_the_readme_counts_what_is_there() -> None:
    readme = (TERRITORY / "README.md").read_text(encoding="utf-8")
    for name in ("organisations", *PROFILES):
        made_up = sum(item.get("illustrative", False) for item in load(name))
        counts = (len(load(name)) - made_up, made_up)
        row = " | ".join(str(count or "none") for count in counts)
        assert re.search(rf"`{name}\.jsonl` \|.*\| {row} \|", readme), (name, row)


def test_there_are_at_least_as_many_as_promised() -> None:
    kinds = Counter(item["kind"] for item in load("organisations") if not item.get("illustrative"))
    assert kinds["cluster"] >= 19
    assert kinds["region"] >= 11
    assert len({item["organisation"] for item in load("priorities")}) >= 11
    assert len(load("priorities")) >= 60
    assert len(load("training_offers")) >= 26
    assert len(load("pitches")) >= 40
    assert len(load("skill_needs")) >= 40
    assert len(load("trainees")) >= 80
    assert len({item["organisation"] for item in load("skill_needs")}) >= 15


# --- references ---------------------------------------------------------------


def test_refs_are_unique() -> None:
    assert len(organisations()) == len(load("organisations"))
    refs = [(item["organisation"], item["ref"]) for name in PROFILES for item in load(name)]
    assert len(set(refs)) == len(refs)


def test_titles_are_told_apart_within_an_organisation() -> None:
    for name in ("pitches", "training_offers", "skill_needs"):
        titles = [(item["organisation"], item["title"]) for item in load(name)]
        assert len(set(titles)) == len(titles)


def test_memberships_refer_to_earlier_lines() -> None:
    seen: set[str] = set()
    for item in load("organisations"):
        assert {membership["of"] for membership in item.get("memberships", [])} <= seen
        seen.add(item["ref"])


@pytest.mark.parametrize("name", PROFILES)
def test_owners_exist_and_may_own_it(name: str) -> None:
    for item in load(name):
        owner = organisations()[item["organisation"]]
        assert owner["kind"] in {str(kind) for kind in OWNERS[PROFILE_CREATE.validate_python(item).kind]}


def test_programmes_are_offers_of_the_trainees_school_at_that_level() -> None:
    offers = {(item["organisation"], item["ref"]): item for item in load("training_offers")}
    for item in load("trainees"):
        offer = offers[item["organisation"], item["programme"]]
        assert offer["programme_type"] != "event"
        assert offer["eqf_level"] == item["eqf_level"]
        assert set(item["skills"]) & set(offer["skills"])


# --- what is real, what is made up ----------------------------------------------


@pytest.mark.parametrize("name", ["pitches", "skill_needs", "trainees"])
def test_what_is_made_up_says_so(name: str) -> None:
    assert all(item["illustrative"] is True for item in load(name))
    assert not any(item.get("source_url") for item in load(name))


def test_example_companies_and_schools_say_so() -> None:
    for item in load("organisations"):
        has_example_name = re.search(r"\((ejemplo|exemplo|exemple|example)\)|[Dd]emo", item["name"]) is not None
        assert has_example_name == item.get("illustrative", False)
    needing = {item["organisation"] for item in load("skill_needs")}
    assert all(organisations()[ref]["illustrative"] for ref in needing)


def test_every_real_organisation_has_a_source() -> None:
    for item in load("organisations"):
        if not item.get("illustrative"):
            assert item.get("source_url") or NAMES_A_DOCUMENT.search(item["summary"]), item["ref"]


def test_every_real_profile_has_a_source() -> None:
    for name in ("priorities", "training_offers"):
        for item in load(name):
            if not item.get("illustrative"):
                owner = organisations()[item["organisation"]]
                assert item.get("source_url") or NAMES_A_DOCUMENT.search(owner["summary"]), item["ref"]
    assert all(item["source_url"] for item in load("priorities"))


def test_a_trainee_is_a_code_and_nothing_personal() -> None:
    for item in load("trainees"):
        assert set(item) <= TRAINEE_FIELDS
        assert re.fullmatch(r"[A-Z]{3}-[A-Z]{3,4}-\d{3}", item["ref"])
        assert item["languages"]
        assert item["mobility"]


def test_three_languages_are_spoken() -> None:
    for name, least in (("pitches", 8), ("skill_needs", 8), ("training_offers", 4)):
        languages = Counter(item["language"] for item in load(name))
        assert min(languages[code] for code in ("es", "pt", "en")) >= least
    assert {"es", "pt", "ca", "en"} == {item["language"] for item in load("priorities")}


# --- states and dates -----------------------------------------------------------


def test_pitches_show_every_state() -> None:
    states = Counter(item.get("state", "published") for item in load("pitches"))
    assert states["draft"] == 1
    assert states["withdrawn"] == 1
    ends = [item.get("valid_until") for item in load("pitches") if "state" not in item]
    assert sum(end is not None and date.fromisoformat(end) < TODAY for end in ends) == 1
    assert any(end is None for end in ends)
    assert sum(end is not None and end.startswith("2027") for end in ends) >= 20


@pytest.mark.parametrize("name", ["skill_needs", "trainees"])
def test_internships_take_place_in_2027(name: str) -> None:
    for item in load(name):
        assert item["starts_on"].startswith("2027")
        assert item["ends_on"].startswith("2027")


def test_every_need_has_a_trainee_who_may_come() -> None:
    """Somebody has one of its skills, and period, level, regime, mobility and language allow it."""
    for need in load("skill_needs"):
        assert any(
            trainee["starts_on"] <= need["ends_on"]
            and need["starts_on"] <= trainee["ends_on"]
            and trainee["eqf_level"] >= need["eqf_level"] - 1
            and ("dual_regime" not in need or trainee.get("dual_regime") in (None, need["dual_regime"]))
            and need["nuts_code"].startswith(tuple(trainee["mobility"]))
            and set(trainee["languages"]) & set(need["languages"])
            and set(trainee["skills"]) & set(need["skills"])
            for trainee in load("trainees")
        ), need["ref"]


def test_automotive_pitches_are_there() -> None:
    automotive = [item for item in load("pitches") if re.search(r"automo(ción|tive|óve)", item["title"] + item["text"])]
    assert len(automotive) >= 3
    assert {"es", "en"} <= {item["language"] for item in automotive}


# --- the traps of the seed documents ----------------------------------------------


def figure(ref: str, name: str) -> Any:
    figures = {item["name"]: item["as_written"] for item in organisations()[ref]["figures"]}
    return parse_figure(figures[name])


def test_european_separators_and_bounds() -> None:
    inhabitants = figure("municipio-amarante", "inhabitants")
    assert (inhabitants.value, inhabitants.qualifier) == (52116, "exact")
    jobs = figure("amarante-tech-hub", "jobs to be created")
    assert (jobs.value, jobs.qualifier, jobs.year) == (1000, "target", 2030)
    members = figure("smart-city-cluster", "members")
    assert (members.value, members.qualifier) == (200, "at_least")
    completed = figure("amarante-tech-hub", "participants who completed training")
    assert (completed.value, completed.qualifier) == (200, "at_least")
    employed = figure("amarante-tech-hub", "graduates employed in technology roles")
    assert (employed.value, employed.qualifier, employed.unit) == (70, "about", "%")
    assert figure("cluster-tera", "members").value == 62
    professionals = figure("smart-city-cluster", "technology professionals that Málaga requires each year")
    assert professionals.value == 3000
    assert professionals.qualifier != "exact"


def test_no_cluster_holds_a_label_today() -> None:
    labels = [label for item in load("organisations") for label in item.get("labels", [])]
    assert len(labels) == 1
    assert date.fromisoformat(labels[0]["valid_until"]) < TODAY


def test_events_stay_events() -> None:
    events = {item["ref"] for item in load("training_offers") if item["programme_type"] == "event"}
    assert events == {"smart-schools", "semana-de-la-ciencia", "congreso-steam"}


def test_free_courses_are_free_and_online() -> None:
    offers = [item for item in load("training_offers") if item["organisation"] == "fundacion-telefonica"]
    assert [(item["cost_eur"], item["mode"]) for item in offers] == [(0, "online")]


# --- against the published facts ----------------------------------------------------


def test_every_real_cluster_is_there() -> None:
    ours = {item["name"]: item for item in load("organisations") if item["kind"] == "cluster"}
    address = None
    for row in published_facts("s3_regions", "clusters"):
        item = ours[row["cluster"]]
        assert item["nuts_code"] == row["nuts2"]
        address = address if row["url"] == "idem" else row["url"]
        expected = None if str(address).startswith("seed") else address
        assert item.get("source_url") == expected


def test_every_real_region_and_priority_is_there() -> None:
    ours = {item["name"]: item for item in load("organisations") if item["kind"] == "region"}
    written = Counter(
        (item["organisation"], item["strategy_period"], item["language"], item["title"], item["source_url"])
        for item in load("priorities")
    )
    expected: Counter[tuple[str, str, str, str, str]] = Counter()
    for row in published_facts("s3_regions", "priorities"):
        region = ours[row["region"]]
        assert region["nuts_code"] == row["nuts2"]
        for name in row["priorities"].replace("||", "|").split("|"):
            expected[region["ref"], row["period"], row["lang"], name.strip(), row["url"]] += 1
    assert written == expected
    assert all(item["title"] in item["text"] for item in load("priorities"))


def test_every_real_cycle_is_there_with_its_modules() -> None:
    modules = published_facts("vet_es_ca", "modules")
    ours = {item["title"]: item for item in load("training_offers") if item["organisation"] == "centro-fp-valenciano"}
    cycles = published_facts("vet_es_ca", "cycles")
    assert len(ours) == len(cycles)
    for cycle in cycles:
        item = ours[one_spaced(cycle["name_es"])]
        assert "illustrative" not in item
        taught = [one_spaced(row["name_es"]) for row in modules if row["cycle_id"] == cycle["id"]]
        assert item["learning_outcomes"] == list(dict.fromkeys(taught))
