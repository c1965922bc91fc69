"""Names by their words: how much of a concept's name stands in a phrase, endings, case and accents aside.

A word counts by its beginning (`LETTERS`), which serves twelve languages without a stemmer for each (McNamee & Mayfield
2004, "Character N-Gram Tokenization for European Language Text Retrieval"), and weighs by how few names have it (BM25's
inverse document frequency).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.matching.letters import plain

LETTERS: Final = 6
"""What a word counts by. Snowball's stems, tried in its place on the skill sentences, find the same."""

_WORD: Final = re.compile("[\\w\u0300-\u036f]+")


class NameIndex:
    """The names of concepts by their words. Read-only once built, so any thread may use it."""

    def __init__(self, names: Sequence[Sequence[str]]) -> None:
        """`names` are those of each concept in turn."""
        stems: list[frozenset[str]] = []
        owners: list[int] = []
        for place, own in enumerate(names):
            different = {frozenset(_stems(name)): None for name in own}
            different.pop(frozenset(), None)
            stems += different
            owners += [place] * len(different)
        having: dict[str, list[int]] = {}
        for number, words in enumerate(stems):
            for word in words:
                having.setdefault(word, []).append(number)
        self._size = len(names)
        self._owners = np.array(owners, dtype=np.int64)
        self._having = {word: np.array(numbers, dtype=np.int64) for word, numbers in having.items()}
        self._weights = {
            word: float(np.log1p((len(stems) - len(numbers) + 0.5) / (len(numbers) + 0.5)))
            for word, numbers in having.items()
        }
        self._totals = np.array([sum(self._weights[word] for word in sorted(words)) for words in stems])

    def shares(self, phrase: str) -> NDArray[np.float32]:
        """Return, of each concept, the greatest share of one of its names that stands in the phrase, in [0, 1]."""
        shares = np.zeros(self._size, dtype=np.float32)
        words = [word for word in dict.fromkeys(_stems(phrase)) if word in self._having]
        if words:
            said = np.zeros(len(self._totals))
            for word in words:
                said[self._having[word]] += self._weights[word]
            some = np.flatnonzero(said)
            np.maximum.at(shares, self._owners[some], (said[some] / self._totals[some]).astype(np.float32))
        return shares.clip(max=1.0)


def _stems(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield plain(word)[:LETTERS]
