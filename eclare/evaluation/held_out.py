"""Lists of related products judged by what sessions held afterwards, with intervals over these sessions."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.evaluation.jackknife import Jackknife
from eclare.evaluation.metrics import Truth, inverse_propensities, related_gains, segments
from eclare.evaluation.session_groups import Seen, SessionGroups


class Key(NamedTuple):
    """Which figure: of a system, a metric at a cut k, over all related products or those of one segment."""

    system: str
    metric: str
    k: int
    segment: str


class HeldOut:
    """What sessions after a cut say of Q queries, the products that have a related one there, and of their lists.

    Two truths: P to recall ask what sessions share, lift what they share more often than by chance. training_PP: what
    says which products are rare, by propensity and segment; cuts: k of every metric, the largest that of the segments.
    """

    def __init__(self, groups: SessionGroups, training_PP: sp.csr_matrix, cuts: Sequence[int]) -> None:
        self._groups, self._cuts, self.products = groups, cuts, groups.held_PG.shape[0]
        self._inverse_propensity_P, self._segment_P = inverse_propensities(training_PP), segments(training_PP)
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
        without = [self._figures(lists, self._groups.without(group)) for group in self._groups.occupied]
        return Jackknife(self._figures(lists, self._groups.all), without)

    def _figures(self, lists: Mapping[str, Rows], seen: Seen) -> dict[Key, float]:
        shared_QP = seen.shared_PP[self.queries]
        gains_QP = related_gains(shared_QP, seen.sessions_P[self.queries], seen.sessions_P, seen.sessions)
        truth = Truth(shared_QP, self._inverse_propensity_P, self._cuts, gains_QP, segment_L=self._segment_P)
        return {
            Key(system, each.name, each.k, each.segment): each.value
            for system, labels_QK in lists.items()
            for each in truth.metrics(labels_QK)
        }
