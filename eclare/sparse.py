"""Rows of sparse matrices: ranked, cut to their heaviest entries, scaled."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.recommendations import NOTHING

Rows = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def best_per_row(row: Rows, label: Rows, score: Floats, points: int, k: int) -> tuple[Rows, Floats]:
    """The k best-scored labels of every row, points x k, best first, ties by lower label.

    row, label, score: one entry a scored pair. Rows with fewer than k pairs end with NOTHING and score 0.
    """
    order = np.lexsort((label, -score, row))
    row, label, score = row[order], label[order], score[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    labels_NK = np.full((points, k), NOTHING, np.int32)
    scores_NK = np.zeros((points, k), np.float32)
    best = place < k
    labels_NK[row[best], place[best]] = label[best]
    scores_NK[row[best], place[best]] = score[best]
    return labels_NK, scores_NK


def rows_of(matrix: sp.csr_matrix) -> Rows:
    """The row of every stored entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


def keep_heaviest(matrix: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k largest entries of every row, ties by lower column; columns sorted."""
    row = rows_of(matrix)
    order = np.lexsort((matrix.indices, -matrix.data, row))
    kept = np.sort(order[np.arange(len(row)) - matrix.indptr[row] < k])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=matrix.shape[0]))])
    cut = sp.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
    cut.sort_indices()
    return cut


def scale_rows(matrix: sp.csr_matrix, scale_N: npt.NDArray[np.floating]) -> sp.csr_matrix:
    """Every row times its number, float32, entries in the same order."""
    data = (matrix.data * np.repeat(scale_N, np.diff(matrix.indptr))).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def with_largest_one(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Rows scaled so that the largest entry of each is 1; rows of zeros stay zero."""
    largest = matrix.max(axis=1).toarray().ravel()
    return scale_rows(matrix, np.divide(1, largest, out=np.zeros_like(largest), where=largest > 0))


def with_sum_one(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Rows scaled to a sum of 1; rows of zeros stay zero."""
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return scale_rows(matrix, np.divide(1, total, out=np.zeros_like(total), where=total > 0))
