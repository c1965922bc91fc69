"""Ask the engine, keep the answer, take the decision."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from app.accounts.principal import Principal
from app.db.changes import Position
from app.errors import Conflict, InvalidInput, NotFound
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.engine import judge, total_rejected
from app.matching.kinds import MATCH_KINDS, MatchKind, RiskTier
from app.matching.types import Candidate, Facets, Filters, Passages, Query, Quote, Ranking, Side
from app.profiles.composition import LABEL_RANKS
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileState
from app.profiles.tables import Profile
from app.suggestions.exposure import ExposureCounts
from app.suggestions.projection import Projection
from app.suggestions.repository import ProjectionRepository, SuggestionRepository
from app.suggestions.schemas import (
    DecisionAnswer,
    DecisionInput,
    MatchKindAnswer,
    Status,
    SuggestionFilters,
    SuggestionQuestion,
)
from app.suggestions.tables import Decision
from app.taxonomy.languages import detect_language, primary

AnswerJson = dict[str, Any]
"""Plain JSON: answers are many and large, and checking our own words again would cost more than the search."""

PUBLIC_NAMES = {
    "country": "country",
    "nuts": "nuts_code",
    "sectors": "ecosystems",
    "languages": "languages",
    "eqf_level": "eqf_level",
    "period": "starts_on",
    "dual_regimes": "dual_regime",
    "skills": "skills",
    "mobility": "mobility",
    "regions_sought": "regions_sought",
    "programme_type": "programme_type",
}
"""How the JSON calls the facets that can be missing."""


def match_kind(name: str) -> MatchKind:
    """Return a match kind; raises `NotFound` that names the field."""
    kind = MATCH_KINDS.get(name)
    if kind is None:
        raise NotFound(
            "there is no such match kind",
            errors=[{"field": "path.match_kind", "reason": f"one of {', '.join(sorted(MATCH_KINDS))}"}],
        )
    return kind


def describe(kind: MatchKind) -> MatchKindAnswer:
    """Return a match kind as JSON shows it."""
    return MatchKindAnswer(**kind.describe(), rules_version=kind.rules_version())


class Suggested(NamedTuple):
    """An answer as `SuggestionAnswer` describes it, and what is to be kept of it before it is sent."""

    answer: AnswerJson
    run: AnswerJson
    suggestions: list[AnswerJson]


class _At(NamedTuple):
    """Which state of the index and of the exposure an answer is made from."""

    index_seq: int
    exposure_seq: int


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks: `passages` is None when there is nothing to compare."""

    side: Side
    text: str | None
    passages: Passages | None
    facets: Facets
    profile_pk: int | None = None
    excluded: frozenset[int] = frozenset()


