"""Runs jobs one after the other in a thread of the serving process (a later issue puts huey here).

A job is never lost: it waits in the database, and one that was interrupted, even by `kill -9`, goes on at its
next `start` from the progress that its task had committed.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Protocol

from app.db.session import Database
from app.errors import PuenteError
from app.jobs.repository import JobRepository
from app.jobs.schemas import JobState
from app.jobs.service import JobService, JobTakenError
from app.log import get

log = get(__name__)


class Task(Protocol):
    """What does a job of one kind."""

    def __call__(self, job_id: str, *, should_stop: Callable[[], bool]) -> bool:
        """Do the job from where its progress stands; return False when told to stop before the end.

        A task commits its progress together with its work, so that it can be interrupted anywhere.
        """


def _words(error: PuenteError) -> str:
    """Return an error in one line; our errors repeat nothing that a client sent."""
    fields = "; ".join(f"{entry['field']}: {entry['reason']}" for entry in error.errors)
    return fields or error.detail or error.sentence


class JobRunner:
    """One worker thread; `tasks` says what does a job of each kind."""

    def __init__(self, database: Database, tasks: Mapping[str, Task]) -> None:
        self._database = database
        self._tasks = tasks
        self._stopping = Event()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jobs")

    def start(self) -> None:
        """Take up the jobs that wait or were interrupted; those of other kinds are somebody else's."""
        with self._database.read() as session:
            waiting = JobService(JobRepository(session)).unfinished(list(self._tasks))
        for job_id in waiting:
            self.submit(job_id)

    def submit(self, job_id: str) -> None:
        """Run the job when its turn comes; while stopping, it is left for the next start."""
        with self._lock:
            if not self._stopping.is_set():
                self._pool.submit(self.run, job_id)

    def stop(self) -> None:
        """Let the task in progress finish its step and wait for that; the rest goes on at the next start."""
        with self._lock:
            self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, job_id: str) -> JobState:
        """Run the job here and now and return its state after that; a failure is noted, not raised."""
        try:
            self._perform(job_id)
        except JobTakenError:
            log.warning("job_taken", job_id=job_id)
        except Exception as error:  # noqa: BLE001 - whatever a task raises must end in the job's row
            log.error("job_failed", job_id=job_id, exception=type(error).__name__)  # noqa: TRY400 - no stack
            words = _words(error) if isinstance(error, PuenteError) else "stopped by an error on our side"
            with self._database.write() as session:
                JobService(JobRepository(session)).fail(job_id, words)
        with self._database.read() as session:
            return JobState(JobService(JobRepository(session)).get(job_id).state)

    def _perform(self, job_id: str) -> None:
        if self._stopping.is_set():
            return
        with self._database.write() as session:
            job = JobService(JobRepository(session)).start(job_id)
            kind, state = job.kind, job.state
        if state != JobState.RUNNING:
            return
        finished = self._tasks[kind](job_id, should_stop=self._stopping.is_set)
        if finished:
            with self._database.write() as session:
                JobService(JobRepository(session)).finish(job_id)
