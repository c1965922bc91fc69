"""Jobs as JSON."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from app.wall import Answer


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
"""States from which a job goes on when the service starts again."""


class JobAnswer(Answer):
    """A job and how far it is; its arguments stay inside."""

    id: str
    kind: str = Field(examples=["import"])
    state: JobState
    progress: int = Field(description="Steps done, such as rows read; what is counted is stored for good.")
    total: int | None = Field(description="Steps in all, null while unknown.")
    result: dict[str, Any] | None = Field(description="What has come of it so far; it depends on the kind.")
    error: str | None = Field(description="Why it failed; what had been stored before stays.")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class JobPage(Answer):
    """A page of jobs, the newest first; `next` is the cursor of the following one, null on the last."""

    items: list[JobAnswer]
    next: str | None
