"""Skills in texts: which concepts of a catalogue a text speaks of, and where it says so.

Two ways lead to a skill. A label that stands in the text word for word, case and accents aside; and a sentence or
clause that is near to a concept: its vector to those of the concept's label, other names and description, and its words
to the names'. Both are kept to what is almost certainly meant: a skill that is claimed wrongly counts against an offer
or for it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.matching.embedder import Embedder
from app.matching.letters import plain
from app.matching.passages import split
from app.matching.types import Matrix, PhraseMover
from app.matching.wording import NameIndex

SIMILARITY: Final = 0.74
"""The least nearness of a phrase and a concept. By `scripts/link_skills.py`, in steps of 0.02, one above the least at
which six of ten skills found in the labelled sentences of each public pack are right (0.62 in house, too near). With
puente-multilingual-1@6008e2e6 0.77 of them in tech and 0.66 in house are, and 0.25 and 0.22 of the labelled ones are
found."""

NEAREST: Final = 0.5
"""How much the nearest of a concept's vectors counts; the rest is the mean of all that it has."""

MEANT: Final = np.float32(0.8)
"""How much it counts where skills stand that are mostly meant by such a phrase (`skill_phrases`); the rest is where the
phrase itself stands. At 1 needs gain .004 more and sentences of advertisements lose: at equal precision fewer of their
skills are found."""

WORDS: Final = 0.1
"""How much the share of a name's words counts; the rest are the vectors. On the public packs a tenth gains everywhere
and two lose between languages (`scripts/evaluation/README.md`)."""

LINKER: Final = "3"
"""Raised by hand when the same catalogue and encoder would find other skills: stored ones are then found anew."""

VECTORS: Final = 3
LEAST_LETTERS: Final = 5
"""A single word is taken for a skill from that length on, and only where it is the skill's own name."""

_DECIMALS: Final = 4
_MOST_WORDS: Final = 8
_CHUNK: Final = 64
_WORDS: Final = re.compile("[\\w\u0300-\u036f]+[+#]*")
_QUALIFIER: Final = re.compile(r"\s*\([^()]*\)\s*$")
_CLAUSE: Final = re.compile(
    r"[,;:()/•*\[\]|]|\s[-–—]\s"
    r"|\b(?:and|or|as well as|including|such as|y|e|o|u|ni|así como|incluyendo|incluido|como|ou|bem como|incluindo"
    r"|et|ainsi que|und|oder|sowie|i|oppure|o también)\b",
    re.IGNORECASE,
)
_INNER: Final = re.compile(r"[^\s.…!?¿¡\"'«»“”\-–—](?:.*[^\s.…!?¿¡\"'«»“”\-–—])?", re.DOTALL)
"""What is left of a clause without the space and marks around it."""

_TELLING: Final = re.compile("[\\w\u0300-\u036f]{4,}")
_LEAST_TELLING: Final = 2
"""Words of four letters and more that a phrase has at least: what stands near to "maritime" alone is not meant."""


class FoundBy(StrEnum):
    """What of a concept the evidence matched."""

    EXACT = "exact"
    LABEL = "label"
    ALTERNATIVES = "alternatives"
    DESCRIPTION = "description"


_VECTOR_OF: Final = (FoundBy.LABEL, FoundBy.ALTERNATIVES, FoundBy.DESCRIPTION)


class Concept(NamedTuple):
    """A skill as texts may name it: its own names and its other names, of any number of languages."""

    id: str
    labels: tuple[str, ...]
    alternatives: tuple[str, ...] = ()


class FoundSkill(NamedTuple):
    """A skill and its evidence: characters `start` to `end` of the text.

    `similarity` is 1 for an exact label, else as `SkillLinker.nearness` has it, in [0, 1].
    """

    id: str
    start: int
    end: int
    similarity: float
    by: FoundBy


_Word: TypeAlias = tuple[str, int, int]
"""A word without case and accents, and its [start, end) in the text."""


class _Phrase(NamedTuple):
    text: int
    start: int
    end: int


