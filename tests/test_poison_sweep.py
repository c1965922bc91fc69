"""No input can cause a 5xx: every poison into every field, parameter and path that the OpenAPI names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from httpx2 import Response
from sqlalchemy import text

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
    suggest,
    trainee,
)
from tests.fixtures.poison import JSON, MARKER, STRINGS, places, with_value

OPENAPI = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
BASES: dict[str, dict[str, Any]] = {
    "OrganisationCreate": organisation(),
    "PitchCreate": pitch("k"),
    "PriorityCreate": priority("r"),
    "SkillNeedCreate": need("c"),
    "TrainingOfferCreate": offer("s"),
    "TraineeCreate": trainee("s", "DAW-1"),
    "SuggestionQuestion": {"text": "Electric vehicles"},
    "PairQuestion": {"text": "Electric vehicles", "offer": "0" * 36},
    "DecisionInput": {"decision": "accepted", "reason": "Yes.", "decided_by": "Marta"},
}
ADDRESSES = {
    "OrganisationCreate": "/organisations",
    "SuggestionQuestion": "/suggestions/cluster-region",
    "PairQuestion": "/suggestions/cluster-region/why",
    "DecisionInput": "/suggestions/nothing/decision",
}
PATCHED = {"OrganisationCreate": "organisations", "SkillNeedCreate": "profiles", "TrainingOfferCreate": "profiles"}


class World(NamedTuple):
    """A service with something in it, and an eye on whether anything was written."""

    service: Service
    organisation: str
    profiles: dict[str, str]
    watch: Any

    def version(self) -> int:
        """Return a number that changes whenever anybody else commits a change."""
        found: int = self.watch.execute(text("PRAGMA data_version")).scalar_one()
        self.watch.rollback()
        return found

    def send(self, method: str, path: str, **call: Any) -> Response:
        """Send a request and hold its answer to what every answer must be."""
        before = self.version()
        headers = {**self.service.writer, **call.pop("headers", {})}
        answer: Response = self.service.client.request(method, path, headers=headers, **call)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            is_problem(answer)
            assert MARKER not in answer.text
            assert self.version() == before, "refused, and yet something was written"
        return answer


@pytest.fixture(scope="module")
def world(migrated_file: Path, hash_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service for all of it."""
    path = tmp_path_factory.mktemp("poison") / "puente.db"
    path.write_bytes(migrated_file.read_bytes())
    for service in make_service(path, hash_embedder):
        for kind, ref in (("cluster", "k"), ("region", "r"), ("company", "c"), ("school", "s")):
            add_organisation(service, kind, ref=ref)
        made = {
            "SkillNeedCreate": add_profile(service, need("c")),
            "TrainingOfferCreate": add_profile(service, offer("s")),
        }
        add_profile(service, priority("r"))
        with service.database._read.connect() as watch:
            yield World(service, "k", made, watch)


def dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


BODIES = [
    pytest.param(name, path, id=f"{name}-{dotted(path)}")
    for name in BASES
    for path in dict.fromkeys(places(OPENAPI["components"]["schemas"][name], OPENAPI))
]


@pytest.mark.parametrize(("name", "path"), BODIES)
def test_every_field_of_every_body(world: World, name: str, path: tuple[str | int, ...]) -> None:
    for value in JSON.values():
        world.send(
            "POST",
            API + ADDRESSES.get(name, "/profiles"),
            content=with_value(BASES[name], path, value),
            headers={"Content-Type": "application/json"},
        )


def test_the_sweep_knows_every_body() -> None:
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"].get("$ref", "").rsplit("/", 1)[-1]
        for methods in OPENAPI["paths"].values()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    kinds = OPENAPI["paths"][f"{API}/profiles"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert bodies - {""} | {kind["$ref"].rsplit("/", 1)[-1] for kind in kinds} == BASES.keys()
    assert len(BODIES) > 120


@pytest.mark.parametrize(
    ("name", "path"), [param for param in BODIES if param.values[0] in PATCHED and len(param.values[1]) == 1]
)
def test_every_field_of_every_patch(world: World, name: str, path: tuple[str]) -> None:
    address = f"{API}/organisations/{world.organisation}"
    if name != "OrganisationCreate":
        address = f"{API}/profiles/{world.profiles[name]}"
    tag = world.send("GET", address).headers["ETag"]
    for value in JSON.values():
        headers = {"Content-Type": "application/json", "If-Match": tag}
        answer = world.send("PATCH", address, content=with_value({}, path, value), headers=headers)
        if answer.status_code == 200:
            tag = answer.headers["ETag"]
        assert answer.status_code in (200, 400, 422)


def parameters() -> Iterator[Any]:
    for address, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                place = (method.upper(), address, parameter["in"], parameter["name"])
                yield pytest.param(*place, id=" ".join(place))


@pytest.mark.parametrize(("method", "address", "where", "name"), list(parameters()))
def test_every_parameter(world: World, method: str, address: str, where: str, name: str) -> None:
    body: dict[str, Any] = {"text": "x", "decision": "accepted", "reason": "x"}
    fields = ["text"] if address.endswith("{match_kind}") else ["decision", "reason"] if "decision" in address else []
    for value in [*STRINGS.values(), "NaN", "1e999", "9" * 500, "-1", "0", "true", "null", "[]", "%", "\U0010ffff"]:
        call: dict[str, Any] = {"json": {field: body[field] for field in fields}} if method in ("POST", "PATCH") else {}
        written = value.encode("utf-8", "surrogatepass")
        path = address
        if where == "path":
            path = address.replace(f"{{{name}}}", quote(written, safe=""))
        for other in ("organisation_id", "profile_id", "match_kind", "suggestion_id", "run_id", "job_id"):
            path = path.replace(f"{{{other}}}", "nothing")
        if where == "query":
            path += f"?{name}={quote(written, safe='')}"
        if where == "header":
            call["headers"] = {name: bytes(byte for byte in written if byte not in b"\r\n\0")}
        answer = world.send(method, path, **call, follow_redirects=False)
        if where == "path" and not {*value} & {*"/."} and value.strip():
            # 200: a poison of another test may have become the ref of an organisation.
            assert answer.status_code in (200, 404, 422, 428)


def test_header_rubbish(world: World) -> None:
    rubbish = [
        b"\xff\xfe",
        b"a" * 8000,
        b"",
        b" ",
        b"\x7f",
        b"\t",
        MARKER.encode(),
        b"null",
        b"application/json;;;=\xff",
    ]
    for name in ("Accept", "Accept-Language", "Content-Type", "Cookie", "Range", "If-Match", "X-Forwarded-For", "Host"):
        for value in rubbish:
            for method, path, body in (
                ("GET", "/organisations", b""),
                ("POST", "/suggestions/cluster-region", b'{"text": "x"}'),
            ):
                world.send(method, API + path, content=body, headers={name: value})
    for value in rubbish:
        answer = world.send("GET", f"{API}/organisations", headers={"X-API-Key": value})
        assert answer.status_code == 401


def test_the_service_is_none_the_worse_for_it(world: World) -> None:
    assert world.service.client.get("/ready").json()["status"] == "ready"
    assert suggest(world.service, "cluster-region", text="Electric vehicles")["status"] == "ok"