class SuggestionService:
    """Suggestions, seen through one session: of the write engine to decide, else of the read engine."""

    def __init__(
        self,
        rows: ProjectionRepository,
        profiles: ProfileRepository,
        suggestions: SuggestionRepository,
        embedder: Embedder,
        projection: Projection,
        exposure: ExposureCounts,
    ) -> None:
        self._rows = rows
        self._profiles = profiles
        self._suggestions = suggestions
        self._embedder = embedder
        self._projection = projection
        self._exposure = exposure

    def suggest(
        self,
        kind: MatchKind,
        question: SuggestionQuestion,
        principal: Principal,
        *,
        today: date | None = None,
    ) -> Suggested:
        """Return explained suggestions for `question`, to be kept by `RunRecorder` once the session is closed.

        Who waits to write must hold no snapshot, or the write-ahead log could not be begun anew. Raises `InvalidInput`
        and, for a profile that is expired or withdrawn, `Conflict`.
        """
        asker = self._asker(kind, question)
        position = self._rows.last_position()
        exposure = self._exposure.seen_by(asker.profile_pk, kind, asker.side, position)
        if asker.passages is None:
            at = _At(self._projection.catch_up(), exposure.seq)
            ranking = Ranking((), {}, ("text",))
            return self._answer(kind, asker, ranking, at, principal, Status.INSUFFICIENT_DATA)
        query = Query(
            asker.side,
            asker.text,
            asker.passages,
            asker.facets,
            today or date.today(),  # noqa: DTZ011 - validity ends by the local calendar
            _filters(question.filters),
            asker.excluded,
            max_per_organisation=question.max_per_organisation,
            often_shown=exposure.often_shown,
        )
        ranking, seq = self._rank(kind, query, question.limit, position)
        status = Status.OK if ranking.candidates else Status.NO_MATCH
        return self._answer(kind, asker, ranking, _At(seq, exposure.seq), principal, status)

    def run(self, run_id: str) -> AnswerJson:
        """Return a run as it was answered, less what was deleted since; raises `NotFound`.

        What was collapsed into a suggestion is named as it is called now.
        """
        found = self._suggestions.run(run_id)
        if found is None:
            raise NotFound
        run, suggestions = found
        # Runs that were kept before lists were fair say nothing of either.
        items = [{"similar": [], **suggestion.item} for suggestion in suggestions]
        similar = [id_ for item in items for id_ in item["similar"]]
        named = self._suggestions.named(similar) if similar else {}
        items = [{**item, "similar": [named[id_] for id_ in item["similar"] if id_ in named]} for item in items]
        return {"run_id": run.id, "exposure_seq": 0, **run.head, "items": items}

    def decide(self, suggestion_id: str, data: DecisionInput, principal: Principal) -> DecisionAnswer:
        """Keep a person's decision, in a write session.

        Raises `NotFound`, `Conflict` when it was taken already, and `InvalidInput`.
        """
        found = self._suggestions.suggestion(suggestion_id)
        if found is None:
            raise NotFound
        suggestion, run = found
        kind = MATCH_KINDS.get(run.match_kind)
        if kind is not None and kind.risk_tier is RiskTier.NATURAL_PERSON and data.decided_by is None:
            raise InvalidInput.at("body.decided_by", "a decision about a person names who took it")
        if self._suggestions.decision(suggestion_id) is not None:
            raise Conflict("this suggestion was decided already")
        decision = Decision(
            suggestion_id=suggestion_id,
            match_kind=run.match_kind,
            side=run.side,
            asker_pk=run.profile_pk,
            profile_pk=suggestion.profile_pk,
            decision=data.decision,
            reason=data.reason,
            decided_by=data.decided_by or "",
            key_id=principal.key_id,
        )
        self._suggestions.decide(decision)
        return DecisionAnswer(
            suggestion_id=suggestion_id,
            decision=data.decision,
            reason=data.reason,
            decided_by=data.decided_by,
            created_at=decision.created_at,
        )

    def _rank(self, kind: MatchKind, query: Query, limit: int, position: Position) -> tuple[Ranking, int]:
        """Let the index propose and the database decide; propose anew, without them, when the database dropped some.

        Not only deeper: what was dropped may have held others back.
        """
        dropped: list[Mapping[str, int]] = []
        while True:
            proposal, seq = self._projection.propose(position, kind, query, limit)
            proposed = (*proposal.pks, *proposal.similar)
            documents = self._rows.documents(
                proposed, self._embedder.model_key, with_labels=query.filters.label_min is not None
            )
            ranking = judge(kind, query, documents, limit)
            dropped.append(ranking.rejected)
            absent = query.absent.union(proposed) - ranking.eligible
            if len(absent) == len(query.absent):
                break
            query = replace(query, absent=absent)
        counted = total_rejected(proposal.rejected, proposal.held, *dropped)
        return ranking._replace(rejected=counted), seq

    def _asker(self, kind: MatchKind, question: SuggestionQuestion) -> _Asker:
        if (question.text is None) == (question.profile_id is None):
            field = "body.text" if question.text is None else "body.profile_id"
            raise InvalidInput.at(field, "exactly one of text and profile_id is needed")
        if question.text is not None:
            return self._text_asker(kind, question, question.text)
        profile = self._profiles.get(str(question.profile_id))
        if profile is None:
            raise InvalidInput.at("body.profile_id", "no profile has this id")
        return self._profile_asker(kind, question, profile)

    def _text_asker(self, kind: MatchKind, question: SuggestionQuestion, text: str) -> _Asker:
        side = question.side or Side.SEEKER
        if kind.risk_tier is RiskTier.NATURAL_PERSON and side is Side.OFFER:
            raise InvalidInput.at("body.text", "a person is never described by free text: give profile_id")
        tag = question.language
        # A guess at a language may add to a score, but never keep a person away from a place.
        if tag is None and kind.risk_tier is RiskTier.LEGAL_PERSON and kind.reads(side, "languages"):
            detected = detect_language(text)
            tag = detected[0] if detected else None
        code = primary(tag) if tag else None
        passages = embed_parts(self._embedder, [Parts(text=text)], as_queries=True)[0]
        return _Asker(side, text, passages, {"languages": frozenset({code}) if code else None})

    def _profile_asker(self, kind: MatchKind, question: SuggestionQuestion, profile: Profile) -> _Asker:
        side = kind.side_of(profile.kind)
        if side is None:
            allowed = f"{kind.seeker} or {kind.offer}"
            raise InvalidInput.at("body.profile_id", f"a {profile.kind} has no side in this match kind: {allowed}")
        if question.side is not None and kind.profile_kind(question.side) != profile.kind:
            raise InvalidInput.at("body.from", f"a {profile.kind} stands on the {side}'s side")
        if profile.state in (ProfileState.EXPIRED, ProfileState.WITHDRAWN):
            raise Conflict(f"this profile is {profile.state}")
        return _Asker(
            question.side or side,
            profile.text,
            self._profiles.passages(profile.pk, self._embedder.model_key),
            self._rows.asker(profile.pk) or {},
            profile.pk,
            self._suggestions.declined(kind.name, profile.pk),
        )

    def _answer(
        self, kind: MatchKind, asker: _Asker, ranking: Ranking, at: _At, principal: Principal, status: Status
    ) -> Suggested:
        run_id = str(uuid.uuid4())
        items = [_item(run_id, rank, found) for rank, found in enumerate(ranking.candidates, start=1)]
        head: AnswerJson = {
            "match_kind": kind.name,
            "from": asker.side.value,
            "status": status.value,
            "model": self._embedder.model_key,
            "index_seq": at.index_seq,
            "exposure_seq": at.exposure_seq,
            "rules_version": kind.rules_version(),
            "missing": sorted(PUBLIC_NAMES.get(name, name) for name in ranking.missing),
            "rejected": dict(ranking.rejected),
        }
        run = {
            "id": run_id,
            "match_kind": kind.name,
            "side": asker.side.value,
            "profile_pk": asker.profile_pk,
            "key_id": principal.key_id,
            "head": head,
        }
        suggestions = [
            {"rank": item["rank"], "profile_pk": found.document.pk, "item": _kept(item)}
            for item, found in zip(items, ranking.candidates, strict=True)
        ]
        return Suggested({"run_id": run_id, **head, "items": items}, run, suggestions)


