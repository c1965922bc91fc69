"""Histories of one database for the model test: edits, imports, restarts, restored backups, interleaved writers.

After every step one index catches up and is compared with what plain SQL says; another, a second worker's, catches
up only now and then.
"""

import shutil
import tempfile
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.errors import Conflict, InvalidInput, PreconditionFailed
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.kinds import MATCH_KINDS
from app.matching.types import Facets, Filters, Query, Side
from app.profiles.schemas import TRANSITIONS, ProfileState
from app.suggestions.projection import Projection
from tests.reliability.oracle import check_index, damage
from tests.reliability.world import OWNERS, Known, Pending, World

TODAY = date(2026, 11, 1)
TEXTS = (
    "Aluminium parts for lighter electric vehicles",
    "Pilot lines for electric vehicles and their batteries",
    "Telecare for rural health centres",
    "Programming of numerically controlled milling machines",
    "Cooking and pastry for hotels",
    "Maintenance of wind turbines at sea",
    "Aluminium parts for lighter electric vehicles",  # twice: ties must be broken the same way
)
SKILLS = ("puente:python", "puente:java", "puente:cnc-machining", "puente:metrology")
PLACES = (("ES", "ES61"), ("ES", None), ("PT", "PT11"), ("FR", None))
ECOSYSTEMS = ("health", "digital", "mobility-transport-automotive")
LABEL = {"level": "silver", "assessed_on": "2025-01-01", "valid_until": "2027-01-01"}

texts = st.sampled_from(TEXTS)
some_skills = st.lists(st.sampled_from(SKILLS), unique=True, max_size=3)
some_ecosystems = st.lists(st.sampled_from(ECOSYSTEMS), unique=True, max_size=2)
places = st.sampled_from([code for _, code in PLACES])
levels = st.sampled_from([None, 4, 5])
written_kinds = st.sampled_from(["pitch", "priority", "skill_need", "training_offer"])
first_states = st.sampled_from(["published", "published", "draft"])
picks = st.integers(0, 997)
kind_of_match = st.sampled_from(sorted(MATCH_KINDS))


def item_of(kind: str, text: str, **fields: Any) -> dict[str, Any]:
    """Return a profile to post, without the fields that are None."""
    own: dict[str, Any] = {"kind": kind, **fields}
    if kind != "trainee":
        own |= {"title": text[:30], "text": text, "language": "en"}
    if kind == "training_offer":
        own["programme_type"] = "course"
    if kind in ("pitch", "priority"):
        own.pop("skills", None)
        own.pop("eqf_level", None)
    return {name: value for name, value in own.items() if value is not None}


def asked(embedder: Embedder, side: Side, text: str, facets: Facets | None = None, **filters: Any) -> Query:
    """Return a question in free text."""
    passages = embed_parts(embedder, [Parts(text=text)], as_queries=True)[0]
    return Query(side, text, passages, facets or {}, TODAY, Filters(**filters))


def _nothing(found: list[str]) -> None:
    assert not found, "; ".join(found)


