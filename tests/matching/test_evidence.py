"""Evidence: what is quoted carries the similarity, and what a text would be without a sentence is known exactly."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.matching.documents import Parts, embed_parts, passage_weights, read_with_title, without_each
from app.matching.embedder import HashEmbedder
from app.matching.evidence import LEAST_LOSS, MAX_EVIDENCE, Quotes
from app.matching.types import Document, Passages, Query, Side

EMBEDDER = HashEmbedder(64)
WORDS = [
    "boat",
    "net",
    "fish",
    "car",
    "wheel",
    "motor",
    "oak",
    "table",
    "chair",
    "wine",
    "grape",
    "hill",
    "school",
    "teach",
    "robot",
    "weld",
    "steel",
    "port",
    "sea",
    "wind",
]

sentences = st.lists(st.sampled_from(WORDS), min_size=3, max_size=24).map(lambda own: " ".join(own).capitalize() + ".")
texts = st.lists(sentences, min_size=1, max_size=7).map(" ".join)
parts = st.builds(
    Parts,
    title=st.none() | st.sampled_from(["Wind at sea", "Oak", "Robots that weld steel"]),
    text=texts,
    extra=st.lists(st.sampled_from(WORDS), max_size=3, unique=True).map(tuple),
)
SLOW = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def question(what: Passages, text: str, side: Side = Side.SEEKER) -> Query:
    """Return a question of which only text and vectors matter."""
    return Query(side, text, what, {}, date(2027, 3, 1))


@SLOW
@given(parts)
def test_what_is_left_without_a_sentence_is_what_would_be_embedded(item: Parts) -> None:
    found = embed_parts(EMBEDDER, [item])[0]
    left = without_each(found)
    assume(left is not None)
    assert left is not None
    for place, span in enumerate(found.spans):
        if span is None:
            continue
        text = str(item.text)[: span[0]] + str(item.text)[span[1] :]
        again = embed_parts(EMBEDDER, [replace(item, text=text)])[0]
        if not (read_with_title(found) and len(again.spans) == 1):
            np.testing.assert_allclose(left[place], again.vector, atol=2e-6)


@SLOW
@given(parts, parts, st.sampled_from(list(Side)))
def test_without_what_is_quoted_the_texts_are_further_apart(mine: Parts, theirs: Parts, side: Side) -> None:
    own, other = embed_parts(EMBEDDER, [mine, theirs])
    query, document = question(own, str(mine.text), side), Document(1, theirs.text, {}, other)
    pairs = Quotes(query).evidence(document)
    assert len(pairs) <= MAX_EVIDENCE
    similarity = float(own.vector @ other.vector)
    quoted = [(pair.seeker, pair.offer) if side is Side.SEEKER else (pair.offer, pair.seeker) for pair in pairs]
    assert len({(quote.start, quote.end) for _, quote in quoted}) == len(quoted)
    for item, found, vector, quotes in (
        (mine, own, other.vector, [quote for quote, _ in quoted]),
        (theirs, other, own.vector, [quote for _, quote in quoted]),
    ):
        for quote in quotes:
            text = str(item.text)
            assert text[quote.start : quote.end] == quote.text
            rest = text[: quote.start] + text[quote.end :]
            if rest.strip() and not read_with_title(found):
                again = embed_parts(EMBEDDER, [replace(item, text=rest)])[0]
                assert float(again.vector @ vector) < similarity - LEAST_LOSS / 2


def test_texts_that_are_opposite_have_no_evidence() -> None:
    vector = np.eye(4, dtype=np.float32)[0]
    document = Document(1, "aaa", {}, Passages(((0, 3),), -vector[np.newaxis], -vector))
    assert Quotes(question(Passages(((0, 3),), vector[np.newaxis], vector), "bbb")).evidence(document) == ()


@pytest.mark.parametrize(
    ("spans", "weights"),
    [
        ([(0, 10)], [1]),
        ([(0, 30), (31, 41)], [0.75, 0.25]),
        ([None, (0, 30), (31, 41), None], [2, 0.75, 0.25, 1]),
        ([None, (0, 256), (256, 512)], [2, 1, 1]),
        ([None, None], [1, 1]),
    ],
)
def test_sentences_count_by_their_length_and_a_title_as_all_others(
    spans: list[tuple[int, int] | None], weights: list[float]
) -> None:
    np.testing.assert_allclose(passage_weights(spans), weights)
