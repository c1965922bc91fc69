"""The quality floors: the default encoder on our own data and, where it is there, on samples of the shared packs."""

from collections import Counter
from pathlib import Path

import pytest

from app.matching.embedder import Embedder

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

from evaluation import floors, own  # noqa: E402
from evaluation.encoders import Vectors  # noqa: E402


@pytest.fixture(scope="module")
def vectors(real_embedder: Embedder) -> Vectors:
    return Vectors(real_embedder, cache=None)


def test_every_sample_has_a_floor() -> None:
    assert set(floors.read()) == {*floors.SAMPLES, *floors.OWN}


def test_our_own_data_is_what_it_says() -> None:
    triples = own.triples()
    assert len(triples) >= 60
    assert min(Counter(triple.kind for triple in triples).values()) >= 12
    for triple in triples:
        for text in triple.texts:
            assert 12 <= len(text.split()) <= 40, text
    titles = own.titles()
    assert len(set(titles)) == len(titles) >= 80
    assert set(Counter(row.language for row in titles)) == {"es", "pt", "fr", "it", "de", "ca", "ro", "pl"}
    assert all(row.masculine != row.feminine for row in titles)


def test_languages_and_genders_are_treated_as_alike_as_before(vectors: Vectors) -> None:
    found = floors.own_data(vectors)
    assert {name: value for name, value in found.items() if value < floors.read()[name]} == {}


@pytest.mark.skipif(not (SHARED_DATA / "packs").exists(), reason="needs ../shared/data/packs (relevance packs)")
@pytest.mark.parametrize("name", sorted(floors.SAMPLES))
def test_the_default_encoder_keeps_its_floor(name: str, vectors: Vectors) -> None:
    assert floors.sample(name, vectors, SHARED_DATA) >= floors.read()[name]
