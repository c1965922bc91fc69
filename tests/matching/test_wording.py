"""Names by their words: what share of a name a phrase has."""

import numpy as np
import pytest

from app.matching.embedder import HashEmbedder
from app.matching.skills import NEAREST, WORDS, Concept, SkillLinker
from app.matching.wording import NameIndex

NAMES = (
    ("weld steel pipes", "pipe welding"),
    ("polish steel",),
    ("soldar tuberías de acero",),
    (),
    ("...", ""),
)


@pytest.mark.parametrize(
    ("phrase", "whole"),
    [
        ("He polishes STEEL all day.", [1]),
        ("You polish. Steel is what we sell.", [1]),
        ("Soldará TUBERIAS de acero", [2]),
        ("tuberi\u0301as de acero, soldar", [2]),
        ("Wanted: someone for pipe welding, and to polish steel", [0, 1]),
        ("", []),
        ("nothing of it", []),
    ],
)
def test_a_name_whose_words_all_stand_in_the_phrase(phrase: str, whole: list[int]) -> None:
    shares = NameIndex(NAMES).shares(phrase)
    assert np.flatnonzero(np.isclose(shares, 1)).tolist() == whole
    assert ((shares >= 0) & (shares <= 1)).all()


def test_a_rare_word_counts_for_more_than_a_common_one() -> None:
    index = NameIndex([("polish steel",), ("cut steel",), ("bend steel",), ("roll steel",)])
    assert index.shares("polish it")[0] > 0.5 > index.shares("steel")[0] > 0
    assert index.shares("steel steel steel").tolist() == index.shares("steel").tolist()


def test_no_names_at_all() -> None:
    assert NameIndex([]).shares("polish steel").tolist() == []
    assert NameIndex([(), ()]).shares("polish steel").tolist() == [0, 0]


def test_nearness_is_made_of_vectors_and_words() -> None:
    embedder = HashEmbedder(64)
    concepts = (Concept("steel", ("polish steel",), ("finish metal",)), Concept("floor", ("polish floors",)))
    label = embedder.embed_documents([concept.labels[0] for concept in concepts])
    other = np.stack([embedder.embed_documents(["finish metal"])[0], np.zeros(64, dtype=np.float32)])
    linker = SkillLinker(concepts, np.stack([label, other, np.zeros_like(other)]))
    said = ["finish metal", "polish floors"]
    near, cosines = linker.nearness(said, embedder.embed_documents(said))
    words = np.array([NameIndex([(*c.labels, *c.alternatives) for c in concepts]).shares(text) for text in said]).T
    mean = np.array([cosines[:2, 0].mean(axis=0), cosines[0, 1]])
    vectors = NEAREST * cosines.max(axis=0) + (1 - NEAREST) * mean
    assert np.allclose(near, (1 - WORDS) * vectors + WORDS * words, atol=1e-6)
    assert near.argmax(axis=0).tolist() == [0, 1]
    assert words[1, 0] == 0
    with pytest.raises(ValueError, match="no vectors"):
        SkillLinker(concepts, None).nearness(said, embedder.embed_documents(said))
