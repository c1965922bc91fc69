"""Which skills of our starter list are the same as one of an imported catalogue, so that either counts for the other.

A trainee declares skills of the starter list; in a company's text skills of the catalogue are found. A tie that is
wrong counts for somebody or against somebody, so a starter skill without a sure equivalent stays by itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.matching.embedder import Embedder
from app.matching.types import Matrix
from app.taxonomy.skills import Skill, fold

CONFIRMED: Final = 0.85
"""The least cosine of the two labels of skills that share one of their other names.

Chosen, as `SURE`, on all 350 starter skills against ESCO v1.1.1 in English with puente-multilingual-1@2a40d0a8, by
reading every tie (`scripts/tie_skills.py` prints them): "technical drawing" = "technical drawings" (0.91) is right,
"ceramics" = "ceramic ware" (0.84) and "quality management" = "quality assurance procedures" (0.83) are wrong. "C and
C++" = "C++" (0.90) is a part only."""

SURE: Final = 0.965
"""The least cosine of the labels that ties two skills that share no name.

All eight such ties are right. Below, "tourist information" is not "collect tourist information" (0.96), nor "leather
goods" "leather goods materials" (0.94). Together with the 65 whose labels are equal 80 starter skills are tied."""

_DECIMALS: Final = 4
_QUALIFIER: Final = re.compile(r"\s*\([^()]*\)\s*$")

_Name: TypeAlias = tuple[str, str]
"""A language, and what a skill is called in it, without case and accents."""

_Names: TypeAlias = Callable[[Skill], Iterator[_Name]]
_Similarities: TypeAlias = NDArray[np.float32]


def tie(starter: Sequence[Skill], skills: Sequence[Skill], labels: Matrix, embedder: Embedder) -> dict[str, str]:
    """Return, by id of a starter skill, the id of the one skill of the catalogue that means the same.

    That is the one that bears its name in one of its languages; else one that shares another name with it, if their
    labels are near as well: ESCO calls statistics "data analysis", too. Else the one with the nearest label, if it is
    near enough. `labels`, shape (n, d), hold the vector of each label of `skills`; other names and descriptions say
    more than the skill, and are not compared. Several starter skills may be tied to one. Of equals the first of
    `skills` is taken.
    """
    if not skills:
        return {}
    own, all_ = _bearers(skills, _own_names), _bearers(skills, _all_names)
    ties = {}
    asked = embedder.embed_documents([skill.label("en") for skill in starter])
    table = np.round(labels @ asked.T, _DECIMALS)
    for column, skill in enumerate(starter):
        near = table[:, column]
        place = _namesake(skill, own, _own_names, near)
        if place is None:
            place = _namesake(skill, all_, _all_names, near)
            if place is None or near[place] < CONFIRMED:
                place = _nearest(near)
        if place is not None:
            ties[skill.id] = skills[place].id
    return ties


def _nearest(near: _Similarities) -> int | None:
    """Return the place of the skill with the nearest label, or None where it is not near enough."""
    place = int(near.argmax())
    return place if near[place] >= SURE else None


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
