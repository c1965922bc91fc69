"""From a score to a probability, and the threshold below which nothing is suggested.

A calibration is fitted by `scripts/calibrate.py` from labelled pairs and kept as one JSON file per match kind. It
belongs to one encoder and one version of the rules: with any other it is not applied, and the match kind says so.
Fitting needs numpy alone, so the service carries no statistics library.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.matching.kinds import MatchKind
from app.matching.words import DEFAULT, say

Method = Literal["platt", "isotonic"]
Basis = Literal["score", "share"]
Floats = NDArray[np.float64]

METHODS: Final[tuple[Method, ...]] = ("platt", "isotonic")
BASES: Final[tuple[Basis, ...]] = ("score", "share")

DECIMALS: Final = 4
EDGE: Final = 0.005
"""No pair is certain: probabilities stay this far from 0 and 1 (and log loss finite)."""

BANDS: Final = (("strong", 0.75), ("possible", 0.5), ("weak", 0.0))
"""The words for a probability, with the least one of each, where a file is made by hand."""


class CalibrationError(Exception):
    """A calibration file that cannot be read or does not hold what it should."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A rising function from a score to a probability.

    It reads the score itself (`basis` score), or the score as a share of what the facts known of the asker could add
    up to (`share`): of a bare text little is known, and its scores are low for that alone. Either way it rises with
    the score within one query. `parameters` are (slope, intercept) of a logistic function (platt; Platt 1999), or
    the knots x and y between which it is linear (isotonic; Ayer et al. 1955).
    """

    method: Method
    basis: Basis
    parameters: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.basis not in BASES:
            raise CalibrationError(f"there is no curve {self.method} of {self.basis}")
        if not all(math.isfinite(number) for row in self.parameters for number in row):
            raise CalibrationError("a parameter is not a finite number")
        if self.method == "platt":
            if [len(row) for row in self.parameters] != [2] or self.parameters[0][0] < 0:
                raise CalibrationError("a logistic curve has one slope, not below 0, and one intercept")
        elif len(self.parameters) != 2 or len({len(row) for row in self.parameters}) != 1 or not self.parameters[0]:  # noqa: PLR2004 - x and y
            raise CalibrationError("an isotonic curve has as many x as y")
        elif any(np.any(np.diff(row) < 0) for row in self.parameters):
            raise CalibrationError("an isotonic curve rises")

    def __call__(self, scores: Floats, known: Floats | float) -> Floats:
        """Return the probability of each score, rounded; `known` is the weight of the facts known of the asker."""
        x = signal(self.basis, scores, known)
        if self.method == "platt":
            slope, intercept = self.parameters[0]
            y = 1 / (1 + np.exp(-(slope * x + intercept)))
        else:
            y = np.interp(x, self.parameters[0], self.parameters[1])
        return np.asarray(np.clip(y, EDGE, 1 - EDGE).round(DECIMALS))


@dataclass(frozen=True)
class Calibration:
    """What a score of one match kind means, for one encoder and one version of the rules."""

    kind: str
    model_key: str
    rules_version: str
    curve: Curve
    threshold: float
    """Probability below which an item is not suggested."""

    bands: tuple[tuple[str, float], ...] = BANDS
    figures: Mapping[str, float] = field(default_factory=dict)
    """What was measured when it was fitted: see `scripts/labelled/README.md`."""

    made_on: str = ""
    labelled: str = ""
    labelled_sha256: str = ""

    def __post_init__(self) -> None:
        least = [number for _, number in self.bands]
        if not {name for name, _ in self.bands} <= {name for name, _ in BANDS}:
            raise CalibrationError(f"the bands of {self.kind} are not all of {', '.join(name for name, _ in BANDS)}")
        if not least or least[-1] != 0 or sorted(least, reverse=True) != least or least[0] > 1:
            raise CalibrationError(f"the bands of {self.kind} must fall to 0")
        if not 0 <= self.threshold <= 1:
            raise CalibrationError(f"the threshold of {self.kind} is no probability")

    def band(self, probability: float) -> str:
        """Return the word for a probability."""
        return next(name for name, least in self.bands if probability >= least)

    @cached_property
    def version(self) -> str:
        """Return the identity of what decides an answer: curve, threshold and bands, for this encoder and rules."""
        said = [self.kind, self.model_key, self.rules_version, asdict(self.curve), self.threshold, self.bands]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Read a file's text; raises `CalibrationError`."""
        try:
            said = json.loads(text)
            curve = said.pop("curve")
            parameters = tuple(tuple(float(number) for number in row) for row in curve["parameters"])
            bands = tuple((str(name), float(least)) for name, least in said.pop("bands"))
            said["threshold"] = float(said["threshold"])
            return cls(curve=Curve(curve["method"], curve["basis"], parameters), bands=bands, **said)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CalibrationError(f"this is no calibration: {type(error).__name__}: {error}") from error