class SkillLinker:
    """Finds the skills of one catalogue in texts. Read-only once built, so any thread may use it.

    `vectors`, shape (3, n, d), hold the label's, the other names' and the description's vector of each concept, a
    row of zeros where there is none; None links by exact labels only. `said` moves phrases to where skills stand.
    Ties go to the concept that comes first.
    """

    def __init__(self, concepts: Sequence[Concept], vectors: Matrix | None, said: PhraseMover | None = None) -> None:
        self._said = said
        self._ids = [concept.id for concept in concepts]
        self._rows = None
        if vectors is not None:
            if vectors.ndim != VECTORS or vectors.shape[:2] != (VECTORS, len(concepts)):
                msg = f"the vectors of {len(concepts)} concepts have the shape {vectors.shape}"
                raise ValueError(msg)
            self._rows = np.ascontiguousarray(vectors.reshape(VECTORS * len(concepts), -1), dtype=np.float32)
            self._there = vectors.any(axis=2).sum(axis=0).clip(min=1).astype(np.float32)
        self._named = _names(concepts)
        self._names = NameIndex([(*concept.labels, *concept.alternatives) for concept in concepts])

    def __len__(self) -> int:
        return len(self._ids)

    def find(
        self,
        texts: Sequence[str],
        embedder: Embedder,
        *,
        least: float = SIMILARITY,
        most_phrases: int | None = None,
    ) -> list[tuple[FoundSkill, ...]]:
        """Return the skills found in each text, each once, with the best evidence, in order of its place and id.

        All phrases of all texts are embedded in one call. `most_phrases` bounds those of each text that are compared
        by vector, from its beginning; labels are looked for in all of it.
        """
        best: list[dict[str, FoundSkill]] = [{} for _ in texts]
        for own, text in zip(best, texts, strict=True):
            for found in self._exact(text):
                own.setdefault(found.id, found)
        for place, found in self._near(texts, embedder, least, most_phrases):
            known = best[place].get(found.id)
            if known is None or found.similarity > known.similarity:
                best[place][found.id] = found
        return [tuple(sorted(own.values(), key=lambda found: (found.start, found.end, found.id))) for own in best]

    def nearness(self, phrases: Sequence[str], vectors: Matrix) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return how near each concept is to each phrase, shape (n, phrases), and the cosines that it is made of.

        `vectors` are the phrases'. Cosines have the shape (3, n, phrases); ValueError for a linker without vectors.
        """
        if self._rows is None:
            msg = "these concepts have no vectors"
            raise ValueError(msg)
        meant = vectors if self._said is None else (1 - MEANT) * vectors + MEANT * self._said.moved(vectors)
        cosines = (self._rows @ meant.T).reshape(VECTORS, len(self._ids), -1)
        mean = cosines.sum(axis=0) / self._there[:, np.newaxis]
        near = (NEAREST * cosines.max(axis=0) + (1 - NEAREST) * mean) * (1 - WORDS)
        for column, phrase in enumerate(phrases):
            near[:, column] += WORDS * self._names.shares(phrase)
        return near, cosines

    def _exact(self, text: str) -> Iterator[FoundSkill]:
        """Yield the labels that stand in the text, the longest first where they overlap."""
        words = list(_words(text))
        place = 0
        while place < len(words):
            for size in range(min(_MOST_WORDS, len(words) - place), 0, -1):
                run = words[place : place + size]
                position = self._named.get(_joined(text, run))
                if position is not None:
                    yield FoundSkill(self._ids[position], run[0][1], run[-1][2], 1.0, FoundBy.EXACT)
                    place += size
                    break
            else:
                place += 1

    def _near(
        self, texts: Sequence[str], embedder: Embedder, least: float, most: int | None
    ) -> Iterator[tuple[int, FoundSkill]]:
        """Yield, with its text's number, the concept nearest to each phrase, where it is near enough."""
        if self._rows is None or not self._ids:
            return
        said: dict[str, list[_Phrase]] = {}
        for number, text in enumerate(texts):
            for start, end in phrases(text, embedder)[:most]:
                said.setdefault(text[start:end], []).append(_Phrase(number, start, end))
        if not said:
            return
        wanted = list(said)
        vectors = embedder.embed_documents(wanted)
        for first in range(0, len(wanted), _CHUNK):
            chunk = wanted[first : first + _CHUNK]
            near, cosines = self.nearness(chunk, vectors[first : first + _CHUNK])
            for column, position in enumerate(near.argmax(axis=0).tolist()):
                similarity = round(min(1.0, float(near[position, column])), _DECIMALS)
                if similarity < least:
                    continue
                by = _VECTOR_OF[int(cosines[:, position, column].argmax())]
                for number, start, end in said[chunk[column]]:
                    yield number, FoundSkill(self._ids[position], start, end, similarity, by)


def phrases(text: str, embedder: Embedder) -> list[tuple[int, int]]:
    """Return the [start, end) of a text's sentences and of their clauses, in order, each once.

    Clauses end at commas, brackets and the like and at words such as "and", "including", "así como", "bem como": what
    a list of skills is made of.
    """
    found: dict[tuple[int, int], None] = {}
    for sentence in split(text, embedder.count_tokens, target=1, limit=embedder.max_tokens):
        cuts = [(match.start(), match.end()) for match in _CLAUSE.finditer(text, sentence.start, sentence.end)]
        starts = [sentence.start, *(end for _, end in cuts)]
        ends = [*(start for start, _ in cuts), sentence.end]
        for start, end in ((sentence.start, sentence.end), *zip(starts, ends, strict=True)):
            inner = _INNER.search(text, start, end)
            if inner and len(_TELLING.findall(inner.group())) >= _LEAST_TELLING:
                found[inner.start(), inner.end()] = None
    return list(found)


def _words(text: str) -> Iterator[_Word]:
    """Yield the words of a text without case and accents, with their places in it."""
    for match in _WORDS.finditer(text):
        yield plain(match.group()), match.start(), match.end()


def _joined(text: str, words: Sequence[_Word]) -> str:
    """Return the words as names are looked up by: a single one keeps its accents ("fines" is not "finés")."""
    if len(words) == 1:
        return unicodedata.normalize("NFC", text[words[0][1] : words[0][2]].casefold())
    return " ".join(word for word, _, _ in words)


def _key(name: str) -> str:
    return _joined(name, list(_words(name)))


def _names(concepts: Sequence[Concept]) -> dict[str, int]:
    """Return the concept that each name stands for; a name of several concepts stands for none.

    A skill's own name goes before another's alternative. "Java (computer programming)" is also called by what stands
    before the brackets. Other names of one word ("data", "design") are too common to say anything.
    """
    own: dict[str, int | None] = {}
    other: dict[str, int | None] = {}
    for position, concept in enumerate(concepts):
        for table, names in ((own, _unqualified(concept.labels)), (other, concept.alternatives)):
            for key in {_key(name) for name in names}:
                table[key] = position if table.get(key, position) == position else None
    named = {key: position for key, position in other.items() if " " in key and key not in own}
    named |= {key: position for key, position in own.items() if " " in key or _is_telling(key)}
    return {key: position for key, position in named.items() if position is not None}


def _unqualified(labels: Sequence[str]) -> list[str]:
    return [*labels, *(_QUALIFIER.sub("", label) for label in labels)]


def _is_telling(word: str) -> bool:
    return len(word) >= LEAST_LETTERS and not word.isdigit()
