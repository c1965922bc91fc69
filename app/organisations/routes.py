"""/organisations."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from sqlalchemy.orm import Session

from app.accounts.auth import require
from app.db.session import get_read_session, get_session
from app.http import Cursor, IfMatch, JsonRoute, Limit, etag, in_body
from app.organisations.repository import OrganisationFilter, OrganisationRepository
from app.organisations.schemas import (
    OrganisationAnswer,
    OrganisationCreate,
    OrganisationKind,
    OrganisationPage,
    OrganisationPatch,
)
from app.organisations.service import OrganisationService, answer
from app.taxonomy.codes import IndustrialEcosystem, LabelLevel
from app.taxonomy.fields import Country, Language, NutsPrefix
from app.wall import ReasonableDate, Reference

router = APIRouter(prefix="/organisations", tags=["organisations"], route_class=JsonRoute)

Read = Annotated[Session, Depends(get_read_session, scope="function")]
Write = Annotated[Session, Depends(get_session, scope="function")]
Id = Annotated[Reference, Path(description="Id or ref.")]


def _service(session: Session) -> OrganisationService:
    return OrganisationService(OrganisationRepository(session))


@router.post("", status_code=201, dependencies=[Depends(require("organisations:write"))])
def create_organisation(data: OrganisationCreate, session: Write, response: Response) -> OrganisationAnswer:
    """Store a new organisation."""
    with in_body():
        created = _service(session).create(data)
    response.headers["ETag"] = etag(created.id, created.version)
    response.headers["Location"] = f"/api/v1/organisations/{created.id}"
    return answer(created)


@router.get("", dependencies=[Depends(require("organisations:read"))])
def list_organisations(
    session: Read,
    limit: Limit = 20,
    cursor: Cursor = None,
    kind: OrganisationKind | None = None,
    country: Country | None = None,
    nuts: NutsPrefix | None = None,
    ecosystem: IndustrialEcosystem | None = None,
    language: Language | None = None,
    member_of: Annotated[Reference | None, Query(description="Id or ref of a cluster or partnership.")] = None,
    label_min: Annotated[LabelLevel | None, Query(description="Least ECEI label, valid on `valid_on`.")] = None,
    valid_on: Annotated[ReasonableDate | None, Query(description="Today when it is not given.")] = None,
) -> OrganisationPage:
    """List organisations in order of name."""
    where = OrganisationFilter(kind, country, nuts, ecosystem, language, member_of, label_min, valid_on)
    return _service(session).page(where, limit=limit, cursor=cursor)


@router.get("/{organisation_id}", dependencies=[Depends(require("organisations:read"))])
def read_organisation(organisation_id: Id, session: Read, response: Response) -> OrganisationAnswer:
    """Read one organisation."""
    found = _service(session).get(organisation_id)
    response.headers["ETag"] = etag(found.id, found.version)
    return answer(found)


@router.patch("/{organisation_id}", dependencies=[Depends(require("organisations:write"))])
def patch_organisation(
    organisation_id: Id,
    changes: Annotated[
        OrganisationPatch,
        Body(
            description="JSON merge patch (RFC 7396) of the fields of a new organisation; null removes.",
            examples=[{"website": "https://www.clustertera.es"}],
        ),
    ],
    version: IfMatch,
    session: Write,
    response: Response,
) -> OrganisationAnswer:
    """Change some fields of the version that If-Match names."""
    with in_body():
        changed = _service(session).patch(organisation_id, changes, version=version)
    response.headers["ETag"] = etag(changed.id, changed.version)
    return answer(changed)


@router.delete("/{organisation_id}", status_code=204, dependencies=[Depends(require("organisations:write"))])
def delete_organisation(organisation_id: Id, version: IfMatch, session: Write) -> None:
    """Delete an organisation that no profile belongs to any more."""
    _service(session).delete(organisation_id, version=version)