class Calibrations(NamedTuple):
    """The calibrations that apply now, by match kind, and why others do not: a message's key and what stands in it."""

    applied: Mapping[str, Calibration]
    refused: Mapping[str, tuple[str, Mapping[str, str]]]

    def reason(self, kind: str, language: str = DEFAULT) -> str | None:
        """Return in words why a kind is not calibrated, or None when it is."""
        if kind in self.applied:
            return None
        key, values = self.refused.get(kind, ("calibration.never", {}))
        return say(key, language, **values)


NONE: Final = Calibrations({}, {})


def load_calibrations(folder: Path, kinds: Mapping[str, MatchKind], model_key: str) -> Calibrations:
    """Read `<kind>.json` of each kind from `folder`; raises `CalibrationError` for a damaged file.

    A file that was fitted for another encoder or other rules is not applied: a probability that was measured on
    other scores would be a guess in the clothes of a measurement.
    """
    applied, refused = dict[str, Calibration](), dict[str, tuple[str, Mapping[str, str]]]()
    for name, kind in sorted(kinds.items()):
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        try:
            found = Calibration.from_json(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, CalibrationError) as error:
            raise CalibrationError(f"{path}: {error}") from error
        if found.kind != name:
            raise CalibrationError(f"{path} is about {found.kind}")
        if found.model_key != model_key:
            refused[name] = "calibration.encoder", {"fitted": found.model_key, "running": model_key}
        elif found.rules_version != kind.rules_version():
            refused[name] = "calibration.rules", {"fitted": found.rules_version}
        else:
            applied[name] = found
    return Calibrations(applied, refused)


# --- fitting --------------------------------------------------------------------


class Pairs(NamedTuple):
    """Labelled pairs as columns of one length n: scores, known weights, whether they fit (0 or 1), and folds."""

    scores: Floats
    known: Floats
    fits: Floats
    folds: NDArray[np.int64]


def signal(basis: Basis, scores: Floats, known: Floats | float) -> Floats:
    """Return what a curve of that basis reads."""
    return np.asarray(scores, dtype=np.float64) if basis == "score" else np.asarray(scores / known)


