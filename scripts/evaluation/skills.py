"""Skills: rows that are ESCO skills, ranked as the service's linker ranks them for a phrase."""

import functools
from collections.abc import Iterator

import numpy as np
from link_skills import make_linker, read_skills
from numpy.typing import NDArray

from app.taxonomy.skills import Skill
from evaluation.encoders import Vectors
from evaluation.packs import SHARED, Pack


def fused(pack: Pack, vectors: Vectors) -> Iterator[NDArray[np.floating]]:
    """Yield, per query, how near `SkillLinker.nearness` says that the skill of each row is.

    Where the rows of a pack are no skills, the cosine alone.
    """
    known = _skills()
    queries = vectors.queries([query.text for query in pack.queries])
    if any(row.key not in known for row in pack.corpus):
        corpus = vectors.documents([row.text for row in pack.corpus])
        for vector in queries:
            yield corpus @ vector
        return
    linker = make_linker([known[row.key] for row in pack.corpus], vectors.embedder, vectors.documents)
    for query, vector in zip(pack.queries, queries, strict=True):
        yield linker.nearness([query.text], vector[np.newaxis])[0][:, 0]


@functools.cache
def _skills() -> dict[str, Skill]:
    """ESCO's skills in English by id; none without the shared data."""
    return {skill.id: skill for skill in read_skills(SHARED)} if (SHARED / "esco").is_dir() else {}
