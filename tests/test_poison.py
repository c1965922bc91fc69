"""Bad input: a 4xx problem that names the field, repeats nothing, and leaves nothing behind."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from httpx2 import Response
from sqlalchemy import func, select

from app.db.base import Base
from app.matching.embedder import Embedder
from tests.conftest import Service, make_service
from tests.fixtures.builders import (
    API,
    add_organisation,
    add_profile,
    is_problem,
    need,
    offer,
    organisation,
    pitch,
    priority,
    read,
    trainee,
)
from tests.fixtures.poison import MARKER, with_value
from tests.profiles.made_files import PLAIN, SHEET, repacked

MIB = 1 << 20


@pytest.fixture(scope="module")
def house(migrated_file: Path, hash_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all of it: nothing here writes."""
    path = tmp_path_factory.mktemp("poison") / "puente.db"
    path.write_bytes(migrated_file.read_bytes())
    for service in make_service(path, hash_embedder):
        for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
            add_organisation(service, kind, ref=ref)
        add_profile(service, pitch("k", ref="p"))
        yield service


def rows(service: Service) -> dict[str, int]:
    """Return how many rows each table has."""
    with service.database.read() as session:
        return {
            table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in Base.metadata.sorted_tables
        }


def refused(service: Service, method: str, path: str, *, status: int | None = 422, **call: Any) -> set[str]:
    """Send what must be refused; return the fields that the answer names, or that its reasons do."""
    before = rows(service)
    headers = {**service.writer, **call.pop("headers", {})}
    answer: Response = service.client.request(method, API + path, headers=headers, **call)
    problem = is_problem(answer, status)
    assert 400 <= answer.status_code < 500
    assert MARKER not in answer.text
    assert rows(service) == before
    assert all(error["reason"] and len(error["reason"]) <= 200 for error in problem.get("errors", ()))
    return {error["field"] for error in problem.get("errors", ())}


def names(fields: set[str], field: str) -> bool:
    """Return whether one of `fields` is `field` of the body; of a profile its kind may stand between."""
    kinds = ("pitch", "priority", "skill_need", "training_offer", "trainee")
    wanted = (f"body.{field}", *(f"body.{kind}.{field}" for kind in kinds))
    return any(f"{found}.".startswith(f"{name}.") for found in fields for name in wanted)


