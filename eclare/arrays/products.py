"""Products of sparse matrices that are never whole in memory: their heaviest entries, or those asked for."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, CSRStack, Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD, largest


def keep_heaviest(matrix: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k largest entries of every row, ties by lower column; columns sorted, float32."""
    return heaviest_of_product(sp.identity(matrix.shape[0], np.float32, format="csr"), matrix, k)


def heaviest_of_product(
    left: sp.csr_matrix, right: sp.csr_matrix, k: int, *, with_diagonal: bool = True
) -> sp.csr_matrix:
    """The k largest entries of every row of left @ right, which is never whole in memory; float32, columns sorted.

    All entries must be positive. Ties go to the lower column. Sums run in the order of left's columns, so the result
    does not depend on the number of threads.
    """
    shape = left.shape[0], right.shape[1]
    terms = np.concatenate([[0], np.cumsum(np.diff(right.indptr)[left.indices], dtype=np.int64)])
    most_N = np.minimum(np.diff(terms[left.indptr]), min(k, shape[1]))
    starts = np.concatenate([[0], np.cumsum(most_N)])
    kept = _Kept(
        starts, np.zeros(shape[0], np.int64), np.full(starts[-1], PAD, np.int32), np.empty(starts[-1], np.float32)
    )
    _keep_heaviest_of_rows(CSR.of(left), CSR.of(right), _Limits(k, with_diagonal), _Scratch.of(*shape), kept)
    filled = kept.columns != PAD
    indptr = np.concatenate([[0], np.cumsum(kept.counts)])
    return sp.csr_matrix((kept.values[filled], kept.columns[filled], indptr), shape=shape)


def product_at(left: CSR, right: CSR, columns_NC: Rows, columns: int) -> Floats:
    """Entries (left @ right)[n, columns_NC[n]] of a sparse product with so many columns, N x C; 0 for PAD.

    Sums up whole rows of `right`, so best where they are short; all entries must be positive.
    """
    found: Floats = _product_at(left, right, columns_NC, _Scratch.of(len(columns_NC), columns))
    return found


class _Scratch(NamedTuple):
    """Where each worker sums up one row of a product, workers x columns."""

    totals: Floats  # zeros before and after every row
    met: Rows  # columns of the row, in order of meeting

    @classmethod
    def of(cls, rows: int, columns: int) -> "_Scratch":
        workers = min(numba.get_num_threads(), max(rows, 1))
        return cls(np.zeros((workers, columns), np.float32), np.empty((workers, columns), np.int32))


class _Limits(NamedTuple):
    k: int
    with_diagonal: bool


class _Kept(NamedTuple):
    """Room for the kept entries of every row, which begin at its start, and how many there are."""

    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    columns: Rows
    values: Floats


@numba.njit(parallel=True, cache=True)
def _keep_heaviest_of_rows(left: CSR, right: CSR, limits: _Limits, scratch: _Scratch, kept: _Kept) -> None:
    workers = len(scratch.totals)
    for worker in numba.prange(workers):
        total = scratch.totals[worker]
        for row in range(worker, len(kept.counts), workers):
            met = _sum_row(left, right, row, total, scratch.met[worker])
            columns = np.sort(met if limits.with_diagonal else met[met != row])
            if len(columns) > limits.k:
                columns = np.sort(columns[largest(total[columns], limits.k)])
            _keep(kept, row, columns, total)
            _clear(total, met)


@numba.njit(cache=True)
def _keep(kept: _Kept, row: int, columns: Rows, total: Floats) -> None:
    """A function of its own: numba's parallel loops lose what is written to the fields of a tuple."""
    kept.counts[row] = len(columns)
    for place in range(len(columns)):
        kept.columns[kept.starts[row] + place] = columns[place]
        kept.values[kept.starts[row] + place] = total[columns[place]]


