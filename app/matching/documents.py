"""From the parts of a profile to its passages and vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.matching.embedder import Embedder
from app.matching.passages import split
from app.matching.types import Passages

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

    The title is read together with the first passage, which it gives its context; where the two do not fit the
    encoder's window it is a passage of its own. Nothing is cut off.
    """
    pieces: list[str] = []
    spans: list[list[tuple[int, int] | None]] = []
    for item in items:
        if item.empty:
            msg = "there is nothing to embed"
            raise ValueError(msg)
        own, texts = _pieces(embedder, item)
        spans.append(own)
        pieces += texts
    embed = embedder.embed_queries if as_queries else embedder.embed_documents
    vectors = embed(pieces)
    found, first = [], 0
    for own in spans:
        found.append(Passages(tuple(own), np.asarray(vectors[first : first + len(own)])))
        first += len(own)
    return found


def _pieces(embedder: Embedder, item: Parts) -> tuple[list[tuple[int, int] | None], list[str]]:
    limit = embedder.max_tokens
    text = item.text or ""
    cut = [(span.start, span.end) for span in split(text, embedder.count_tokens, target=PASSAGE_TOKENS, limit=limit)]
    spans: list[tuple[int, int] | None] = list(cut)
    texts = [text[start:end] for start, end in cut]
    if item.title:
        if texts and sum(embedder.count_tokens([item.title, texts[0]])) < limit:
            texts[0] = f"{item.title}\n{texts[0]}"
        else:
            spans.insert(0, None)
            texts.insert(0, item.title)
    if item.extra:
        lines = "\n".join(item.extra)
        for span in split(lines, embedder.count_tokens, target=PASSAGE_TOKENS, limit=limit):
            spans.append(None)
            texts.append(lines[span.start : span.end])
    return spans, texts