JSON = {"Content-Type": "application/json"}
QUESTION = {"text": "Electric vehicles"}
BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "organisation": ("/organisations", organisation()),
    "pitch": ("/profiles", pitch("k")),
    "priority": ("/profiles", priority("r")),
    "need": ("/profiles", need("c")),
    "offer": ("/profiles", offer("s")),
    "trainee": ("/profiles", trainee("s", "DAW-1")),
    "question": ("/suggestions/cluster-region", QUESTION),
    "decision": ("/suggestions/nothing/decision", {"decision": "accepted", "reason": "Yes."}),
}
TEXTS = [
    ("organisation", "name"), ("organisation", "summary"), ("pitch", "title"), ("pitch", "text"),
    ("priority", "text"), ("need", "text"), ("offer", "text"), ("question", "text"), ("decision", "reason"),
]  # fmt: skip
NO_TEXT = {
    "empty": '""', "spaces": '"  \\t\\n "', "NUL": f'"{MARKER}\\u0000"', "escape": f'"{MARKER}\\u001b[2J"',
    "high surrogate": f'"{MARKER}\\ud800"', "low surrogate": f'"\\udc00{MARKER}"', "number": "5",
    "non-character": f'"{MARKER}\\uffff"', "list": f'["{MARKER}"]', "object": f'{{"{MARKER}": 1}}', "true": "true",
    "too long": f'"{MARKER * 2100}"', "NaN": "NaN",
}  # fmt: skip
NO_COUNT = {
    "zero": "0", "minus one": "-1", "true": "true", "fraction": "1.5", "NaN": "NaN", "Infinity": "Infinity",
    "-Infinity": "-Infinity", "1e999": "1e999", "65 bits": "9223372036854775808", "digits": "9" * 5000,
    "minus 65 bits": "-9223372036854775809", "word": f'"{MARKER}"', "list": "[1]", "hex": '"0x10"',
}  # fmt: skip
NO_DAY = {
    "year 1": '"0001-01-01"', "year 9999": '"9999-12-31"', "1989": '"1989-12-31"', "2200": '"2200-01-01"',
    "30 February": '"2027-02-30"', "no leap year": '"2027-02-29"', "seconds": "1700006400", "zero": "0",
    "written seconds": '"1700006400"', "moment": '"2027-01-01T00:00:00"', "European": '"31/12/2027"',
    "word": f'"{MARKER}"', "NUL": '"2027-01-01\\u0000"', "space": '" 2027-01-01"', "Arabic": '"٢٠٢٧-٠١-٠١"',
}  # fmt: skip
CASES = [
    *(("text", base, field, NO_TEXT[name]) for base, field in TEXTS for name in NO_TEXT),
    *(("count", "need", field, value) for field in ("places", "hours") for value in NO_COUNT.values()),
    *(("count", "offer", "places", value) for value in NO_COUNT.values()),
    *(("count", "question", "limit", value) for value in [*NO_COUNT.values(), "101", '"5"', "null"]),
    *(("level", base, "eqf_level", bad) for base in ("need", "offer", "trainee") for bad in ("0", "9", "1e999", '"x"')),
    *(("day", "need", field, value) for field in ("starts_on", "ends_on", "valid_from") for value in NO_DAY.values()),
    *(("day", "question", "filters.valid_on", value) for value in NO_DAY.values()),
    *(("NUTS", "need", "nuts_code", value) for value in ('"ES99"', '"XX"', '"es61"', '"ES61111"', '"ES61\\n"', "61")),
    *(("NUTS", "question", "filters.nuts.0", value) for value in ('"ES99"', '"%"', '"E"', '"ES61\\u0000"')),
    ("NUTS", "organisation", "nuts_code", f'"{MARKER}"'),
    ("NUTS version", "need", "nuts_version", '"2016"'),
    *(("NACE", "need", "nace_codes", value) for value in ('["99.99"]', '["Z1"]', '[""]', f'["{MARKER}"]', '"62"')),
    ("NACE revision", "need", "nace_revision", '"3"'),
    ("sector", "question", "filters.sectors.0", f'"{MARKER}"'),
    ("country", "organisation", "country", '"XX"'),
    ("country", "question", "filters.countries.0", '"E\\u0000"'),
    *(("language", base, "language", f'"{MARKER[:8]}"') for base in ("pitch", "question")),
    ("languages", "need", "languages.0", '"xx"'),
    ("ecosystem", "pitch", "ecosystems.0", f'"{MARKER}"'),
    ("skill", "need", "skills.0", '"puente:nothing"'),
    ("state", "pitch", "state", '"gone"'),
    ("owner", "pitch", "organisation", f'"{MARKER}"'),
    ("ref", "pitch", "ref", f'"{MARKER}"'),
    ("address", "pitch", "source_url", f'"javascript:alert({MARKER})"'),
    ("address", "organisation", "website", f'"https://{MARKER} /"'),
    ("unknown field", "question", "side", '"offer"'),
    ("side", "question", "from", '"both"'),
    ("both", "question", "profile_id", f'"{MARKER}"'),
    ("neither", "question", "text", "null"),
    ("decision", "decision", "decision", f'"{MARKER}"'),
    ("lines", "decision", "decided_by", '"one\\ntwo"'),
    ("mobility", "trainee", "mobility.0", '"XX"'),
    ("label", "organisation", "labels.0.level", '"platinum"'),
    ("figure", "organisation", "figures.0.year", "1e999"),
    ("membership", "organisation", "memberships.0.of", '"nobody"'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "field", "value"),
    [pytest.param(*case, id=f"{what}-{case[0]}-{case[1]}-{i}") for i, (what, *case) in enumerate(CASES)],
)
def test_a_field_that_is_wrong_is_named(house: Service, base: str, field: str, value: str) -> None:
    path, body = BASES[base]
    steps = tuple(int(step) if step.isdigit() else step for step in field.split("."))
    fields = refused(house, "POST", path, content=with_value(body, steps, value), headers=JSON)
    assert names(fields, field) or names(fields, field.removesuffix(".0")), fields


