"""Nearest titles: the highest cosines between sparse rows, without looking at most of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD, insert

COSINE_COST = 30  # words of a list that are read in the time of one cosine
SLACK = 0.999  # of a bound, against the rounding of sums
LONGEST = 20_000  # rows of a word that new candidates come from, where a title has a rarer one


class Nearest:
    """Rows of norm 1 or 0 in which the nearest of other rows are searched.

    longest: a row that shares nothing with a point but words of more rows than that is not found, unless it is one of
    the point's rarest word. Then a point costs the same in however many rows.
    """

    def __init__(self, rows_NV: sp.csr_matrix, longest: int = LONGEST) -> None:
        self.rows_NV, self.longest = rows_NV, longest
        self.rows, self._by_word = CSR.of(rows_NV), CSR.of(rows_NV.T.tocsr())

    def to(self, points_QV: sp.csr_matrix, k: int, min_cosine: float) -> tuple[Rows, Floats]:
        """Per point the k rows with the highest cosines of at least `min_cosine`, highest first, ties by lower row.

        Q x k each; where there are fewer, the cosine is 0.
        """
        workers = min(numba.get_num_threads(), max(points_QV.shape[0], 1))
        partial = np.zeros((workers, self.rows_NV.shape[0]), np.float32)
        return _nearest(CSR.of(points_QV), self.rows, self._by_word, _Limits(k, min_cosine, self.longest), partial)


def shares(found: tuple[Rows, Floats], sharpness: int) -> CSR:
    """Weights of the nearest rows of every point: the cosine to the power `sharpness`, over its sum, Q x N."""
    rows_QK, cosines_QK = found
    weights = np.minimum(cosines_QK, 1) ** sharpness
    return as_shares(rows_QK, weights, cosines_QK > 0)


def as_shares(rows_QK: Rows, weights_QK: Floats, near_QK: npt.NDArray[np.bool_]) -> CSR:
    """The weights of the rows that are near, over their sum: Q x N. weights_QK: 0 for the others; written over."""
    weights_QK /= np.maximum(weights_QK.sum(axis=1, keepdims=True), np.float32(1e-30))
    indptr = np.zeros(len(weights_QK) + 1, np.int64)
    np.cumsum(near_QK.sum(axis=1), out=indptr[1:])
    rows, weights = rows_QK[near_QK], weights_QK[near_QK]
    return CSR(indptr, rows.astype(np.int32, copy=False), weights.astype(np.float32, copy=False))


class _Limits(NamedTuple):
    k: int
    min_cosine: float
    longest: int


class _Query(NamedTuple):
    """The words of a title, rarest first."""

    words: Rows
    weights: Floats
    lengths: Rows  # rows that hold each word
    left: Floats  # norm of the weights from each word on: what they add to a cosine at most (Cauchy-Schwarz)


class _Met(NamedTuple):
    """The rows that share a word with a title, in order of meeting, and what the words read add to all cosines."""

    rows: Rows
    partial: Floats


@numba.njit(parallel=True, cache=True)
def _nearest(points: CSR, by_row: CSR, by_word: CSR, limits: _Limits, partial: Floats) -> tuple[Rows, Floats]:
    """partial: zeros, workers x rows, and zeros again afterwards."""
    count, workers = len(points.indptr) - 1, len(partial)
    found, cosines = np.zeros((count, limits.k), np.int32), np.zeros((count, limits.k), np.float32)
    for worker in numba.prange(workers):
        for point in range(worker, count, workers):
            start, end = points.indptr[point], points.indptr[point + 1]
            words, weights = points.indices[start:end], points.data[start:end]
            for row in _candidates(_rarest_first(words, weights, by_word), by_word, limits, partial[worker]):
                cosine = cosine_of(words, weights, by_row, row)
                if cosine >= limits.min_cosine:
                    insert(found[point], cosines[point], row, cosine)
    return found, cosines


@numba.njit(cache=True)
def _rarest_first(words: Rows, weights: Floats, by_word: CSR) -> _Query:
    lengths = by_word.indptr[words + 1] - by_word.indptr[words]
    order = np.argsort(lengths, kind="mergesort")
    squares = weights[order][::-1] ** 2
    left = np.append(np.cumsum(squares)[::-1] ** 0.5, np.float32(0))
    return _Query(words[order], weights[order], lengths[order], left)


@numba.njit(cache=True)
def _candidates(query: _Query, by_word: CSR, limits: _Limits, partial: Floats) -> Rows:
    """The rows that can be among the k nearest, sorted. partial: zeros, and zeros again afterwards.

    Words are read from the rarest on, and what they bring to each row's cosine is added up. The k-th best row so far
    is a bar: once the words that are left cannot lift a row over it alone, no further row is a candidate (prefix
    filtering, Bayardo et al., WWW 2007). Then they serve to rule candidates out, as long as reading a word costs less
    than the cosines that it may save.
    """
    words, rows = len(query.words), np.empty(query.lengths.sum(), np.int32)
    met = _Met(rows, partial)
    # A bare 0 would be a type of its own to numba, and _meet_rows compiled for it too.
    bar, count, word = limits.min_cosine, np.int64(0), np.int64(0)
    while word < words and query.left[word] >= SLACK * bar and (count == 0 or query.lengths[word] <= limits.longest):
        count = _meet_rows(query, word, by_word, met, count)
        word += 1
        if count >= limits.k and word < words and query.lengths[word] > count:
            bar = max(bar, np.partition(partial[rows[:count]], count - limits.k)[count - limits.k])
    count = _rule_out(rows[:count], partial, SLACK * bar - query.left[word])
    while word < words and count * COSINE_COST > query.lengths[word]:
        _add_to_met_rows(query, word, by_word, partial)
        word += 1
        count = _rule_out(rows[:count], partial, SLACK * bar - query.left[word])
    partial[rows[:count]] = 0
    return np.sort(rows[:count])


@numba.njit(cache=True)
def _meet_rows(query: _Query, word: int, by_word: CSR, met: _Met, count: int) -> int:
    """Add the word to the cosines of all its rows; new ones go behind the `count` rows met so far; their number now."""
    for entry in range(by_word.indptr[query.words[word]], by_word.indptr[query.words[word] + 1]):
        row = by_word.indices[entry]
        if met.partial[row] == 0:
            met.rows[count] = row
            count += 1
        met.partial[row] += query.weights[word] * by_word.data[entry]
    return count


@numba.njit(cache=True)
def _add_to_met_rows(query: _Query, word: int, by_word: CSR, partial: Floats) -> None:
    for entry in range(by_word.indptr[query.words[word]], by_word.indptr[query.words[word] + 1]):
        row = by_word.indices[entry]
        if partial[row] > 0:
            partial[row] += query.weights[word] * by_word.data[entry]


@numba.njit(cache=True)
def _rule_out(rows: Rows, partial: Floats, least: float) -> int:
    """Move the rows with at least so much of their cosine to the front, count them, and clear the others."""
    kept = 0
    for row in rows:
        if partial[row] >= least:
            rows[kept] = row
            kept += 1
        else:
            partial[row] = 0
    return kept


@numba.njit(cache=True)
def cosine_of(words: Rows, weights: Floats, rows: CSR, row: int) -> np.float32:
    """Inner product of a title and a row, both with sorted words."""
    total = np.float32(0)
    i, j, end = 0, rows.indptr[row], rows.indptr[row + 1]
    while i < len(words) and j < end:
        if words[i] == rows.indices[j]:
            total += weights[i] * rows.data[j]
            i += 1
            j += 1
        elif words[i] < rows.indices[j]:
            i += 1
        else:
            j += 1
    return total


@numba.njit(parallel=True, cache=True)
def cosines_at(points: CSR, rows: CSR, rows_QC: Rows) -> Floats:
    """Cosines of every point and the rows asked for, all of norm 1 or 0, Q x C; 0 for PAD."""
    cosines = np.zeros(rows_QC.shape, np.float32)
    for point in numba.prange(len(rows_QC)):
        start, end = points.indptr[point], points.indptr[point + 1]
        words, weights = points.indices[start:end], points.data[start:end]
        for place in range(rows_QC.shape[1]):
            if rows_QC[point, place] != PAD:
                cosines[point, place] = cosine_of(words, weights, rows, rows_QC[point, place])
    return cosines
