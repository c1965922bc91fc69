"""/imports and /jobs: files of organisations and profiles."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response, UploadFile
from sqlalchemy.orm import Session

from app.accounts.auth import require
from app.db.session import get_database, get_read_session
from app.http import ApiRoute, in_body
from app.jobs.repository import JobRepository
from app.jobs.schemas import JobAnswer
from app.jobs.service import JobService
from app.matching.kinds import ProfileKind
from app.organisations.schemas import OrganisationKind
from app.profiles.files import check_file, store_upload
from app.profiles.tasks import IMPORT, ImportArguments
from app.wall import Reference

router = APIRouter(tags=["imports"], route_class=ApiRoute)


@router.post("/imports", status_code=202, dependencies=[Depends(require("imports:write"))])
def import_file(
    request: Request,
    response: Response,
    file: Annotated[UploadFile, "A CSV, JSONL or XLSX file; the templates are in scripts/templates."],
    default_kind: Annotated[
        OrganisationKind | ProfileKind | None, Form(description="Kind of the rows that name none.")
    ] = None,
) -> JobAnswer:
    """Store the file and import it as a job; follow it at the address in Location.

    Each bad row is reported with its number, field and reason; good rows are kept; a row whose ref is known is a new
    version of that item.
    """
    state = request.app.state
    path = store_upload(file.file, state.uploads, limit=state.upload_limit)
    name = (file.filename or "")[:200]
    try:
        with in_body():
            total = check_file(path, name=name, default_kind=default_kind)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    arguments = ImportArguments(path=str(path), name=name, default_kind=default_kind)
    with get_database(request).write() as session:
        job = JobService(JobRepository(session)).create(IMPORT, dict(arguments), total=total)
    state.runner.submit(job.id)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return JobAnswer.model_validate(job)


@router.get("/jobs/{job_id}", dependencies=[Depends(require("jobs:read"))])
def read_job(
    job_id: Annotated[Reference, Path()],
    session: Annotated[Session, Depends(get_read_session, scope="function")],
) -> JobAnswer:
    """Follow a job."""
    return JobAnswer.model_validate(JobService(JobRepository(session)).get(job_id))
