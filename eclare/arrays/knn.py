"""Titles nearest to a title: the highest cosines between sparse rows, without looking at most of them."""

import numba
import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows

COSINE_COST = 30  # words of a list that are read in the time of one cosine


class Nearest:
    """Rows of norm 1 or 0 that can be asked for the nearest of them."""

    def __init__(self, rows_NV: sp.csr_matrix) -> None:
        self.rows_NV = rows_NV
        self._by_row, self._by_word = CSR.of(rows_NV), CSR.of(rows_NV.T.tocsr())

    def to(self, points_QV: sp.csr_matrix, most: int, least: float) -> tuple[Rows, Floats]:
        """Per point the `most` rows with a cosine of at least `least`, highest first, ties by lower row: Q x most.

        Where there are fewer, the cosine is 0.
        """
        workers = min(numba.get_num_threads(), max(points_QV.shape[0], 1))
        reached = np.zeros((workers, self.rows_NV.shape[0]), np.float32)
        return _nearest(CSR.of(points_QV), self._by_row, self._by_word, reached, (most, least))


def shares(found: tuple[Rows, Floats], sharpness: int) -> CSR:
    """What each found row has to say: its cosine to the power `sharpness`, over the sum of its point's."""
    said = np.minimum(found[1], 1) ** sharpness
    said /= np.maximum(said.sum(axis=1, keepdims=True), 1e-30)
    known = found[1] > 0
    indptr = np.zeros(len(said) + 1, np.int32)
    np.cumsum(known.sum(axis=1), out=indptr[1:])
    return CSR(indptr, found[0][known], said[known])


@numba.njit(parallel=True, cache=True)
def _nearest(points: CSR, by_row: CSR, by_word: CSR, reached: Floats, limits: tuple[int, float]) -> tuple[Rows, Floats]:
    """reached: zeros, workers x rows, and zeros again afterwards."""
    most, least = limits
    count = len(points[0]) - 1
    found, cosines = np.zeros((count, most), np.int32), np.zeros((count, most), np.float32)
    for worker in numba.prange(len(reached)):
        for point in range(worker, count, len(reached)):
            start, end = points[0][point], points[0][point + 1]
            words, weights = points[1][start:end], points[2][start:end]
            for row in _within_reach(words, weights, by_word, reached[worker], limits):
                cosine = cosine_of(words, weights, by_row, row)
                if cosine >= least:
                    _insert(found[point], cosines[point], row, cosine)
    return found, cosines


@numba.njit(cache=True)
def _within_reach(words: Rows, weights: Floats, by_word: CSR, reached: Floats, limits: tuple[int, float]) -> Rows:
    """The rows that can be among the `most` nearest with a cosine of `least`. reached: zeros, and zeros afterwards.

    Rare words come first. What they bring to the `most` best rows so far is a bar; words that are left bring no row
    over it once their weights have a smaller norm (Cauchy-Schwarz; prefix filtering, Bayardo et al., WWW 2007). The
    commonest ones are then read only as far as that costs less than the cosines of the rows that they may rule out.
    """
    most, bar = limits
    length = by_word[0][words + 1] - by_word[0][words]
    order = np.argsort(length, kind="mergesort")
    words, weights, length = words[order], weights[order], length[order]
    left = np.append(np.cumsum(weights[::-1] ** 2)[::-1] ** 0.5, np.float32(0))
    rows, filled, done = np.empty(length.sum(), np.int32), 0, 0
    while done < len(words) and left[done] >= 0.999 * bar:
        for entry in range(by_word[0][words[done]], by_word[0][words[done] + 1]):
            row = by_word[1][entry]
            if reached[row] == 0:
                rows[filled] = row
                filled += 1
            reached[row] += weights[done] * by_word[2][entry]
        done += 1
        if filled >= most and done < len(words) and length[done] > filled:
            bar = max(bar, np.partition(reached[rows[:filled]], filled - most)[filled - most])
    filled = _still_within_reach(rows[:filled], reached, 0.999 * bar - left[done])
    while done < len(words) and filled * COSINE_COST > length[done]:
        for entry in range(by_word[0][words[done]], by_word[0][words[done] + 1]):
            if reached[by_word[1][entry]] > 0:
                reached[by_word[1][entry]] += weights[done] * by_word[2][entry]
        done += 1
        filled = _still_within_reach(rows[:filled], reached, 0.999 * bar - left[done])
    reached[rows[:filled]] = 0
    return np.sort(rows[:filled])


@numba.njit(cache=True)
def _still_within_reach(rows: Rows, reached: Floats, bar: float) -> int:
    """Move the rows that have reached the bar to the front, count them, and forget the others."""
    kept = 0
    for row in rows:
        if reached[row] >= bar:
            rows[kept] = row
            kept += 1
        else:
            reached[row] = 0
    return kept


@numba.njit(cache=True)
def _insert(found: Rows, cosines: Floats, row: int, cosine: np.float32) -> None:
    """Into a list that falls by cosine; behind its equals, the last one drops out."""
    slot = len(found)
    while slot > 0 and cosine > cosines[slot - 1]:
        slot -= 1
    if slot < len(found):
        for moved in range(len(found) - 1, slot, -1):
            found[moved], cosines[moved] = found[moved - 1], cosines[moved - 1]
        found[slot], cosines[slot] = row, cosine


@numba.njit(cache=True)
def cosine_of(words: Rows, weights: Floats, rows: CSR, row: int) -> np.float32:
    """Inner product of a title and a row, both with sorted words."""
    total = np.float32(0)
    here, there, end = 0, rows[0][row], rows[0][row + 1]
    while here < len(words) and there < end:
        if words[here] == rows[1][there]:
            total += weights[here] * rows[2][there]
            here += 1
            there += 1
        elif words[here] < rows[1][there]:
            here += 1
        else:
            there += 1
    return total


@numba.njit(parallel=True, cache=True)
def cosines_at(points: CSR, rows: CSR, rows_QC: Rows) -> Floats:
    """Cosines of every point and the rows asked for, all of norm 1 or 0, Q x C; 0 for row -1."""
    cosines = np.zeros(rows_QC.shape, np.float32)
    for point in numba.prange(len(rows_QC)):
        start, end = points[0][point], points[0][point + 1]
        for place in range(rows_QC.shape[1]):
            if rows_QC[point, place] >= 0:
                cosines[point, place] = cosine_of(
                    points[1][start:end], points[2][start:end], rows, rows_QC[point, place]
                )
    return cosines
