"""Skills: rows that are ESCO skills, seen as the service's linker sees them: other names and descriptions too."""

import functools
from collections.abc import Iterator

import numpy as np
from link_skills import read_skills
from numpy.typing import NDArray

from app.taxonomy.service import skill_texts
from evaluation.encoders import Vectors
from evaluation.packs import SHARED, Pack

WEIGHT = 0.5
"""Share of the nearest of a skill's three vectors."""


def fused(pack: Pack, vectors: Vectors) -> Iterator[NDArray[np.floating]]:
    """Yield, per query, (1 - w) x cosine with the row + w x cosine with the nearest of the row's skill's vectors.

    Those are the vectors of its label, its other names and its description (`skill_texts`). Where the rows of a pack
    are no skills, the cosine alone.
    """
    corpus = vectors.documents([row.text for row in pack.corpus])
    known = _skills()
    there = all(row.key in known for row in pack.corpus)
    columns = []
    for number in range(3) if there else ():
        texts = [known[row.key][number] for row in pack.corpus]
        own = vectors.documents([text or row.text for text, row in zip(texts, pack.corpus, strict=True)])
        columns.append(own)
    for vector in vectors.queries([query.text for query in pack.queries]):
        cosine = corpus @ vector
        if there:
            nearest = np.max([column @ vector for column in columns], axis=0)
            yield (1 - WEIGHT) * cosine + WEIGHT * nearest
        else:
            yield cosine


@functools.cache
def _skills() -> dict[str, tuple[str, str, str]]:
    """ESCO's skills in English by id: label, other names, description; none without the shared data."""
    if not (SHARED / "esco").is_dir():
        return {}
    return {skill.id: skill_texts(skill) for skill in read_skills(SHARED)}
