"""The best-scored columns of every row."""

import numba
import numpy as np

from eclare.arrays.csr import Floats, Rows

PAD = -1  # no column: ends rows that have fewer


def best_per_row(row: Rows, label: Rows, score: Floats, points: int, k: int) -> tuple[Rows, Floats]:
    """The k best-scored labels of every row, points x k, best first, ties by lower label.

    row, label, score: one entry a scored pair. Rows with fewer than k pairs end with PAD and score 0.
    """
    order = np.lexsort((label, -score, row))
    row, label, score = row[order], label[order], score[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    labels_NK = np.full((points, k), PAD, np.int32)
    scores_NK = np.zeros((points, k), np.float32)
    best = place < k
    labels_NK[row[best], place[best]] = label[best]
    scores_NK[row[best], place[best]] = score[best]
    return labels_NK, scores_NK


@numba.njit(parallel=True, cache=True)
def distinct_per_row(columns_NC: Rows, without_N: Rows) -> Rows:
    """Every row's columns once, sorted, without one of them; PAD is no column and ends the rows that have fewer."""
    distinct = np.full(columns_NC.shape, PAD, np.int32)
    counts = np.zeros(len(columns_NC), np.int64)
    for row in numba.prange(len(columns_NC)):
        last = np.int32(PAD)
        for column in np.sort(columns_NC[row]):
            if column > last and column != without_N[row]:
                distinct[row, counts[row]] = column
                counts[row] += 1
            last = column
    longest = 0
    for row in range(len(columns_NC)):
        longest = max(longest, counts[row])
    return distinct[:, :longest].copy()  # one layout, one compiled kernel: see CONTRIBUTING.md


@numba.njit(cache=True)
def best_of_row(labels: Rows, scores: Floats, best_K: Rows, best_scores_K: Floats) -> None:
    """Fill the two lists with the best-scored labels, best first, ties by lower label."""
    by_label = np.argsort(labels)
    order = by_label[np.argsort(-scores[by_label], kind="mergesort")][: len(best_K)]
    for place in range(len(order)):
        best_K[place], best_scores_K[place] = labels[order[place]], scores[order[place]]


@numba.njit(parallel=True, cache=True)
def best_of_rows(labels_NC: Rows, scores_NC: Floats, k: int) -> tuple[Rows, Floats]:
    """The k best-scored of every row's labels, best first, ties by lower label; -1 is no label: N x k."""
    best_NK, best_scores_NK = np.full((len(labels_NC), k), -1, np.int32), np.zeros((len(labels_NC), k), np.float32)
    for row in numba.prange(len(labels_NC)):
        there = labels_NC[row] >= 0
        best_of_row(labels_NC[row][there], scores_NC[row][there], best_NK[row], best_scores_NK[row])
    return best_NK, best_scores_NK