@pytest.mark.parametrize(
    ("base", "more", "field"),
    [
        ("need", {"starts_on": "2027-02-01", "ends_on": "2027-01-31"}, "ends_on"),
        ("offer", {"starts_on": "2027-02-01", "ends_on": "2027-01-31"}, "ends_on"),
        ("trainee", {"starts_on": "2027-02-01", "ends_on": "2027-01-31"}, "ends_on"),
        ("pitch", {"valid_from": "2027-02-01", "valid_until": "2027-01-31"}, "valid_until"),
        ("question", {"filters": {"starts_on": "2027-02-01", "ends_on": "2027-01-31"}}, "filters.ends_on"),
    ],
)
def test_dates_in_the_wrong_order(house: Service, base: str, more: dict[str, Any], field: str) -> None:
    path, body = BASES[base]
    assert names(refused(house, "POST", path, json={**body, **more}), field)


def test_what_several_fields_say_together_is_explained(house: Service) -> None:
    label = {"level": "gold", "assessed_on": "2027-02-01", "valid_until": "2027-01-31"}
    assert refused(house, "POST", "/organisations", json=organisation(labels=[label])) == {"body.labels.0"}
    assert refused(house, "POST", "/organisations", json=organisation(nuts_code="PT11")) == {"body"}
    assert refused(house, "POST", "/suggestions/cluster-region", json={}) == {"body.text"}
    assert refused(house, "POST", "/profiles", json={**pitch("k"), "kind": MARKER}) == {"body"}


@pytest.mark.parametrize("name", ["cluster-moon", "CLUSTER-REGION", "%00", "..%2f", MARKER, "a" * 61, "%ff", "%20"])
def test_an_unknown_match_kind(house: Service, name: str) -> None:
    fields = refused(house, "POST", f"/suggestions/{name}", json=QUESTION, status=None)
    assert fields <= {"path.match_kind"}
    assert fields or "%2f" in name


BROKEN = {
    "nothing": b"", "half": b'{"text": "a"', "words": MARKER.encode(), "two": b'{"text": "a"} {}',
    "deep list": b"[" * 100_000, "deep object": b'{"text":' * 100_000,
    "deep": b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no UTF-8": b'{"text": "\xff\xfe"}', "UTF-16": json.dumps(QUESTION).encode("utf-16"),
    "UTF-32": json.dumps(QUESTION).encode("utf-32"), "Latin-1": '{"text": "región"}'.encode("latin-1"),
    "overlong": b'{"text": "\xc0\x80"}', "encoded surrogate": b'{"text": "\xed\xa0\x80"}',
    "twice": b'{"text": "a b", "text": "c d"}', "twice inside": b'{"text": "a", "filters": {"nuts": [], "nuts": []}}',
    "digits": b"9" * 5000, "list": b"[]", "null": b"null", "number": b"1", "string": b'"a"', "NaN": b"NaN",
    "odd key": b'{"text": "a", "\\ud800": 1}', "NUL key": b'{"text": "a", "\\u0000": 1}',
    "comment": b'{"text": "a" /**/}',
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("path", ["/suggestions/cluster-region", "/organisations", "/profiles"])
def test_a_body_that_is_broken(house: Service, path: str, what: str) -> None:
    fields = refused(house, "POST", path, content=BROKEN[what], headers=JSON)
    assert fields
    assert all(field.split(".")[0] == "body" for field in fields)


def test_a_byte_order_mark_is_no_harm(house: Service) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(QUESTION).encode()
    answer = house.client.post(f"{API}/suggestions/cluster-region", content=body, headers={**house.writer, **JSON})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", MARKER]
)
def test_a_body_of_another_type(house: Service, kind: str) -> None:
    for path in ("/organisations", "/suggestions/cluster-region"):
        body = json.dumps(organisation() if path == "/organisations" else QUESTION).encode()
        assert refused(house, "POST", path, content=body, headers={"Content-Type": kind}) == {"body"}


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes(house: Service, *, chunked: bool) -> None:
    body = json.dumps({"text": MARKER * MIB}).encode()
    for path in ("/suggestions/cluster-region", "/organisations", "/profiles"):
        content: Any = (body[at : at + 65536] for at in range(0, len(body), 65536)) if chunked else body
        refused(house, "POST", path, content=content, headers=JSON, status=413)


