"""What reads fields of intervention off the student's vectors: a multinomial logistic regression on our own projects.

Beside the fields there is a class "none of them", taught by sentences about everyday life and by words of no language.
"""

import random
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from app.matching.interventions import FILE
from training.occupations import served
from training.sources import Sources

CARE: Final = 0.1
"""scikit-learn's C: the less, the fewer certainties are read off few examples. At .3 the public pack of projects of one
field gains .015 (P@10), and .95 of unrelated questions are no longer refused (`scripts/calibrate.py`)."""

TEMPERATURE: Final = 0.7
"""The logits are divided by it. Chosen, as is `CARE`, on that pack and on the labelled pairs."""

NONE_WEIGHT: Final = 4.0
"""An example of "none of them" counts as so many projects: there are fewer, and all that is not regional policy is
among them."""

_FILLERS: Final = 1_500
_LANGUAGES_OF_LIFE: Final = 3
"""A sentence about everyday life is seen in so many of its languages."""

_SYLLABLES: Final = 3
_SOUNDS: Final = ("bcdfglmnpqrstv", "aeiou", "lmnrst    ")
"""Of each a letter, or none: a syllable."""

_ROUNDS: Final = 400
_MOST_HELD: Final = 5


def fit(student: Path, sources: Sources, seed: int) -> dict[str, object]:
    """Write `FILE` into the student's folder; returns how many examples there were, and how well others are read.

    The figure is the share of projects whose field comes first, of a fifth that a trial fit did not see; the languages
    of one project are never on both sides.
    """
    chance = random.Random(seed)  # noqa: S311  draws a language, guards nothing
    codes = sorted({code for code, _ in sources.projects})
    projects = [
        (codes.index(code), number, text) for number, (code, texts) in enumerate(sources.projects) for text in texts
    ]
    life = [
        (len(codes), -1 - number, text)
        for number, texts in enumerate(sources.life)
        for text in chance.sample(texts, _LANGUAGES_OF_LIFE)
    ]
    fillers = [(len(codes), -1 - number, _filler(chance)) for number in range(_FILLERS)]
    examples = projects + life + fillers
    vectors = served(student)([text for _, _, text in examples])
    classes = np.array([place for place, _, _ in examples])
    held = np.array([number % _MOST_HELD == 0 for _, number, _ in examples])
    weights = np.where(classes < len(codes), 1.0, NONE_WEIGHT)
    trial = _regression().fit(vectors[~held], classes[~held], weights[~held])
    judged = held & (classes < len(codes))
    right = float((trial.predict(vectors[judged]) == classes[judged]).mean())
    found = _regression().fit(vectors, classes, weights)
    tensors = {"weights": found.coef_.T / TEMPERATURE, "bias": found.intercept_ / TEMPERATURE}
    half = {name: np.ascontiguousarray(tensor, dtype=np.float16) for name, tensor in tensors.items()}
    save_file(half, student / FILE, metadata={"codes": " ".join(codes)})
    return {"projects": len(projects), "life": len(life), "fillers": len(fillers), "read_right": round(right, 4)}


def _filler(chance: random.Random) -> str:
    """Return five to thirty words that nobody knows, as people paste them where they have nothing to say yet."""
    words = [
        "".join(chance.choice(sounds).strip() for _ in range(chance.randint(1, _SYLLABLES)) for sounds in _SOUNDS)
        for _ in range(chance.randint(5, 30))
    ]
    return f"{' '.join(words).capitalize()}."


def _regression() -> LogisticRegression:
    return LogisticRegression(C=CARE, max_iter=_ROUNDS)
