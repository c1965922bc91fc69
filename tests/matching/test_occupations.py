"""Occupation groups and skill phrases: how vectors are moved by what lies beside the encoder."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from app.matching import occupations, skill_phrases
from app.matching.beside import read_beside
from app.matching.embedder import Embedder
from app.matching.occupations import OccupationGroups
from app.matching.skill_phrases import SkillPhrases
from app.matching.skills import MEANT, Concept, SkillLinker
from tests.matching.contracts import DIM, sphere

AXES = np.eye(DIM, dtype=np.float32)
PULL = 0.5
GROUPS = OccupationGroups(30 * AXES[:, :3], np.zeros(3), PULL * AXES[:2])
"""The first axis is the first group's, the second the second's, the third speaks of none."""


def test_a_title_is_drawn_to_its_group_and_what_is_no_title_stays() -> None:
    title = (0.8 * AXES[0] + 0.6 * AXES[4]).astype(np.float32)
    drawn = GROUPS.drawn(title)
    expected = np.array([0.8 + PULL, 0, 0, 0, 0.6]) / np.hypot(0.8 + PULL, 0.6)
    np.testing.assert_allclose(drawn[:5], expected, atol=1e-5)
    np.testing.assert_allclose(GROUPS.drawn(AXES[2]), AXES[2], atol=1e-5)


def test_two_titles_of_one_group_come_nearer_and_of_two_do_not() -> None:
    first, second = ((0.7 * AXES[0] + 0.714 * AXES[place]).astype(np.float32) for place in (4, 5))
    other = (0.7 * AXES[1] + 0.714 * AXES[4]).astype(np.float32)
    assert GROUPS.drawn(first) @ GROUPS.drawn(second) > first @ second + 0.1
    assert GROUPS.drawn(first) @ GROUPS.drawn(other) < first @ other


@given(seed=st.integers(0, 1000))
def test_what_is_moved_has_length_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = sphere(rng, 5)
    groups = OccupationGroups(rng.normal(size=(DIM, 6)) * 5, rng.normal(size=6), 0.3 * sphere(rng, 5))
    phrases = SkillPhrases(rng.normal(size=(DIM, DIM)) / 10)
    for moved in (np.stack([groups.drawn(vector) for vector in vectors]), phrases.moved(vectors)):
        assert moved.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)


def test_a_phrase_is_found_where_its_skill_stands() -> None:
    """Its own vector is another skill's; the map leads from there to the skill that is meant."""
    concepts = (Concept("weld", ("weld parts",)), Concept("sew", ("sew cloth",)))
    vectors = np.zeros((3, 2, DIM), dtype=np.float32)
    vectors[0] = AXES[:2]
    moving = np.zeros((DIM, DIM))
    moving[0, 0], moving[0, 1] = -1, 1
    plain, moved = (SkillLinker(concepts, vectors, said) for said in (None, SkillPhrases(moving)))
    assert plain.nearness(["xyz"], AXES[:1])[0].argmax(axis=0) == [0]
    near, cosines = moved.nearness(["xyz"], AXES[:1])
    assert near.argmax(axis=0) == [1]
    np.testing.assert_allclose(cosines[0, :, 0], [1 - MEANT, MEANT], atol=1e-6)


def test_what_lies_beside_an_encoder_is_read(tmp_path: Path) -> None:
    groups = {"weights": AXES[:, :3] * 30, "bias": np.zeros(3), "directions": PULL * AXES[:2]}
    halves = {name: np.ascontiguousarray(tensor, dtype=np.float16) for name, tensor in groups.items()}
    save_file(halves, tmp_path / occupations.FILE, metadata={"codes": "7212 7531"})
    save_file({"weights": np.zeros((DIM, DIM), dtype=np.float16)}, tmp_path / skill_phrases.FILE)
    found = read_beside(tmp_path, DIM)
    assert found.groups is not None
    assert found.phrases is not None
    title = sphere(np.random.default_rng(1), 1)
    np.testing.assert_array_equal(found.groups.drawn(title[0]), GROUPS.drawn(title[0]))
    np.testing.assert_allclose(found.phrases.moved(title), title, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        (occupations.FILE, {"weights": (DIM, 3), "bias": (4,), "directions": (2, DIM)}),
        (occupations.FILE, {"weights": (DIM, 3), "bias": (3,), "directions": (3, DIM)}),
        (occupations.FILE, {"weights": (DIM, 3), "bias": (3,)}),
        (occupations.FILE, {"weights": (DIM + 1, 3), "bias": (3,), "directions": (2, DIM + 1)}),
        (skill_phrases.FILE, {"weights": (DIM, DIM + 1)}),
        (skill_phrases.FILE, {"bias": (DIM,)}),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    save_file({key: np.zeros(shape, dtype=np.float16) for key, shape in shapes.items()}, tmp_path / name)
    with pytest.raises(ValueError, match=r"do not go together|lead from|cannot be read|9 columns, not 8"):
        read_beside(tmp_path, DIM)


def test_the_encoder_that_is_shipped_knows_trades_by_their_group(real_embedder: Embedder) -> None:
    """A baker is nearer to a confectioner than to whoever shares a word of the title with him, in any language."""
    asked, kin, words = real_embedder.embed_queries(
        ["oficial de primera panadero", "Konditor", "oficial de primera soldador"]
    )
    assert asked @ kin > asked @ words
    assert real_embedder.phrases is not None
