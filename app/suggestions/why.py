"""Why a pair is suggested where it is, or why not: the first rule that failed, or the rank and the part that lacks.

The first reason is what POST /suggestions would do with the pair: a list holds exactly those that have a rank.
"""

from dataclasses import replace
from datetime import date

from app.db.changes import Position
from app.errors import Conflict, InvalidInput
from app.matching.engine import BELOW_THRESHOLD, explain, missing_facts, rejecting_rule
from app.matching.kinds import MatchKind
from app.matching.types import Candidate, Query, Side
from app.matching.words import say
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileState
from app.profiles.tables import Profile
from app.suggestions.answers import AnswerJson, public_names
from app.suggestions.projection import Projection
from app.suggestions.repository import ProjectionRepository
from app.suggestions.schemas import MOST_SUGGESTIONS, PairQuestion
from app.suggestions.service import Asker, SuggestionService

_GONE = {ProfileState.EXPIRED: "expired", ProfileState.WITHDRAWN: "withdrawn"}


class WhyService:
    """Explains one pair at a time, seen through one session of the read engine; keeps nothing."""

    def __init__(
        self,
        suggestions: SuggestionService,
        rows: ProjectionRepository,
        profiles: ProfileRepository,
        projection: Projection,
        model_key: str,
    ) -> None:
        self._suggestions = suggestions
        self._rows = rows
        self._profiles = profiles
        self._projection = projection
        self._model_key = model_key

    def why(self, kind: MatchKind, question: PairQuestion, *, today: date | None = None) -> AnswerJson:
        """Return a pair explained, as `PairAnswer` describes it, with exactly one first reason.

        Who is too late to ask for suggestions may still ask why. Raises `InvalidInput`, and `Conflict` when one of the
        two changes while it is looked at.
        """
        own, asker = self._asker(kind, question)
        other = self._other(kind, question, asker)
        found = self._rows.documents([other.pk], self._model_key, with_labels=True, in_any_state=True)
        document = found[0] if found else None
        position = self._rows.last_position()
        exposure = self._suggestions.exposure(kind, asker, position)
        calibration = self._suggestions.calibration(kind)
        query = asker.query(question, today, exposure.often_shown)
        candidate = item = None
        if query is not None and document is not None:
            query = replace(query, name=self._suggestions.namer(query, [document]))
            candidate = explain(kind, query, document, calibration)
            (item,) = self._suggestions.explained(kind, asker, query, [candidate], query.name)
        reason = self._state(own, other, asker, candidate)
        seq: int | None = None
        if reason is None and query is not None and candidate is not None:
            reason, seq = self._judged(kind, query, candidate, position)
        return {
            "match_kind": kind.name,
            "from": asker.side.value,
            "model": self._model_key,
            "index_seq": self._projection.catch_up() if seq is None else seq,
            "exposure_seq": exposure.seq,
            "rules_version": kind.rules_version(),
            "calibration": calibration.version if calibration else None,
            "answer_language": asker.language,
            "missing": ["text"] if query is None else public_names(missing_facts(kind, query)),
            "first_reason": reason,
            "item": item,
        }

    def _asker(self, kind: MatchKind, question: PairQuestion) -> tuple[Profile | None, Asker]:
        profile = self._profiles.get(question.profile_id) if question.profile_id and question.text is None else None
        if profile is None:
            return None, self._suggestions.asker(kind, question)
        return profile, self._suggestions.profile_asker(kind, question, profile)

    def _other(self, kind: MatchKind, question: PairQuestion, asker: Asker) -> Profile:
        """Return the profile on the side that does not ask."""
        side, named = asker.side.other, {Side.SEEKER: question.seeker, Side.OFFER: question.offer}
        if named[asker.side] is not None:
            raise InvalidInput.at(f"body.{asker.side}", f"the {asker.side} asks: name the {side}")
        id_ = named[side]
        if id_ is None:
            raise InvalidInput.at(f"body.{side}", "the profile that is asked about is needed")
        profile = self._profiles.get(id_)
        if profile is None:
            raise InvalidInput.at(f"body.{side}", "no profile has this id")
        wanted = kind.profile_kind(side)
        if profile.kind != wanted:
            raise InvalidInput.at(f"body.{side}", f"a {profile.kind} does not stand on this side: {wanted}")
        return profile

    def _state(
        self, own: Profile | None, other: Profile, asker: Asker, candidate: Candidate | None
    ) -> AnswerJson | None:
        """Return what speaks against the pair before any hard rule is asked."""
        for profile, side in ((own, asker.side), (other, asker.side.other)):
            if profile is not None and profile.state in _GONE:
                return _failed(_GONE[ProfileState(profile.state)], asker.language, side)
        if other.state != ProfileState.PUBLISHED:
            return _failed("not_published", asker.language, asker.side.other)
        if candidate is None:
            side = asker.side if asker.passages is None else asker.side.other
            return _failed("insufficient_data", asker.language, side)
        return None

    def _judged(
        self, kind: MatchKind, query: Query, candidate: Candidate, position: Position
    ) -> tuple[AnswerJson, int | None]:
        """Return the first reason of a pair that can be compared, and the number of the last change it rests on."""
        document, calibration = candidate.document, self._suggestions.calibration(kind)
        label = rejecting_rule(kind, query, document)
        if label is not None:
            return _failed(label, query.language), None
        if calibration is not None and (candidate.probability or 0.0) < calibration.threshold:
            return _failed(BELOW_THRESHOLD, query.language), None
        standing, seq = self._projection.stand(position, kind, query, document.pk, calibration)
        if standing is None:
            raise Conflict("one of the two changed meanwhile: ask again")
        ranking = self._suggestions.rank(kind, query, MOST_SUGGESTIONS, position).ranking
        # The list itself has the last word: at the edge of a decimal the index may round the other way.
        listed = {found.document.pk: rank for rank, found in enumerate(ranking.candidates, start=1)}
        rank = listed.get(document.pk, standing.rank)
        if rank is None:
            return _failed(str(standing.cap), query.language), seq
        top = ranking.candidates[0] if ranking.candidates else candidate
        return _ranked(rank, standing.of, candidate, top, query.language), seq


def _failed(label: str, language: str, side: Side | None = None) -> AnswerJson:
    whose = say(f"side.{side}", language) if side else ""
    return {"kind": "rule", "label": label, "words": say(f"failed.{label}", language, whose=whose)}


def _ranked(rank: int, of: int, candidate: Candidate, top: Candidate, language: str) -> AnswerJson:
    """Return a rank, and the part of the score that lacks most against the first in rank."""
    lacking = [
        (best.contribution - own.contribution, own.feature)
        for own, best in zip(candidate.contributions, top.contributions, strict=True)
    ]
    most, feature = max(lacking, key=lambda entry: entry[0])
    exposed = candidate.score > top.score
    low_part = feature if rank > 1 and most > 0 and not exposed else None
    if low_part is not None:
        words = say("rank.lower", language, rank=rank, of=of, part=say(f"part.{low_part}", language))
    elif rank > 1 and exposed:
        words = say("rank.exposed", language, rank=rank, of=of)
    else:
        words = say("rank.first" if rank == 1 else "rank.equal", language, rank=rank, of=of)
    return {"kind": "rank", "rank": rank, "of": of, "low_part": low_part, "words": words}
