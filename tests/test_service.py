"""What surrounds the API: health, metrics, documentation, and errors that have one shape."""

import re

import pytest
from sqlalchemy import text

from tests.conftest import Service
from tests.fixtures.builders import API, add_organisation, add_profile, is_problem, priority, read, suggest


def test_live(service: Service) -> None:
    answer = service.client.get("/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


def test_ready_says_why_not(service: Service) -> None:
    answer = service.client.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "problems": []})
    with service.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    answer = service.client.get("/ready")
    assert answer.status_code == 503
    assert "schema" in answer.json()["problems"][0]
    assert service.client.get("/live").status_code == 200
    with service.database.write() as session:
        session.execute(text("DROP TABLE index_change"))
    assert len(service.client.get("/ready").json()["problems"]) == 2


def test_metrics_tell_requests_and_the_index_apart(service: Service) -> None:
    add_profile(service, priority(add_organisation(service, "region")))
    suggest(service, "cluster-region", text="Batteries")
    service.client.get("/ready")
    found = service.client.get("/metrics").text
    assert f'handler="{API}/suggestions/{{match_kind}}",method="POST",status="2xx"' in found
    assert 'puente_index_profiles{kind="priority"} 1.0' in found
    sequence = re.search(r"^puente_index_seq (\d+)", found, re.MULTILINE)
    assert sequence is not None
    assert int(sequence[1]) >= 2


def test_metrics_do_not_grow_with_what_is_asked_for(service: Service) -> None:
    for number in range(20):
        service.client.get(f"/secret-{number}")
        service.client.get(f"{API}/profiles/secret-{number}", headers=service.reader)
        service.client.request(f"SECRET{number}", "/docs")
    found = service.client.get("/metrics").text
    assert "secret" not in found.lower()
    assert f'handler="{API}/profiles/{{profile_id}}",method="GET",status="4xx"' in found
    assert 'handler="none",method="GET",status="4xx"' in found
    assert 'handler="/docs",method="other",status="4xx"' in found


def test_the_documentation_needs_no_other_server(service: Service) -> None:
    page = service.client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(?:https?:)?//", page.text.replace("<!--", ""))
    linked = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(linked) >= 2
    for address in linked:
        assert address.startswith("/")
        assert service.client.get(address).status_code == 200
    assert service.client.get("/openapi.json").status_code == 200
    assert service.client.get("/redoc").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", f"{API}/nothing", 404),
        ("PUT", f"{API}/profiles", 405),
        ("DELETE", f"{API}/profiles", 405),
        ("GET", f"{API}/imports", 405),
        ("GET", f"{API}/suggestions/cluster-region", 405),
        ("POST", f"{API}/profiles", 401),
        ("POST", f"{API}/imports", 401),
    ],
)
def test_every_refusal_is_a_problem(service: Service, method: str, path: str, status: int) -> None:
    answer = service.client.request(method, path)
    problem = is_problem(answer, status)
    assert problem["title"]
    if status == 405:
        assert answer.headers["Allow"]


def test_a_database_that_fails_is_a_problem_without_details(service: Service) -> None:
    with service.database.write() as session:
        session.execute(text("DROP TABLE organisation_tag"))
    answer = service.client.post(
        f"{API}/organisations",
        json={"kind": "cluster", "name": "One", "country": "ES", "languages": ["es"]},
        headers=service.writer,
    )
    problem = is_problem(answer)
    assert answer.status_code in (500, 503)
    assert "organisation_tag" not in answer.text
    assert "Traceback" not in answer.text
    assert "detail" not in problem or "SELECT" not in problem["detail"]
    assert read(service, "/organisations")["items"] == []


def test_a_full_disk_refuses_writes_and_answers_reads(service: Service) -> None:
    owner = add_organisation(service, "region")
    with service.database.read() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar_one()
    write = service.client.app.state.database._write  # type: ignore[attr-defined]
    with write.connect() as connection:
        connection.connection.cursor().execute(f"PRAGMA max_page_count = {pages}")
    statuses = []
    for number in range(40):
        answer = service.client.post(
            f"{API}/profiles", json=priority(owner, title=f"{number}", text="word " * 3000), headers=service.writer
        )
        statuses.append(answer.status_code)
        if answer.status_code != 201:
            is_problem(answer, 507)
    assert 507 in statuses
    assert len(read(service, "/profiles", limit=100)["items"]) == statuses.count(201)


def test_a_key_that_was_revoked_opens_nothing(service: Service) -> None:
    read(service, "/organisations")
    with service.database.write() as session:
        session.execute(text("UPDATE api_key SET revoked_at = created_at WHERE role = 'reader'"))
    is_problem(service.client.get(f"{API}/organisations", headers=service.reader), 401)
    assert service.client.get(f"{API}/organisations", headers=service.writer).status_code == 200
