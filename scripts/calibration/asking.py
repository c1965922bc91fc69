"""Puts labelled pairs through the service: the scores that are fitted are those that would be shown."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from app.accounts.principal import Principal, Role
from app.db.migrate import upgrade
from app.db.session import Database
from app.errors import Conflict, InvalidInput
from app.matching.calibration import NONE, Calibration, Calibrations
from app.matching.embedder import Embedder
from app.matching.kinds import MatchKind
from app.profiles.repository import ProfileRepository
from app.suggestions.exposure import ExposureCounts
from app.suggestions.projection import Projection
from app.suggestions.repository import ProjectionRepository, SuggestionRepository
from app.suggestions.schemas import SuggestionQuestion
from app.suggestions.service import SuggestionService
from calibration.labelled import FITS, Labelled, Seeker

TODAY = date(2026, 11, 27)
"""The day on which the pairs were read: what is valid must not depend on when the script runs."""

SHOWN = 3
"""So many of an unrelated query's best count as pairs that do not fit."""

WHOLE = 100
"""The longest list that the API gives."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A judged pair."""

    score: float
    fits: bool


@dataclass(slots=True)
class Asked:
    """One seeker's judged pairs, and for the choice of a threshold its whole list."""

    seeker: Seeker
    text: str
    known: float
    pairs: list[Pair] = field(default_factory=list)
    related: bool = False
    """Whether anything that fits it is named."""

    top: float | None = None
    """The greatest score in its list, None when the list is empty."""

    rejected: int = 0
    """Pairs that a hard rule keeps apart, and which therefore have no score."""


class Asker:
    """The service on one database, asked for labelled pairs."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._projection = Projection(database, embedder.model_key, embedder.dim, fields=embedder.fields)
        self._exposure = ExposureCounts(database)
        self._principal = Principal(key_id="calibrate", role=Role.READER)

    def ask(self, kind: MatchKind, labelled: Labelled) -> list[Asked]:
        """Return each seeker's pairs with their scores."""
        with self._service(NONE) as (service, profiles):
            ids = _by_ref(profiles, kind, labelled)
            return [self._one(service, kind, seeker, offers, ids) for seeker, offers in labelled.grades.items()]

    def _one(
        self,
        service: SuggestionService,
        kind: MatchKind,
        seeker: Seeker,
        offers: Mapping[str, int],
        ids: Mapping[str, tuple[int, str, str]],
    ) -> Asked:
        question = _question(seeker, ids)
        refs = {ids[ref][0]: ref for ref in offers}
        judged = service.judged(kind, question, list(refs), today=TODAY)
        text = seeker.text or ids[str(seeker.ref)][2]
        asked = Asked(seeker, text, judged.known, related=any(grade >= FITS for grade in offers.values()))
        for found in sorted(judged.candidates, key=lambda found: refs[found.document.pk]):
            asked.pairs.append(Pair(found.score, offers[refs[found.document.pk]] >= FITS))
        asked.rejected = len(offers) - len(judged.candidates)
        items = service.suggest(kind, question, self._principal, today=TODAY).answer["items"]
        asked.top = max((item["score"] for item in items), default=None)
        if not asked.related:
            # Nothing fits this query, so its best do not: and they, not the pairs drawn, are what would be shown.
            asked.pairs += [Pair(item["score"], fits=False) for item in items[:SHOWN]]
        return asked

    def answered(
        self, kind: MatchKind, labelled: Labelled, calibration: Calibration | None
    ) -> dict[Seeker, tuple[bool, bool]]:
        """Return for each seeker whether it gets a suggestion at all, and whether one that fits is among them."""
        calibrations = NONE if calibration is None else Calibrations({kind.name: calibration}, {})
        found = {}
        with self._service(calibrations) as (service, profiles):
            ids = _by_ref(profiles, kind, labelled)
            for seeker, offers in labelled.grades.items():
                suggested = service.suggest(kind, _question(seeker, ids), self._principal, today=TODAY)
                fitting = {ids[ref][0] for ref, grade in offers.items() if grade >= FITS}
                shown = {suggestion["profile_pk"] for suggestion in suggested.suggestions}
                found[seeker] = bool(shown), not fitting.isdisjoint(shown)
        return found

    def decided(self, kind: MatchKind) -> tuple[list[Asked], int]:
        """Return what people decided about profiles' suggestions, and how many decisions could not be judged anew.

        The pair is judged as both profiles are now. What a mere text was suggested cannot be: the text is not kept.
        """
        by_asker: dict[str, list[Asked]] = {}
        lost = 0
        with self._service(NONE) as (service, profiles):
            for asker_pk, profile_pk, accepted in self._decisions(kind):
                asker = profiles.by_pks([asker_pk]).get(asker_pk) if asker_pk is not None else None
                try:
                    question = SuggestionQuestion(profile_id=asker.id) if asker else None
                    judged = service.judged(kind, question, [profile_pk], today=TODAY) if question else None
                except (Conflict, InvalidInput):
                    judged = None
                if asker is None or judged is None or not judged.candidates:
                    lost += 1
                    continue
                asked = Asked(Seeker(asker.id, None, None), asker.text or asker.title, judged.known)
                asked.pairs.append(Pair(judged.candidates[0].score, accepted))
                by_asker.setdefault(asker.id, []).append(asked)
        return [asked for _, rows in sorted(by_asker.items()) for asked in rows], lost

    def _decisions(self, kind: MatchKind) -> list[tuple[int | None, int, bool]]:
        with self._database.read() as session:
            return SuggestionRepository(session).decisions(kind.name)

    @contextmanager
    def _service(self, calibrations: Calibrations) -> Iterator[tuple[SuggestionService, ProfileRepository]]:
        with self._database.read() as session:
            profiles = ProfileRepository(session)
            yield (
                SuggestionService(
                    ProjectionRepository(session),
                    profiles,
                    SuggestionRepository(session),
                    self._embedder,
                    self._projection,
                    self._exposure,
                    calibrations,
                ),
                profiles,
            )


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """Yield the migrated database at `path`."""
    upgrade(str(path))
    database = Database(str(path))
    try:
        yield database
    finally:
        database.close()


