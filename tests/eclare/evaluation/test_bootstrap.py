import numpy as np
import pytest

from eclare.evaluation.bootstrap import Resampled
from eclare.evaluation.metrics import PointMetric


def of_points(earned, possible=None) -> PointMetric:
    return PointMetric("P", 10, np.asarray(earned, float), np.ones(len(earned)) if possible is None else possible)


def test_an_interval_is_as_wide_as_theory_says() -> None:
    earned = np.random.default_rng(0).random(2000)
    found = Resampled({"ours": of_points(earned)}).estimate("ours")
    error = earned.std() / np.sqrt(len(earned))
    assert found.value == pytest.approx(earned.mean())
    assert found.low == pytest.approx(earned.mean() - 1.96 * error, abs=0.3 * error)
    assert found.high == pytest.approx(earned.mean() + 1.96 * error, abs=0.3 * error)


def test_ratios_are_paired() -> None:
    """What moves both alike moves the ratio not at all."""
    theirs = np.random.default_rng(1).random(300)
    metrics = {"theirs": of_points(theirs), "ours": of_points(1.2 * theirs), "alone": of_points(theirs[::-1])}
    resampled = Resampled(metrics)
    assert resampled.ratio("ours", "theirs") == pytest.approx((1.2, 1.2, 1.2))
    apart = resampled.ratio("alone", "theirs")
    assert apart.low < 0.95 and apart.high > 1.05


def test_intervals_are_the_same_every_time_and_hold_the_truth_as_often_as_they_say() -> None:
    random, held = np.random.default_rng(2), 0
    for _ in range(60):
        metrics = {"ours": of_points(random.random(80) < 0.3)}
        found = Resampled(metrics).estimate("ours")
        assert found == Resampled(metrics).estimate("ours")
        held += found.low <= 0.3 <= found.high
    assert 50 <= held <= 60


def test_a_ratio_of_sums_is_resampled_as_one() -> None:
    possible = np.array([1.0, 0.0, 4.0])
    found = Resampled({"psp": of_points([1.0, 0.0, 2.0], possible)}).estimate("psp")
    assert found.value == pytest.approx(0.6)
    assert (found.low, found.high) == (0, 1), "also where a resample could earn nothing"


def test_beside_a_rival_without_a_hit_the_ratio_is_one() -> None:
    nothing = {"ours": of_points(np.zeros(5)), "theirs": of_points(np.zeros(5)), "some": of_points(np.ones(5))}
    assert Resampled(nothing).ratio("ours", "theirs") == (1, 1, 1)
    assert Resampled(nothing).ratio("some", "theirs") == (1, 1, 1)
    assert Resampled(nothing).ratio("theirs", "some") == (0, 0, 0)


def test_metrics_of_other_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same points to be resampled together, got \[2, 3\]"):
        Resampled({"ours": of_points(np.ones(2)), "theirs": of_points(np.ones(3))})
