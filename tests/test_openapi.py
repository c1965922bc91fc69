"""The OpenAPI is a contract: it changes when somebody wants it to, and shows how to call everything."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service
from tests.fixtures.builders import PROBLEM

SNAPSHOT = Path(__file__).parent / "openapi.json"
UPDATE = "PUENTE_UPDATE_SNAPSHOT"
PUBLIC = {"/live", "/ready"}


@pytest.fixture
def schema(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get("/openapi.json").json()
    return found


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_it_equals_the_snapshot(schema: dict[str, Any]) -> None:
    found = json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8"), (
        f"if you meant to change the API: {UPDATE}=1 pytest {__file__}"
    )


def test_every_operation_is_described_and_named_once(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(schema)]
    assert len(set(names)) == len(names)
    for name, operation in operations(schema):
        assert operation["description"], name
        assert operation["tags"], name


def test_every_refusal_is_declared_as_a_problem(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            if status[0] in "45" and status != "503":
                assert set(response["content"]) == {PROBLEM}, (name, status)


def test_everything_but_health_needs_a_key(schema: dict[str, Any]) -> None:
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == (path not in PUBLIC), path


def test_every_json_body_has_an_example_that_is_taken(service: Service, schema: dict[str, Any]) -> None:
    """Ask each operation with its own example; what it refers to need not be there, its form must hold."""
    seen = 0
    for name, operation in operations(schema):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        examples = [given["value"] for given in content.get("examples", {}).values()]
        reference = content["schema"].get("$ref", "").rsplit("/", 1)[-1]
        declared = schema["components"]["schemas"].get(reference, {})
        examples += [declared["example"]] if "example" in declared else declared.get("examples", [])
        examples += content["schema"].get("examples", [])
        assert examples, name
        method, path = name.split()
        for example in examples:
            seen += 1
            address = path.replace("{match_kind}", "cluster-region")
            headers = {**service.writer, "If-Match": f'"{"0" * 36}-1"'}
            answer = service.client.request(method, address, json=example, headers=headers)
            refused = {error["field"] for error in answer.json().get("errors", ())} - {
                "body.organisation",
                "body.offer",
            }
            assert refused == set(), (name, answer.text)
            assert answer.status_code in (200, 201, 404, 422), (name, answer.text)
    assert seen >= 5