def _kept(item: AnswerJson) -> AnswerJson:
    """Return what is kept of an item: of others than the one suggested the ids only, so that nothing outlives them."""
    return {**item, "similar": [other["id"] for other in item["similar"]]}


def _item(run_id: str, rank: int, found: Candidate) -> AnswerJson:
    """Return a suggestion as `SuggestionItem` describes it."""
    return {
        "suggestion_id": f"{run_id}-{rank}",
        "rank": rank,
        "profile": found.document.extra,
        "score": found.score,
        "probability": found.probability,
        "band": found.band,
        "contributions": [
            {
                "feature": part.feature,
                "value": part.value,
                "weight": part.weight,
                "contribution": part.contribution,
                "words": part.words,
            }
            for part in found.contributions
        ],
        "evidence": [
            {"similarity": pair.similarity, "seeker": _quote(pair.seeker), "offer": _quote(pair.offer)}
            for pair in found.evidence
        ],
        "similar": [{name: other.extra[name] for name in ("id", "title", "organisation")} for other in found.similar],
    }


def _quote(quote: Quote) -> AnswerJson:
    return {"text": quote.text, "start": quote.start, "end": quote.end}


def _filters(given: SuggestionFilters) -> Filters:
    languages = {code for tag in given.languages if (code := primary(tag)) is not None}
    return Filters(
        frozenset(given.countries),
        tuple(given.nuts),
        frozenset(given.sectors),
        frozenset(languages),
        frozenset(given.eqf_levels),
        LABEL_RANKS[given.label_min] if given.label_min else None,
        given.valid_on,
        given.starts_on,
        given.ends_on,
    )
