"""The import of a file, as a job.

Rows are taken in batches. A batch is checked and embedded first; then its organisations or profiles are
stored in one transaction together with the job's progress, counts and errors. So a row that the job has
counted is stored for good, and an import killed at any moment goes on behind the last counted row and repeats
none.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from app.db.session import Database
from app.errors import Conflict, FieldError, InvalidInput, PreconditionFailed, PuenteError, Unavailable
from app.jobs.repository import JobRepository
from app.jobs.service import JobService, JobTakenError
from app.matching.kinds import ProfileKind
from app.organisations.repository import OrganisationRepository
from app.organisations.schemas import OrganisationCreate
from app.organisations.service import OrganisationService
from app.profiles.drafts import Prepared
from app.profiles.files import UPLOAD_SUFFIX, check_file, read_rows, validate
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileFields
from app.profiles.service import ProfileService

IMPORT = "import"
"""The kind of these jobs."""

BATCH_ROWS = 200
BATCH_ORGANISATIONS = 50
"""Fewer, since they are stored one by one while other writers wait."""

BATCH_CHARACTERS = 400_000
"""Characters of a batch's texts: a killed import embeds that much again, at most."""

MAX_LISTED = 1_000
"""Errors that a job's result lists; all are counted."""

ATTEMPTS = 60
PAUSE_S = 1.0
"""How often, and how far apart, a batch is tried again while the encoder is busy."""

ProfilesOf = Callable[[ProfileRepository], ProfileService]
"""Makes the service of profiles over a repository, such as `partial(ProfileService, embedder=embedder)`."""

OnProgress = Callable[[int, int], None]
"""Told the rows done and the rows in all, after each batch."""


class ImportArguments(TypedDict):
    """What an import job is told; a file made by `store_upload` is deleted at the end, any other is left."""

    path: str
    name: str
    default_kind: str | None


class ImportResult(TypedDict):
    """What has come of an import so far; `failed` counts rows, `errors` lists their fields, row by row."""

    rows: int
    created: int
    updated: int
    failed: int
    errors: list[dict[str, Any]]
    errors_truncated: bool


class _Item(NamedTuple):
    """A row's number and what it describes, or what is wrong with it."""

    number: int
    content: OrganisationCreate | ProfileFields | list[FieldError]

    @property
    def group(self) -> str | None:
        """Items of one group may share a batch: what refers to another item must find it stored."""
        if isinstance(self.content, list):
            return None
        if isinstance(self.content, OrganisationCreate):
            return "organisation"
        return "trainee" if _kind(self.content) == ProfileKind.TRAINEE else "profile"

    @property
    def key(self) -> tuple[str, str, str] | None:
        """What must not stand twice in a batch: the second is a new version of the first."""
        ref = getattr(self.content, "ref", None)
        if isinstance(self.content, list) or ref is None:
            return None
        return _kind(self.content), getattr(self.content, "organisation", ""), ref


class _Tally:
    """What comes of one batch."""

    def __init__(self) -> None:
        self.created = self.updated = 0
        self.errors: list[tuple[int, list[FieldError]]] = []

    def stored(self, *, new: bool) -> None:
        self.created += new
        self.updated += not new


def _kind(content: OrganisationCreate | ProfileFields) -> str:
    return str(content.kind)  # type: ignore[union-attr]  # every kind of profile has it, their base does not


