"""Imports: good rows are kept, bad ones reported, and nothing is lost or done twice."""

import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.db.session import Database
from app.errors import Conflict, Unavailable
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.schemas import JobAnswer, JobState
from app.jobs.service import JobService
from app.matching.embedder import load_embedder
from app.organisations.repository import OrganisationFilter, OrganisationRepository
from app.profiles import tasks
from app.profiles.files import store_upload
from app.profiles.repository import ProfileFilter, ProfileRepository
from app.profiles.service import ProfileService
from app.profiles.tasks import IMPORT, run_import

TEMPLATES = Path(__file__).parents[2] / "scripts" / "templates"
IN_ORDER = ("organisations", "pitches", "priorities", "skill_needs", "training_offers", "trainees")
CLUSTER = {"kind": "cluster", "ref": "c1", "name": "Cluster One", "country": "ES"}
SCHOOL = {"kind": "school", "ref": "s1", "name": "School One", "country": "ES"}
OFFER = {
    "kind": "training_offer",
    "organisation": "s1",
    "ref": "o1",
    "title": "Welding",
    "programme_type": "course",
    "text": "Joining steel and aluminium.",
}


def pitch(ref: str, **other: Any) -> dict[str, Any]:
    text = f"We seek {ref} parts."
    return {"kind": "pitch", "organisation": "c1", "ref": ref, "title": f"Pitch {ref}", "text": text, **other}


