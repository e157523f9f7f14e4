"""How good recommendations are on clicks that training never saw (metrics of the Extreme Classification Repository)."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import rows_of
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
    """A metric point by point: name, cut k, and what each of N points earned of what it could.

    The metric is the sum of earned_N over the sum of possible_N, so that points can be resampled.
    """

    name: str
    k: int
    earned_N: npt.NDArray[np.float64]
    possible_N: npt.NDArray[np.float64]

    @property
    def value(self) -> float:
        """The metric over all points."""
        return float(self.earned_N.sum() / self.possible_N.sum())


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


def segment_recall(
    labels_NK: npt.NDArray[np.int32], truth_NL: sp.csr_matrix, segment_L: npt.NDArray[np.int8], k: int
) -> dict[str, PointMetric]:
    """Recall@k that counts the true labels of one segment alone, over the points that have one; others are left out."""
    found = {}
    for place, name in enumerate(SEGMENTS):
        of_segment = truth_NL @ sp.diags_array((segment_L == place).astype(np.float32), format="csr")
        of_segment.eliminate_zeros()
        true_count = np.diff(of_segment.indptr)
        if true_count.any():
            hits = _hits(labels_NK[:, :k], of_segment).sum(axis=1)
            found[name] = PointMetric("recall", k, hits / np.maximum(true_count, 1), (true_count > 0).astype(float))
    return found


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
    true_count = np.diff(truth_NL.indptr)
    if not true_count.any():
        raise ValueError("evaluation needs at least one point with a true label, got none")
    judged = np.ones(len(true_count)) if count_empty else (true_count > 0).astype(float)
    hits = _hits(labels_NK, truth_NL)
    gains = np.where(hits, inverse_propensity_L[np.maximum(labels_NK, 0)], 0.0)
    metrics = []
    for k in ks:
        if k > labels_NK.shape[1]:
            raise ValueError(f"k must be at most the {labels_NK.shape[1]} labels of each point, got {k}")
        discount = 1 / np.log2(np.arange(k) + 2)
        ideal = np.cumsum(discount)[np.clip(true_count, 1, k) - 1]
        best = _best(truth_NL, inverse_propensity_L[truth_NL.indices], np.ones(k))
        metrics += [
            PointMetric("P", k, hits[:, :k].mean(axis=1), judged),
            PointMetric("PSP", k, gains[:, :k].sum(axis=1), best),
            PointMetric("nDCG", k, (hits[:, :k] @ discount) / ideal, judged),
            PointMetric("recall", k, hits[:, :k].sum(axis=1) / np.maximum(true_count, 1), judged),
        ]
        if gains_NL is not None:
            best = _best(gains_NL, gains_NL.data, discount)
            earned = np.divide(
                _values(gains_NL, labels_NK[:, :k]) @ discount, best, np.zeros(len(best)), where=best > 0
            )
            metrics.append(PointMetric("lift", k, earned * judged, judged))
    return metrics


def _hits(labels_NK: npt.NDArray[np.int32], truth_NL: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Which of the recommended labels are true: one search in the sorted list of true (point, label) pairs."""
    points, labels = truth_NL.shape
    true_pairs = np.repeat(np.arange(points), np.diff(truth_NL.indptr)) * labels + truth_NL.indices
    pairs = np.arange(points)[:, None] * labels + labels_NK
    return np.asarray(np.isin(pairs, true_pairs) & (labels_NK != PAD))


def _values(matrix: sp.csr_matrix, labels_NK: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """The entries at the recommended labels, N x K; 0 where there is none."""
    points, labels = matrix.shape
    matrix = matrix.sorted_indices()
    stored = rows_of(matrix).astype(np.int64) * labels + matrix.indices
    wanted = np.arange(points)[:, None] * labels + labels_NK
    at = np.minimum(np.searchsorted(stored, wanted), max(len(stored) - 1, 0))
    if not len(stored):
        return np.zeros(labels_NK.shape)
    return np.where((stored[at] == wanted) & (labels_NK != PAD), matrix.data[at], 0.0)


def _best(
    truth_NL: sp.csr_matrix, gain_E: npt.NDArray[np.floating], discount_K: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The discounted gain that the best possible labels of every point would bring, N; gain_E: of its entries."""
    row = rows_of(truth_NL)
    best, place = best_entries(row, truth_NL.indices, gain_E, len(discount_K))
    return np.bincount(row[best], gain_E[best] * discount_K[place], truth_NL.shape[0]).astype(np.float64)
