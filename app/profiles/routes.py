"""/profiles."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from sqlalchemy.orm import Session

from app.accounts.auth import require
from app.db.session import get_read_session, get_session
from app.errors import InvalidInput
from app.http import Cursor, IfMatch, JsonRoute, Limit, etag
from app.matching.kinds import ProfileKind
from app.profiles.drafts import Prepared
from app.profiles.repository import ProfileFilter, ProfileRepository
from app.profiles.schemas import ProfileAnswer, ProfileCreate, ProfilePage, ProfileState
from app.profiles.service import ProfileService, answer, found_skills
from app.taxonomy.codes import IndustrialEcosystem
from app.taxonomy.fields import EqfLevel, Language, NutsPrefix, SkillId
from app.wall import Reference

router = APIRouter(prefix="/profiles", tags=["profiles"], route_class=JsonRoute)

Read = Annotated[Session, Depends(get_read_session, scope="function")]
Write = Annotated[Session, Depends(get_session, scope="function")]
Id = Annotated[Reference, Path()]

_PITCH: dict[str, Any] = {
    "summary": "A pitch",
    "value": {
        "kind": "pitch",
        "organisation": "cluster-tera",
        "ref": "tera-telecare",
        "title": "Telecare for rural health centres",
        "text": "We look for a regional health authority to test remote monitoring of chronic patients.",
        "ecosystems": ["health", "digital"],
        "regions_sought": ["ES", "PT11"],
    },
}
_NEED: dict[str, Any] = {
    "summary": "A skill need",
    "value": {
        "kind": "skill_need",
        "organisation": "my-company",
        "title": "Prácticas de desarrollo web",
        "text": "Buscamos dos personas en prácticas para mantener nuestras aplicaciones web.",
        "places": 2,
        "starts_on": "2027-03-01",
        "ends_on": "2027-06-15",
        "eqf_level": 5,
    },
}


async def _service(request: Request, session: Read) -> ProfileService:
    state = request.app.state
    return ProfileService(ProfileRepository(session), state.embedder, state.skills)


Service = Annotated[ProfileService, Depends(_service, scope="function")]


def _store(service: ProfileService, prepared: Prepared, session: Session, response: Response) -> ProfileAnswer:
    repository = ProfileRepository(session)
    pk = service.store(repository, [prepared])[0]
    stored = repository.by_pks([pk])[pk]
    response.headers["ETag"] = etag(stored.id, stored.version)
    response.headers["Location"] = f"/api/v1/profiles/{stored.id}"
    return answer(stored, found_skills(repository, [stored]).get(pk, ()))


@router.post("", status_code=201, dependencies=[Depends(require("profiles:write"))])
def create_profile(
    data: Annotated[ProfileCreate, Body(openapi_examples={"pitch": _PITCH, "skill_need": _NEED})],
    service: Service,
    session: Write,
    response: Response,
) -> ProfileAnswer:
    """Store a new profile: a pitch, a priority, a skill need, a training offer or a trainee."""
    prepared = service.prepare([data])[0]
    if isinstance(prepared, list):
        raise InvalidInput(errors=[{**error, "field": f"body.{error['field']}"} for error in prepared])
    return _store(service, prepared, session, response)


@router.get("", dependencies=[Depends(require("profiles:read"))])
def list_profiles(
    service: Service,
    limit: Limit = 20,
    cursor: Cursor = None,
    kind: ProfileKind | None = None,
    state: ProfileState | None = None,
    organisation: Annotated[Reference | None, Query(description="Id or ref of the owner.")] = None,
    country: Annotated[NutsPrefix | None, Query(max_length=2)] = None,
    nuts: NutsPrefix | None = None,
    ecosystem: IndustrialEcosystem | None = None,
    language: Language | None = None,
    skill: SkillId | None = None,
    eqf_level: EqfLevel | None = None,
    eligible: Annotated[bool, Query(description="Only what is published and valid today.")] = False,
) -> ProfilePage:
    """List profiles in order of creation."""
    where = ProfileFilter(
        kind=kind,
        state=state,
        organisation=organisation,
        country=country,
        nuts=nuts,
        ecosystem=ecosystem,
        language=language,
        skill=skill,
        eqf_level=eqf_level,
        eligible_on=date.today() if eligible else None,  # noqa: DTZ011 - validity ends by the local calendar
    )
    return service.page(where, limit=limit, cursor=cursor)


@router.get("/{profile_id}", dependencies=[Depends(require("profiles:read"))])
def read_profile(profile_id: Id, service: Service, response: Response) -> ProfileAnswer:
    """Read one profile."""
    found = service.read(profile_id)
    response.headers["ETag"] = etag(found.id, found.version)
    return found


@router.patch("/{profile_id}", dependencies=[Depends(require("profiles:write"))])
def patch_profile(
    profile_id: Id,
    changes: Annotated[
        dict[str, Any],
        Body(
            description="JSON merge patch (RFC 7396) of the fields of a new profile of its kind; null removes.",
            examples=[{"state": "withdrawn"}],
        ),
    ],
    version: IfMatch,
    service: Service,
    session: Write,
    response: Response,
) -> ProfileAnswer:
    """Change some fields of the version that If-Match names."""
    return _store(service, service.prepare_patch(profile_id, changes, version=version), session, response)


@router.delete("/{profile_id}", status_code=204, dependencies=[Depends(require("profiles:write"))])
def delete_profile(profile_id: Id, version: IfMatch, service: Service, session: Write) -> None:
    """Delete a profile with its vectors and suggestions."""
    service.delete(ProfileRepository(session), profile_id, version=version)
