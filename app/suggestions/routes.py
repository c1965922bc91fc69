"""/suggestions and /match-kinds."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy.orm import Session
from starlette.datastructures import State

from app.accounts.auth import require
from app.accounts.principal import Principal
from app.db.session import get_database, get_read_session, get_session
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


def _service(state: State, session: Session) -> SuggestionService:
    return SuggestionService(
        ProjectionRepository(session),
        ProfileRepository(session),
        SuggestionRepository(session),
        state.embedder,
        state.projection,
        state.skills,
    )


@router.get("/match-kinds", dependencies=[Depends(require("suggestions:read"))])
def list_match_kinds() -> list[MatchKindAnswer]:
    """Describe every match kind: sides, hard rules, features and weights."""
    return [describe(kind) for _, kind in sorted(MATCH_KINDS.items())]


@router.get(
    "/suggestions/runs/{run_id}",
    response_model=SuggestionAnswer,
    dependencies=[Depends(require("suggestions:read"))],
)
def read_run(run_id: Id, request: Request, session: Read) -> JsonAnswer:
    """Read a run again, less what was deleted since."""
    return JsonAnswer(_service(request.app.state, session).run(run_id))


@router.post("/suggestions/{match_kind}", response_model=SuggestionAnswer)
async def suggest(
    match_kind_name: Annotated[str, Path(alias="match_kind", max_length=60, examples=["cluster-region"])],
    question: SuggestionQuestion,
    principal: Annotated[Principal, Depends(require("suggestions:read"))],
    request: Request,
) -> JsonAnswer:
    """Suggest matches for a text or a profile, explained."""
    kind, state = match_kind(match_kind_name), request.app.state

    def work() -> JsonAnswer:
        # The session begins when it is this question's turn: an older snapshot would hold up the log's checkpoint.
        with get_database(request).read() as session:
            found = _service(state, session).suggest(kind, question, principal)
        state.recorder.record(found.run, found.suggestions)
        return JsonAnswer(found.answer)

    answer: JsonAnswer = await state.turns.run(work)
    return answer


@router.post("/suggestions/{suggestion_id}/decision", status_code=201)
def decide(
    suggestion_id: Id,
    data: DecisionInput,
    principal: Annotated[Principal, Depends(require("suggestions:decide"))],
    request: Request,
    session: Write,
) -> DecisionAnswer:
    """Keep what a person decided on a suggestion; what is declined is not suggested again to the same side."""
    return _service(request.app.state, session).decide(suggestion_id, data, principal)
