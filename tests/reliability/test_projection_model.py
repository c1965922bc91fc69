"""The index equals the database under any history (reliability.md §1, T-MODEL).

A machine makes histories of edits, imports, restarts, restored backups and interleaved writers over the real
services. After every step one index catches up and is compared with what plain SQL says; another, a second
worker's, catches up only now and then.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import app.matching.engine
import app.matching.shelf
import app.profiles.repository
import app.profiles.tasks
import app.suggestions.repository
from app.db.changes import Position
from app.errors import Conflict, InvalidInput, PreconditionFailed
from app.matching.documents import Parts, embed_parts
from app.matching.embedder import Embedder
from app.matching.index import FaissIndex
from app.matching.kinds import MATCH_KINDS, MatchKind
from app.matching.types import Facets, Filters, Matrix, Query, Side
from app.profiles.schemas import TRANSITIONS, ProfileState
from app.suggestions.projection import Projection
from tests.reliability.oracle import check_index, damage
from tests.reliability.world import OWNERS, Known, Pending, World

NIGHTLY = os.environ.get("PUENTE_RELIABILITY") == "nightly"
EXAMPLES = 200 if NIGHTLY else 15
STEPS = 50
SHRINK = False

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
            assert check_index(self.other, self.world.database, self.embedder.model_key) == []
            with self.world.database.read() as session:
                assert damage(session, self.embedder.model_key) == []
        finally:
            self.world.close()
            self.folder.cleanup()

    # --- writers ------------------------------------------------------------

    @rule(kind=written_kinds, text=texts, state=first_states, nuts=places, eco=some_ecosystems, skills=some_skills, level=levels)
    def create(self, kind: str, text: str, state: str, nuts: str | None, eco: list[str], skills: list[str], level: int | None) -> None:
        self.world.create(
            item_of(kind, text, state=state, nuts_code=nuts, ecosystems=eco, skills=skills, eqf_level=level)
        )

    @rule(pick=picks, skills=some_skills, state=first_states)
    def enrol(self, pick: int, skills: list[str], state: str) -> None:
        """Create a trainee, who follows a programme where there is one."""
        self.world.create(self._trainee(pick, skills, state))

    @precondition(lambda self: self.world.known())
    @rule(pick=picks, text=texts, eco=some_ecosystems, nuts=places, skills=some_skills, level=levels)
    def patch(self, pick: int, text: str, eco: list[str], nuts: str | None, skills: list[str], level: int | None) -> None:
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

    @rule(ref=st.sampled_from(sorted(OWNERS.values())), place=st.sampled_from(PLACES), eco=some_ecosystems, label=st.booleans())
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
        try:
            self.world.store(pending)
        except (Conflict, PreconditionFailed):
            pass

    @precondition(lambda self: self.pending)
    @rule()
    def crash(self) -> None:
        """Lose a transaction before its commit."""
        try:
            self.world.crash_while_storing(self.pending.pop())
        except (Conflict, PreconditionFailed):
            pass

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
        assert check_index(self.other, self.world.database, self.embedder.model_key) == []

    @rule(name=kind_of_match, side=st.sampled_from(sorted(Side)), text=texts, limit=st.integers(1, 4), country=st.booleans(), eco=some_ecosystems, label=st.booleans())
    def search(self, name: str, side: str, text: str, limit: int, country: bool, eco: list[str], label: bool) -> None:
        filters: dict[str, Any] = {"sectors": frozenset(eco), "label_min": 1 if label else None}
        if country:
            filters["countries"] = frozenset({"ES"})
        query = asked(self.embedder, Side(side), text, **filters)
        for index in (self.index, self.other):
            assert self.world.search_differences(index, MATCH_KINDS[name], query, limit) == []

    @invariant()
    def the_index_is_the_database(self) -> None:
        assert check_index(self.index, self.world.database, self.embedder.model_key) == []

    @invariant()
    def the_search_is_exact(self) -> None:
        for kind in MATCH_KINDS.values():
            query = asked(self.embedder, Side.SEEKER, TEXTS[0], {"skills": frozenset(SKILLS[:2]), "nuts": "ES61"})
            assert self.world.search_differences(self.index, kind, query, 3) == []

    # --- helpers ------------------------------------------------------------

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


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks, batches and tidying happen in small databases, too."""
    monkeypatch.setattr(app.profiles.repository, "CHUNK", 3)
    monkeypatch.setattr(app.suggestions.repository, "CHUNK", 3)
    monkeypatch.setattr(app.profiles.tasks, "BATCH_ROWS", 2)
    monkeypatch.setattr(app.matching.shelf, "UNTIDY_LEAST", 4)
    monkeypatch.setattr(app.matching.engine, "FIRST_DEPTH", 2)


@pytest.fixture
def world(database_file: Path, hash_embedder: Embedder) -> Iterator[World]:
    """A database with one organisation of each kind."""
    made = World(database_file, hash_embedder)
    yield made
    made.close()


def differences(world: World, projection: Projection) -> list[str]:
    return check_index(projection, world.database, world.embedder.model_key)


