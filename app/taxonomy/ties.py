"""Which skills of our starter list are the same as one of an imported catalogue, so that either counts for the other."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from app.matching.embedder import Embedder
from app.matching.types import Matrix
from app.taxonomy.skills import Skill, fold

SURE: Final = 0.90
SUPPORT: Final = 0.70

_QUALIFIER: Final = re.compile(r"\s*\([^()]*\)\s*$")
_Name = tuple[str, str]


def tie(starter: Sequence[Skill], skills: Sequence[Skill], vectors: Matrix, embedder: Embedder) -> dict[str, str]:
    """Return, by id of a starter skill, the id of the one skill of the catalogue that means the same."""
    if not skills:
        return {}
    own, other = _table(skills, _own), _table(skills, _other)
    asked = embedder.embed_documents([skill.label("en") for skill in starter])
    ties = {}
    for skill, vector in zip(starter, asked, strict=True):
        near = (vectors @ vector).max(axis=0)
        place = _named(skill, own, _own)
        if place is None:
            place = _named(skill, other, _own)
            if place is not None and near[place] < SUPPORT:
                place = None
        if place is None:
            best = int(near.argmax())
            place = best if near[best] >= SURE else None
        if place is not None:
            ties[skill.id] = skills[place].id
    return ties


def _own(skill: Skill) -> Iterator[_Name]:
    for language, label in skill.labels.items():
        yield language, fold(label)
        yield language, fold(_QUALIFIER.sub("", label))


def _other(skill: Skill) -> Iterator[_Name]:
    yield from _own(skill)
    for language, names in skill.alt.items():
        for name in names:
            yield language, fold(name)


def _table(skills, names) -> dict[_Name, int | None]:
    table: dict[_Name, int | None] = {}
    for place, skill in enumerate(skills):
        for name in set(names(skill)):
            table[name] = place if table.get(name, place) == place else None
    return table


def _named(skill, table, names) -> int | None:
    votes = Counter(place for name in set(names(skill)) if (place := table.get(name)) is not None)
    return max(votes, key=lambda place: (votes[place], -place), default=None)