class House:
    """A database with a runner of imports."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.profiles: tasks.ProfilesOf = partial(ProfileService, embedder=load_embedder("hash"))
        self.told: list[tuple[int, int]] = []

    def queue(self, content: bytes, name: str, default_kind: str | None = None) -> tuple[str, Path]:
        path = store_upload(io.BytesIO(content), self.folder / "uploads", limit=50_000_000)
        arguments = {"path": str(path), "name": name, "default_kind": default_kind}
        with self.database.write() as session:
            return JobService(JobRepository(session)).create(IMPORT, arguments).id, path

    def run(self, job_id: str, should_stop: Callable[[], bool] | None = None) -> JobAnswer:
        def task(job_id: str, *, should_stop: Callable[[], bool]) -> bool:
            return run_import(
                job_id,
                database=self.database,
                profiles=self.profiles,
                should_stop=stop or should_stop,
                on_progress=lambda done, total: self.told.append((done, total)),
            )

        stop = should_stop
        JobRunner(self.database, {IMPORT: task}).run(job_id)
        return self.job(job_id)

    def job(self, job_id: str) -> JobAnswer:
        with self.database.read() as session:
            return JobAnswer.model_validate(JobService(JobRepository(session)).get(job_id))

    def load(self, content: bytes | Sequence[Any], name: str = "a.jsonl", kind: str | None = None) -> dict[str, Any]:
        """Import a file, or objects as JSON Lines, to its end; return the result."""
        if not isinstance(content, bytes):
            content = lines(content)
        job_id, path = self.queue(content, name, kind)
        job = self.run(job_id)
        assert (job.state, job.error) == (JobState.DONE, None)
        assert job.result is not None
        assert job.progress == job.total == job.result["rows"]
        assert not path.exists()
        return job.result

    def titles(self) -> list[str]:
        with self.database.read() as session:
            rows, _ = ProfileRepository(session).page(ProfileFilter(), limit=100, cursor=None)
            return [row.title for row in rows]

    def names(self) -> list[str]:
        with self.database.read() as session:
            rows, _ = OrganisationRepository(session).page(OrganisationFilter(), limit=100, cursor=None)
            return [row.name for row in rows]


def lines(rows: Sequence[Any]) -> bytes:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path)


def counts(result: dict[str, Any]) -> tuple[int, int, int]:
    return result["created"], result["updated"], result["failed"]


def test_the_templates_load_in_order_and_again(house: House) -> None:
    for expected in ((1, 0, 0), (0, 1, 0)):
        for name in IN_ORDER:
            created, updated, failed = counts(house.load((TEMPLATES / f"{name}.csv").read_bytes(), f"{name}.csv"))
            several = 4 if name == "organisations" else 1
            assert (created, updated, failed) == tuple(several * number for number in expected)
    assert len(house.titles()) == 5
    assert len(house.names()) == 4


def test_one_file_may_hold_everything_that_refers_to_what_stands_before(house: House) -> None:
    member = {
        "kind": "company",
        "ref": "m1",
        "name": "Member",
        "country": "ES",
        "memberships": [{"of": "c1"}],
    }
    trainee = {"kind": "trainee", "organisation": "s1", "ref": "T-01", "programme": "o1"}
    rows = [CLUSTER, member, pitch("a"), SCHOOL, OFFER, trainee, pitch("b")]
    assert counts(house.load(rows)) == (7, 0, 0)
    too_early = {"kind": "trainee", "organisation": "s1", "ref": "T-02", "programme": "o2"}
    result = house.load([too_early, {**OFFER, "ref": "o2"}, {**pitch("c"), "organisation": "nobody"}])
    assert counts(result) == (1, 0, 2)
    assert [(error["row"], error["field"]) for error in result["errors"]] == [
        (1, "programme"),
        (3, "organisation"),
    ]


def test_bad_rows_are_reported_by_number_and_field_and_good_ones_kept(house: House) -> None:
    rows = [
        CLUSTER,
        pitch("a"),
        "{broken",
        pitch("b", places=0),
        pitch("c", valid_from="2027-01-01", valid_until="2026-01-01"),
        pitch("d", text="  "),
        {**CLUSTER, "ref": "c2", "memberships": [{"of": "nobody"}]},
        {**CLUSTER, "kind": "region"},
        pitch("e"),
        {"kind": "castle"},
    ]
    result = house.load(rows)
    assert counts(result) == (3, 0, 7)
    assert [(error["row"], error["field"]) for error in result["errors"]] == [
        (3, "row"),
        (4, "places"),
        (5, "valid_until"),
        (6, "text"),
        (7, "memberships.0.of"),
        (8, "kind"),
        (10, "kind"),
    ]
    assert house.titles() == ["Pitch a", "Pitch e"]
    assert house.names() == ["Cluster One"]
    assert not result["errors_truncated"]


def test_a_ref_twice_in_a_file_is_a_new_version(house: House) -> None:
    rows = [CLUSTER, pitch("a"), pitch("a", title="Better"), {**CLUSTER, "name": "Renamed"}]
    assert counts(house.load(rows)) == (2, 2, 0)
    assert house.titles() == ["Better"]
    assert house.names() == ["Renamed"]


def test_an_owner_named_in_two_ways_is_still_one(house: House) -> None:
    house.load([CLUSTER])
    with house.database.read() as session:
        found = OrganisationRepository(session).get("c1")
        assert found is not None
        id_ = found.id
    rows = [pitch("a"), {**pitch("a", title="Better"), "organisation": id_}, pitch("b")]
    assert counts(house.load(rows)) == (2, 1, 0)
    assert sorted(house.titles()) == ["Better", "Pitch b"]


def test_errors_are_counted_all_and_listed_some(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MAX_LISTED", 250)
    result = house.load([CLUSTER, *[pitch(f"p{n}", places=1) for n in range(600)]])
    assert counts(result) == (1, 0, 600)
    assert len(result["errors"]) == 250
    assert result["errors_truncated"]
    assert house.told[-1] == (601, 601)


def test_a_default_kind_stands_in(house: House) -> None:
    assert counts(house.load(b"ref,name,country\nc1,One,ES\n", "a.csv", "cluster")) == (1, 0, 0)


def test_a_file_that_cannot_be_read_fails_and_is_deleted(house: House) -> None:
    job_id, path = house.queue(b"PK\x03\x04 no workbook", "a.xlsx")
    job = house.run(job_id)
    assert (job.state, job.error) == (JobState.FAILED, "file: not an XLSX workbook")
    assert not path.exists()


def test_a_file_of_the_user_is_left_where_it_is(house: House, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines([CLUSTER]))
    with house.database.write() as session:
        arguments = {"path": str(path), "name": path.name, "default_kind": None}
        job_id = JobService(JobRepository(session)).create(IMPORT, arguments).id
    assert house.run(job_id).state == JobState.DONE
    assert path.exists()


def test_a_file_that_is_gone_fails_the_job(house: House) -> None:
    job_id, path = house.queue(lines([CLUSTER]), "a.jsonl")
    path.unlink()
    assert house.run(job_id).error == "file: is no longer there"


def test_it_stops_between_batches_and_goes_on_behind_them(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BATCH_ROWS", 2)
    job_id, path = house.queue(lines([CLUSTER, *[pitch(f"p{n}") for n in range(6)]]), "a.jsonl")
    for progress in (1, 3, 5):
        job = house.run(job_id, iter([False, True]).__next__)
        assert (job.state, job.progress) == (JobState.RUNNING, progress)
        assert len(house.titles()) == progress - 1
        assert path.exists()
    job = house.run(job_id)
    assert (job.state, job.progress) == (JobState.DONE, 7)
    assert job.result is not None
    assert counts(job.result) == (7, 0, 0)


def test_killed_behind_the_last_row_it_only_tidies_up(house: House) -> None:
    job_id, path = house.queue(lines([CLUSTER]), "a.jsonl")
    with house.database.write() as session:
        jobs = JobService(JobRepository(session))
        jobs.start(job_id)
        jobs.set_total(job_id, 1)
        jobs.advance(job_id, seen=0, progress=1, result={})
    path.unlink()
    assert house.run(job_id).state == JobState.DONE
    assert house.names() == []


def test_two_processes_on_one_job_store_each_row_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BATCH_ROWS", 1)
    rows = [CLUSTER, *[{k: v for k, v in pitch(f"p{n}").items() if k != "ref"} for n in range(4)]]
    job_id, path = house.queue(lines(rows), "a.jsonl")

    def other_goes_first(done: int, _: int) -> None:
        if done == 2:
            assert house.run(job_id).state == JobState.DONE

    house.told = _Listener(other_goes_first)
    house.run(job_id)
    assert house.job(job_id).state == JobState.DONE
    assert len(house.titles()) == 4
    assert not path.exists()


class _Listener(list[tuple[int, int]]):
    """Calls back at each report."""

    def __init__(self, callback: Callable[[int, int], None]) -> None:
        super().__init__()
        self.callback = callback

    def append(self, item: tuple[int, int]) -> None:
        super().append(item)
        self.callback(*item)


def test_orphaned_uploads_are_tidied_away(house: House) -> None:
    _, needed = house.queue(lines([CLUSTER]), "a.jsonl")
    uploads = needed.parent
    orphan = store_upload(io.BytesIO(b"x"), uploads, limit=1)
    other = uploads / "notes.txt"
    other.touch()
    assert tasks.tidy_uploads(house.database, uploads) == 0
    assert tasks.tidy_uploads(house.database, uploads, older_than_s=-60) == 1
    assert not orphan.exists()
    assert needed.exists()
    assert other.exists()
    assert tasks.tidy_uploads(house.database, uploads / "none") == 0


class Failing(ProfileService):
    """A service whose steps fail as told: `failures` are raised one after the other."""

    failures: list[Exception]

    def store(self, *arguments: Any) -> list[int]:
        if self.failures:
            raise self.failures.pop(0)
        return super().store(*arguments)


def failing(house: House, *failures: Exception) -> None:
    class Once(Failing):
        pass

    Once.failures = list(failures)
    house.profiles = partial(Once, embedder=load_embedder("hash"))


def test_rows_that_somebody_else_changed_meanwhile_are_tried_one_by_one(house: House) -> None:
    house.load([CLUSTER])
    failing(house, Conflict("taken"), Conflict("taken"))
    result = house.load([pitch("a"), pitch("b")])
    assert counts(result) == (1, 0, 1)
    assert result["errors"] == [{"row": 1, "field": "row", "reason": "taken"}]
    assert house.titles() == ["Pitch b"]


def test_a_busy_encoder_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PAUSE_S", 0.001)
    house.load([CLUSTER])
    failing(house, Unavailable(), Unavailable())
    assert counts(house.load([pitch("a")])) == (1, 0, 0)

    job_id, _ = house.queue(lines([pitch("b")]), "a.jsonl")
    failing(house, *[Unavailable()] * tasks.ATTEMPTS)
    assert house.run(job_id).state == JobState.FAILED

    job_id, path = house.queue(lines([pitch("c")]), "a.jsonl")
    failing(house, Unavailable())
    assert house.run(job_id, iter([False, True]).__next__).state == JobState.RUNNING
    assert path.exists()


def test_a_failing_batch_leaves_nothing_half_written(house: House) -> None:
    house.load([CLUSTER])

    class Halfway(ProfileService):
        def store(self, *arguments: Any) -> list[int]:
            super().store(*arguments)
            raise RuntimeError

    house.profiles = partial(Halfway, embedder=load_embedder("hash"))
    job_id, _ = house.queue(lines([pitch("a")]), "a.jsonl")
    job = house.run(job_id)
    assert (job.state, job.progress, job.error) == (JobState.FAILED, 0, "stopped by an error on our side")
    assert house.titles() == []
