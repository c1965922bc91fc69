"""/suggestions and /match-kinds."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy.orm import Session
from starlette.datastructures import State

from app.accounts.auth import require
from app.accounts.principal import Principal
from app.db.session import get_database, get_read_session, get_session
from app.http import JsonAnswer, JsonRoute, in_query
from app.matching.kinds import MATCH_KINDS, MatchKind
from app.matching.types import Side
from app.profiles.repository import ProfileRepository
from app.suggestions.answers import describe
from app.suggestions.kind_schemas import MatchKindAnswer
from app.suggestions.repository import ProjectionRepository, SuggestionRepository
from app.suggestions.schemas import (
    AnswerLanguage,
    DecisionAnswer,
    DecisionInput,
    PairAnswer,
    PairQuestion,
    SuggestionAnswer,
    SuggestionQuestion,
)
from app.suggestions.service import SuggestionService, match_kind
from app.suggestions.why import WhyService
from app.wall import Reference

router = APIRouter(tags=["suggestions"], route_class=JsonRoute)

Read = Annotated[Session, Depends(get_read_session, scope="function")]
Write = Annotated[Session, Depends(get_session, scope="function")]
Id = Annotated[Reference, Path()]
MatchKindName = Annotated[str, Path(alias="match_kind", max_length=60, examples=["cluster-region"])]


def _service(state: State, session: Session) -> SuggestionService:
    return SuggestionService(
        ProjectionRepository(session),
        ProfileRepository(session),
        SuggestionRepository(session),
        state.embedder,
        state.projection,
        state.exposure,
        state.calibrations,
        state.skills,
    )


@router.get("/match-kinds", dependencies=[Depends(require("suggestions:read"))])
def list_match_kinds(
    request: Request,
    language: Annotated[AnswerLanguage, Query(description="What the sentences are worded in.")] = "en",
) -> list[MatchKindAnswer]:
    """Describe every match kind: sides, hard rules, features, weights, and what its probabilities rest on."""
    return [describe(kind, request.app.state.calibrations, language) for _, kind in sorted(MATCH_KINDS.items())]


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
    match_kind_name: MatchKindName,
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


def _why(state: State, session: Session) -> WhyService:
    rows, profiles = ProjectionRepository(session), ProfileRepository(session)
    return WhyService(_service(state, session), rows, profiles, state.projection, state.embedder.model_key)


@router.get("/suggestions/{match_kind}/why", response_model=PairAnswer)
async def explain_profiles(
    match_kind_name: MatchKindName,
    _: Annotated[Principal, Depends(require("suggestions:read"))],
    request: Request,
    seeker: Annotated[Reference, Query(description="Id of the profile that seeks.")],
    offer: Annotated[Reference, Query(description="Id of the profile that is offered.")],
    side: Annotated[Side, Query(alias="from", description="The side that asks.")] = Side.SEEKER,
    answer_language: Annotated[
        AnswerLanguage | None, Query(description="By default that of the profile that asks.")
    ] = None,
) -> JsonAnswer:
    """Explain two profiles, also ones that were not suggested: the first rule that failed, or the rank."""
    kind = match_kind(match_kind_name)
    ids = {Side.SEEKER: seeker, Side.OFFER: offer}
    named = {side.other.value: ids[side.other], "answer_language": answer_language}
    question = PairQuestion.model_validate({"profile_id": ids[side], "from": side, **named})
    # A profile that does not stand on the side that asks is named as what it was given as.
    with in_query({"profile_id": side.value, "from": side.value}):
        answer: JsonAnswer = await request.app.state.turns.run(lambda: _explained(request, kind, question))
    return answer


@router.post("/suggestions/{match_kind}/why", response_model=PairAnswer)
async def explain_pair(
    match_kind_name: MatchKindName,
    question: PairQuestion,
    _: Annotated[Principal, Depends(require("suggestions:read"))],
    request: Request,
) -> JsonAnswer:
    """Explain a text or a profile and one profile on the other side, under the conditions of a question."""
    kind = match_kind(match_kind_name)
    answer: JsonAnswer = await request.app.state.turns.run(lambda: _explained(request, kind, question))
    return answer


def _explained(request: Request, kind: MatchKind, question: PairQuestion) -> JsonAnswer:
    with get_database(request).read() as session:
        return JsonAnswer(_why(request.app.state, session).why(kind, question))


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
