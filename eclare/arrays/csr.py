"""Compressed sparse rows, as scipy and as numba take them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Rows = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Starts = npt.NDArray[np.int64]  # of rows among entries, of which there may be more than 2^31


class CSR(NamedTuple):
    """A CSR matrix as numba takes it, columns sorted: row r has data[indptr[r]:indptr[r + 1]]."""

    indptr: Starts
    indices: Rows
    data: Floats

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> "CSR":
        """The same entries, without a copy where their types are these; numba compiles one signature."""
        if not matrix.has_sorted_indices:
            matrix = matrix.sorted_indices()
        return cls(*_places(matrix), matrix.data.astype(np.float32, copy=False))


class CSRStack(NamedTuple):
    """M matrices that have their entries at the same places: as CSR, with entries x M data."""

    indptr: Starts
    indices: Rows
    data_EM: Floats

    @classmethod
    def of(cls, pattern: sp.csr_matrix, data_EM: Floats) -> "CSRStack":
        """data_EM: of the pattern's entries in their order, whose columns are sorted."""
        return cls(*_places(pattern), data_EM)


def _places(matrix: sp.csr_matrix) -> tuple[Starts, Rows]:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False)


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
