"""Which skills of our starter list are the same as one of an imported catalogue, so that either counts for the other.

A trainee declares skills of the starter list; in a company's text skills of the catalogue are found. A tie that is
wrong counts for somebody or against somebody, so a starter skill without a sure equivalent stays by itself.

Chosen on all 350 starter skills against ESCO v1.1.1 in English with our encoder; every tie was read.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.matching.embedder import Embedder
from app.matching.types import Matrix
from app.taxonomy.skills import Skill, fold

CONFIRMED: Final = 0.80
"""The least cosine of the two labels of skills that share one of their other names."""

SURE: Final = 0.93
"""The least cosine that ties two skills that share no name."""

_DECIMALS: Final = 4
_QUALIFIER: Final = re.compile(r"\s*\([^()]*\)\s*$")

_Name: TypeAlias = tuple[str, str]
"""A language, and what a skill is called in it, without case and accents."""

_Names: TypeAlias = Callable[[Skill], Iterator[_Name]]
_Similarities: TypeAlias = NDArray[np.float32]


def tie(starter: Sequence[Skill], skills: Sequence[Skill], vectors: Matrix, embedder: Embedder) -> dict[str, str]:
    """Return, by id of a starter skill, the id of the one skill of the catalogue that means the same.

    That is the one that bears its name in one of its languages; else one that shares another name with it, if their
    labels are near as well: ESCO calls statistics "data analysis", too. Else the one with the nearest vector, if it
    is near enough. `vectors`, shape (3, n, d), hold the label's, the other names' and the description's vector of each
    of `skills`, a row of zeros where there is none. Several starter skills may be tied to one. Of equals the first of
    `skills` is taken.
    """
    if not skills:
        return {}
    own, all_ = _bearers(skills, _own_names), _bearers(skills, _all_names)
    ties = {}
    asked = embedder.embed_documents([skill.label("en") for skill in starter])
    table = np.round(vectors @ asked.T, _DECIMALS)
    for column, skill in enumerate(starter):
        near = table[:, :, column]
        place = _namesake(skill, own, _own_names, near[0])
        if place is None:
            place = _namesake(skill, all_, _all_names, near[0])
            if place is None or near[0][place] < CONFIRMED:
                place = _nearest(near)
        if place is not None:
            ties[skill.id] = skills[place].id
    return ties


def _nearest(near: _Similarities) -> int | None:
    """Return the place of the skill with the nearest vector, or None where it is not near enough."""
    best = near.max(axis=0)
    place = int(best.argmax())
    return place if best[place] >= SURE else None


def _own_names(skill: Skill) -> Iterator[_Name]:
    """Yield its labels: "Java (computer programming)" is also called by what stands before the brackets."""
    for language, label in skill.labels.items():
        yield language, fold(label)
        yield language, fold(_QUALIFIER.sub("", label))


def _all_names(skill: Skill) -> Iterator[_Name]:
    yield from _own_names(skill)
    for language, names in skill.alt.items():
        for name in names:
            yield language, fold(name)


def _bearers(skills: Sequence[Skill], names: _Names) -> dict[_Name, int | None]:
    """Return the place of the skill that bears each name; None where several do."""
    bearers: dict[_Name, int | None] = {}
    for place, skill in enumerate(skills):
        for name in names(skill):
            bearers[name] = place if bearers.get(name, place) == place else None
    return bearers


def _namesake(skill: Skill, bearers: Mapping[_Name, int | None], names: _Names, near: _Similarities) -> int | None:
    """Return the place of the only bearer of a name of `skill`, the nearest one if its names have several."""
    found = {place for name in names(skill) if (place := bearers.get(name)) is not None}
    return max(found, key=lambda place: (near[place], -place), default=None)
