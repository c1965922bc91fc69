"""From the parts of a profile to its passages and vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.matching.embedder import Embedder
from app.matching.passages import Span, split
from app.matching.types import Matrix, Passages, Vector

PASSAGE_TOKENS = 64
"""A passage is a group of sentences of about that many tokens: long enough to mean something, short enough to quote."""


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
    fit the encoder's window is split.
    """
    cut = [_pieces(embedder, item) for item in items]
    embed = embedder.embed_queries if as_queries else embedder.embed_documents
    vectors = embed([text for _, texts in cut for text in texts])
    found, first = [], 0
    for item, (spans, texts) in zip(items, cut, strict=True):
        own = vectors[first : first + len(texts)]
        found.append(Passages(tuple(spans), own, _document_vector(own, titled=bool(item.title))))
        first += len(texts)
    return found


def _document_vector(vectors: Matrix, *, titled: bool) -> Vector:
    """Return the normalised sum of the passages, in which the first one, a title, weighs as much as the others."""
    if len(vectors) == 1:
        only: Vector = vectors[0]
        return only
    weights = np.ones(len(vectors))
    if titled:
        weights[0] = len(vectors) - 1
    total = weights @ vectors.astype(np.float64)
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
    for source, quotable in ((item.text, True), ("\n".join(item.extra), False)):
        for span in _split(embedder, source or ""):
            spans.append((span.start, span.end) if quotable else None)
            texts.append((source or "")[span.start : span.end])
    if item.title is None or (len(texts) == 1 and texts[0].startswith(item.title)):
        return spans, texts
    if len(texts) == 1 and sum(embedder.count_tokens([item.title, texts[0]])) < embedder.max_tokens:
        return spans, [f"{item.title}\n{texts[0]}"]
    titles = [item.title[span.start : span.end] for span in _split(embedder, item.title)]
    return [None] * len(titles) + spans, titles + texts


def _split(embedder: Embedder, text: str) -> list[Span]:
    return split(text, embedder.count_tokens, target=PASSAGE_TOKENS, limit=embedder.max_tokens) if text else []
