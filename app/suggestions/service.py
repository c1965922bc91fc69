"""Ask the engine, keep the answer, take the decision."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from app.accounts.principal import Principal
from app.db.changes import Position
from app.errors import Conflict, InvalidInput, NotFound
from app.matching.calibration import Calibration, Calibrations
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.engine import explain, judge, known_weight, rejecting_rule, too_unlikely, total_rejected
from app.matching.kinds import MATCH_KINDS, MatchKind, RiskTier
from app.matching.types import Candidate, Document, Facets, FieldReader, Namer, Passages, Query, Ranking, Side
from app.matching.words import spoken
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileState
from app.profiles.skill_repository import ProfileSkillRepository
from app.profiles.tables import Profile
from app.suggestions.answers import (
    FIRST_HEAD,
    AnswerJson,
    as_now,
    explained,
    filters_of,
    kept,
    nothing_because,
    public_names,
)
from app.suggestions.exposure import Exposure, ExposureCounts
from app.suggestions.gaps import SkillGaps
from app.suggestions.projection import Projection
from app.suggestions.repository import ProjectionRepository, SuggestionRepository
from app.suggestions.schemas import (
    DecisionAnswer,
    DecisionInput,
    Question,
    Status,
    SuggestionQuestion,
)
from app.suggestions.tables import Decision
from app.taxonomy.languages import detect_language, primary
from app.taxonomy.names import name_of
from app.taxonomy.repository import CatalogueRepository
from app.taxonomy.service import QUESTION_PHRASES, SkillFinder


def match_kind(name: str) -> MatchKind:
    """Return a match kind; raises `NotFound` that names the field."""
    kind = MATCH_KINDS.get(name)
    if kind is None:
        raise NotFound(
            "there is no such match kind",
            errors=[{"field": "path.match_kind", "reason": f"one of {', '.join(sorted(MATCH_KINDS))}"}],
        )
    return kind


class Suggested(NamedTuple):
    """An answer as `SuggestionAnswer` describes it, and what is to be kept of it before it is sent."""

    answer: AnswerJson
    run: AnswerJson
    suggestions: list[AnswerJson]


class Judged(NamedTuple):
    """What the engine thinks of chosen profiles, and the weight of the facts that are known of the asker."""

    candidates: tuple[Candidate, ...]
    known: float


class Ranked(NamedTuple):
    """A ranking, the number of the last change that the index had seen, and what skills are called in it."""

    ranking: Ranking
    seq: int
    name: Namer = name_of


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: `passages` is None when there is nothing to compare, `language` what the answer is worded in."""

    side: Side
    text: str | None
    passages: Passages | None
    facets: Facets
    language: str
    profile_pk: int | None = None
    excluded: frozenset[int] = frozenset()
    skills_available: bool = False
    fields: FieldReader | None = None

    def query(
        self, question: Question, today: date | None = None, often_shown: frozenset[int] = frozenset()
    ) -> Query | None:
        """Return what the engine is asked, or None when there is nothing to compare."""
        if self.passages is None:
            return None
        return Query(
            self.side,
            self.text,
            self.passages,
            self.facets,
            today or date.today(),  # noqa: DTZ011 - validity ends by the local calendar
            filters_of(question.filters),
            self.excluded,
            max_per_organisation=question.max_per_organisation,
            often_shown=often_shown,
            language=self.language,
            fields=self.fields,
        )


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
        calibrations: Calibrations,
        finder: SkillFinder | None = None,
    ) -> None:
        self._rows = rows
        self._profiles = profiles
        self._suggestions = suggestions
        self._embedder = embedder
        self._projection = projection
        self._exposure = exposure
        self._calibrations = calibrations
        self._catalogue = CatalogueRepository(rows.session)
        self._finder = finder or SkillFinder(embedder)
        self._gaps = SkillGaps(self._catalogue, ProfileSkillRepository(rows.session))

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
        asker = self.asker(kind, question)
        position = self._rows.last_position()
        exposure = self.exposure(kind, asker, position)
        query = asker.query(question, today, exposure.often_shown)
        if query is None:
            ranked = Ranked(Ranking((), {}, ("text",)), self._projection.catch_up())
            return self._answer(kind, asker, None, ranked, exposure, principal)
        ranked = self.rank(kind, query, question.limit, position)
        return self._answer(kind, asker, query, ranked, exposure, principal)

    def exposure(self, kind: MatchKind, asker: Asker, position: Position) -> Exposure:
        """Return who is shown too often to others than this asker, as the database was at `position`."""
        return self._exposure.seen_by(asker.profile_pk, kind, asker.side, position)

    def calibration(self, kind: MatchKind) -> Calibration | None:
        """Return what the scores of this kind mean, or None where it is not calibrated."""
        return self._calibrations.applied.get(kind.name)

    def judged(
        self, kind: MatchKind, question: SuggestionQuestion, pks: Sequence[int], *, today: date | None = None
    ) -> Judged:
        """Return what the engine thinks of these profiles for `question`, were no cap, threshold and decision there.

        What a rule rejects is left out, and so is everything when there is nothing to compare. For calibration: the
        scores that are shown and the scores that are fitted must come from one path. Raises as `suggest` does.
        """
        query = self.asker(kind, question).query(question, today)
        if query is None:
            return Judged((), 0.0)
        query = replace(query, excluded=frozenset())
        with_labels = query.filters.label_min is not None
        documents = self._rows.documents(pks, self._embedder.model_key, with_labels=with_labels)
        eligible = [document for document in documents if rejecting_rule(kind, query, document) is None]
        return Judged(tuple([explain(kind, query, document) for document in eligible]), known_weight(kind, query))

    def run(self, run_id: str) -> AnswerJson:
        """Return a run as it was answered, less what was deleted since; raises `NotFound`.

        What was collapsed into a suggestion is named as it is called now.
        """
        found = self._suggestions.run(run_id)
        if found is None:
            raise NotFound
        run, suggestions = found
        items = self._gaps.restored([as_now(suggestion.item) for suggestion in suggestions])
        similar = [id_ for item in items for id_ in item["similar"]]
        named = self._suggestions.named(similar) if similar else {}
        items = [{**item, "similar": [named[id_] for id_ in item["similar"] if id_ in named]} for item in items]
        return {"run_id": run.id, **FIRST_HEAD, **run.head, "nearest_miss": None, "items": items}

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

    def rank(self, kind: MatchKind, query: Query, limit: int, position: Position) -> Ranked:
        """Let the index propose and the database decide; propose anew, without them, when the database dropped some.

        Not only deeper: what was dropped may have held others back.
        """
        dropped: list[Mapping[str, int]] = []
        calibration = self.calibration(kind)
        while True:
            proposal, seq = self._projection.propose(position, kind, query, limit, calibration)
            proposed = (*proposal.pks, *proposal.similar)
            documents = self._rows.documents(
                proposed, self._embedder.model_key, with_labels=query.filters.label_min is not None
            )
            name = self.namer(query, documents)
            ranking = judge(kind, replace(query, name=name), documents, limit, calibration)
            dropped.append(ranking.rejected)
            absent = query.absent.union(proposed) - ranking.eligible
            if len(absent) == len(query.absent):
                break
            query = replace(query, absent=absent)
        below = too_unlikely(proposal, ranking, limit) if calibration is not None else {}
        counted = total_rejected(proposal.rejected, proposal.held, below, *dropped)
        return Ranked(ranking._replace(rejected=counted), seq, name)

    def namer(self, query: Query, documents: Sequence[Document]) -> Namer:
        """Return what says the names of codes, the seekers' skills of the imported catalogue among them."""
        return self._gaps.names(query.side, query.facets, [document.facets for document in documents]).name

    def explained(
        self, kind: MatchKind, asker: Asker, query: Query, found: Sequence[Candidate], name: Namer
    ) -> list[AnswerJson]:
        """Return judged profiles as `ExplainedPair` describes them; `name` says the names of their skills."""
        facets = [candidate.document.facets for candidate in found]
        skills = self._gaps.explain(
            asker.side,
            asker.facets,
            facets,
            name,
            language=asker.language,
            available=asker.skills_available,
            today=query.today,
        )
        return [explained(kind, one, own, asker.language) for one, own in zip(found, skills, strict=True)]

    def asker(self, kind: MatchKind, question: Question) -> Asker:
        """Return who asks; raises `InvalidInput` and, for a profile that is expired or withdrawn, `Conflict`."""
        if (question.text is None) == (question.profile_id is None):
            field = "body.text" if question.text is None else "body.profile_id"
            raise InvalidInput.at(field, "exactly one of text and profile_id is needed")
        if question.text is not None:
            return self._text_asker(kind, question, question.text)
        profile = self._profiles.get(str(question.profile_id))
        if profile is None:
            raise InvalidInput.at("body.profile_id", "no profile has this id")
        if profile.state in (ProfileState.EXPIRED, ProfileState.WITHDRAWN):
            raise Conflict(f"this profile is {profile.state}")
        return self.profile_asker(kind, question, profile)

    def _text_asker(self, kind: MatchKind, question: Question, text: str) -> Asker:
        side = question.side or Side.SEEKER
        if kind.risk_tier is RiskTier.NATURAL_PERSON and side is Side.OFFER:
            raise InvalidInput.at("body.text", "a person is never described by free text: give profile_id")
        tag = question.language
        # A guess at a language may add to a score, but never keep a person away from a place.
        counts = kind.risk_tier is RiskTier.LEGAL_PERSON and kind.reads(side, "languages")
        detected = detect_language(text) if tag is None and (counts or question.answer_language is None) else None
        guess = detected[0] if detected else None
        code = primary(tag) if tag else guess if counts else None
        passages = embed_parts(self._embedder, [Parts(text=text)], as_queries=True)[0]
        found = self._finder.find(self._catalogue, [{"text": text}], most_phrases=QUESTION_PHRASES)
        skills = frozenset(skill.id for _, skill in found[0].skills) if found else frozenset()
        facets = {"languages": frozenset({code}) if code else None, "skills": skills or None}
        language = question.answer_language or spoken(code or guess)
        available, fields = found is not None, self._embedder.fields
        return Asker(side, text, passages, facets, language, skills_available=available, fields=fields)

    def profile_asker(self, kind: MatchKind, question: Question, profile: Profile) -> Asker:
        """Return a profile in any state as the one who asks; raises `InvalidInput` when it stands on neither side."""
        side = kind.side_of(profile.kind)
        if side is None:
            allowed = f"{kind.seeker} or {kind.offer}"
            raise InvalidInput.at("body.profile_id", f"a {profile.kind} has no side in this match kind: {allowed}")
        if question.side is not None and kind.profile_kind(question.side) != profile.kind:
            raise InvalidInput.at("body.from", f"a {profile.kind} stands on the {side}'s side")
        return Asker(
            question.side or side,
            profile.text,
            self._profiles.passages(profile.pk, self._embedder.model_key),
            self._rows.asker(profile.pk) or {},
            question.answer_language or spoken(primary(profile.language) if profile.language else None),
            profile.pk,
            self._suggestions.declined(kind.name, profile.pk),
            self._catalogue.head() is not None,
            self._embedder.fields,
        )

    def _answer(
        self,
        kind: MatchKind,
        asker: Asker,
        query: Query | None,
        ranked: Ranked,
        exposure: Exposure,
        principal: Principal,
    ) -> Suggested:
        """Return the answer to `query`, None when there was nothing to compare."""
        run_id, ranking = str(uuid.uuid4()), ranked.ranking
        # Not kept: nobody was suggested, and a run outlives the profiles that it does not point to.
        near = [] if ranking.nearest_miss is None else [ranking.nearest_miss]
        found = [*ranking.candidates, *near]
        told = self.explained(kind, asker, query, found, ranked.name) if query is not None else []
        miss = told.pop() if near else None
        items = [{"suggestion_id": f"{run_id}-{rank}", "rank": rank, **one} for rank, one in enumerate(told, start=1)]
        status = Status.INSUFFICIENT_DATA if query is None else Status.OK if items else Status.NO_MATCH
        calibration = self.calibration(kind)
        head: AnswerJson = {
            "match_kind": kind.name,
            "from": asker.side.value,
            "status": status.value,
            "model": self._embedder.model_key,
            "index_seq": ranked.seq,
            "exposure_seq": exposure.seq,
            "rules_version": kind.rules_version(),
            "answer_language": asker.language,
            "missing": public_names(ranking.missing),
            "rejected": dict(ranking.rejected),
            "calibration": calibration.version if calibration else None,
            "reason": nothing_because(status, ranking, asker.language),
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
            {"rank": item["rank"], "profile_pk": found.document.pk, "item": kept(item)}
            for item, found in zip(items, ranking.candidates, strict=True)
        ]
        return Suggested({"run_id": run_id, **head, "nearest_miss": miss, "items": items}, run, suggestions)