def test_bad_bodies_leave_no_memory_behind(house: Service) -> None:
    process = psutil.Process()

    def poison() -> None:
        for body in (b'{"text": "' + b"a" * 900_000 + b'"}', b"[" * 900_000, b"9" * 900_000, b'{"a":' * 180_000):
            refused(house, "POST", "/suggestions/cluster-region", content=body, headers=JSON)

    poison()
    before = process.memory_info().rss
    for _ in range(10):
        poison()
    assert process.memory_info().rss - before < 50 * MIB


QUERIES = [
    *(("limit", value) for value in ("0", "101", "-1", "abc", "1.5", "1e3", "NaN", "9" * 5000, "", "true", "٣")),
    *(
        ("cursor", value)
        for value in (
            MARKER, "", ">", "<", "<i:1", ">i:99999999999999999999", ">i:-1", ">x", ">true", ">n:sNaN", ">f:nan",
            ">b:x", ">s:a", ">s:a~i:99999999999999999999", ">uuid:1", ">d:2020-01-01", ">i:1~i:2~i:3", ">i:\x00",
            "~" * 400, "a" * 501,
        )
    ),
    ("kind", MARKER), ("kind", ""), ("country", "XX"), ("nuts", "ZZ"), ("nuts", "%"), ("ecosystem", MARKER),
    ("language", "zz"), ("eligible", "maybe"), ("state", MARKER), ("organisation", "\x00"), ("skill", MARKER),
    ("eqf_level", "9"), ("eqf_level", "1e999"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [pytest.param(*q, id=f"{i}-{q[0]}") for i, q in enumerate(QUERIES)])
def test_a_bad_query(house: Service, name: str, value: str) -> None:
    assert refused(house, "GET", "/profiles", params={name: value}) == {f"query.{name}"}
    if name in ("limit", "cursor", "nuts", "country", "ecosystem", "language"):
        assert refused(house, "GET", "/organisations", params={name: value}) == {f"query.{name}"}


@pytest.mark.parametrize("path", ["/profiles", "/organisations", "/match-kinds", "/skills", "/jobs/1"])
def test_a_query_parameter_that_does_not_exist_is_no_wish_for_everything(house: Service, path: str) -> None:
    assert refused(house, "GET", path, params={"contry": "ES"}) == {"query.contry"}
    assert len(refused(house, "GET", path, params={f"x{number}": "1" for number in range(50)})) == 20
    assert refused(house, "GET", path, params={f"<{MARKER}>": "1"}) == {"query.?"}


def test_a_problem_names_the_route_and_nothing_of_what_was_put_in_it(house: Service) -> None:
    answer = house.client.get(f"{API}/profiles/{MARKER}", headers=house.reader)
    assert is_problem(answer, 404)["instance"] == f"{API}/profiles/{{profile_id}}"
    assert is_problem(house.client.get(f"/{MARKER}"), 404)["instance"] == "/"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (None, 428), (b"*", 422), (b"1", 422), (b'"1"', 422), (b"", 422), (b"\xff", 422),
        (b'W/"%s-1"' % (b"0" * 36), 422),
        (b'"%s-1"' % (b"0" * 36), 412), (b'"%s-99999999999"' % (b"0" * 36), 422), (b'"%s--1"' % (b"0" * 36), 422),
        (b'"%s-1", "x"' % (b"0" * 36), 422), (MARKER.encode(), 422), (b'"' + b"0" * 5000 + b'"', 422),
    ],
)  # fmt: skip
def test_a_bad_if_match(house: Service, value: bytes | None, status: int) -> None:
    profile = read(house, "/profiles")["items"][0]["id"]
    headers = {} if value is None else {"If-Match": value}
    for path in ("/organisations/k", f"/profiles/{profile}"):
        for method, body in (("PATCH", {"json": {"languages": ["es"]}}), ("DELETE", {})):
            fields = refused(house, method, path, headers=headers, status=status, **body)
            assert fields == ({"header.If-Match"} if status == 422 else set())


