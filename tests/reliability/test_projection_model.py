"""The index equals the database under any history (reliability.md §1, T-MODEL).

`histories.py` makes the histories; here they are run, and those that a machine finds seldom are told one by one. The
negative controls show that the judge sees what is wrong.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import app.matching.engine
import app.matching.shelf
import app.profiles.repository
import app.profiles.tasks
import app.suggestions.repository
from app.db.changes import Position
from app.errors import Conflict, PreconditionFailed
from app.matching.embedder import Embedder
from app.matching.index import FaissIndex
from app.matching.kinds import MATCH_KINDS, MatchKind
from app.matching.types import Matrix, Side
from app.suggestions.projection import Projection
from tests.reliability.histories import SKILLS, TEXTS, Histories, asked, item_of
from tests.reliability.oracle import check_index, damage
from tests.reliability.world import World

NIGHTLY = os.environ.get("PUENTE_RELIABILITY") == "nightly"
EXAMPLES = 200 if NIGHTLY else 15
STEPS = 50


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
            phases=(Phase.generate, Phase.shrink) if NIGHTLY else (Phase.generate,),
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
