"""Profiles over HTTP: each kind with its facets, states, versions, lists, and who may do what."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.profiles.tables import Profile
from tests.conftest import Service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    all_pages,
    change,
    fields_of,
    is_problem,
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

WEB, TIG = "puente:web-development", "puente:java"
COMMON: dict[str, Any] = {
    "valid_from": "2020-01-01",
    "valid_until": "2199-12-31",
    "nuts_code": "ES61",
    "nuts_version": "2021",
    "nace_codes": ["62.10"],
    "nace_revision": "2.1",
    "ecosystems": ["digital"],
    "languages": ["es", "pt-PT"],
    "source_url": "https://source.example/",
    "illustrative": True,
}
WRITTEN = {"ref": "a-ref", "language": "es", "title": "A title", "text": "A text.\n  Kept  as sent. "}
PERIOD = {"starts_on": "2027-03-01", "ends_on": "2027-06-30"}
KINDS: dict[str, dict[str, Any]] = {
    "pitch": WRITTEN | {"cooperation_type": "TR", "regions_sought": ["ES61", "PT"]},
    "priority": WRITTEN | {"strategy_period": "2021-2027", "s3_axis": "economic"},
    "skill_need": WRITTEN
    | PERIOD
    | {"skills": [WEB], "places": 2, "hours": 400, "eqf_level": 5, "dual_regime": "intensivo", "mode": "hybrid"},
    "training_offer": WRITTEN
    | PERIOD
    | {
        "programme_type": "training_cycle",
        "skills": [WEB],
        "learning_outcomes": ["Programación", "Bases de datos"],
        "places": 30,
        "hours": 2000,
        "eqf_level": 5,
        "isced_f": "0613",
        "fp_family": "Informática y comunicaciones",
        "fp_grade": "D",
        "dual_regimes": ["general", "intensivo"],
        "mode": "on_site",
        "cost_eur": 0,
    },
    "trainee": PERIOD
    | {
        "ref": "DAW-017",
        "skills": [WEB],
        "mobility": ["ES61", "ES30"],
        "eqf_level": 5,
        "dual_regime": "general",
        "mode": "on_site",
    },
}
OWNERS = {"pitch": "k", "priority": "r", "skill_need": "c", "training_offer": "s", "trainee": "s"}


@pytest.fixture
def house(service: Service) -> Service:
    """One organisation of each kind."""
    for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
        add_organisation(service, kind, ref=ref)
    return service


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_comes_back(house: Service, kind: str) -> None:
    sent = {"kind": kind, **COMMON, **KINDS[kind]}
    owner = {"organisation": OWNERS[kind]}
    answer = house.client.post(f"{API}/profiles", json=sent | owner, headers=house.writer)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert {name: made[name] for name in sent} == sent
    assert (made["state"], made["eligible_today"], made["version"]) == ("published", True, 1)
    assert answer.headers["Location"] == f"{API}/profiles/{made['id']}"
    assert answer.headers["ETag"] == f'"{made["id"]}-1"'
    assert read(house, f"/profiles/{made['id']}") == made
    assert read(house, "/profiles", kind=kind)["items"] == [made]


def test_a_trainee_is_a_code_with_what_its_programme_teaches(house: Service) -> None:
    programme = {"ref": "daw", "learning_outcomes": ["Programación", "Bases de datos"], "language": "es"}
    add_profile(house, offer("s", **programme))
    made = post(house, "/profiles", trainee("s", "DAW-1", programme="daw", skills=[WEB]))
    assert made["title"] == "DAW-1"
    assert made["language"] is None
    lines = made["text"].split("\n")
    assert lines[1:3] == ["Programación", "Bases de datos"]
    assert len(lines) == 4


@pytest.mark.parametrize("field", ["title", "text", "name", "address", "email", "nationality", "language"])
def test_a_trainee_has_no_field_for_a_person(house: Service, field: str) -> None:
    answer = house.client.post(f"{API}/profiles", json=trainee("s", "DAW-1", **{field: "Ana"}), headers=house.writer)
    assert any(name.endswith(field) for name in fields_of(is_problem(answer, 422)))
    assert read(house, "/profiles")["items"] == []


@pytest.mark.parametrize("ref", ["ana garcía", "Ana", "AB", "A" * 33, "X/1"])
def test_a_trainees_ref_is_a_code(house: Service, ref: str) -> None:
    answer = house.client.post(f"{API}/profiles", json=trainee("s", ref), headers=house.writer)
    assert any(name.endswith("ref") for name in fields_of(is_problem(answer, 422)))


def test_a_programme_is_one_of_the_same_school(house: Service) -> None:
    add_organisation(house, "school", ref="s2")
    add_profile(house, offer("s2", ref="daw"))
    answer = house.client.post(f"{API}/profiles", json=trainee("s", "DAW-1", programme="daw"), headers=house.writer)
    assert fields_of(is_problem(answer, 422)) == {"body.programme"}


def test_trainees_change_with_their_programme_and_keep_it_alive(house: Service) -> None:
    programme = add_profile(house, offer("s", ref="daw", learning_outcomes=["Welding"]))
    person = add_profile(house, trainee("s", "DAW-1", programme="daw"))
    change(house, f"/profiles/{programme}", {"learning_outcomes": ["Nursing"]})
    after = read(house, f"/profiles/{person}")
    assert "Nursing" in after["text"]
    assert "Welding" not in after["text"]
    assert after["version"] == 2
    is_problem(remove(house, f"/profiles/{programme}", status=409))
    remove(house, f"/profiles/{person}")
    remove(house, f"/profiles/{programme}")


def test_the_language_is_detected_where_it_is_not_given(house: Service) -> None:
    text = "Buscamos regiones que inviertan en vehículos eléctricos y en baterías para autobuses."
    made = post(house, "/profiles", pitch("k", title="Movilidad eléctrica", text=text, language=None))
    assert (made["language"], made["language_detected"]) == ("es", True)
    given = post(house, "/profiles", pitch("k", language="pt"))
    assert (given["language"], given["language_detected"]) == ("pt", False)
    text = "Procuramos regiões que investem em veículos elétricos e em baterias para autocarros."
    after = change(house, f"/profiles/{made['id']}", {"title": "Mobilidade elétrica", "text": text})
    assert (after["language"], after["language_detected"]) == ("pt", True)


def test_learning_outcomes_stand_in_for_a_text(house: Service) -> None:
    made = post(house, "/profiles", offer("s", text=None, learning_outcomes=["One", "Two"]))
    assert made["text"] == "One\nTwo"
    assert change(house, f"/profiles/{made['id']}", {"learning_outcomes": ["Three"]})["text"] == "Three"


@pytest.mark.parametrize(
    ("make", "owner"),
    [(pitch, "r"), (priority, "k"), (need, "s"), (offer, "nobody"), (lambda o: trainee(o, "DAW-1"), "c")],
)
def test_who_may_own_what(house: Service, make: Callable[[str], dict[str, Any]], owner: str) -> None:
    answer = house.client.post(f"{API}/profiles", json=make(owner), headers=house.writer)
    assert fields_of(is_problem(answer, 422)) == {"body.organisation"}


def test_a_ref_is_unique_in_its_organisation_and_kind(house: Service) -> None:
    add_organisation(house, ref="k2")
    first = add_profile(house, pitch("k", ref="one"))
    assert add_profile(house, pitch("k2", ref="one")) != first
    answer = house.client.post(f"{API}/profiles", json=pitch("k", ref="one"), headers=house.writer)
    is_problem(answer, 409)
    remove(house, f"/profiles/{first}")
    assert add_profile(house, pitch("k", ref="one")) == first


ALLOWED = {
    ("draft", "published"), ("draft", "withdrawn"), ("published", "draft"), ("published", "expired"),
    ("published", "withdrawn"), ("expired", "published"), ("expired", "withdrawn"),
}  # fmt: skip
STATES = ("draft", "published", "expired", "withdrawn")


@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", STATES)
def test_states_follow_each_other(house: Service, before: str, after: str) -> None:
    made = add_profile(house, pitch("k", state=before))
    allowed = before == after or (before, after) in ALLOWED
    answer = change(house, f"/profiles/{made}", {"state": after}, status=200 if allowed else 422)
    if not allowed:
        assert fields_of(answer) == {"body.state"}
    now = read(house, f"/profiles/{made}")
    assert now["state"] == (after if allowed else before)
    assert now["eligible_today"] == (now["state"] == "published")


def test_a_state_is_not_removed_since_its_default_would_publish(house: Service) -> None:
    made = add_profile(house, pitch("k", state="draft"))
    assert fields_of(change(house, f"/profiles/{made}", {"state": None}, status=422)) == {"body.state"}
    assert read(house, f"/profiles/{made}")["state"] == "draft"


def test_only_what_is_published_and_within_its_dates_is_suggested(house: Service) -> None:
    day = timedelta(days=1)
    today = date.today()  # noqa: DTZ011 - validity ends by the local calendar
    dates = {
        "first": {"valid_from": today},
        "last": {"valid_until": today},
        "early": {"valid_from": today + day},
        "late": {"valid_until": today - day},
    }
    for ref, given in dates.items():
        owner = add_organisation(house, "region")
        add_profile(house, priority(owner, ref=ref, **{name: str(value) for name, value in given.items()}))
    for state in STATES:
        add_profile(house, priority(add_organisation(house, "region"), ref=state, state=state))
    expected = {"first", "last", "published"}
    assert {item["ref"] for item in read(house, "/profiles", eligible="true")["items"]} == expected
    answer = suggest(house, "cluster-region", text="Batteries and electric vehicles")
    known = {item["id"]: item["ref"] for item in read(house, "/profiles")["items"]}
    assert {known[item["profile"]["id"]] for item in answer["items"]} == expected
    assert answer["rejected"] == {"validity": 2}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kind": "skill_need"}, {"n"}),
        ({"state": "draft"}, {"d"}),
        ({"organisation": "k"}, {"p", "d"}),
        ({"country": "ES"}, {"n", "p", "d"}),
        ({"country": "PT"}, {"x"}),
        ({"nuts": "ES6"}, {"n"}),
        ({"ecosystem": "digital"}, {"p"}),
        ({"language": "pt"}, {"x"}),
        ({"skill": WEB}, {"n"}),
        ({"skill": TIG}, set()),
        ({"eqf_level": "5"}, {"n"}),
        ({"eligible": "true"}, {"p", "n", "x"}),
        ({"kind": "pitch", "state": "published"}, {"p"}),
    ],
)
def test_every_filter_of_the_list(house: Service, query: dict[str, str], expected: set[str]) -> None:
    add_organisation(house, "region", ref="r2", country="PT")
    add_profile(house, pitch("k", ref="p", ecosystems=["digital"]))
    add_profile(house, pitch("k", ref="d", state="draft"))
    add_profile(house, need("c", ref="n", nuts_code="ES61", skills=[WEB], eqf_level=5))
    add_profile(house, priority("r2", ref="x", languages=["pt"]))
    assert {item["ref"] for item in read(house, "/profiles", **query)["items"]} == expected


def test_pages_neither_skip_nor_repeat_while_others_insert(house: Service) -> None:
    first = [add_profile(house, pitch("k")) for _ in range(7)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in range(20):
        page = read(house, "/profiles", **query)
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        if len(seen) < 7:
            first.append(add_profile(house, pitch("k")))
    assert seen == first
    remove(house, f"/profiles/{first[3]}")
    assert [item["id"] for item in all_pages(house, "/profiles", limit=3)] == first[:3] + first[4:]


def test_patch_needs_the_etag_and_gives_a_new_one(house: Service) -> None:
    made = house.client.post(f"{API}/profiles", json=pitch("k"), headers=house.writer)
    path, first = f"{API}/profiles/{made.json()['id']}", made.headers["ETag"]
    is_problem(house.client.patch(path, json={"title": "New"}, headers=house.writer), 428)
    headers = {**house.writer, "If-Match": first}
    changed = house.client.patch(path, json={"title": "New", "ecosystems": ["health"]}, headers=headers)
    assert (changed.status_code, changed.json()["title"], changed.json()["version"]) == (200, "New", 2)
    assert changed.headers["ETag"] != first
    is_problem(house.client.patch(path, json={"title": "Lost"}, headers=headers), 412)
    is_problem(house.client.delete(path, headers=headers), 412)
    is_problem(house.client.delete(path, headers=house.writer), 428)
    other = house.client.post(f"{API}/profiles", json=pitch("k"), headers=house.writer).json()["id"]
    headers["If-Match"] = changed.headers["ETag"].replace(made.json()["id"], other)
    is_problem(house.client.patch(path, json={"title": "Lost"}, headers=headers), 412)
    headers["If-Match"] = changed.headers["ETag"]
    assert house.client.patch(path, json={"valid_until": None}, headers=headers).status_code == 200
    assert read(house, f"/profiles/{made.json()['id']}")["title"] == "New"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "priority"}, "kind"),
        ({"organisation": "s"}, "organisation"),
        ({"ref": "new"}, "ref"),
        ({"title": None}, "title"),
        ({"text": " \n\t "}, "text"),
        ({"places": 0}, "places"),
        ({"starts_on": "2027-07-01"}, "ends_on"),
        ({"name": "Ana"}, "name"),
        ({"skills": ["puente:nothing"]}, "skills.0"),
    ],
)
def test_patches_that_are_refused(house: Service, changes: dict[str, Any], field: str) -> None:
    made = add_profile(house, need("c", **PERIOD))
    assert fields_of(change(house, f"/profiles/{made}", changes, status=422)) == {f"body.{field}"}
    assert read(house, f"/profiles/{made}")["version"] == 1


def test_deleting_takes_suggestions_along(house: Service) -> None:
    made = add_profile(house, priority("r"))
    run = suggest(house, "cluster-region", text="Batteries")
    assert len(run["items"]) == 1
    remove(house, f"/profiles/{made}")
    read(house, f"/profiles/{made}", status=404)
    assert read(house, f"/suggestions/runs/{run['run_id']}")["items"] == []
    assert suggest(house, "cluster-region", text="Batteries")["status"] == "no_match"


def test_who_may_do_what(house: Service) -> None:
    made = add_profile(house, pitch("k"))
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"{API}/profiles", {"json": pitch("k")}),
        ("PATCH", f"{API}/profiles/{made}", {"json": {"title": "New"}}),
        ("DELETE", f"{API}/profiles/{made}", {}),
    ]
    for method, path, call in calls:
        is_problem(house.client.request(method, path, headers=house.reader, **call), 403)
    reads = [("GET", f"{API}/profiles", {}), ("GET", f"{API}/profiles/{made}", {}), ("GET", f"{API}/skills", {})]
    for method, path, call in calls + reads:
        is_problem(house.client.request(method, path, **call), 401)
    assert read(house, f"/profiles/{made}")["version"] == 1


def test_an_unknown_id_is_not_found(service: Service) -> None:
    read(service, "/profiles/nothing", status=404)
    headers = {**service.writer, "If-Match": f'"{"0" * 36}-1"'}
    is_problem(service.client.patch(f"{API}/profiles/nothing", json={}, headers=headers), 404)
    is_problem(service.client.delete(f"{API}/profiles/nothing", headers=headers), 404)


def test_skills_are_found_in_any_language_and_without_accents(service: Service) -> None:
    found = {skill["id"] for skill in read(service, "/skills", q="programacion", limit=100)}
    assert found
    assert found == {skill["id"] for skill in read(service, "/skills", q="PROGRAMACIÓN", limit=100)}
    assert len(read(service, "/skills", limit=7)) == 7
    assert read(service, "/skills", q="no such skill") == []


def test_the_key_of_what_was_deleted_is_not_given_again(service: Service) -> None:
    owner = add_organisation(service, "region")

    def last_key() -> int:
        with service.database.read() as session:
            return int(session.scalar(select(func.max(Profile.pk))) or 0)

    gone = add_profile(service, priority(owner))
    before = last_key()
    remove(service, f"/profiles/{gone}")
    add_profile(service, priority(owner))
    assert last_key() == before + 1
