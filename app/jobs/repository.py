"""The only place that reads and writes the table of jobs."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select, update

from app.db.pages import keyset_page
from app.db.repository import Repository
from app.jobs.schemas import UNFINISHED
from app.jobs.tables import Job


class JobRepository(Repository):
    """Jobs."""

    def add(self, job: Job) -> None:
        """Store a new job."""
        self.session.add(job)
        self.session.flush()

    def get(self, id_: str) -> Job | None:
        """Return the job as it stands in the database now."""
        return self.session.scalars(
            select(Job).where(Job.id == id_).execution_options(populate_existing=True)
        ).one_or_none()

    def page(
        self, *, kind: str | None, state: str | None, limit: int, cursor: str | None
    ) -> tuple[list[Job], str | None]:
        """Return one page, the newest first, and the next cursor."""
        statement = select(Job).order_by(Job.pk.desc())
        if kind is not None:
            statement = statement.where(Job.kind == kind)
        if state is not None:
            statement = statement.where(Job.state == state)
        return keyset_page(self.session, statement, limit=limit, cursor=cursor)

    def unfinished(self, kinds: Collection[str] | None = None) -> list[str]:
        """Return the ids of the jobs (of those kinds) that wait or were interrupted, the oldest first."""
        statement = select(Job.id).where(Job.state.in_(UNFINISHED)).order_by(Job.pk)
        if kinds is not None:
            statement = statement.where(Job.kind.in_(kinds))
        return list(self.session.scalars(statement))

    def change(
        self, id_: str, values: Mapping[str, Any], *, states: tuple[str, ...], progress: int | None = None
    ) -> bool:
        """Write `values` if the job is in one of `states` (and stands at `progress`); tell whether it was."""
        statement = update(Job).where(Job.id == id_, Job.state.in_(states))
        if progress is not None:
            statement = statement.where(Job.progress == progress)
        changed = self.session.execute(statement.values(**values).execution_options(synchronize_session=False))
        return bool(changed.rowcount)  # type: ignore[attr-defined]
