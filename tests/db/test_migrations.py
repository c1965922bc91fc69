"""What an older database holds is still there after the way up, and after the way down and up again."""

from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import delete, select, text

from app.db.migrate import _config, head_revision, upgrade
from app.db.session import Database
from app.suggestions.tables import Decision, Suggestion, SuggestionRun
from tests.conftest import Service
from tests.fixtures.builders import add_organisation, add_profile, pitch, post, priority, read, suggest


def downgrade(path: Path, revision: str) -> None:
    command.downgrade(_config(str(path)), revision)


def schema(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as session:
        found = session.execute(text("SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"))
        return [tuple(row) for row in found]


def test_runs_suggestions_and_decisions_survive_the_way_down_and_up(service: Service, database_file: Path) -> None:
    asker = add_profile(service, pitch(add_organisation(service)))
    for number in range(3):
        add_profile(service, priority(add_organisation(service, "region"), title=f"Batteries {number}"))
    answers = [
        suggest(service, "cluster-region", text="Batteries"),
        suggest(service, "cluster-region", profile_id=asker),
    ]
    chosen = answers[1]["items"][2]["suggestion_id"]
    post(service, f"/suggestions/{chosen}/decision", {"decision": "declined", "reason": "Known already."})
    before = schema(service.database)

    downgrade(database_file, "0001")
    with service.database.read() as session:
        rows = session.execute(text("SELECT id, run_id, rank FROM suggestion ORDER BY run_id, rank")).all()
        assert {tuple(row) for row in rows} == {
            (f"{answer['run_id']}-{rank}", answer["run_id"], rank) for answer in answers for rank in (1, 2, 3)
        }
    upgrade(str(database_file))

    assert schema(service.database) == before
    for answer in answers:
        assert read(service, f"/suggestions/runs/{answer['run_id']}") == answer
    post(service, f"/suggestions/{chosen}/decision", {"decision": "accepted", "reason": "No."}, status=409)
    again = suggest(service, "cluster-region", profile_id=asker)
    assert [item["profile"]["id"] for item in again["items"]] == [
        item["profile"]["id"] for item in answers[1]["items"][:2]
    ]


def test_a_decision_outlives_its_run_and_has_no_place_in_the_first_schema(
    service: Service, database_file: Path
) -> None:
    asker = add_profile(service, pitch(add_organisation(service)))
    add_profile(service, priority(add_organisation(service, "region")))
    chosen = suggest(service, "cluster-region", profile_id=asker)["items"][0]["suggestion_id"]
    post(service, f"/suggestions/{chosen}/decision", {"decision": "declined", "reason": "Known already."})
    with service.database.write() as session:
        session.execute(delete(SuggestionRun))
    with service.database.read() as session:
        assert session.scalars(select(Suggestion)).all() == []
        assert session.scalars(select(Decision.suggestion_id)).all() == [chosen]
    assert suggest(service, "cluster-region", profile_id=asker)["status"] == "no_match"

    downgrade(database_file, "0001")
    with service.database.read() as session:
        assert session.execute(text("SELECT count(*) FROM decision")).scalar() == 0


def test_every_migration_can_be_undone(database_file: Path, database: Database) -> None:
    before = schema(database)
    downgrade(database_file, "base")
    with database.read() as session:
        tables = session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
        assert set(tables) <= {"alembic_version", "sqlite_sequence"}
    upgrade(str(database_file))
    assert schema(database) == before
    assert database.ping() == head_revision()
