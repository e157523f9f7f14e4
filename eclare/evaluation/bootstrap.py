"""How far chance alone could move a figure: percentile intervals of the bootstrap (Efron, Tibshirani, 1993, ch. 13)."""

from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from eclare.evaluation.metrics import PointMetric

Name = TypeVar("Name", bound=Hashable)
Values = npt.NDArray[np.float64]

RESAMPLES, AT_ONCE = 1000, 50
PERCENT = (2.5, 97.5)  # between them lie 95%
SEED = 0


class Estimate(NamedTuple):
    """A figure and the interval that holds 95% of what it was in resamples of the points."""

    value: float
    low: float
    high: float


class Resampled(Generic[Name]):
    """Metrics of several systems over the same N points, by a name each, in resamples of the points: all are paired.

    Points are query products: the clicks of one session make several of them right at once, and the aggregates of a day
    do not say which, so intervals over sessions would be somewhat wider than these.
    """

    def __init__(self, metrics: Mapping[Name, PointMetric], seed: int = SEED) -> None:
        """Raises ValueError where the metrics are not over as many points."""
        points = {len(metric.earned_N) for metric in metrics.values()}
        if len(points) != 1:
            raise ValueError(f"metrics must be over the same points to be resampled together, got {sorted(points)}")
        # Many metrics share the array of what was possible, which is added up once.
        arrays = {id(each): each for metric in metrics.values() for each in (metric.earned_N, metric.possible_N)}
        sums_J = dict(zip(arrays, _resampled_sums(np.stack(list(arrays.values()), axis=1), seed).T, strict=True))
        self._value = {name: metric.value for name, metric in metrics.items()}
        self._resampled = {
            name: _over(sums_J[id(metric.earned_N)], sums_J[id(metric.possible_N)], 0.0)
            for name, metric in metrics.items()
        }

    def estimate(self, name: Name) -> Estimate:
        """A metric with its interval."""
        return _estimate(self._value[name], self._resampled[name])

    def ratio(self, ours: Name, theirs: Name) -> Estimate:
        """One metric over another with its interval, paired: the same points are drawn for both.

        Where theirs is 0 there is nothing to fall behind, and the ratio is 1.
        """
        value = self._value[ours] / self._value[theirs] if self._value[theirs] > 0 else 1.0
        return _estimate(value, _over(self._resampled[ours], self._resampled[theirs], 1.0))


def _resampled_sums(values_NM: Values, seed: int) -> Values:
    """The sum of every column in each of J resamples of the rows, J x M."""
    random, points, sums = np.random.default_rng(seed), len(values_NM), []
    for _ in range(0, RESAMPLES, AT_ONCE):
        drawn = random.integers(points, size=(AT_ONCE, points)) + np.arange(AT_ONCE)[:, None] * points
        times = np.bincount(drawn.ravel(), minlength=AT_ONCE * points).reshape(AT_ONCE, points)
        sums.append(times.astype(np.float64) @ values_NM)
    return np.concatenate(sums)


def _estimate(value: float, values_J: Values) -> Estimate:
    low, high = np.percentile(values_J, PERCENT)
    return Estimate(value, float(low), float(high))


def _over(above_J: Values, below_J: Values, otherwise: float) -> Values:
    ratio_J: Values = np.divide(above_J, below_J, out=np.full(len(above_J), otherwise), where=below_J > 0)
    return ratio_J