def _words(error: PuenteError) -> list[FieldError]:
    return error.errors or [FieldError(field="row", reason=error.detail or error.sentence)]


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Cut the items, in order, into batches of one group, without repeated keys and of bounded size."""
    batch: list[_Item] = []
    group: str | None = None
    keys: set[tuple[str, str, str]] = set()
    characters = 0
    for item in items:
        size = len(getattr(item.content, "text", None) or "")
        another = None not in (item.group, group) and item.group != group
        most = BATCH_ORGANISATIONS if group == "organisation" else BATCH_ROWS
        full = len(batch) >= most or characters + size > BATCH_CHARACTERS
        if batch and (another or full or item.key in keys):
            yield batch
            batch, group, keys, characters = [], None, set(), 0
        batch.append(item)
        group = group or item.group
        characters += size
        if item.key is not None:
            keys.add(item.key)
    if batch:
        yield batch


class _Import:
    """One import in progress."""

    def __init__(self, job_id: str, database: Database, profiles: ProfilesOf) -> None:
        self._job_id = job_id
        self._database = database
        self._profiles = profiles
        with database.read() as session:
            job = JobService(JobRepository(session)).get(job_id)
            self._name: str = job.arguments["name"]
            self._default_kind: str | None = job.arguments.get("default_kind")
            self.path = Path(job.arguments["path"])
            self.progress, self.total = job.progress, job.total
            self._result = ImportResult(rows=0, created=0, updated=0, failed=0, errors=[], errors_truncated=False)
            self._result.update(job.result or {})  # type: ignore[typeddict-item]  # we wrote it ourselves

    def count(self) -> int:
        """Return how many rows the file has; the first time, find out whether it can be read at all."""
        if self.total is None:
            self.total = check_file(self.path, name=self._name, default_kind=self._default_kind)
            with self._database.write() as session:
                JobService(JobRepository(session)).set_total(self._job_id, self.total)
        return self.total

    def batches(self) -> Iterator[list[_Item]]:
        """Yield the batches behind the last counted row."""
        rows = islice(read_rows(self.path, name=self._name), self.progress, None)
        return _batches(_Item(row.number, validate(row, default_kind=self._default_kind)) for row in rows)

    def land(self, batch: Sequence[_Item]) -> None:
        """Store a batch and count it, all or nothing; raises `Unavailable` while the encoder is busy."""
        try:
            self._land(batch)
        except (Conflict, PreconditionFailed) as error:
            # Somebody else wrote meanwhile. One by one, the rows show which of them cannot be stored.
            if len(batch) > 1:
                for item in batch:
                    self.land([item])
            else:
                self._land([_Item(batch[0].number, _words(error))])

    def _land(self, batch: Sequence[_Item]) -> None:
        tally = _Tally()
        organisations = [(i.number, i.content) for i in batch if isinstance(i.content, OrganisationCreate)]
        service, prepared = self._prepare(batch, tally)
        with self._database.write() as session:
            self._store_organisations(OrganisationRepository(session), organisations, tally)
            if prepared:
                service.store(ProfileRepository(session), prepared)
            progress = self.progress + len(batch)
            result = self._counted(tally, progress)
            JobService(JobRepository(session)).advance(
                self._job_id, seen=self.progress, progress=progress, result=dict(result)
            )
        self.progress, self._result = progress, result

    def _prepare(self, batch: Sequence[_Item], tally: _Tally) -> tuple[ProfileService, list[Prepared]]:
        """Resolve and embed the batch's profiles, outside of any write transaction."""
        tally.errors += [(item.number, item.content) for item in batch if isinstance(item.content, list)]
        profiles = [(i.number, i.content) for i in batch if isinstance(i.content, ProfileFields)]
        prepared = []
        with self._database.read() as session:
            service = self._profiles(ProfileRepository(session))
            drafts = service.prepare([content for _, content in profiles], update=True) if profiles else []
        for (number, _), draft in zip(profiles, drafts, strict=True):
            if isinstance(draft, Prepared):
                prepared.append(draft)
                tally.stored(new=draft.new)
            else:
                tally.errors.append((number, draft))
        return service, prepared

    @staticmethod
    def _store_organisations(
        repository: OrganisationRepository, rows: Sequence[tuple[int, OrganisationCreate]], tally: _Tally
    ) -> None:
        service = OrganisationService(repository)
        for number, content in rows:
            try:
                with repository.session.begin_nested():
                    _, new = service.upsert(content)
            except (InvalidInput, Conflict, PreconditionFailed) as error:
                tally.errors.append((number, _words(error)))
            else:
                tally.stored(new=new)

    def _counted(self, tally: _Tally, rows: int) -> ImportResult:
        """Return the result with a batch's tally added."""
        before = self._result
        errors = [{"row": number, **error} for number, listed in sorted(tally.errors, key=_number) for error in listed]
        return ImportResult(
            rows=rows,
            created=before["created"] + tally.created,
            updated=before["updated"] + tally.updated,
            failed=before["failed"] + len(tally.errors),
            errors=[*before["errors"], *errors][:MAX_LISTED],
            errors_truncated=before["errors_truncated"] or len(before["errors"]) + len(errors) > MAX_LISTED,
        )


def _number(entry: tuple[int, list[FieldError]]) -> int:
    return entry[0]


def _patiently(work: _Import, batch: Sequence[_Item], should_stop: Callable[[], bool]) -> bool:
    """Land a batch, waiting while the encoder is busy; return False when told to stop meanwhile."""
    attempts = ATTEMPTS
    while True:
        try:
            work.land(batch)
        except Unavailable:
            attempts -= 1
            if not attempts:
                raise
            time.sleep(PAUSE_S)
            if should_stop():
                return False
        else:
            return True


def _discard(path: Path) -> None:
    """Delete an upload that its job needs no more; a file that is not ours stays."""
    if path.suffix == UPLOAD_SUFFIX:
        path.unlink(missing_ok=True)


def run_import(
    job_id: str,
    *,
    database: Database,
    profiles: ProfilesOf,
    should_stop: Callable[[], bool],
    on_progress: OnProgress | None = None,
) -> bool:
    """Do the running import job from where it stands; return False when told to stop before the end.

    To be called by `JobRunner`, which keeps the job's state. `should_stop` is asked between batches. Raises
    `InvalidInput` naming `file` when the file cannot be read, `JobTakenError` when another process does the
    same job.
    """
    work = _Import(job_id, database, profiles)
    try:
        if work.progress != work.total:
            total = work.count()
            for batch in work.batches():
                if should_stop() or not _patiently(work, batch, should_stop):
                    return False
                if on_progress is not None:
                    on_progress(work.progress, total)
    except JobTakenError:
        raise
    except FileNotFoundError as error:
        raise InvalidInput.at("file", "is no longer there") from error
    except Exception:
        _discard(work.path)
        raise
    _discard(work.path)
    return True


def tidy_uploads(database: Database, folder: Path, *, older_than_s: float = 3_600) -> int:
    """Delete the uploads in `folder` that no unfinished job needs, and return how many there were.

    They are what a process leaves that dies between storing a file and queueing its job. Younger ones than
    `older_than_s` stay: their request may still be running.
    """
    with database.read() as session:
        jobs = JobService(JobRepository(session))
        needed = {jobs.get(job_id).arguments.get("path") for job_id in jobs.unfinished()}
    born_before = time.time() - older_than_s
    orphans = [
        path
        for path in folder.glob(f"*{UPLOAD_SUFFIX}")
        if str(path) not in needed and path.stat().st_mtime < born_before
    ]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)
