"""Compressed sparse rows, as scipy and as numba take them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Rows = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class CSR(NamedTuple):
    """A CSR matrix as numba takes it, columns sorted: row r has data[indptr[r]:indptr[r + 1]]."""

    indptr: Rows
    indices: Rows
    data: Floats

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> "CSR":
        """The same entries; numba compiles one signature, so the types are always these."""
        if not matrix.has_sorted_indices:
            matrix = matrix.sorted_indices()
        return cls(matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))


class CSRStack(NamedTuple):
    """M matrices that have their entries at the same places: as CSR, with entries x M data."""

    indptr: Rows
    indices: Rows
    data_EM: Floats


def rows_of(matrix: sp.csr_matrix) -> Rows:
    """The row of every stored entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


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