@pytest.mark.parametrize(
    "name", ["%00", "a%0ab", "%20", "a" * 81, "a" * 5000, "%ff", "%ed%a0%80", "%25", "%2e%2e", "%F0%9F%98%80"]
)
def test_a_bad_id_in_a_path(house: Service, name: str) -> None:
    for path in ("/organisations/", "/profiles/", "/jobs/", "/suggestions/runs/"):
        refused(house, "GET", path + name, status=None)
    if len(name) < 80:
        refused(house, "POST", f"/suggestions/{name}/decision", json=BASES["decision"][1], status=None)
        for path in ("/organisations/", "/profiles/"):
            refused(house, "PATCH", path + name, json={}, headers={"If-Match": f'"{"0" * 36}-1"'}, status=None)


def archive(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target.getvalue()


BOMB = b'<?xml version="1.0"?><worksheet xmlns="x"><sheetData>' + b" " * (200 * MIB) + b"</sheetData></worksheet>"
ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<worksheet xmlns="x"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&b;</t></is></c></row></sheetData>'
    b"</worksheet>"
)
FILES: dict[str, tuple[str, bytes]] = {
    "no workbook": ("a.xlsx", MARKER.encode()),
    "half a workbook": ("a.xlsx", PLAIN[: len(PLAIN) // 2]),
    "zip of something else": ("a.xlsx", archive(**{"hello.txt": MARKER.encode()})),
    "zip bomb": ("a.xlsx", repacked(PLAIN, {SHEET: BOMB})),
    "entities": ("a.xlsx", repacked(PLAIN, {SHEET: ENTITIES})),
    "empty": ("a.csv", b""),
    "no text": ("a.csv", bytes(range(256))),
    "UTF-16": ("a.csv", "kind,name,country\ncluster,a,ES\n".encode("utf-16")),
    "unknown column": ("a.csv", f"kind,{MARKER}\ncluster,a\n".encode()),
    "rubbish name": ("\u202e\x01../../etc/passwd", b"kind,name\n"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_none(house: Service, what: str) -> None:
    assert refused(house, "POST", "/imports", files={"file": FILES[what]}) == {"body.file"}
    assert not list((house.database.path.parent / "uploads").glob("*"))


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({}, 422),
        ({"json": {"file": MARKER}}, 422),
        ({"data": {"file": MARKER}}, 422),
        ({"files": {"wrong": ("a.csv", b"kind\n")}}, 422),
        ({"content": b"--x\r\nmArKeR7391", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": MARKER.encode(), "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"files": [("file", ("a.csv", b"kind\n"))] * 1100}, 400),
        ({"files": {"file": (MARKER * 500, b"kind,name\n")}}, 400),
        ({"data": {"default_kind": MARKER * 200_000}, "files": {"file": ("a.csv", b"kind\n")}}, 400),
        ({"files": {"file": ("a.csv", b"a" * 52 * MIB)}}, 413),
    ],
)  # fmt: skip
def test_a_form_that_is_none(house: Service, call: dict[str, Any], status: int) -> None:
    fields = refused(house, "POST", "/imports", status=status, **call)
    assert {field.split(".")[0] for field in fields} == ({"body"} if status != 413 else set())


def test_an_unknown_default_kind(house: Service) -> None:
    files = {"file": ("a.csv", b"name,country\na,ES\n")}
    fields = refused(house, "POST", "/imports", files=files, data={"default_kind": MARKER})
    assert fields == {"body.default_kind"}