def fold_of(text: str, folds: int) -> int:
    """Return the fold of a query: by a hash of its text, so that all its pairs stand in one and stay there."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % folds


def fit_curve(method: Method, basis: Basis, pairs: Pairs) -> Curve:
    """Fit one curve to all of `pairs`; raises `ValueError` unless some fit and some do not."""
    if len(set(pairs.fits.tolist())) < 2:  # noqa: PLR2004 - 0 and 1
        raise ValueError("both fitting and unfitting pairs are needed")
    x = signal(basis, pairs.scores, pairs.known)
    return Curve(method, basis, _platt(x, pairs.fits) if method == "platt" else _isotonic(x, pairs.fits))


def out_of_fold(method: Method, basis: Basis, pairs: Pairs) -> Floats:
    """Return the probability of each pair by the curve that was fitted to the other folds."""
    found = np.empty(len(pairs.scores))
    for fold in sorted(set(pairs.folds.tolist())):
        here = pairs.folds == fold
        curve = fit_curve(method, basis, Pairs(*(column[~here] for column in pairs)))
        found[here] = curve(pairs.scores[here], pairs.known[here])
    return found


def tried_curves(pairs: Pairs) -> list[tuple[Curve, Floats]]:
    """Return a curve of every method and basis, fitted to all of `pairs`, with its out-of-fold probabilities.

    The one with the least cross-validated log loss comes first.
    """
    tried = [(fit_curve(m, b, pairs), out_of_fold(m, b, pairs)) for b in BASES for m in METHODS]
    return sorted(tried, key=lambda entry: log_loss(entry[1], pairs.fits))


def _platt(x: Floats, fits: Floats) -> tuple[tuple[float, ...], ...]:
    """Newton's method on the log loss with Platt's softened targets, which keep a clean separation finite."""
    positive = float(fits.sum())
    negative = len(fits) - positive
    wanted = np.where(fits > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    columns = np.column_stack([x, np.ones(len(x))])
    weights = np.array([0.0, math.log((positive + 1) / (negative + 1))])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        slope = columns.T @ (p - wanted) + 1e-6 * weights
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if float(np.abs(step).max()) < 1e-10:  # noqa: PLR2004 - below what is written
            break
    if weights[0] < 0:  # scores that point the wrong way say nothing
        weights = np.array([0.0, math.log((positive + 1) / (negative + 1))])
    return (tuple(float(number) for number in weights.round(6)),)


def _isotonic(x: Floats, fits: Floats) -> tuple[tuple[float, ...], ...]:
    """Pool adjacent violators; the knots are the means of the pools, so that the curve rises between them too."""
    order = np.argsort(x, kind="stable")
    pools: list[tuple[float, float, int]] = []
    for at, fit in zip(x[order].tolist(), fits[order].tolist(), strict=True):
        pools.append((at, fit, 1))
        while len(pools) > 1 and pools[-2][1] / pools[-2][2] >= pools[-1][1] / pools[-1][2]:
            last, before = pools.pop(), pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    # A pool is known by its mean, softened by one pair of each kind, as Platt softens his targets.
    share = float(fits.mean())
    knots = [(total / size, (fit + 2 * share) / (size + 2)) for total, fit, size in pools]
    xs = tuple(round(at, 6) for at, _ in knots)
    ys = tuple(round(float(y), 6) for y in np.maximum.accumulate([y for _, y in knots]))
    return (xs, ys)


def log_loss(probabilities: Floats, fits: Floats) -> float:
    """Return the mean negative log likelihood."""
    return float(-np.mean(fits * np.log(probabilities) + (1 - fits) * np.log(1 - probabilities)))


def brier(probabilities: Floats, fits: Floats) -> float:
    """Return the mean squared error."""
    return float(np.mean((probabilities - fits) ** 2))


def calibration_error(probabilities: Floats, fits: Floats, bins: int = 10) -> float:
    """Return the expected calibration error over bins of equal width (Naeini et al. 2015)."""
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(float(np.sum(probabilities[places == place]) - np.sum(fits[places == place])))
            for place in set(places.tolist())
        )
        / len(fits)
    )


class Abstention(NamedTuple):
    """What a threshold does: shares of unrelated queries without a suggestion, and of related ones that keep theirs."""

    threshold: float
    refused: float
    kept: float

    def reached(self, refuse: float, keep: float) -> float:
        """Return the lesser of refused/`refuse` and kept/`keep`, 1 where both aims are met: more counts no more."""
        return round(min(self.refused / refuse, self.kept / keep, 1.0), 9)


def abstention(unrelated: Sequence[float], related: Sequence[float], threshold: float) -> Abstention:
    """Return what `threshold` does.

    `unrelated`: the greatest probability in each answer to an unrelated query; `related`: that of the best item that
    fits, for each related query.
    """
    return Abstention(
        threshold,
        float(np.mean(np.asarray(unrelated) < threshold)),
        float(np.mean(np.asarray(related) >= threshold)),
    )


def choose_threshold(unrelated: Sequence[float], related: Sequence[float], *, refuse: float, keep: float) -> Abstention:
    """Return the threshold that comes nearest to both aims, and of several the middle one.

    Nearest: what is `reached` is most.
    """
    values = sorted({0.0, 1.0, *unrelated, *related})
    cuts = sorted({round((low + high) / 2, DECIMALS) for low, high in pairwise(values)})
    tried = [abstention(unrelated, related, cut) for cut in cuts]

    most = max(found.reached(refuse, keep) for found in tried)
    best = [found for found in tried if found.reached(refuse, keep) == most]
    return best[len(best) // 2]
