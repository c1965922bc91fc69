"""/suggestions and /match-kinds."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy.orm import Session

from app.accounts.auth import require
from app.accounts.principal import Principal
from app.db.session import get_read_session, get_session
from app.http import JsonAnswer, JsonRoute
from app.matching.kinds import MATCH_KINDS
from app.profiles.repository import ProfileRepository
from app.suggestions.repository import ProjectionRepository, SuggestionRepository
from app.suggestions.schemas import (
    DecisionAnswer,
    DecisionInput,
    MatchKindAnswer,
    SuggestionAnswer,
    SuggestionQuestion,
)
from app.suggestions.service import SuggestionService, describe, match_kind
from app.wall import Reference

router = APIRouter(tags=["suggestions"], route_class=JsonRoute)

Read = Annotated[Session, Depends(get_read_session, scope="function")]
Write = Annotated[Session, Depends(get_session, scope="function")]
Id = Annotated[Reference, Path()]


async def _service(request: Request, session: Read) -> SuggestionService:
    state = request.app.state
    return SuggestionService(
        ProjectionRepository(session),
        ProfileRepository(session),
        SuggestionRepository(session),
        state.embedder,
        state.projection,
        state.recorder,
    )


Service = Annotated[SuggestionService, Depends(_service, scope="function")]


@router.get("/match-kinds", dependencies=[Depends(require("suggestions:read"))])
def list_match_kinds() -> list[MatchKindAnswer]:
    """Describe every match kind: sides, hard rules, features and weights."""
    return [describe(kind) for _, kind in sorted(MATCH_KINDS.items())]


@router.get(
    "/suggestions/runs/{run_id}",
    response_model=SuggestionAnswer,
    dependencies=[Depends(require("suggestions:read"))],
)
def read_run(run_id: Id, service: Service) -> JsonAnswer:
    """Read a run again, less what was deleted since."""
    return JsonAnswer(service.run(run_id))


@router.post("/suggestions/{match_kind}", response_model=SuggestionAnswer)
def suggest(
    match_kind_name: Annotated[str, Path(alias="match_kind", max_length=60, examples=["cluster-region"])],
    question: SuggestionQuestion,
    principal: Annotated[Principal, Depends(require("suggestions:read"))],
    service: Service,
) -> JsonAnswer:
    """Suggest matches for a text or a profile, explained."""
    return JsonAnswer(service.suggest(match_kind(match_kind_name), question, principal))


@router.post("/suggestions/{suggestion_id}/decision", status_code=201)
def decide(
    suggestion_id: Id,
    data: DecisionInput,
    principal: Annotated[Principal, Depends(require("suggestions:decide"))],
    service: Service,
    session: Write,
) -> DecisionAnswer:
    """Keep what a person decided on a suggestion; what is declined is not suggested again to the same side."""
    return service.decide(suggestion_id, data, principal, SuggestionRepository(session))