@pytest.mark.usefixtures("small_steps")
def test_the_index_equals_the_database_under_any_history(migrated_file: Path, hash_embedder: Embedder) -> None:
    Histories.template, Histories.embedder = migrated_file, hash_embedder
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not NIGHTLY,
            print_blob=True,
            phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def part_ways(world: World, projection: Projection) -> None:
    """Let `projection` see one history and the database then have another of the same length."""
    world.create(item_of("pitch", TEXTS[0]))
    copy = world.backup()
    world.create(item_of("pitch", TEXTS[1]))
    world.create(item_of("priority", TEXTS[2]))
    projection.catch_up()
    world.restore(copy)
    world.create(item_of("skill_need", TEXTS[3]))
    world.create(item_of("pitch", TEXTS[4]))


def test_a_restored_database_that_went_on_another_way_is_noticed_by_its_token(world: World) -> None:
    projection = world.projection()
    part_ways(world, projection)
    assert differences(world, projection) == []


def test_a_restored_database_that_ends_earlier_is_noticed(world: World) -> None:
    projection = world.projection()
    empty = world.backup()
    world.create(item_of("pitch", TEXTS[0]))
    projection.catch_up()
    world.restore(empty)
    assert differences(world, projection) == []
    assert projection.sizes() == {}


def test_a_trainee_who_joined_while_the_programme_changed_is_indexed_with_what_it_became(world: World) -> None:
    """PATCH of the offer is prepared before, and stored after, POST of a trainee who follows it."""
    world.create(item_of("training_offer", TEXTS[3], skills=[SKILLS[0]], eqf_level=4))
    offer = world.known("training_offer")[0]
    projection = world.projection()
    changes = {"skills": [SKILLS[1]], "eqf_level": 5, "title": "Renamed"}
    pending = world.prepare_patch(offer, changes)
    world.create(item_of("trainee", "", ref="LATE-1", programme=offer.id))
    projection.catch_up()
    try:
        world.store(pending)
    except (Conflict, PreconditionFailed):
        world.patch(offer, changes)
    assert differences(world, projection) == []
    with world.database.read() as session:
        assert damage(session, world.embedder.model_key) == []


def test_a_trainee_is_written_from_what_the_programme_is_when_it_is_stored(world: World) -> None:
    """POST of a trainee is prepared before, and stored after, PATCH of the offer that it follows."""
    world.create(item_of("training_offer", TEXTS[3]))
    offer = world.known("training_offer")[0]
    trainee = item_of("trainee", "", ref="EARLY-1", programme=offer.id)
    pending = world.prepare(trainee)
    world.patch(offer, {"title": "Renamed"})
    try:
        world.store(pending)
    except (Conflict, PreconditionFailed):
        world.create(trainee)
    with world.database.read() as session:
        assert damage(session, world.embedder.model_key) == []


class Stumbling(FaissIndex):
    """An index whose next addition succeeds and is then followed by an error, as when memory runs out."""

    stumbles: ClassVar[int] = 0

    def add(self, vectors: Matrix) -> None:
        """Append rows, and perhaps fail after that."""
        super().add(vectors)
        if len(vectors) and Stumbling.stumbles:
            Stumbling.stumbles -= 1
            raise MemoryError


def test_an_index_that_failed_half_way_is_not_built_upon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    projection = world.projection(make_index=Stumbling)
    world.create(item_of("pitch", TEXTS[0]))
    assert differences(world, projection) == []
    for text in TEXTS[1:3]:
        world.create(item_of("pitch", text))
        monkeypatch.setattr(Stumbling, "stumbles", 1)
        with pytest.raises(MemoryError):
            projection.catch_up()
        assert differences(world, projection) == []


class Trusting(Projection):
    """The negative control: it looks at numbers alone and believes that equal numbers are equal histories."""

    def _catch_up(self, seen: Position | None) -> Position:
        with self._database.read() as session:
            newest = app.suggestions.repository.ProjectionRepository(session).last_position()
        if self._position is not None:
            self._position = Position(self._position.seq, newest.token)
        return super()._catch_up(seen)


def test_the_judge_sees_what_trusting_the_number_does(world: World) -> None:
    projection = Trusting(world.database, world.embedder.model_key, world.embedder.dim)
    part_ways(world, projection)
    found = differences(world, projection)
    assert any("is not in the index" in line for line in found)
    assert any("is in the index and should not" in line for line in found)


def test_the_judge_sees_a_vector_a_facet_and_a_row_that_are_wrong(world: World) -> None:
    for text in TEXTS[:3]:
        world.create(item_of("pitch", text))
    first, second, third = world.known("pitch")
    projection = world.projection()
    assert differences(world, projection) == []
    with world.database.write() as session:  # behind the back of the change log
        connection = session.connection()
        connection.exec_driver_sql(
            "UPDATE embedding SET vector = (SELECT vector FROM embedding WHERE profile_pk = ?) WHERE profile_pk = ?",
            (second.pk, first.pk),
        )
        connection.exec_driver_sql("UPDATE profile SET nuts_code = 'PT11' WHERE pk = ?", (second.pk,))
        connection.exec_driver_sql("UPDATE profile SET state = 'draft' WHERE pk = ?", (third.pk,))
    assert differences(world, projection) == [
        f"pitch {third.pk}: is in the index and should not",
        f"pitch {first.pk}: another vector",
        f"pitch {second.pk}: other facets: country, nuts",
    ]
    query = asked(world.embedder, Side.OFFER, TEXTS[0], countries=frozenset({"PT"}))
    kind: MatchKind = MATCH_KINDS["cluster-region"]
    assert world.search_differences(projection, kind, query, 3) != []
