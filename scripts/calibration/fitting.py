"""From judged pairs to a calibration, with what it was measured by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.matching.calibration import (
    Abstention,
    Calibration,
    Curve,
    Pairs,
    abstention,
    brier,
    calibration_error,
    choose_threshold,
    fit_curve,
    fold_of,
    log_loss,
    tried_curves,
)
from app.matching.kinds import MatchKind
from calibration.asking import Asked
from calibration.labelled import Labelled

FOLDS = 5
REFUSE = 0.95
KEEP = 0.90
"""The aims: of unrelated queries this share gets no suggestion, of related ones this share keeps a fitting one."""


def columns(asked: Sequence[Asked]) -> Pairs:
    """Return the pairs of all seekers as columns."""
    rows = [(pair.score, one.known, float(pair.fits), fold_of(one.text, FOLDS)) for one in asked for pair in one.pairs]
    scores, known, fits, folds = zip(*rows, strict=True)
    return Pairs(np.array(scores), np.array(known), np.array(fits), np.array(folds, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Lists:
    """The greatest probability of each unrelated query's list, and that of each related query's best fitting pair."""

    unrelated: list[float]
    related: list[float]


def _lists(curve: Curve, asked: Sequence[Asked]) -> _Lists:
    unrelated, related = [], []
    for one in asked:
        fitting = [pair.score for pair in one.pairs if pair.fits]
        if not one.related:
            unrelated.append(_probability(curve, one.top, one.known) if one.top is not None else 0.0)
        elif fitting:
            related.append(_probability(curve, max(fitting), one.known))
    return _Lists(unrelated, related)


def _probability(curve: Curve, score: float, known: float) -> float:
    return float(curve(np.array([score]), known)[0])


def _threshold(curve: Curve, asked: Sequence[Asked]) -> Abstention:
    lists = _lists(curve, asked)
    return choose_threshold(lists.unrelated, lists.related, refuse=REFUSE, keep=KEEP)


def _cross_validated(curve: Curve, asked: Sequence[Asked]) -> Abstention:
    """Return what thresholds do to queries that neither they nor their curve were fitted to."""
    unrelated, related = [], []
    for fold in range(FOLDS):
        here = [one for one in asked if fold_of(one.text, FOLDS) == fold]
        rest = [one for one in asked if fold_of(one.text, FOLDS) != fold]
        fitted = fit_curve(curve.method, curve.basis, columns(rest))
        cut = _threshold(fitted, rest).threshold
        lists = _lists(fitted, here)
        # Measured from its own threshold, so that folds can be put together.
        unrelated += [probability - cut for probability in lists.unrelated]
        related += [probability - cut for probability in lists.related]
    return abstention(unrelated, related, 0.0)


def fit(
    kind: MatchKind, model_key: str, labelled: Labelled, asked: Sequence[Asked], decided: Sequence[Asked], made_on: str
) -> Calibration:
    """Return the calibration of these pairs; decisions count for the curve, the threshold rests on labels alone.

    Of the curves that come nearest to the aims on folds held out, and then with the threshold that is kept, the one
    with the least log loss: a probability that is a little less sharp does less harm than a suggestion where nothing
    fits.
    """
    pairs = columns([*asked, *decided])
    tried = [
        (_cross_validated(curve, asked), _threshold(curve, asked), curve, held_out)
        for curve, held_out in tried_curves(pairs)
    ]
    tested, cut, curve, held_out = max(tried, key=lambda one: [found.reached(REFUSE, KEEP) for found in one[:2]])
    figures = {
        "pairs": len(pairs.scores),
        "fitting_pairs": int(pairs.fits.sum()),
        "decisions": sum(len(one.pairs) for one in decided),
        "rejected_by_rules": sum(one.rejected for one in asked),
        "folds": FOLDS,
        "calibration_error": round(calibration_error(held_out, pairs.fits), 4),
        "brier": round(brier(held_out, pairs.fits), 4),
        "log_loss": round(log_loss(held_out, pairs.fits), 4),
        "unrelated_queries": sum(not one.related for one in asked),
        "related_queries": sum(any(pair.fits for pair in one.pairs) for one in asked),
        "unrelated_without_suggestion": round(tested.refused, 4),
        "related_kept": round(tested.kept, 4),
        "fitted_unrelated_without_suggestion": round(cut.refused, 4),
        "fitted_related_kept": round(cut.kept, 4),
    }
    return Calibration(
        kind=kind.name,
        model_key=model_key,
        rules_version=kind.rules_version(),
        curve=curve,
        threshold=cut.threshold,
        bands=_bands(cut.threshold),
        figures=figures,
        made_on=made_on,
        labelled=f"scripts/labelled/{labelled.name}",
        labelled_sha256=labelled.sha256,
    )


def _bands(threshold: float) -> tuple[tuple[str, float], ...]:
    """Return three bands of one width between the threshold and certainty; what lies below it is weak."""
    third = (1 - threshold) / 3
    return (("strong", round(1 - third, 4)), ("possible", round(threshold + third, 4)), ("weak", 0.0))


def measured(calibration: Calibration, asked: Sequence[Asked]) -> tuple[float, float]:
    """Return calibration error and Brier score of a calibration on judged pairs."""
    pairs = columns(asked)
    found = calibration.curve(pairs.scores, pairs.known)
    return calibration_error(found, pairs.fits), brier(found, pairs.fits)
