"""From the parts of a profile to its passages and vectors, and to what they would be without one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.matching.embedder import Embedder
from app.matching.passages import Span, sentences, split
from app.matching.types import Matrix, Passages, Vector

SENTENCE_TOKENS = 16
"""A passage that can be quoted is a sentence; shorter ones are put together until they have that many tokens."""

PASSAGE_TOKENS = 64
"""What is not quoted, such as the labels of skills, is read in groups of lines of about that many tokens."""

WEIGHT_CHARACTERS = 256
"""That many quotable characters weigh as much as one passage that is not quoted; a shorter text weighs that too."""

PASSAGES_VERSION = "2"
"""Raised when passages or their weights are made differently: what was embedded before is then embedded anew."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a profile is embedded: `text` can be quoted; `title` and `extra` lines carry meaning only."""

    title: str | None = None
    text: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to embed."""
        return not (self.title or self.text or self.extra)


def embed_parts(embedder: Embedder, items: Sequence[Parts], *, as_queries: bool = False) -> list[Passages]:
    """Return the passages of each item, embedded in one batch; raises ValueError for an empty item.

    In a document of several passages the title is one of its own and counts as much as all others together: it is
    what the author chose to say first, and a long list of modules would drown it. Nothing is cut off: what does not
    fit the encoder's window is split. The text's passages are sentences, so that they can be quoted.
    """
    cut = [_pieces(embedder, item) for item in items]
    embed = embedder.embed_queries if as_queries else embedder.embed_documents
    vectors = embed([text for _, texts in cut for text in texts])
    found, first = [], 0
    for spans, texts in cut:
        own = vectors[first : first + len(texts)]
        found.append(Passages(tuple(spans), own, _document_vector(spans, own)))
        first += len(texts)
    return found


def passage_weights(spans: Sequence[tuple[int, int] | None]) -> NDArray[np.float64]:
    """Return how much each passage counts in a document's vector; not normalised.

    Sentences count by their length, so that cutting a text finer does not make it count more against its skills and
    outcomes. The first passage, where it is not quoted, is the title and counts as much as all others together.
    """
    lengths = np.array([span[1] - span[0] if span else 0 for span in spans], dtype=np.float64)
    total = lengths.sum()
    weights = np.where(lengths > 0, lengths / min(WEIGHT_CHARACTERS, total), 1.0) if total else np.ones(len(spans))
    if len(spans) > 1 and spans[0] is None:
        weights[0] = weights[1:].sum()
    return weights


def without_each(passages: Passages) -> Matrix | None:
    """Return, for each passage, the document's vector without it, (n, d); None when no quotable one would be left.

    Rows of passages that are not quoted mean nothing. Nothing is embedded: what is left of a text of two
    sentences is compared as if it were not read together with its title (`read_with_title`).
    """
    lengths = np.array([span[1] - span[0] if span else 0 for span in passages.spans], dtype=np.float32)
    vectors, total = passages.vectors, lengths.sum()
    left = total - lengths
    if np.count_nonzero(lengths) < 2:  # noqa: PLR2004 - the only one has nothing beside it
        return None
    scale = np.minimum(WEIGHT_CHARACTERS, left)
    rest = (lengths @ vectors - lengths[:, np.newaxis] * vectors) / scale[:, np.newaxis]
    if passages.spans[0] is None:
        others = np.flatnonzero(lengths[1:] == 0) + 1
        rest += vectors[others].sum(axis=0) + (left / scale + len(others))[:, np.newaxis] * vectors[0]
    elif not lengths.all():
        rest += vectors[lengths == 0].sum(axis=0)
    rest /= np.maximum(np.sqrt(np.vecdot(rest, rest)), np.float32(1e-9))[:, np.newaxis]
    return np.asarray(rest, dtype=np.float32)


def read_with_title(passages: Passages) -> bool:
    """Return whether a text that loses one of its passages would be one that is read together with its title."""
    quoted = sum(span is not None for span in passages.spans)
    return quoted == 2 and len(passages.spans) == 3 and passages.spans[0] is None  # noqa: PLR2004 - a title and two


def _document_vector(spans: Sequence[tuple[int, int] | None], vectors: Matrix) -> Vector:
    if len(vectors) == 1:
        only: Vector = vectors[0]
        return only
    total = passage_weights(spans) @ vectors.astype(np.float64)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length > 0 else vectors[0], dtype=np.float32)


def _pieces(embedder: Embedder, item: Parts) -> tuple[list[tuple[int, int] | None], list[str]]:
    """Return the spans and the texts of an item's passages: title, quotable text, extra lines.

    A text of one passage is read together with its title, which costs one encoding instead of two.
    """
    if item.empty:
        msg = "there is nothing to embed"
        raise ValueError(msg)
    spans: list[tuple[int, int] | None] = []
    texts: list[str] = []
    for span in _sentences(embedder, item.text or ""):
        spans.append((span.start, span.end))
        texts.append((item.text or "")[span.start : span.end])
    extra = "\n".join(item.extra)
    for span in _split(embedder, extra):
        spans.append(None)
        texts.append(extra[span.start : span.end])
    if item.title is None or (len(texts) == 1 and texts[0].startswith(item.title)):
        return spans, texts
    if len(texts) == 1 and sum(embedder.count_tokens([item.title, texts[0]])) < embedder.max_tokens:
        return spans, [f"{item.title}\n{texts[0]}"]
    titles = [item.title[span.start : span.end] for span in _split(embedder, item.title)]
    return [None] * len(titles) + spans, titles + texts


def _sentences(embedder: Embedder, text: str) -> list[Span]:
    return sentences(text, embedder.count_tokens, least=SENTENCE_TOKENS, limit=embedder.max_tokens) if text else []


def _split(embedder: Embedder, text: str) -> list[Span]:
    return split(text, embedder.count_tokens, target=PASSAGE_TOKENS, limit=embedder.max_tokens) if text else []
