"""Curves rise, fits are repeatable, files say what they are for, and no other encoder or rules get their numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.matching.calibration import (
    BASES,
    METHODS,
    Basis,
    Calibration,
    CalibrationError,
    Curve,
    Method,
    Pairs,
    abstention,
    calibration_error,
    choose_threshold,
    fit_curve,
    fold_of,
    load_calibrations,
    log_loss,
    out_of_fold,
    tried_curves,
)
from app.matching.engine import judge, known_weight
from app.matching.kinds import MATCH_KINDS
from app.matching.types import Side
from tests.matching.worlds import document, fields, query

KIND = MATCH_KINDS["cluster-region"]
HALF = Curve("platt", "score", ((10.0, -5.0),))


def calibration(curve: Curve = HALF, threshold: float = 0.5, **more: str) -> Calibration:
    said = {"kind": KIND.name, "model_key": "m", "rules_version": KIND.rules_version()} | more
    return Calibration(**said, curve=curve, threshold=threshold)


def made_pairs(seed: int, count: int = 400) -> Pairs:
    """Pairs of which more fit the higher they score: the truth is a logistic curve of the score."""
    rng = np.random.default_rng(seed)
    scores, known = rng.random(count), rng.choice([0.8, 1.0], count)
    fits = (rng.random(count) < 1 / (1 + np.exp(-(12 * scores / known - 5)))).astype(float)
    return Pairs(scores, known, fits, rng.integers(0, 5, count))


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 1000))
def test_a_curve_rises_and_is_never_certain(method: Method, basis: Basis, seed: int) -> None:
    pairs = made_pairs(seed, 60)
    curve = fit_curve(method, basis, pairs)
    found = curve(np.linspace(0, 1, 200), 0.8)
    assert (np.diff(found) >= 0).all()
    assert 0 < found.min() <= found.max() < 1
    assert curve == fit_curve(method, basis, pairs)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_are_what_comes_true(method: Method) -> None:
    fitted, fresh = made_pairs(1, 3000), made_pairs(2, 3000)
    curve = fit_curve(method, "share", fitted)
    assert calibration_error(curve(fresh.scores, fresh.known), fresh.fits) < 0.04


def test_the_better_curve_comes_first_and_is_seen_by_no_pair_of_its_own_fold() -> None:
    pairs = made_pairs(3)
    tried = tried_curves(pairs)
    assert {(curve.method, curve.basis) for curve, _ in tried} == {(m, b) for m in METHODS for b in BASES}
    losses = [log_loss(found, pairs.fits) for _, found in tried]
    assert losses == sorted(losses)
    curve, held_out = tried[0]
    assert held_out.tolist() == out_of_fold(curve.method, curve.basis, pairs).tolist()
    changed = pairs._replace(fits=np.where(pairs.folds == 0, 1 - pairs.fits, pairs.fits))
    again = out_of_fold(curve.method, curve.basis, changed)
    assert (again[pairs.folds == 0] == held_out[pairs.folds == 0]).all()
    assert (again[pairs.folds != 0] != held_out[pairs.folds != 0]).any()


def test_scores_that_point_the_wrong_way_say_nothing() -> None:
    pairs = made_pairs(4)
    upside_down = pairs._replace(fits=1 - pairs.fits)
    found = fit_curve("platt", "score", upside_down)(np.array([0.0, 1.0]), 1.0)
    assert found[0] == found[1]
    with pytest.raises(ValueError, match="both"):
        fit_curve("platt", "score", pairs._replace(fits=np.ones(len(pairs.fits))))


def test_the_error_of_known_cases() -> None:
    assert calibration_error(np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.0, 0, 0, 1])) == 0
    assert calibration_error(np.array([0.9, 0.1]), np.array([0.0, 1.0])) == pytest.approx(0.9)


def test_the_threshold_that_comes_nearest_to_both_aims() -> None:
    clean = choose_threshold([0.1] * 20, [0.9] * 20, refuse=0.95, keep=0.9)
    assert clean == abstention([0.1] * 20, [0.9] * 20, clean.threshold)
    assert (clean.refused, clean.kept) == (1, 1)
    mixed = choose_threshold([0.1, 0.2, 0.6], [0.5, 0.7, 0.8], refuse=0.95, keep=0.9)
    assert (mixed.refused, mixed.kept) == pytest.approx((1, 2 / 3))


def test_a_fold_depends_on_the_text_alone() -> None:
    assert {fold_of(str(number), 5) for number in range(100)} == set(range(5))
    assert fold_of("Una panadería", 5) == fold_of("Una panadería", 5)


def test_a_file_reads_as_it_was_written() -> None:
    for curve in (HALF, Curve("isotonic", "share", ((0.1, 0.5), (0.2, 0.9)))):
        written = calibration(curve)
        read = Calibration.from_json(written.to_json())
        assert read == written
        assert read.version == written.version
    assert dataclasses.replace(written, threshold=0.6).version != written.version
    assert dataclasses.replace(written, made_on="2026-11-27").version == written.version


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        calibration().to_json().replace("0.5", "7"),
        calibration().to_json().replace("platt", "isotonic"),
        calibration().to_json().replace("10.0", "-10.0"),
        calibration().to_json().replace("10.0", "NaN"),
        calibration().to_json().replace("0.75", "0.25"),
        calibration().to_json().replace('"made_on"', '"made_for"'),
    ],
)
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError):
        Calibration.from_json(text)
    (tmp_path / f"{KIND.name}.json").write_text(text)
    with pytest.raises(CalibrationError, match=KIND.name):
        load_calibrations(tmp_path, MATCH_KINDS, "m")


def test_it_is_applied_to_its_own_encoder_and_rules_only(tmp_path: Path) -> None:
    path = tmp_path / f"{KIND.name}.json"
    path.write_text(calibration().to_json())
    found = load_calibrations(tmp_path, MATCH_KINDS, "m")
    assert found.applied == {KIND.name: calibration()}
    assert found.reason(KIND.name) is None
    assert "never" in str(found.reason("company-school"))
    other = load_calibrations(tmp_path, MATCH_KINDS, "another")
    assert other.applied == {}
    assert "another" in str(other.reason(KIND.name))
    path.write_text(calibration(rules_version="0-old").to_json())
    other = load_calibrations(tmp_path, MATCH_KINDS, "m")
    assert other.applied == {}
    assert "0-old" in str(other.reason(KIND.name))
    path.write_text(calibration(kind="company-school").to_json())
    with pytest.raises(CalibrationError, match="about company-school"):
        load_calibrations(tmp_path, MATCH_KINDS, "m")


def test_the_engine_cuts_each_item_below_the_threshold() -> None:
    axes = np.eye(8, dtype=np.float32)
    similarities = (0.9, 0.7, 0.4, 0.0)
    rows = [np.float32(s) * axes[0] + np.float32((1 - s * s) ** 0.5) * axes[1] for s in similarities]
    documents = [document(pk, vector) for pk, vector in enumerate(rows, start=1)]
    question = query(axes[0])
    plain = judge(KIND, question, documents, 10)
    assert [c.probability for c in plain.candidates] == [None] * 4
    curve = Curve("platt", "score", ((10.0, -3.4),))
    found = judge(KIND, question, documents, 10, calibration(curve))
    assert [c.document.pk for c in found.candidates] == [1, 2]
    assert [c.contributions for c in found.candidates] == [c.contributions for c in plain.candidates[:2]]
    assert (found.rejected, found.nearest_miss) == ({}, None)
    assert [c.band for c in found.candidates] == [
        "strong" if c.probability >= 0.75 else "possible" for c in found.candidates
    ]  # type: ignore[operator]
    none = judge(KIND, question, documents, 10, calibration(curve, threshold=0.99))
    assert (none.candidates, none.rejected) == ((), {})
    assert none.nearest_miss is not None
    assert none.nearest_miss.document.pk == 1
    assert none.nearest_miss.probability == found.candidates[0].probability
    assert judge(KIND, question, [], 10, calibration()).nearest_miss is None


def test_what_is_known_of_the_asker_is_the_greatest_score_it_can_reach() -> None:
    vector = np.eye(8, dtype=np.float32)[0]
    assert known_weight(KIND, query(vector)) == pytest.approx(0.6)
    assert known_weight(KIND, query(vector, fields=fields(8))) == pytest.approx(0.8)
    assert known_weight(KIND, query(vector, {"nuts": "ES61"}, fields=fields(8))) == pytest.approx(0.85)
    everything = {"nuts": "ES61", "sectors": frozenset({"digital"}), "regions_sought": frozenset({"ES"})}
    assert known_weight(KIND, query(vector, everything, fields=fields(8))) == pytest.approx(1)
    assert known_weight(KIND, query(vector, everything, Side.OFFER, fields=fields(8))) == pytest.approx(1)
