"""The best-scored columns of every row: of scored entries (NumPy), of lists (kernels), one at a time (insertion)."""

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.kernels import numba

PAD = -1  # no column: ends rows that have fewer


def best_entries(
    row: npt.NDArray[np.integer], column: npt.NDArray[np.integer], score: npt.NDArray[np.floating], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which entries are among the k best-scored of their row, and the place of each, from 0.

    row, column, score: one of each an entry. Sorted by row, best first, ties by lower column.
    """
    order = np.lexsort((column, -score, row))
    sorted_row = row[order]
    place = np.arange(len(order)) - np.searchsorted(sorted_row, sorted_row)
    return order[place < k], place[place < k]


def best_per_row(row: Rows, label: Rows, score: Floats, points: int, k: int) -> tuple[Rows, Floats]:
    """The k best-scored labels of every row, points x k, best first, ties by lower label.

    row, label, score: one of each a scored label of a point. Rows with fewer than k end with PAD and score 0.
    """
    entries, place = best_entries(row, label, score, k)
    labels_NK = np.full((points, k), PAD, np.int32)
    scores_NK = np.zeros((points, k), np.float32)
    labels_NK[row[entries], place] = label[entries]
    scores_NK[row[entries], place] = score[entries]
    return labels_NK, scores_NK


@numba.njit(cache=True)
def largest(values: Floats, k: int) -> npt.NDArray[np.int64]:
    """Where the k largest values are, largest first, ties by lower place."""
    return np.argsort(-values, kind="mergesort")[:k]


@numba.njit(cache=True)
def insert(columns_K: Rows, values_K: Floats, column: np.int32, value: np.float32) -> None:
    """Insert a column into a list that falls by value: it goes behind its equals, the last one drops out."""
    slot = len(values_K)
    while slot > 0 and value > values_K[slot - 1]:
        slot -= 1
    if slot < len(values_K):
        for moved in range(len(values_K) - 1, slot, -1):
            columns_K[moved], values_K[moved] = columns_K[moved - 1], values_K[moved - 1]
        columns_K[slot], values_K[slot] = column, value


@numba.njit(cache=True)
def best_of_row(labels: Rows, scores: Floats, best_K: Rows, best_scores_K: Floats) -> None:
    """Fill the two lists with the best-scored labels, best first, ties by lower label."""
    by_label = np.argsort(labels)
    best = by_label[largest(scores[by_label], len(best_K))]
    for place in range(len(best)):
        best_K[place], best_scores_K[place] = labels[best[place]], scores[best[place]]


@numba.njit(parallel=True, cache=True)
def best_of_rows(labels_NC: Rows, scores_NC: Floats, k: int) -> tuple[Rows, Floats]:
    """The k best-scored of every row's labels, best first, ties by lower label, N x k; PAD is no label."""
    best_NK, best_scores_NK = np.full((len(labels_NC), k), PAD, np.int32), np.zeros((len(labels_NC), k), np.float32)
    for row in numba.prange(len(labels_NC)):
        known = labels_NC[row] != PAD
        best_of_row(labels_NC[row][known], scores_NC[row][known], best_NK[row], best_scores_NK[row])
    return best_NK, best_scores_NK


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


@numba.njit(parallel=True, cache=True)
def only_among(columns_NC: Rows, others_NM: Rows) -> Rows:
    """Every row's columns, PAD in place of those that the same row of others lacks; both as `distinct_per_row` made."""
    kept = np.full(columns_NC.shape, PAD, np.int32)
    for row in numba.prange(len(columns_NC)):
        place = 0
        for other in others_NM[row]:
            while place < columns_NC.shape[1] and columns_NC[row, place] != PAD and columns_NC[row, place] < other:
                place += 1
            if other != PAD and place < columns_NC.shape[1] and columns_NC[row, place] == other:
                kept[row, place] = other
    return kept
