"""A process that goes on with an import job, to be killed.

Run as `python -m tests.profiles.killed_import DATABASE JOB MODE`. `plain` is the real thing in small batches;
`naive` counts rows before they are stored, as a job whose progress is no part of the transaction would, and
waits in between for the kill.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from app.db.session import Database
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.matching.embedder import load_embedder
from app.profiles import tasks
from app.profiles.service import ProfileService
from app.profiles.tasks import IMPORT, run_import

BATCH_ROWS = 3
NAIVE_WAITS_AT = 30


class NaiveImport(tasks._Import):
    """Counts first and stores later: what the kill test must be able to see."""

    def land(self, batch: Sequence[Any]) -> None:
        """Store a few batches, then commit the next one's progress alone and wait."""
        if self.progress >= NAIVE_WAITS_AT:
            with self._database.write() as session:
                JobService(JobRepository(session)).advance(
                    self._job_id,
                    seen=self.progress,
                    progress=self.progress + len(batch),
                    result=dict(self._result),
                )
            sys.stdout.write("counted\n")
            sys.stdout.flush()
            time.sleep(60)
        super().land(batch)


def main(address: str, job_id: str, mode: str) -> None:
    """Run the job to its end."""
    tasks.BATCH_ROWS = BATCH_ROWS
    if mode == "naive":
        tasks._Import = NaiveImport  # type: ignore[misc]
    database = Database(address)
    profiles = partial(ProfileService, embedder=load_embedder("hash"))
    JobRunner(database, {IMPORT: partial(run_import, database=database, profiles=profiles)}).run(job_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
