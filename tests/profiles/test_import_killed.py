"""`kill -9` in the middle of an import: no counted row is lost, none is stored twice."""

import io
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db.changes import ORGANISATION, PROFILE, IndexChange
from app.db.session import Database
from app.jobs.repository import JobRepository
from app.jobs.schemas import JobState
from app.jobs.service import JobService
from app.jobs.tables import Job
from app.organisations.tables import Organisation
from app.profiles.files import store_upload
from app.profiles.tables import Embedding, Profile
from app.profiles.tasks import IMPORT

ROOT = Path(__file__).parents[2]
KILLS = 10
ROWS = 700
EVERY = 20
"""Every so many rows stands another organisation, and another row that is wrong."""


class LossError(AssertionError):
    """What is stored is not what the job has counted."""


def row(number: int) -> dict[str, object]:
    # Without a ref, a row that is read twice is stored twice: nothing hides a repetition.
    if number % EVERY == 0:
        return {
            "kind": "cluster",
            "name": f"row {number}",
            "country": "ES",
            "ref": "owner" if number == 0 else None,
        }
    if number % EVERY == 1:
        return {"kind": "pitch", "organisation": "owner", "title": f"row {number}", "text": ""}
    return {
        "kind": "pitch",
        "organisation": "owner",
        "title": f"row {number}",
        "text": f"Parts of kind {number}.",
    }


def expected(progress: int) -> list[str]:
    return sorted(f"row {number}" for number in range(progress) if number % EVERY != 1)


def queue(database: Database, folder: Path) -> str:
    content = "\n".join(json.dumps(row(number)) for number in range(ROWS)).encode()
    path = store_upload(io.BytesIO(content), folder, limit=10**7)
    with database.write() as session:
        arguments = {"path": str(path), "name": "rows.jsonl", "default_kind": None}
        return JobService(JobRepository(session)).create(IMPORT, arguments).id


def begin(database: Database, job_id: str, mode: str = "plain") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.profiles.killed_import", str(database.path), job_id, mode]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return JobService(JobRepository(session)).get(job_id)


def kill_at(database: Database, job_id: str, progress: int, child: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while job(database, job_id).progress < progress:
        assert child.poll() is None, "the import ended before the kill"
        assert time.monotonic() < limit
        time.sleep(0.001)
    child.kill()
    child.communicate()


def check(database: Database, job_id: str) -> int:
    """Return the job's progress; raises `LossError` unless exactly the counted rows are stored, whole."""
    with database.read() as session:
        found = JobService(JobRepository(session)).get(job_id)
        names = [*session.scalars(select(Organisation.name)), *session.scalars(select(Profile.title))]
        embedded = session.scalar(select(func.count()).select_from(Embedding))
        profiles = session.scalar(select(func.count()).select_from(Profile))
        noted = {
            kind: session.scalar(
                select(func.count(func.distinct(IndexChange.entity_pk))).where(IndexChange.entity_kind == kind)
            )
            for kind in (PROFILE, ORGANISATION)
        }
    result = found.result or {"created": 0, "updated": 0, "failed": 0, "rows": 0}
    stored = {
        "names": sorted(names) == expected(found.progress),
        "created": result["created"] == len(names),
        "failed": result["created"] + result["failed"] == result["rows"] == found.progress,
        "embedded": embedded == profiles,
        "noted": noted == {PROFILE: profiles, ORGANISATION: len(names) - (profiles or 0)},
    }
    if not all(stored.values()):
        raise LossError(str(stored))
    return found.progress


def test_killed_ten_times_an_import_loses_and_repeats_nothing(database: Database, tmp_path: Path) -> None:
    job_id = queue(database, tmp_path / "uploads")
    chance = random.Random()  # noqa: S311 - another moment in every run is what makes this a test
    reached = 0
    for left in range(KILLS, 0, -1):
        furthest = reached + (ROWS - 100 - reached) // left
        kill_at(database, job_id, chance.randint(reached + 1, furthest), begin(database, job_id))
        assert job(database, job_id).state == JobState.RUNNING
        reached = check(database, job_id)
    last = begin(database, job_id)
    last.communicate(timeout=120)
    assert last.returncode == 0
    assert job(database, job_id).state == JobState.DONE
    assert check(database, job_id) == ROWS
    assert not list((tmp_path / "uploads").iterdir())


def test_the_check_sees_rows_that_were_counted_before_they_were_stored(database: Database, tmp_path: Path) -> None:
    job_id = queue(database, tmp_path / "uploads")
    with begin(database, job_id, "naive") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"counted\n"
        child.kill()
    with pytest.raises(LossError, match="'names': False"):
        check(database, job_id)
