"""How far chance alone could move a figure, had other sessions happened: the delete-a-group jackknife."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from eclare.evaluation.bootstrap import PERCENT, Estimate

Name = TypeVar("Name", bound=Hashable)
Values = npt.NDArray[np.float64]


class Jackknife(Generic[Name]):
    """Figures by name, and what each would be without each of G groups of sessions: all are paired.

    Sessions are what chance draws: one makes many pairs right at once, for several products. Each lies in one group, so
    that the figures without each group vary as sessions do, whatever is in them. The standard error is that of Kott
    ("The delete-a-group jackknife", Journal of Official Statistics 17, 2001), around the mean of these figures: without
    a group fewer pairs are shared often enough to count, which moves all of them alike. The interval is as many
    standard errors to either side as Student's t with G - 1 degrees of freedom has for 95%. A bootstrap would not do:
    drawn twice, one session would make a pair that two must share.
    """

    def __init__(self, figures: Mapping[Name, float], without_G: Sequence[Mapping[Name, float]]) -> None:
        """A figure that cannot be computed without a group, and is missing there, counts as 0.

        Raises ValueError for fewer than two groups.
        """
        if len(without_G) < 2:
            raise ValueError(f"intervals need 2 groups of sessions or more, got {len(without_G)}")
        self._figures = figures
        self._without = {name: np.array([each.get(name, 0.0) for each in without_G]) for name in figures}
        self._errors = float(stdtrit(len(without_G) - 1, PERCENT[1] / 100))

    @property
    def names(self) -> Collection[Name]:
        """The figures that there are."""
        return self._figures.keys()

    def estimate(self, name: Name) -> Estimate:
        """A figure, a share from 0 to 1, with its interval."""
        return self._estimate(self._figures[name], self._without[name], 1.0)

    def ratio(self, ours: Name, theirs: Name) -> Estimate:
        """One figure over another with its interval, paired: both are without the same group.

        Where theirs is 0 there is nothing to fall behind, and the ratio is 1.
        """
        value = _over(np.array([self._figures[ours]]), np.array([self._figures[theirs]]))
        return self._estimate(float(value[0]), _over(self._without[ours], self._without[theirs]), np.inf)

    def _estimate(self, value: float, without_G: Values, highest: float) -> Estimate:
        groups = len(without_G)
        error = float(np.sqrt((groups - 1) * without_G.var()))
        return Estimate(value, max(value - self._errors * error, 0.0), min(value + self._errors * error, highest))


def _over(above_G: Values, below_G: Values) -> Values:
    ratio_G: Values = np.divide(above_G, below_G, out=np.ones(len(above_G)), where=below_G > 0)
    return ratio_G