@numba.njit(parallel=True, cache=True)
def _product_at(left: CSR, right: CSR, columns_NC: Rows, scratch: _Scratch) -> Floats:
    entries = np.zeros(columns_NC.shape, np.float32)
    workers = len(scratch.totals)
    for worker in numba.prange(workers):
        total = scratch.totals[worker]
        for row in range(worker, len(columns_NC), workers):
            met = _sum_row(left, right, row, total, scratch.met[worker])
            for place in range(columns_NC.shape[1]):
                if columns_NC[row, place] != PAD:
                    entries[row, place] = total[columns_NC[row, place]]
            _clear(total, met)
    return entries


@numba.njit(cache=True)
def _sum_row(left: CSR, right: CSR, row: int, total: Floats, met: Rows) -> Rows:
    """Add row of left @ right to zeros; the columns that it has, in order of meeting."""
    count = 0
    for i in range(left.indptr[row], left.indptr[row + 1]):
        middle, weight = left.indices[i], left.data[i]
        for j in range(right.indptr[middle], right.indptr[middle + 1]):
            column = right.indices[j]
            if total[column] == 0:
                met[count] = column
                count += 1
            total[column] += weight * right.data[j]
    return met[:count]


@numba.njit(cache=True)
def product(left: CSR, right: CSR, columns: int) -> CSR:
    """The whole left @ right, which has so many columns; these are sorted. All entries must be positive.

    For few rows: scipy would take longer to make its matrices than to multiply them.
    """
    most = 0
    for middle in left.indices:
        most += right.indptr[middle + 1] - right.indptr[middle]
    indptr, indices, data = np.zeros_like(left.indptr), np.empty(most, np.int32), np.empty(most, np.float32)
    total, met = np.zeros(columns, np.float32), np.empty(columns, np.int32)
    end = 0
    for row in range(len(indptr) - 1):
        for column in np.sort(_sum_row(left, right, row, total, met)):
            indices[end], data[end] = column, total[column]
            total[column] = 0
            end += 1
        indptr[row + 1] = end
    return CSR(indptr, indices[:end].copy(), data[:end].copy())


@numba.njit(cache=True)
def _clear(total: Floats, met: Rows) -> None:
    for column in met:
        total[column] = 0


@numba.njit(parallel=True, cache=True)
def sampled_product(left: CSR, right: CSR, columns_NC: Rows) -> Floats:
    """The same by looking every column up, so best where the rows of `right` are long and the columns few.

    left: N x M; right: M x L with sorted columns.
    """
    entries = np.zeros(columns_NC.shape, np.float32)
    for row in numba.prange(len(columns_NC)):
        for place in range(columns_NC.shape[1]):
            column, total = columns_NC[row, place], np.float32(0)
            for i in range(left.indptr[row], left.indptr[row + 1]):
                start, end = right.indptr[left.indices[i]], right.indptr[left.indices[i] + 1]
                j = start + np.searchsorted(right.indices[start:end], column)
                if j < end and right.indices[j] == column:
                    total += left.data[i] * right.data[j]
            entries[row, place] = total
    return entries


@numba.njit(parallel=True, cache=True)
def look_up(matrices: CSRStack, rows_N: Rows, columns_NC: Rows) -> Floats:
    """Entries [rows_N[n], columns_NC[n]] of M matrices with sorted columns, N x C x M; 0 for PAD."""
    indptr, indices, data_EM = matrices.indptr, matrices.indices, matrices.data_EM
    entries = np.zeros((columns_NC.shape[0], columns_NC.shape[1], data_EM.shape[1]), np.float32)
    for n in numba.prange(len(rows_N)):
        start, end = indptr[rows_N[n]], indptr[rows_N[n] + 1]
        for place in range(columns_NC.shape[1]):
            i = start + np.searchsorted(indices[start:end], columns_NC[n, place])
            if i < end and indices[i] == columns_NC[n, place]:
                entries[n, place] = data_EM[i]
    return entries
