"""Where the skill stands that a phrase speaks of.

A phrase of an advertisement or of a plan of studies, what an occupation does, and a national way of wording a
competence are not written as ESCO writes: their vectors stand beside those of the skills that they mean. A linear map
that `scripts/train_encoder.py` fits to such pairs moves them there. It serves to find skills in texts and nothing else.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.matching.types import Matrix

FILE: Final = "skill_phrases.safetensors"
_LEAST: Final = np.float32(1e-9)


class SkillPhrases:
    """Moves phrases by `weights` (d, d). ValueError for another shape."""

    def __init__(self, weights: NDArray[np.floating]) -> None:
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:  # noqa: PLR2004
            msg = f"weights {weights.shape} do not lead from vectors to vectors"
            raise ValueError(msg)
        self._weights = weights.astype(np.float32)

    def moved(self, vectors: Matrix) -> Matrix:
        """Return phrases' vectors (n, d) of length 1 where their skills stand, of length 1 again."""
        found: Matrix = vectors + vectors @ self._weights
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        found /= np.maximum(lengths, _LEAST)
        return found