def _question(seeker: Seeker, ids: Mapping[str, tuple[int, str, str]]) -> SuggestionQuestion:
    said: dict[str, Any] = {"limit": WHOLE}
    if seeker.ref is not None:
        return SuggestionQuestion(**said, profile_id=ids[seeker.ref][1])
    return SuggestionQuestion(**said, text=seeker.text, language=seeker.language)


def _by_ref(profiles: ProfileRepository, kind: MatchKind, labelled: Labelled) -> dict[str, tuple[int, str, str]]:
    """Return key, id and text of every profile that the pairs name; raises `ValueError` for one that is not there."""
    seekers = [seeker.ref for seeker in labelled.grades if seeker.ref is not None]
    offers = sorted({ref for grades in labelled.grades.values() for ref in grades})
    return {**_look_up(profiles, kind.seeker, seekers), **_look_up(profiles, kind.offer, offers)}


def _look_up(profiles: ProfileRepository, kind: str, refs: Sequence[str]) -> dict[str, tuple[int, str, str]]:
    named = [ref.split("/", 1) for ref in refs]
    owners = profiles.owners([owner for owner, _ in named])
    keys = [(owners[owner].pk, ref) for owner, ref in named if owner in owners]
    rows = profiles.existing(kind, keys)
    found = {}
    for (owner, ref), name in zip(named, refs, strict=True):
        row = rows.get((owners[owner].pk, ref)) if owner in owners else None
        if row is None:
            raise ValueError(f"the pairs name {name}, and there is no such {kind}")
        found[name] = (row.pk, row.id, row.text or row.title)
    return found
