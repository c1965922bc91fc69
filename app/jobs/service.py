"""Create jobs, follow them, and move them on."""

import uuid
from collections.abc import Collection
from typing import Any

from app.db.base import now
from app.errors import NotFound
from app.jobs.repository import JobRepository
from app.jobs.schemas import UNFINISHED, JobAnswer, JobPage, JobState
from app.jobs.tables import Job

MAX_ERROR = 500


class JobTakenError(Exception):
    """Somebody else moved the job on meanwhile: two processes work on it, and this one must let go."""


class JobService:
    """Jobs, within one transaction."""

    def __init__(self, repository: JobRepository) -> None:
        self._repository = repository

    def create(self, kind: str, arguments: dict[str, Any], *, total: int | None = None) -> Job:
        """Store a new job that waits to be run; hand its id to the runner after the commit."""
        job = Job(id=str(uuid.uuid4()), kind=kind, state=JobState.QUEUED, total=total, arguments=arguments)
        self._repository.add(job)
        return job

    def get(self, id_: str) -> Job:
        """Return the job; raises `NotFound`."""
        job = self._repository.get(id_)
        if job is None:
            raise NotFound
        return job

    def page(
        self,
        *,
        kind: str | None = None,
        state: JobState | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> JobPage:
        """Return one page of jobs, the newest first."""
        rows, following = self._repository.page(kind=kind, state=state, limit=limit, cursor=cursor)
        return JobPage(items=[JobAnswer.model_validate(row) for row in rows], next=following)

    def unfinished(self, kinds: Collection[str] | None = None) -> list[str]:
        """Return the ids of the jobs (of those kinds) that wait or were interrupted, the oldest first."""
        return self._repository.unfinished(kinds)

    def start(self, id_: str) -> Job:
        """Return the job, now running unless it has ended before; raises `NotFound`."""
        job = self.get(id_)
        if job.state in UNFINISHED:
            values = {"state": JobState.RUNNING, "started_at": job.started_at or now()}
            self._repository.change(id_, values, states=UNFINISHED)
        return self.get(id_)

    def advance(self, id_: str, *, seen: int, progress: int, result: dict[str, Any]) -> None:
        """Move the running job from progress `seen` to `progress`, in the transaction of the work itself.

        Raises `JobTakenError` when it no longer stands at `seen`: then another process has done this work,
        and the transaction must not be committed.
        """
        values = {"progress": progress, "result": result}
        if not self._repository.change(id_, values, states=(JobState.RUNNING,), progress=seen):
            raise JobTakenError

    def set_total(self, id_: str, total: int) -> None:
        """Note how many steps the job has."""
        self._repository.change(id_, {"total": total}, states=UNFINISHED)

    def finish(self, id_: str) -> None:
        """Mark the running job as done."""
        values = {"state": JobState.DONE, "finished_at": now()}
        self._repository.change(id_, values, states=(JobState.RUNNING,))

    def fail(self, id_: str, error: str) -> None:
        """Mark the job as failed, unless it has ended; `error` is shown and repeats nothing of a user's."""
        values = {"state": JobState.FAILED, "error": error[:MAX_ERROR], "finished_at": now()}
        self._repository.change(id_, values, states=UNFINISHED)
