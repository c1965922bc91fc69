"""Which of the EU's fields of intervention a text speaks of, read off its vector.

The reading is a multinomial logistic regression that `scripts/train_encoder.py` fits to our own examples and that lies
beside the encoder it belongs to; one of its classes is "none of them", so a text about something else has little of
any field. The fields are those of Commission Implementing Regulation (EU) No 215/2014, Annex I, table 1.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.matching.types import Matrix

FILE: Final = "intervention_fields.safetensors"


class InterventionFields:
    """Reads fields: `weights` (d, fields + 1) and `bias` (fields + 1,) of the regression, "none of them" last.

    `codes` names the fields in the order of the columns. ValueError when the shapes do not go together.
    """

    def __init__(self, codes: tuple[str, ...], weights: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        if weights.ndim != 2 or weights.shape[1] != len(codes) + 1 or bias.shape != (len(codes) + 1,):  # noqa: PLR2004
            msg = f"weights {weights.shape} and bias {bias.shape} are not those of {len(codes)} fields and none of them"
            raise ValueError(msg)
        self.codes = codes
        # In double precision: what the index and the database say of one text must not be rounded apart.
        self._weights, self._bias = weights.astype(np.float64), bias.astype(np.float64)

    def roots(self, vectors: Matrix) -> NDArray[np.float64]:
        """Return, (n, fields), the square root of how much of each text is about each field, at most 1 in all."""
        logits = vectors @ self._weights + self._bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: NDArray[np.float64] = np.sqrt(shares[:, :-1] / shares.sum(axis=1, keepdims=True))
        return found