class Histories(RuleBasedStateMachine):
    """Any history of one database, with two indexes over it."""

    template: ClassVar[Path]
    embedder: ClassVar[Embedder]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="puente-model-")
        path = Path(shutil.copy(self.template, Path(self.folder.name) / "puente.db"))
        self.world = World(path, self.embedder)
        self.index = self.world.projection()
        self.other = self.world.projection()
        self.pending: list[Pending] = []
        self.backups: list[Path] = []
        self.trainees = 0

    def teardown(self) -> None:
        try:
            self._compare(self.other)
            with self.world.database.read() as session:
                _nothing(damage(session, self.embedder.model_key))
        finally:
            self.world.close()
            self.folder.cleanup()

    # --- writers ------------------------------------------------------------

    @rule(
        kind=written_kinds,
        text=texts,
        state=first_states,
        nuts=places,
        eco=some_ecosystems,
        skills=some_skills,
        level=levels,
    )
    def create(
        self, kind: str, text: str, state: str, nuts: str | None, eco: list[str], skills: list[str], level: int | None
    ) -> None:
        self.world.create(
            item_of(kind, text, state=state, nuts_code=nuts, ecosystems=eco, skills=skills, eqf_level=level)
        )

    @rule(pick=picks, skills=some_skills, state=first_states)
    def enrol(self, pick: int, skills: list[str], state: str) -> None:
        """Create a trainee, who follows a programme where there is one."""
        self.world.create(self._trainee(pick, skills, state))

    @precondition(lambda self: self.world.known())
    @rule(pick=picks, text=texts, eco=some_ecosystems, nuts=places, skills=some_skills, level=levels)
    def patch(
        self, pick: int, text: str, eco: list[str], nuts: str | None, skills: list[str], level: int | None
    ) -> None:
        known = self._pick(pick)
        self.world.patch(known, self._changes(known, text, eco, nuts, skills, level))

    @precondition(lambda self: self.world.known())
    @rule(pick=picks, to=st.sampled_from(sorted(ProfileState)))
    def move(self, pick: int, to: str) -> None:
        """Publish, withdraw, expire or take back to draft."""
        known = self._pick(pick)
        if to in TRANSITIONS[ProfileState(known.state)]:
            self.world.patch(known, {"state": to})
        elif to != known.state:
            with pytest.raises(InvalidInput):
                self.world.patch(known, {"state": to})

    @precondition(lambda self: self.world.known())
    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        known = self._pick(pick)
        try:
            self.world.delete(known)
        except Conflict:
            assert known.kind == "training_offer"

    @rule(
        ref=st.sampled_from(sorted(OWNERS.values())),
        place=st.sampled_from(PLACES),
        eco=some_ecosystems,
        label=st.booleans(),
    )
    def patch_organisation(self, ref: str, place: tuple[str, str | None], eco: list[str], label: bool) -> None:
        self.world.patch_organisation(
            ref,
            {"country": place[0], "nuts_code": place[1], "ecosystems": eco, "labels": [LABEL] if label else []},
        )

    @rule(text=texts, skills=some_skills, kind=written_kinds, place=st.sampled_from(PLACES))
    def import_file(self, text: str, skills: list[str], kind: str, place: tuple[str, str | None]) -> None:
        """Import rows of which some are new versions of what an earlier file brought, and some are wrong."""
        number = self.trainees = self.trainees + 1
        owner = {"kind": "school", "ref": "s", "name": "renamed", "country": place[0], "nuts_code": place[1]}
        rows = [
            item_of(kind, text, ref="again", skills=skills),
            item_of(kind, text),
            {"kind": "pitch", "title": "no text"},
            owner,
            item_of("training_offer", text, ref="course", skills=skills),
            item_of("trainee", "", ref="AGAIN", programme="course", skills=skills),
            item_of("trainee", "", ref=f"NEW-{number}", programme="course"),
        ]
        if place[1] is None:
            del owner["nuts_code"]
        result = self.world.import_rows(rows)
        # What was withdrawn stays so: an import cannot publish it again.
        refused = sorted(error["field"] for error in result["errors"])
        assert refused == ["state"] * (len(refused) - 1) + ["text"], result

    # --- two writers at once ------------------------------------------------

    @precondition(lambda self: len(self.pending) < 3)
    @rule(kind=written_kinds, text=texts, skills=some_skills, pick=picks, trainee=st.booleans())
    def begin_create(self, kind: str, text: str, skills: list[str], pick: int, trainee: bool) -> None:
        item = self._trainee(pick, skills, "published") if trainee else item_of(kind, text, skills=skills)
        self.pending.append(self.world.prepare(item))

    @precondition(lambda self: len(self.pending) < 3 and self.world.known())
    @rule(pick=picks, text=texts, eco=some_ecosystems, skills=some_skills, level=levels)
    def begin_patch(self, pick: int, text: str, eco: list[str], skills: list[str], level: int | None) -> None:
        known = self._pick(pick)
        self.pending.append(self.world.prepare_patch(known, self._changes(known, text, eco, None, skills, level)))

    @precondition(lambda self: self.pending)
    @rule()
    def finish(self) -> None:
        """Store what another writer had prepared before all that came in between."""
        pending = self.pending.pop(0)
        with suppress(Conflict, PreconditionFailed):
            self.world.store(pending)

    @precondition(lambda self: self.pending)
    @rule()
    def crash(self) -> None:
        """Lose a transaction before its commit."""
        with suppress(Conflict, PreconditionFailed):
            self.world.crash_while_storing(self.pending.pop())

    @precondition(lambda self: self.world.known("training_offer"))
    @rule(pick=picks, skills=some_skills, level=levels, enrols_first=st.booleans())
    def enrol_while_the_programme_changes(
        self, pick: int, skills: list[str], level: int | None, enrols_first: bool
    ) -> None:
        """Two writers, each of whom prepared before the other stored."""
        offers = self.world.known("training_offer")
        offer = offers[pick % len(offers)]
        self.trainees += 1
        trainee = item_of("trainee", "", ref=f"T-{self.trainees:03}", programme=offer.id)
        writers = [
            lambda: self.world.prepare(trainee),
            lambda: self.world.prepare_patch(
                offer, {"skills": skills, "eqf_level": level, "title": f"Course {self.trainees}"}
            ),
        ]
        prepared = [(writer, writer()) for writer in (writers if enrols_first else writers[::-1])]
        for writer, pending in prepared:
            try:
                self.world.store(pending)
            except (Conflict, PreconditionFailed):
                self.world.store(writer())

    @precondition(lambda self: self.world.known())
    @rule(pick=picks)
    def embed_with_another_model(self, pick: int) -> None:
        self.world.add_foreign_vectors(self._pick(pick).pk)

    # --- histories that part ------------------------------------------------

    @rule()
    def back_up(self) -> None:
        self.backups.append(self.world.backup())

    @precondition(lambda self: self.backups)
    @rule(pick=picks, text=texts, writes=st.integers(0, 4))
    def restore(self, pick: int, text: str, writes: int) -> None:
        """Restore an older copy under the running workers, then go on another way."""
        self.world.restore(self.backups[pick % len(self.backups)])
        self.pending.clear()
        for _ in range(writes):
            self.world.create(item_of("pitch", text))

    # --- readers ------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        self.index = self.world.projection()

    @rule()
    def other_worker_looks(self) -> None:
        self._compare(self.other)

    @rule(
        name=kind_of_match,
        side=st.sampled_from(sorted(Side)),
        text=texts,
        limit=st.integers(1, 4),
        country=st.booleans(),
        eco=some_ecosystems,
        label=st.booleans(),
    )
    def search(self, name: str, side: str, text: str, limit: int, country: bool, eco: list[str], label: bool) -> None:
        filters: dict[str, Any] = {"sectors": frozenset(eco), "label_min": 1 if label else None}
        if country:
            filters["countries"] = frozenset({"ES"})
        query = asked(self.embedder, Side(side), text, **filters)
        for index in (self.index, self.other):
            _nothing(self.world.search_differences(index, MATCH_KINDS[name], query, limit))

    @invariant()
    def the_index_is_the_database(self) -> None:
        self._compare(self.index)

    @invariant()
    def the_search_is_exact(self) -> None:
        for kind in MATCH_KINDS.values():
            query = asked(self.embedder, Side.SEEKER, TEXTS[0], {"skills": frozenset(SKILLS[:2]), "nuts": "ES61"})
            _nothing(self.world.search_differences(self.index, kind, query, 3))

    # --- helpers ------------------------------------------------------------

    def _compare(self, index: Projection) -> None:
        _nothing(check_index(index, self.world.database, self.embedder.model_key))

    def _pick(self, pick: int) -> Known:
        known = self.world.known()
        return known[pick % len(known)]

    def _trainee(self, pick: int, skills: list[str], state: str) -> dict[str, Any]:
        offers = self.world.known("training_offer")
        programme = offers[pick % len(offers)].id if offers and pick % 5 else None
        self.trainees += 1
        return item_of("trainee", "", ref=f"T-{self.trainees:03}", programme=programme, skills=skills, state=state)

    @staticmethod
    def _changes(
        known: Known, text: str, eco: list[str], nuts: str | None, skills: list[str], level: int | None
    ) -> dict[str, Any]:
        changes: dict[str, Any] = {"ecosystems": eco, "nuts_code": nuts}
        if known.kind != "trainee":
            changes |= {"text": text, "title": text[:20]}
        if known.kind in ("skill_need", "training_offer", "trainee"):
            changes |= {"skills": skills, "eqf_level": level}
        return changes
