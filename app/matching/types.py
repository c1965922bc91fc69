"""The engine's vocabulary: what goes in, what comes out. Nothing here knows a database or a web."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

DECIMALS = 4
"""Scores are rounded to 1e-4 and ties broken by key, so that the same question has the same answer."""

Vector: TypeAlias = NDArray[np.float32]
"""One embedding, shape (d,), length 1."""

Matrix: TypeAlias = NDArray[np.float32]
"""Embeddings, shape (n, d), rows of length 1."""

Rows: TypeAlias = NDArray[np.int64]
"""Positions on a shelf, ascending."""

Facets: TypeAlias = Mapping[str, Hashable]
"""What hard rules and features look at; an absent or None facet is unknown, never agreement.

`country`, `nuts`: codes · `sectors`: frozenset of ecosystem slugs and NACE codes with their ancestors ·
`languages`: frozenset of language codes · `eqf_level`: int · `period`: (first day, last day) ·
`validity`: (first day, last day) · `organisation`: its key · `labels`: frozenset of (rank, first day, last day) ·
`mode`, `programme_type`: codes · `dual_regimes`, `skills`, `mobility`, `regions_sought`: frozensets of codes.
"""


Namer: TypeAlias = Callable[[str, str, str], str]
"""What (facet, code, language) is called, such as the label of a skill; the code itself where it has no name."""


def unnamed(facet: str, code: str, language: str) -> str:
    """Return the code as it stands: a `Namer` that knows no names."""
    del facet, language
    return code


class Side(StrEnum):
    """The two sides of a match kind: who seeks, and what is offered."""

    SEEKER = "seeker"
    OFFER = "offer"

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.OFFER if self is Side.SEEKER else Side.SEEKER


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions that the asker sets; each rejects what lacks the fact."""

    countries: frozenset[str] = frozenset()
    nuts: tuple[str, ...] = ()
    sectors: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    eqf_levels: frozenset[int] = frozenset()
    label_min: int | None = None
    valid_on: date | None = None
    starts_on: date | None = None
    ends_on: date | None = None


class Passages(NamedTuple):
    """A text's passages: `spans[i]` is [start, end) in the text, or None when the passage is not quoted.

    `vector` is the document's, the one that is searched: the normalised weighted sum of the rows of `vectors`.
    """

    spans: tuple[tuple[int, int] | None, ...]
    vectors: Matrix
    vector: Vector


class FieldReader(Protocol):
    """Reads which EU fields of intervention texts speak of (`interventions`)."""

    @property
    def codes(self) -> tuple[str, ...]:
        """The fields, in the order of the columns of `roots`."""

    def roots(self, vectors: Matrix) -> NDArray[np.float64]:
        """Return, shape (n, fields), the square root of how much of each text is about each field, at most 1 in all."""


class PhraseMover(Protocol):
    """Moves the vectors of phrases to where the skills stand that they speak of (`skill_phrases`)."""

    def moved(self, vectors: Matrix) -> Matrix:
        """Return vectors (n, d) of length 1, row by row."""


class Texts(NamedTuple):
    """The texts of some rows, as the encoder sees them beside the query's."""

    similarities: NDArray[np.float64]
    """Cosine with the query's, shape (n,)."""

    affinities: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Returns, shape (n,), the inner products of what `FieldReader.roots` reads in them with the roots given."""


class Document(NamedTuple):
    """A profile as the database has it now: what a candidate is judged by."""

    pk: int
    text: str | None
    facets: Facets
    passages: Passages
    extra: Any = None
    """Whatever the caller wants back beside the judgement; the engine does not look at it."""


@dataclass(frozen=True, slots=True)
class Query:
    """Who asks, with what, from which side, under which conditions."""

    side: Side
    text: str | None
    passages: Passages
    facets: Facets
    today: date
    filters: Filters = field(default_factory=Filters)
    excluded: frozenset[int] = frozenset()
    """Keys of profiles that this side declined."""
    absent: frozenset[int] = frozenset()
    """Keys that the index may still propose and the database no longer has: they are nowhere in the ranking."""
    max_per_organisation: int | None = None
    """The asker's own cap, in place of the match kind's."""
    often_shown: frozenset[int] = frozenset()
    """Keys of profiles that are in too many other lists (`ExposurePolicy`)."""
    language: str = "en"
    """What explanations are worded in: one of `words.LANGUAGES`."""
    name: Namer = unnamed
    fields: FieldReader | None = None
    """Reads fields of intervention off the encoder's vectors; None where the encoder in use has none."""


class Contribution(NamedTuple):
    """What one feature adds to the score: value x weight, and the same in words."""

    feature: str
    value: float
    weight: float
    contribution: float
    words: str


class Change(NamedTuple):
    """One change that would raise a score: what `side` would have to say of itself, and in words.

    `gain` is the most that it could add through its feature; what else it would change, such as the texts' similarity
    or a hard rule, is not counted.
    """

    feature: str
    facet: str
    side: Side
    gain: float
    words: str


class Quote(NamedTuple):
    """A passage of a text: `text == source[start:end]`."""

    text: str
    start: int
    end: int


class Evidence(NamedTuple):
    """Two passages that speak of the same thing, and how near they are (cosine)."""

    similarity: float
    seeker: Quote
    offer: Quote


class Candidate(NamedTuple):
    """A judged document; contributions add up to the score."""

    document: Document
    score: float
    probability: float | None
    band: str
    contributions: tuple[Contribution, ...]
    evidence: tuple[Evidence, ...] = ()
    similar: tuple[Document, ...] = ()
    """The first of the documents that were collapsed into this one."""
    change: Change | None = None


class Proposal(NamedTuple):
    """What the index proposes: keys in order of rank, how many each rule rejected, and whether all were seen.

    When all are too unlikely to fit, `pks` is the best of them alone. `similar` are the keys of what was collapsed
    into those, to be judged with them; `held` counts by label what the caps of a fair list passed over on the way to
    the last of `pks`.
    """

    pks: tuple[int, ...]
    eligible: int
    rejected: Mapping[str, int]
    complete: bool
    similar: tuple[int, ...] = ()
    held: Mapping[str, int] = MappingProxyType({})


class Standing(NamedTuple):
    """The rank of one profile in a list that is long enough, from 1, or the cap of a fair list that passes it over.

    `of` is how many no rule rejects and are likely enough to fit.
    """

    rank: int | None
    of: int
    cap: str | None = None


class Ranking(NamedTuple):
    """The engine's answer: candidates in order, what the rules rejected, and the facts that were missing.

    `eligible` are the keys of the documents that no rule rejected.
    """

    candidates: tuple[Candidate, ...]
    rejected: Mapping[str, int]
    missing: tuple[str, ...]
    eligible: frozenset[int] = frozenset()
    nearest_miss: Candidate | None = None
    """The best of what is eligible, when all of it is too unlikely to fit."""
