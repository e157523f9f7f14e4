"""How good recommendations are on clicks that training never saw (metrics of the Extreme Classification Repository)."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSRStack, Floats, rows_of
from eclare.arrays.products import look_up
from eclare.arrays.topk import PAD, best_entries

PROPENSITY_A, PROPENSITY_B = 0.6, 2.6  # the Amazon sets' constants (Jain, Prabhu, Varma, KDD 2016)


SEGMENTS = ("head", "torso", "tail")
LEAST_SESSIONS = 2  # that two products must share to be related: one is chance


class Metric(NamedTuple):
    """One figure: its name (P, PSP, nDCG, recall, lift, coverage), the cut k, a share between 0 and 1."""

    name: str
    k: int
    value: float


class PointMetric(NamedTuple):
    """A metric point by point: name, cut k, what each of N points earned of what it could, and the labels that count.

    The metric is the sum of earned_N over the sum of possible_N, so that points can be resampled. segment: all labels
    count, or those of one of SEGMENTS alone.
    """

    name: str
    k: int
    earned_N: npt.NDArray[np.float64]
    possible_N: npt.NDArray[np.float64]
    segment: str = "all"

    @property
    def value(self) -> float:
        """The metric over all points; 0 where nothing could be earned."""
        possible = float(self.possible_N.sum())
        return float(self.earned_N.sum()) / possible if possible > 0 else 0.0


def inverse_propensities(
    clicked_NL: sp.csr_matrix, a: float = PROPENSITY_A, b: float = PROPENSITY_B
) -> npt.NDArray[np.float64]:
    """Weight of a hit on each label, high for labels with few training points, L (Jain et al., KDD 2016, eq. 7).

    clicked_NL: training clicks of N >= 3 points (below e the formula has no meaning).
    """
    points, frequency_L = clicked_NL.shape[0], np.bincount(clicked_NL.indices, minlength=clicked_NL.shape[1])
    c = (np.log(max(points, 3)) - 1) * (b + 1) ** a
    return np.asarray(1 + c * (frequency_L + b) ** -a)


def segments(clicked_NL: sp.csr_matrix) -> npt.NDArray[np.int8]:
    """The place in SEGMENTS of each label: a third of all training points each, those with most points first, L."""
    return thirds(np.bincount(clicked_NL.indices, minlength=clicked_NL.shape[1]))


def thirds(count_L: npt.NDArray[np.number]) -> npt.NDArray[np.int8]:
    """0, 1 or 2 for each of L counts: each has a third of their sum, the largest first; 2 where a count is 0."""
    count_L = count_L.astype(np.int64)
    order = np.argsort(-count_L, kind="stable")
    before = np.cumsum(count_L[order]) - count_L[order]
    of_label = np.empty(len(order), np.int8)
    of_label[order] = np.where(count_L[order] > 0, 3 * before // max(count_L.sum(), 1), len(SEGMENTS) - 1)
    return of_label


def related_gains(
    shared_NL: sp.csr_matrix, sessions_N: npt.NDArray[np.floating], sessions_L: npt.NDArray[np.floating], sessions: int
) -> sp.csr_matrix:
    """What related labels are worth, CSR N x L: log(1 + lift) of pairs that met twice or more and more than by chance.

    shared_NL: sessions that held both; sessions_N, sessions_L: that held either; sessions: all of them. Lift is how
    many sessions were shared over how many would be by chance, sessions of one x sessions of the other / all (Brin,
    Motwani, Ullman, Tsur, SIGMOD 1997, "interest"). Raises ValueError where pairs met but there are no sessions.
    """
    if shared_NL.nnz and sessions <= 0:
        raise ValueError(
            f"lift needs the number of all sessions, 1 or more, got {sessions} beside {shared_NL.nnz} pairs"
        )
    row = rows_of(shared_NL)
    by_chance = np.maximum(sessions_N[row] * sessions_L[shared_NL.indices].astype(np.float64), 1) / max(sessions, 1)
    lift = shared_NL.data / by_chance
    gain = np.where((shared_NL.data >= LEAST_SESSIONS) & (lift >= 1), np.log1p(lift), 0)
    related = gain > 0
    shape = shared_NL.shape
    return sp.csr_matrix((gain[related], (row[related], shared_NL.indices[related])), shape=shape)


def evaluate(
    labels_NK: npt.NDArray[np.int32],
    truth_NL: sp.csr_matrix,
    inverse_propensity_L: npt.NDArray[np.float64],
    ks: Iterable[int],
    *,
    count_empty: bool = False,
) -> list[Metric]:
    """P@k, PSP@k, nDCG@k, recall@k of all points together, and coverage@k, the share of labels ever shown.

    Arguments and errors are those of `point_metrics`; points without a true label show nothing, unless count_empty.
    """
    ks = list(ks)
    of_points = point_metrics(labels_NK, truth_NL, inverse_propensity_L, ks, count_empty=count_empty)
    judged = labels_NK if count_empty else labels_NK[np.diff(truth_NL.indptr) > 0]
    metrics = []
    for k in ks:
        metrics += [Metric(each.name, k, each.value) for each in of_points if each.k == k]
        metrics.append(coverage(judged, k, truth_NL.shape[1]))
    return metrics


def coverage(labels_NK: npt.NDArray[np.int32], k: int, labels: int) -> Metric:
    """Coverage@k: the share of all labels that any point is shown among its first k."""
    shown = np.unique(labels_NK[:, :k])
    return Metric("coverage", k, float((shown != PAD).sum() / labels))


def point_metrics(
    labels_NK: npt.NDArray[np.int32],
    truth_NL: sp.csr_matrix,
    inverse_propensity_L: npt.NDArray[np.float64],
    ks: Iterable[int],
    gains_NL: sp.csr_matrix | None = None,
    *,
    count_empty: bool = False,
) -> list[PointMetric]:
    """P@k, PSP@k, nDCG@k, recall@k point by point, and lift@k where gains_NL says what related labels are worth.

    labels_NK: label rows by falling score, PAD where there is none; truth_NL: CSR, a positive entry is true; gains_NL:
    CSR, see `related_gains`: lift@k is the discounted gain over that of the best k. Points without a true label are not
    judged, with count_empty they earn 0 as in the authors' evaluation; PSP, a ratio of sums, is the same in both.
    Raises ValueError when no point has a true label or k exceeds K.
    """
    truth = Truth(truth_NL, inverse_propensity_L, ks, gains_NL, count_empty=count_empty)
    if not truth_NL.nnz:
        raise ValueError("evaluation needs at least one point with a true label, got none")
    return truth.metrics(labels_NK)


class Truth:
    """The true labels of N points, ready to judge many lists by; the arguments are those of `point_metrics`.

    segment_L: the segment of each label (see `segments`), for recall at the largest k of the true labels of each alone.
    """

    def __init__(
        self,
        truth_NL: sp.csr_matrix,
        inverse_propensity_L: npt.NDArray[np.float64],
        ks: Iterable[int],
        gains_NL: sp.csr_matrix | None = None,
        *,
        segment_L: npt.NDArray[np.int8] | None = None,
        count_empty: bool = False,
    ) -> None:
        self._inverse_propensity_L, self._ks = inverse_propensity_L, list(ks)
        self._discount = 1 / np.log2(np.arange(max(self._ks)) + 2)
        self._true = _Entries.of(truth_NL)
        self._true_count_N = np.diff(truth_NL.indptr)
        self._judged_N = np.where(count_empty, 1.0, self._true_count_N > 0)
        self._best_psp = self._true.best(inverse_propensity_L[self._true.label_E], np.ones(len(self._discount)))
        self._gains = None if gains_NL is None else _Entries.of(gains_NL)
        self._best_lift = None if self._gains is None else self._gains.best(self._gains.value_E, self._discount)
        self._segment_L = segment_L

    def metrics(self, labels_NK: npt.NDArray[np.int32]) -> list[PointMetric]:
        """What `point_metrics` gives, and recall by segment; raises ValueError when k exceeds K.

        Recall by segment is over the points that have a true label of the segment; segments without one are left out.
        """
        if max(self._ks) > labels_NK.shape[1]:
            raise ValueError(f"k must be at most the {labels_NK.shape[1]} labels of each point, got {max(self._ks)}")
        labels_NK = np.ascontiguousarray(labels_NK[:, : max(self._ks)], np.int32)
        hits = self._true.values(labels_NK) > 0
        weights = np.where(hits, self._inverse_propensity_L[np.maximum(labels_NK, 0)], 0.0)
        ideal, hits_NK = np.cumsum(self._discount), hits.cumsum(axis=1)
        dcg_NK, psp_NK = (hits * self._discount).cumsum(axis=1), weights.cumsum(axis=1)
        lift_NK = None if self._gains is None else (self._gains.values(labels_NK) * self._discount).cumsum(axis=1)
        metrics = []
        for k in self._ks:
            hits_N, best_N = hits_NK[:, k - 1], ideal[np.clip(self._true_count_N, 1, k) - 1]
            metrics += [
                PointMetric("P", k, hits_N / k, self._judged_N),
                PointMetric("PSP", k, psp_NK[:, k - 1], self._best_psp[:, k - 1]),
                PointMetric("nDCG", k, dcg_NK[:, k - 1] / best_N, self._judged_N),
                PointMetric("recall", k, hits_N / np.maximum(self._true_count_N, 1), self._judged_N),
            ]
            if lift_NK is not None and self._best_lift is not None:
                best_N = self._best_lift[:, k - 1]
                share_N = np.divide(lift_NK[:, k - 1], best_N, np.zeros(len(best_N)), where=best_N > 0)
                metrics.append(PointMetric("lift", k, share_N * self._judged_N, self._judged_N))
        return metrics + ([] if self._segment_L is None else self._recall_by_segment(labels_NK, hits, self._segment_L))

    def _recall_by_segment(
        self, labels_NK: npt.NDArray[np.int32], hits: npt.NDArray[np.bool_], segment_L: npt.NDArray[np.int8]
    ) -> list[PointMetric]:
        k, of_entry, found = max(self._ks), segment_L[self._true.label_E], []
        of_hit = np.where(hits, segment_L[np.maximum(labels_NK, 0)], len(SEGMENTS))
        for place, name in enumerate(SEGMENTS):
            true_count_N = np.bincount(self._true.row_E[of_entry == place], minlength=len(labels_NK))
            if true_count_N.any():
                recall_N = (of_hit == place).sum(axis=1) / np.maximum(true_count_N, 1)
                found.append(PointMetric("recall", k, recall_N, (true_count_N > 0).astype(float), name))
        return found


class _Entries(NamedTuple):
    """The entries of an N x L matrix in the order of row and label, all positive, to look labels of lists up in."""

    matrix: CSRStack
    row_E: npt.NDArray[np.int32]
    label_E: npt.NDArray[np.int32]
    value_E: Floats

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> "_Entries":
        matrix = matrix if matrix.has_sorted_indices else matrix.sorted_indices()
        value_E = matrix.data.astype(np.float32)
        return cls(CSRStack.of(matrix, value_E[:, None]), rows_of(matrix), matrix.indices, value_E)

    def values(self, labels_NK: npt.NDArray[np.int32]) -> Floats:
        """The value at each recommended label; 0 where there is none."""
        values_NKM: Floats = look_up(self.matrix, np.arange(len(labels_NK), dtype=np.int32), labels_NK)
        return values_NKM[..., 0]

    def best(self, gain_E: npt.NDArray[np.floating], discount_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The discounted gain that the best possible labels of every point would bring among the first k, N x K."""
        best, place = best_entries(self.row_E, self.label_E, gain_E, len(discount_K))
        gains_NK = np.zeros((len(self.matrix.indptr) - 1, len(discount_K)))
        gains_NK[self.row_E[best], place] = gain_E[best] * discount_K[place]
        return np.cumsum(gains_NK, axis=1)
