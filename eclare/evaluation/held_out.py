"""Lists of related products judged by what sessions held afterwards, with intervals over these sessions."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.arrays.kernels import numba
from eclare.evaluation.jackknife import Jackknife
from eclare.evaluation.list_segments import by_history
from eclare.evaluation.metrics import PointMetric, Truth, inverse_propensities, related_gains, segments
from eclare.evaluation.session_groups import Seen, SessionGroups

BY_HISTORY = ("P", "lift")  # metrics at the largest cut that are also known by how many sessions held the query


class Key(NamedTuple):
    """Which figure: of a system, a metric at a cut k, of all or of one segment of products or queries."""

    system: str
    metric: str
    k: int
    segment: str


class HeldOut:
    """What sessions after a cut say of Q queries, the products that have a related one there, and of their lists.

    Two truths: P to recall ask what sessions share, lift what they share more often than by chance. training_PP: what
    says which products are rare, by propensity and segment; ks: k of every metric, the largest that of the segments;
    known_P: sessions of every product before the cut, which divide the queries by their history (list_segments).
    """

    def __init__(
        self, groups: SessionGroups, training_PP: sp.csr_matrix, ks: Sequence[int], known_P: npt.NDArray[np.floating]
    ) -> None:
        self._groups, self._ks, self.products = groups, ks, groups.held_PG.shape[0]
        self._inverse_propensity_P, self._segment_P = inverse_propensities(training_PP), segments(training_PP)
        self._history_P = by_history(known_P)
        self.queries: Rows = np.flatnonzero(np.diff(groups.all.shared_PP.indptr)).astype(np.int32)

    def among(self, queries: Rows) -> "HeldOut":
        """The same of the queries that are among these."""
        fewer = copy(self)
        fewer.queries = self.queries[np.isin(self.queries, queries)]
        return fewer

    def judge(self, lists: Mapping[str, Rows]) -> Jackknife[Key]:
        """The figures of every system's lists, Q x K, by all sessions and again by those outside each group.

        Without a group the truth is another one: fewer sessions share a pair, and fewer would by chance. Raises
        ValueError where all sessions are of one group.
        """
        seen_by_all = self._groups.all
        with ThreadPoolExecutor(numba.get_num_threads()) as pool:
            without = pool.map(lambda group: self._figures(lists, self._groups.without(group)), self._groups.occupied)
            return Jackknife(self._figures(lists, seen_by_all), list(without))

    def _figures(self, lists: Mapping[str, Rows], seen: Seen) -> dict[Key, float]:
        shared_QP = seen.shared_PP[self.queries]
        gains_QP = related_gains(shared_QP, seen.sessions_P[self.queries], seen.sessions_P, seen.sessions)
        truth = Truth(shared_QP, self._inverse_propensity_P, self._ks, gains_QP, segment_L=self._segment_P)
        return {
            Key(system, each.name, each.k, each.segment): each.value
            for system, labels_QK in lists.items()
            for each in self._with_history(truth.metrics(labels_QK))
        }

    def _with_history(self, metrics: Sequence[PointMetric]) -> Iterator[PointMetric]:
        """The metrics, then those of BY_HISTORY over the queries of each history that a query has."""
        yield from metrics
        _, names, place_P = self._history_P
        place_Q = place_P[self.queries]
        for each in metrics:
            if each.name in BY_HISTORY and each.k == max(self._ks):
                for place in np.unique(place_Q):
                    earned_Q, possible_Q = (
                        values_Q * (place_Q == place) for values_Q in (each.earned_N, each.possible_N)
                    )
                    yield each._replace(earned_N=earned_Q, possible_N=possible_Q, segment=names[place])
