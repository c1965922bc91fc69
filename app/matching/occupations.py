"""Titles of one occupation group stand nearer to each other.

Who looks for a welder is served by what is written for a flame cutter rather than by what shares a word with it. Which
of the 426 unit groups of ISCO-08 a text names is read off its vector by a multinomial logistic regression, fitted by
`scripts/train_encoder.py` to ESCO's titles, whose groups are known; one of its classes is "none of them", which is what
most texts are. A vector is then drawn towards where the titles of its groups stand.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FILE: Final = "occupation_groups.safetensors"


class OccupationGroups:
    """Draws vectors: `weights` (d, groups + 1) and `bias` (groups + 1,) of the regression, "none of them" last.

    `directions`, (groups, d), lead to each group and are as long as a vector of length 1 goes that is surely of it.
    ValueError when the shapes do not go together.
    """

    def __init__(
        self, weights: NDArray[np.floating], bias: NDArray[np.floating], directions: NDArray[np.floating]
    ) -> None:
        if bias.shape != weights.shape[1:] or directions.shape != (weights.shape[1] - 1, weights.shape[0]):
            msg = f"weights {weights.shape}, bias {bias.shape} and directions {directions.shape} do not go together"
            raise ValueError(msg)
        self._weights, self._bias = np.ascontiguousarray(weights.T, dtype=np.float32), bias.astype(np.float32)
        self._directions = directions.astype(np.float32)

    def drawn(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a vector (d,) of length 1 drawn to its groups, of length 1 again.

        One at a time, so that the company a text is in does not change its last bits.
        """
        logits = self._weights @ vector + self._bias
        shares = np.exp(logits - logits.max())
        moved = vector + (shares[:-1] / shares.sum()) @ self._directions
        found: NDArray[np.float32] = moved / np.linalg.norm(moved)
        return found
