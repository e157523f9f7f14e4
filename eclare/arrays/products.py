"""Products of sparse matrices that are never whole in memory: their heaviest entries, or those asked for."""

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows


def keep_heaviest(matrix: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k largest entries of every row, ties by lower column; columns sorted, float32."""
    each = CSR.of(sp.identity(matrix.shape[0], np.float32, format="csr"))
    return _heaviest(each, CSR.of(matrix), matrix.shape, k, with_diagonal=True)


def heaviest_of_product(
    left: sp.csr_matrix, right: sp.csr_matrix, k: int, *, with_diagonal: bool = True
) -> sp.csr_matrix:
    """The k largest entries of every row of left @ right, which is never whole in memory; float32, columns sorted.

    All entries must be positive. Ties go to the lower column. Sums run in the order of left's columns, so the result
    does not depend on the number of threads.
    """
    return _heaviest(CSR.of(left), CSR.of(right), (left.shape[0], right.shape[1]), k, with_diagonal)


def _heaviest(left: CSR, right: CSR, shape: tuple[int, int], k: int, with_diagonal: bool) -> sp.csr_matrix:
    workers = min(numba.get_num_threads(), max(shape[0], 1))
    met_N = np.add.reduceat(np.append(np.diff(right[0])[left[1]], 0), left[0][:-1]) * (np.diff(left[0]) > 0)
    slots = np.concatenate([[0], np.cumsum(np.minimum(met_N, min(k, shape[1])), dtype=np.int64)])
    columns, values = np.empty(slots[-1], np.int32), np.empty(slots[-1], np.float32)
    counts_N = np.zeros(shape[0], np.int64)
    scratch = np.zeros((workers, shape[1]), np.float32), np.empty((workers, shape[1]), np.int32)
    _heaviest_of_rows(left, right, k if with_diagonal else -k, scratch, (slots, columns, values, counts_N))
    kept = np.arange(slots[-1]) - np.repeat(slots[:-1], np.diff(slots)) < np.repeat(counts_N, np.diff(slots))
    indptr = np.concatenate([[0], np.cumsum(counts_N)])
    return sp.csr_matrix((values[kept], columns[kept], indptr), shape=shape)


@numba.njit(parallel=True, cache=True)
def _heaviest_of_rows(
    left: CSR,
    right: CSR,
    k: int,
    scratch: tuple[Floats, Rows],
    kept: tuple[npt.NDArray[np.int64], Rows, Floats, npt.NDArray[np.int64]],
) -> None:
    """k: negative where the diagonal is left out. scratch: zeros, and zeros again afterwards, and room for columns."""
    slots, kept_columns, kept_values, counts_N = kept
    for worker in numba.prange(len(scratch[0])):
        total = scratch[0][worker]
        for row in range(worker, len(counts_N), len(scratch[0])):
            columns = _sum_rows(left, right, row, total, scratch[1][worker])
            columns = np.sort(columns if k > 0 else columns[columns != row])
            if len(columns) > abs(k):
                order = np.argsort(-total[columns], kind="mergesort")[: abs(k)]
                columns = np.sort(columns[order])
            counts_N[row] = len(columns)
            for place in range(len(columns)):
                kept_columns[slots[row] + place] = columns[place]
                kept_values[slots[row] + place] = total[columns[place]]
            _forget(left, right, row, total)


@numba.njit(cache=True)
def _sum_rows(left: CSR, right: CSR, row: int, total: Floats, met: Rows) -> Rows:
    """Add row of left @ right to zeros; the columns that it has, in order of meeting."""
    filled = 0
    for entry in range(left[0][row], left[0][row + 1]):
        middle, weight = left[1][entry], left[2][entry]
        for other in range(right[0][middle], right[0][middle + 1]):
            column = right[1][other]
            if total[column] == 0:
                met[filled] = column
                filled += 1
            total[column] += weight * right[2][other]
    return met[:filled]


@numba.njit(cache=True)
def _forget(left: CSR, right: CSR, row: int, total: Floats) -> None:
    for entry in range(left[0][row], left[0][row + 1]):
        middle = left[1][entry]
        for other in range(right[0][middle], right[0][middle + 1]):
            total[right[1][other]] = 0


@numba.njit(parallel=True, cache=True)
def _product_at(left: CSR, right: CSR, columns_NC: Rows, totals: Floats, mets: Rows) -> Floats:
    entries = np.zeros(columns_NC.shape, np.float32)
    for worker in numba.prange(len(totals)):
        for row in range(worker, len(columns_NC), len(totals)):
            _sum_rows(left, right, row, totals[worker], mets[worker])
            for place in range(columns_NC.shape[1]):
                if columns_NC[row, place] >= 0:
                    entries[row, place] = totals[worker, columns_NC[row, place]]
            _forget(left, right, row, totals[worker])
    return entries


def product_at(left: CSR, right: CSR, columns_NC: Rows, columns: int) -> Floats:
    """Entries (left @ right)[n, columns_NC[n]] of a sparse product with so many columns, N x C; 0 for column -1.

    Sums up whole rows of `right`, so best where they are short; all entries must be positive.
    """
    workers = min(numba.get_num_threads(), max(len(columns_NC), 1))
    scratch = np.zeros((workers, columns), np.float32), np.zeros((workers, columns), np.int32)
    found: Floats = _product_at(left, right, columns_NC, *scratch)
    return found


@numba.njit(parallel=True, cache=True)
def sampled_product(left: CSR, right: CSR, columns_NC: Rows) -> Floats:
    """The same by looking every column up, so best where the rows of `right` are long and the columns few.

    left: N x M; right: M x L with sorted columns.
    """
    entries = np.zeros(columns_NC.shape, np.float32)
    for row in numba.prange(len(columns_NC)):
        for place in range(columns_NC.shape[1]):
            column, total = columns_NC[row, place], np.float32(0)
            for entry in range(left[0][row], left[0][row + 1]):
                start, end = right[0][left[1][entry]], right[0][left[1][entry] + 1]
                at = start + np.searchsorted(right[1][start:end], column)
                if at < end and right[1][at] == column:
                    total += left[2][entry] * right[2][at]
            entries[row, place] = total
    return entries


@numba.njit(parallel=True, cache=True)
def look_up(pattern: tuple[Rows, Rows, Floats], rows_N: Rows, columns_NC: Rows) -> Floats:
    """Entries [rows_N[n], columns_NC[n]] of M matrices of one pattern, N x C x M; 0 for column -1.

    pattern: indptr, sorted indices, and the data of all matrices side by side, entries x M.
    """
    indptr, indices, data = pattern
    entries = np.zeros((columns_NC.shape[0], columns_NC.shape[1], data.shape[1]), np.float32)
    for n in numba.prange(len(rows_N)):
        start, end = indptr[rows_N[n]], indptr[rows_N[n] + 1]
        for place in range(columns_NC.shape[1]):
            at = start + np.searchsorted(indices[start:end], columns_NC[n, place])
            if at < end and indices[at] == columns_NC[n, place]:
                entries[n, place] = data[at]
    return entries
