"""Imports over HTTP, end to end: CSV, JSON Lines and XLSX, with rows that are wrong."""

import json
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.fixtures.builders import API, fields_of, is_problem, load, organisation, pitch, read, suggest
from tests.profiles.made_files import workbook

TEMPLATES = Path(__file__).parents[2] / "scripts" / "templates"
ORGANISATIONS = """kind,ref,name,country,nuts_code,ecosystems,labels,figures
cluster,auto,The cluster,ES,ES24,mobility-transport-automotive|digital,silver:2020-01-01:2199-12-31,members=over 200
region,aragon,Aragón,ES,ES24,,,inhabitants=1.316.072
"""
PRIORITIES = """organisation;ref;title;text;language;nuts_code
aragon;cars;Automotive;The region invests in electric vehicles and batteries.;en;ES24
aragon;bad;Automotive;The region invests in batteries.;en;ES99
nobody;lost;Lost;A priority of nobody.;en;
aragon;empty;;No title.;en;
aragon;"quoted";"A title; with a semicolon";"Two lines
and ""quotes"".";en;
"""


def test_a_csv_with_broken_rows(service: Service) -> None:
    job = load(service, "organisations.csv", ORGANISATIONS.encode())
    assert (job["state"], job["progress"], job["total"], job["error"]) == ("done", 2, 2, None)
    assert job["result"] == {
        "rows": 2, "created": 2, "updated": 0, "failed": 0, "errors": [], "errors_truncated": False,
    }  # fmt: skip
    assert read(service, "/organisations/auto")["figures"][0]["qualifier"] == "at_least"
    assert read(service, "/organisations/aragon")["figures"][0]["value"] == 1316072

    job = load(service, "priorities.csv", PRIORITIES.encode(), default_kind="priority")
    result = job["result"]
    assert (job["state"], result["rows"], result["created"], result["failed"]) == ("done", 5, 2, 3)
    assert {(error["row"], error["field"]) for error in result["errors"]} == {
        (3, "nuts_code"),
        (4, "organisation"),
        (5, "title"),
    }
    assert all(error["reason"] for error in result["errors"])
    kept = {item["ref"]: item for item in read(service, "/profiles")["items"]}
    assert kept.keys() == {"cars", "quoted"}
    assert kept["quoted"]["text"] == 'Two lines\nand "quotes".'
    answer = suggest(service, "cluster-region", text="Electric vehicles and batteries")
    assert answer["items"][0]["profile"]["id"] == kept["cars"]["id"]


def test_the_same_file_again_gives_new_versions(service: Service) -> None:
    load(service, "organisations.csv", ORGANISATIONS.encode())
    again = load(service, "organisations.csv", ORGANISATIONS.encode())["result"]
    assert (again["created"], again["updated"], again["failed"]) == (0, 2, 0)
    assert read(service, "/organisations/auto")["version"] == 2


def test_json_lines_of_mixed_kinds(service: Service) -> None:
    rows = [organisation(ref="k"), pitch("k", ref="one"), {"kind": "nope"}, pitch("k", ref="two")]
    content = "\n".join([*map(json.dumps, rows), "{broken", ""])
    result = load(service, "rows.jsonl", content.encode())["result"]
    assert (result["created"], result["failed"]) == (3, 2)
    assert [(error["row"], error["field"]) for error in result["errors"]] == [(3, "kind"), (5, "row")]


def test_a_workbook(service: Service) -> None:
    header = ["kind", "ref", "name", "country"]
    content = workbook([header, ["cluster", "one", "One", "ES"], ["cluster", "two", "Two", "XX"]])
    result = load(service, "clusters.xlsx", content)["result"]
    assert (result["created"], result["failed"]) == (1, 1)
    assert [(error["row"], error["field"]) for error in result["errors"]] == [(3, "country")]


def test_every_template_loads(service: Service) -> None:
    names = ("organisations", "pitches", "priorities", "skill_needs", "training_offers", "trainees")
    for name in names:
        result = load(service, f"{name}.csv", (TEMPLATES / f"{name}.csv").read_bytes())["result"]
        assert result["failed"] == 0, result
        assert result["created"] >= 1


@pytest.mark.parametrize("key", ["reader", "nobody"])
def test_who_may_import_and_follow(service: Service, key: str) -> None:
    job = load(service, "organisations.csv", ORGANISATIONS.encode())
    headers = service.reader if key == "reader" else {}
    files = {"file": ("organisations.csv", ORGANISATIONS.encode())}
    answer = service.client.post(f"{API}/imports", files=files, headers=headers)
    is_problem(answer, 403 if key == "reader" else 401)
    answer = service.client.get(f"{API}/jobs/{job['id']}", headers=headers)
    assert answer.status_code == (200 if key == "reader" else 401)


def test_an_unknown_job_is_not_found(service: Service) -> None:
    is_problem(service.client.get(f"{API}/jobs/none", headers=service.reader), 404)


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("empty.csv", b"", "file"),
        ("header.csv", b"kind,name,country\n", "file"),
        ("columns.csv", b"kind,name,land\ncluster,One,ES\n", "file"),
        ("nokind.csv", b"name,country\nOne,ES\n", "default_kind"),
        ("notes.pdf", b"%PDF-1.7", "file"),
        ("latin.csv", "kind,name,country\ncluster,Aragón,ES\n".encode("latin-1"), "file"),
        ("wide.csv", "kind,name,country\ncluster,One,ES\n".encode("utf-16"), "file"),
        ("liar.xlsx", b"kind,name,country\ncluster,One,ES\n", "file"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "file"),
    ],
)
def test_a_file_that_is_useless_is_refused_whole(service: Service, name: str, content: bytes, field: str) -> None:
    answer = service.client.post(f"{API}/imports", files={"file": (name, content)}, headers=service.writer)
    assert fields_of(is_problem(answer, 422)) == {f"body.{field}"}
    uploads = service.database.path.parent / "uploads"
    assert not list(uploads.glob("*"))
