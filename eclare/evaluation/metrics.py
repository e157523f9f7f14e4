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


class Metric(NamedTuple):
    """One figure: its name (P, PSP, nDCG, recall, coverage), the cut k, a share between 0 and 1."""

    name: str
    k: int
    value: float


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
    frequency_L = np.bincount(clicked_NL.indices, minlength=clicked_NL.shape[1])
    order = np.argsort(-frequency_L, kind="stable")
    before = np.cumsum(frequency_L[order]) - frequency_L[order]
    of_label = np.empty(len(order), np.int8)
    of_label[order] = np.where(frequency_L[order] > 0, 3 * before // max(frequency_L.sum(), 1), len(SEGMENTS) - 1)
    return of_label


def segment_recall(
    labels_NK: npt.NDArray[np.int32], truth_NL: sp.csr_matrix, segment_L: npt.NDArray[np.int8], k: int
) -> dict[str, float]:
    """Recall@k that counts the true labels of one segment alone, over the points that have one; others are left out."""
    found = {}
    for place, name in enumerate(SEGMENTS):
        of_segment = truth_NL @ sp.diags_array((segment_L == place).astype(np.float32), format="csr")
        of_segment.eliminate_zeros()
        judged = np.flatnonzero(np.diff(of_segment.indptr))
        if len(judged):
            hits = _hits(labels_NK[judged, :k], of_segment[judged]).sum(axis=1)
            found[name] = float((hits / np.diff(of_segment[judged].indptr)).mean())
    return found


def evaluate(
    labels_NK: npt.NDArray[np.int32],
    truth_NL: sp.csr_matrix,
    inverse_propensity_L: npt.NDArray[np.float64],
    ks: Iterable[int],
) -> list[Metric]:
    """P@k, PSP@k, nDCG@k, recall@k over the points with a true label, and coverage@k, the share of labels ever shown.

    labels_NK: label rows by falling score, PAD where there is none; truth_NL: CSR, a positive entry is true.
    Raises ValueError when no point has a true label or k exceeds K.
    """
    judged = np.flatnonzero(np.diff(truth_NL.indptr))
    if not len(judged):
        raise ValueError("evaluation needs at least one point with a true label, got none")
    labels, truth = labels_NK[judged], truth_NL[judged]
    hits = _hits(labels, truth)
    gains = np.where(hits, inverse_propensity_L[np.maximum(labels, 0)], 0.0)
    true_count = np.diff(truth.indptr)
    metrics = []
    for k in ks:
        if k > labels.shape[1]:
            raise ValueError(f"k must be at most the {labels.shape[1]} labels of each point, got {k}")
        discount = 1 / np.log2(np.arange(k) + 2)
        ideal = np.cumsum(discount)[np.minimum(true_count, k) - 1]
        shown = np.unique(labels[:, :k])
        metrics += [
            Metric("P", k, hits[:, :k].mean()),
            Metric("PSP", k, gains[:, :k].sum() / _best_gains(truth, inverse_propensity_L, k)),
            Metric("nDCG", k, ((hits[:, :k] @ discount) / ideal).mean()),
            Metric("recall", k, (hits[:, :k].sum(axis=1) / true_count).mean()),
            Metric("coverage", k, (shown != PAD).sum() / truth.shape[1]),
        ]
    return [metric._replace(value=float(metric.value)) for metric in metrics]


def _hits(labels_NK: npt.NDArray[np.int32], truth_NL: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Which of the recommended labels are true: one search in the sorted list of true (point, label) pairs."""
    points, labels = truth_NL.shape
    true_pairs = np.repeat(np.arange(points), np.diff(truth_NL.indptr)) * labels + truth_NL.indices
    pairs = np.arange(points)[:, None] * labels + labels_NK
    return np.asarray(np.isin(pairs, true_pairs) & (labels_NK != PAD))


def _best_gains(truth_NL: sp.csr_matrix, inverse_propensity_L: npt.NDArray[np.float64], k: int) -> float:
    """The sum of the gains that the best possible k labels of every point would bring."""
    gain = inverse_propensity_L[truth_NL.indices]
    best, _ = best_entries(rows_of(truth_NL), truth_NL.indices, gain, k)
    return float(gain[best].sum())
