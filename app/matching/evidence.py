"""Evidence: pairs of quoted sentences that the similarity of two texts is made of.

A document's vector is the weighted sum of its passages', so what it would be without one of them is known without
embedding anything. Quoted is only what carries the similarity: without it, the texts would be further apart, also where
the fields that they speak of count.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.matching.documents import read_with_title, without_each
from app.matching.types import DECIMALS, Document, Evidence, Matrix, Passages, Query, Quote, Side, Vector

MAX_EVIDENCE = 4

LEAST_LOSS = 5e-4
"""A sentence carries the similarity when it would fall by at least that much without it: more than rounding hides."""

LEAST_UNSURE_LOSS = 0.06
"""The same where what is left would be read together with the title: such a reading is further off than rounding."""


Nearness = Callable[[Matrix, Vector], NDArray[np.floating]]
"""How near texts, shape (n, d), are to another one."""


def cosine(vectors: Matrix, other: Vector) -> NDArray[np.floating]:
    """Return the cosine of each of `vectors` with `other`."""
    return np.asarray(vectors @ other)


class Quotes:
    """Finds the evidence for one question in one document after another.

    `nearness` is what must fall without a sentence that is quoted.
    """

    def __init__(self, query: Query, nearness: Nearness = cosine) -> None:
        self.query = query
        self._nearness = nearness
        self._mine = _quotable(query.passages) if query.text is not None else []
        self._without = without_each(query.passages) if len(self._mine) > 1 else None

    def evidence(self, document: Document) -> tuple[Evidence, ...]:
        """Return up to four pairs of quoted passages, the nearest first, each passage of the document once.

        Texts that have less to quote give fewer; there is none where no sentence carries the similarity.
        """
        query, theirs = self.query, document.passages
        if query.text is None or document.text is None:
            return ()
        mine = self._carrying(self._mine, query.passages, self._without, theirs.vector)
        quotable = _quotable(theirs)
        without = without_each(theirs) if len(quotable) > 1 else None
        others = self._carrying(quotable, theirs, without, query.passages.vector)
        if not mine or not others:
            return ()
        table = (query.passages.vectors @ theirs.vectors.T).tolist()
        best = [max(mine, key=lambda own: table[own][other]) for other in others]
        # Passages are kept in half precision: the cosine of equal ones may come out a little above 1.
        near = [
            round(max(-1.0, min(1.0, table[own][other])), DECIMALS) for own, other in zip(best, others, strict=True)
        ]
        found = []
        for place in sorted(range(len(others)), key=lambda place: (-near[place], place))[:MAX_EVIDENCE]:
            own = _quote(query.text, query.passages, best[place])
            other = _quote(document.text, theirs, others[place])
            pair = (own, other) if query.side is Side.SEEKER else (other, own)
            found.append(Evidence(near[place], *pair))
        return tuple(found)

    def _carrying(self, places: Sequence[int], passages: Passages, without: Matrix | None, other: Vector) -> list[int]:
        """Return those of `places` without which the text would be further from `other`; an only one carries all."""
        if float(passages.vector @ other) <= LEAST_LOSS:
            # Below 0 all similarities count as 0: there is nothing to lose.
            return []
        if without is None:
            return list(places)
        near = self._nearness(np.concatenate([passages.vector[np.newaxis], without]), other).tolist()
        most = near[0] - (LEAST_UNSURE_LOSS if read_with_title(passages) else LEAST_LOSS)
        return [place for place in places if near[1 + place] < most]


def _quotable(passages: Passages) -> list[int]:
    return [place for place, span in enumerate(passages.spans) if span is not None]


def _quote(text: str, passages: Passages, place: int) -> Quote:
    span = passages.spans[place]
    if span is None:
        msg = "this passage is not quoted"
        raise ValueError(msg)
    return Quote(text[span[0] : span[1]], span[0], span[1])
