"""Organisations over HTTP: their life, their lists, and who may do what."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import Service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    all_pages,
    change,
    fields_of,
    is_problem,
    organisation,
    pitch,
    post,
    read,
    remove,
)

WHOLE: dict[str, Any] = {
    "kind": "company",
    "ref": "talleres-sur",
    "name": "Talleres Sur",
    "summary": "We repair and build.",
    "country": "ES",
    "nuts_code": "ES618",
    "nuts_version": "2021",
    "nace_codes": ["62.10", "62.2"],
    "nace_revision": "2.1",
    "ecosystems": ["digital", "retail"],
    "languages": ["es", "pt-PT"],
    "website": "https://talleres.example/",
    "source_url": "https://talleres.example/about",
    "illustrative": True,
    "memberships": [{"of": "the-cluster", "kind": "cluster"}, {"of": "the-alliance", "kind": "partnership"}],
    "labels": [{"level": "silver", "issuer": "ESCA", "assessed_on": "2020-01-01", "valid_until": "2199-12-31"}],
    "figures": [
        {"name": "inhabitants", "as_written": "52.116"},
        {"name": "members", "as_written": "over 200"},
        {"name": "jobs", "as_written": "1 000 by 2030"},
    ],
}


@pytest.fixture
def house(service: Service) -> Service:
    """Two clusters to belong to."""
    for ref in ("the-cluster", "the-alliance"):
        add_organisation(service, ref=ref, name=ref)
    return service


def test_create_and_read_by_id_and_by_ref(house: Service) -> None:
    answer = house.client.post(f"{API}/organisations", json=WHOLE, headers=house.writer)
    assert answer.status_code == 201
    created = answer.json()
    assert answer.headers["Location"] == f"{API}/organisations/{created['id']}"
    assert answer.headers["ETag"] == f'"{created["id"]}-1"'
    for field in WHOLE.keys() - {"memberships", "labels", "figures"}:
        assert created[field] == WHOLE[field], field
    assert [(m["of"]["name"], m["kind"]) for m in created["memberships"]] == [
        ("the-cluster", "cluster"),
        ("the-alliance", "partnership"),
    ]
    assert [(label["level"], label["valid_today"]) for label in created["labels"]] == [("silver", True)]
    assert [(f["value"], f["qualifier"], f["year"]) for f in created["figures"]] == [
        (52116, "exact", None),
        (200, "at_least", None),
        (1000, "target", 2030),
    ]
    assert read(house, f"/organisations/{created['id']}") == created
    assert read(house, "/organisations/talleres-sur") == created


def test_the_id_comes_from_the_ref(service: Service) -> None:
    first = add_organisation(service, ref="same")
    remove(service, "/organisations/same")
    assert add_organisation(service, ref="same") == first
    assert add_organisation(service) != add_organisation(service)


def test_greece_and_the_united_kingdom_as_nuts_writes_them(service: Service) -> None:
    assert post(service, "/organisations", organisation(country="GR"))["country"] == "EL"
    assert post(service, "/organisations", organisation(country="GB", nuts_version="2021"))["country"] == "UK"
    assert len(read(service, "/organisations", country="GR")["items"]) == 1


def test_a_ref_is_taken_once(service: Service) -> None:
    add_organisation(service, ref="once")
    answer = service.client.post(f"{API}/organisations", json=organisation(ref="once"), headers=service.writer)
    is_problem(answer, 409)
    assert len(read(service, "/organisations")["items"]) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kind": "region"}, {"b"}),
        ({"country": "PT"}, {"b"}),
        ({"country": "es"}, {"a", "c", "d"}),
        ({"nuts": "ES6"}, {"a"}),
        ({"nuts": "ES"}, {"a", "d"}),
        ({"ecosystem": "digital"}, {"a", "b"}),
        ({"language": "pt"}, {"b"}),
        ({"member_of": "a"}, {"c"}),
        ({"label_min": "bronze"}, {"a", "c"}),
        ({"label_min": "silver"}, {"a"}),
        ({"label_min": "gold"}, set()),
        ({"label_min": "silver", "valid_on": "2021-06-30"}, {"a", "d"}),
        ({"label_min": "silver", "valid_on": "2021-07-01"}, {"a"}),
        ({"kind": "cluster", "country": "ES", "ecosystem": "digital"}, {"a"}),
        ({"kind": "school"}, set()),
    ],
)
def test_every_filter_of_the_list(service: Service, query: Mapping[str, str], expected: set[str]) -> None:
    def label(level: str, until: str) -> list[dict[str, str]]:
        return [{"level": level, "assessed_on": "2020-01-01", "valid_until": until}]

    add_organisation(service, ref="a", nuts_code="ES61", ecosystems=["digital"], labels=label("silver", "2199-12-31"))
    add_organisation(service, "region", ref="b", country="PT", ecosystems=["digital"], languages=["pt"])
    members = [{"of": "a"}]
    add_organisation(service, "company", ref="c", memberships=members, labels=label("bronze", "2199-12-31"))
    add_organisation(service, "company", ref="d", nuts_code="ES30", labels=label("gold", "2021-06-30"))
    found = read(service, "/organisations", **query)["items"]
    assert {item["ref"] for item in found} == expected


def test_a_filter_by_id_of_the_cluster_too(service: Service) -> None:
    cluster = add_organisation(service, ref="a")
    member = add_organisation(service, memberships=[{"of": cluster}])
    assert [item["id"] for item in read(service, "/organisations", member_of=cluster)["items"]] == [member]


def test_patch_needs_the_etag_and_gives_a_new_one(service: Service) -> None:
    made = service.client.post(f"{API}/organisations", json=organisation(ref="x"), headers=service.writer)
    path, first = f"{API}/organisations/x", made.headers["ETag"]
    is_problem(service.client.patch(path, json={"name": "New"}, headers=service.writer), 428)
    headers = {**service.writer, "If-Match": first}
    changed = service.client.patch(path, json={"name": "New", "summary": "A summary."}, headers=headers)
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["version"]) == ("New", 2)
    second = changed.headers["ETag"]
    assert second != first
    is_problem(service.client.patch(path, json={"name": "Lost"}, headers=headers), 412)
    assert read(service, "/organisations/x")["name"] == "New"
    headers["If-Match"] = second
    removed = service.client.patch(path, json={"summary": None}, headers=headers)
    assert removed.json()["summary"] is None


def test_the_etag_of_another_item_is_refused(service: Service) -> None:
    made = service.client.post(f"{API}/organisations", json=organisation(ref="x"), headers=service.writer)
    add_organisation(service, ref="y")
    headers = {**service.writer, "If-Match": made.headers["ETag"]}
    is_problem(service.client.patch(f"{API}/organisations/y", json={"name": "Not mine"}, headers=headers), 412)
    is_problem(service.client.delete(f"{API}/organisations/y", headers=headers), 412)
    assert read(service, "/organisations/y")["version"] == 1


def test_a_change_of_what_belongs_to_it_is_a_new_version_too(service: Service) -> None:
    add_organisation(service, ref="a")
    add_organisation(service, ref="x")
    changed = change(service, "/organisations/x", {"memberships": [{"of": "a"}]})
    assert (changed["version"], len(changed["memberships"])) == (2, 1)
    assert change(service, "/organisations/x", {"memberships": []})["memberships"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "region"}, "body.kind"),
        ({"ref": "other"}, "body.ref"),
        ({"name": None}, "body.name"),
        ({"nope": 1}, "body.nope"),
        ({"nuts_code": "ES99"}, "body.nuts_code"),
        ({"memberships": [{"of": "nobody"}]}, "body.memberships.0.of"),
        ({"memberships": [{"of": "x"}]}, "body.memberships.0.of"),
    ],
)
def test_patches_that_are_refused(service: Service, changes: dict[str, Any], field: str) -> None:
    add_organisation(service, ref="x")
    assert field in fields_of(change(service, "/organisations/x", changes, status=422))
    assert read(service, "/organisations/x")["version"] == 1


def test_delete(service: Service) -> None:
    owner = add_organisation(service, ref="x")
    member = add_organisation(service, memberships=[{"of": "x"}])
    profile = add_profile(service, pitch(owner))
    is_problem(service.client.delete(f"{API}/organisations/x", headers=service.writer), 428)
    is_problem(remove(service, "/organisations/x", status=409))
    remove(service, f"/profiles/{profile}")
    remove(service, "/organisations/x")
    read(service, "/organisations/x", status=404)
    assert read(service, f"/organisations/{member}")["memberships"] == []


def test_pages_neither_skip_nor_repeat_while_others_insert(service: Service) -> None:
    names = ['b"q', "c~tilde", "d,comma", "e\\nback", "f€", "g 'q'", "h>i:1", "i", "j", "k"]
    for name in names:
        add_organisation(service, name=name)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for number in range(20):
        page = read(service, "/organisations", limit=2, **cursor)
        seen += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        add_organisation(service, name=f"a{number}")  # behind the cursor
        add_organisation(service, name=f"z{number}")  # before it
    inserted = [name for name in seen if name[0] == "z"]
    assert [name for name in seen if name[0] != "z"] == names
    assert len(inserted) == len(set(inserted)) >= 4
    assert {item["name"] for item in all_pages(service, "/organisations", limit=3)} >= set(seen)


def test_equal_names_are_paged_apart(service: Service) -> None:
    made = {add_organisation(service, name="Same") for _ in range(5)}
    found = [item["id"] for item in all_pages(service, "/organisations", limit=2)]
    assert len(found) == 5
    assert set(found) == made


def test_who_may_do_what(service: Service) -> None:
    add_organisation(service, ref="x")
    path = f"{API}/organisations"
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", path, {"json": organisation()}),
        ("PATCH", f"{path}/x", {"json": {"name": "New"}}),
        ("DELETE", f"{path}/x", {}),
    ]
    for method, address, call in calls:
        is_problem(service.client.request(method, address, headers=service.reader, **call), 403)
    for method, address, call in [*calls, ("GET", path, {}), ("GET", f"{path}/x", {})]:
        answer = service.client.request(method, address, **call)
        is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "ApiKey"
        wrong = {"X-API-Key": "puente_00000000_" + "a" * 43}
        is_problem(service.client.request(method, address, headers=wrong, **call), 401)
    assert read(service, "/organisations/x")["version"] == 1


def test_an_unknown_id_is_not_found(service: Service) -> None:
    read(service, "/organisations/nobody", status=404)
    headers = {**service.writer, "If-Match": f'"{"0" * 36}-1"'}
    is_problem(service.client.patch(f"{API}/organisations/nobody", json={}, headers=headers), 404)
    is_problem(service.client.delete(f"{API}/organisations/nobody", headers=headers), 404)


def test_answers_are_kept_out_of_caches_and_frames(service: Service) -> None:
    headers = service.client.get(f"{API}/organisations", headers=service.reader).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
