"""Jobs: their life, their runner, and what an interruption leaves."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.db.session import Database
from app.errors import InvalidInput, NotFound
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.schemas import JobAnswer, JobState
from app.jobs.service import JobService, JobTakenError

STEPS = 5


def create(database: Database, kind: str = "count", **arguments: Any) -> str:
    with database.write() as session:
        return JobService(JobRepository(session)).create(kind, arguments, total=STEPS).id


def seen(database: Database, job_id: str) -> JobAnswer:
    with database.read() as session:
        return JobAnswer.model_validate(JobService(JobRepository(session)).get(job_id))


def advance(database: Database, job_id: str, **values: Any) -> None:
    with database.write() as session:
        JobService(JobRepository(session)).advance(job_id, **values)


class Counter:
    """A task of `STEPS` steps that notes each step it does; `before` is called before every one."""

    def __init__(self, database: Database, before: Callable[[int], None] = lambda _: None) -> None:
        self.database = database
        self.before = before
        self.done: list[int] = []

    def __call__(self, job_id: str, *, should_stop: Callable[[], bool]) -> bool:
        for step in range(seen(self.database, job_id).progress, STEPS):
            if should_stop():
                return False
            self.before(step)
            advance(self.database, job_id, seen=step, progress=step + 1, result={"last": step})
            self.done.append(step)
        return True


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_job_runs_to_its_end(database: Database) -> None:
    task = Counter(database)
    runner = JobRunner(database, {"count": task})
    job_id = create(database)
    before = seen(database, job_id)
    assert (before.state, before.progress, before.total, before.result) == (JobState.QUEUED, 0, STEPS, None)
    runner.submit(job_id)
    until(lambda: seen(database, job_id).state == JobState.DONE)
    after = seen(database, job_id)
    assert (after.progress, after.result, after.error) == (STEPS, {"last": STEPS - 1}, None)
    assert after.finished_at is not None
    runner.submit(job_id)
    runner.stop()
    assert task.done == list(range(STEPS))
    assert "arguments" not in after.model_dump()


def test_a_failure_is_noted_without_what_the_user_sent(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: int) -> None:
        raise ValueError("Ana's secret")

    job_id = create(database, name="Ana.csv")
    assert JobRunner(database, {"count": Counter(database, fails)}).run(job_id) == JobState.FAILED
    assert seen(database, job_id).error == "stopped by an error on our side"
    output = capsys.readouterr()
    assert "ValueError" in output.out + output.err
    assert "Ana" not in output.out + output.err


def test_an_error_of_ours_is_shown_with_its_field(database: Database) -> None:
    def fails(_: int) -> None:
        raise InvalidInput.at("file", "not an XLSX workbook")

    job_id = create(database)
    JobRunner(database, {"count": Counter(database, fails)}).run(job_id)
    assert seen(database, job_id).error == "file: not an XLSX workbook"


def test_a_job_of_an_unknown_kind_fails(database: Database) -> None:
    assert JobRunner(database, {}).run(create(database, "bake")) == JobState.FAILED


def test_stop_lets_the_step_finish_and_start_goes_on_behind_it(database: Database) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def waits(step: int) -> None:
        if step == 2:
            reached.set()
            assert go_on.wait(10)

    task = Counter(database, waits)
    runner = JobRunner(database, {"count": task})
    first, second = create(database), create(database)
    runner.submit(first)
    runner.submit(second)
    assert reached.wait(10)
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    until(runner._stopping.is_set)
    go_on.set()
    stopping.join(10)
    assert (seen(database, first).state, seen(database, first).progress) == (JobState.RUNNING, 3)
    assert seen(database, second).state == JobState.QUEUED
    runner.submit(second)  # while stopping, it waits for the next start

    again = JobRunner(database, {"count": task})
    again.start()
    until(lambda: seen(database, second).state == JobState.DONE)
    again.stop()
    assert seen(database, first).state == JobState.DONE
    assert task.done == [*range(STEPS), *range(STEPS)]


def test_a_step_that_another_process_did_is_not_done_twice(database: Database) -> None:
    def other(step: int) -> None:
        if step == 2:
            advance(database, job_id, seen=2, progress=3, result={"last": 2})

    job_id = create(database)
    task = Counter(database, other)
    assert JobRunner(database, {"count": task}).run(job_id) == JobState.RUNNING
    assert task.done == [0, 1]
    assert seen(database, job_id).progress == 3


def test_what_has_ended_stays_as_it_is(database: Database) -> None:
    job_id = create(database)
    with database.write() as session:
        jobs = JobService(JobRepository(session))
        jobs.start(job_id)
        jobs.finish(job_id)
        jobs.fail(job_id, "too late")
        jobs.set_total(job_id, 99)
        assert jobs.start(job_id).state == JobState.DONE
    with pytest.raises(JobTakenError):
        advance(database, job_id, seen=0, progress=1, result={})
    assert (seen(database, job_id).error, seen(database, job_id).total) == (None, STEPS)


def test_jobs_are_listed_in_pages_the_newest_first(database: Database) -> None:
    ids = [create(database, "count" if number % 2 else "bake") for number in range(5)]
    with database.read() as session:
        jobs = JobService(JobRepository(session))
        first = jobs.page(limit=3)
        rest = jobs.page(limit=3, cursor=first.next)
        assert [job.id for job in first.items + rest.items] == ids[::-1]
        assert rest.next is None
        assert len(jobs.page(kind="bake", state=JobState.QUEUED).items) == 3
        assert jobs.unfinished() == ids
        with pytest.raises(InvalidInput):
            jobs.page(cursor="nonsense")
        with pytest.raises(NotFound):
            jobs.get("nothing")
