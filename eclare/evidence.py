"""What clicks say directly: the labels that were met together with the labels whose titles a title resembles."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.co_occurrence import co_occurring_labels
from eclare.config import ECLAREConfig
from eclare.sparse import with_sum_one

KEPT_LABELS = 50  # co-occurring labels kept per label
SIMILAR_LABELS = 5  # labels whose titles speak for a title
LEAST_SIMILARITY = 0.35  # cosine of two titles below which neither speaks for the other
SHARPNESS = 8  # power of the cosine of two titles: near-identical ones speak, vaguely similar ones do not
DAMPING = 0.25  # power of a label's popularity that its co-occurrence is divided by
FLOOR = 0.01  # evidence below which the model alone decides


class Heard(NamedTuple):
    """What one title hears: the labels similar to it and their shares, the labels met with those and the evidence."""

    similar: npt.NDArray[np.int32]
    share: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    co_clicks: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Titles of L labels, and the labels met together with each.

    titles_LV: CSR TF-IDF with rows of norm 1 or 0.
    co_clicks_LL: CSR float32, row maximum 1, no diagonal.
    """

    titles_LV: sp.csr_matrix
    co_clicks_LL: sp.csr_matrix

    @classmethod
    def of(cls, weights_NL: sp.csr_matrix, labels_LV: sp.csr_matrix) -> "Evidence":
        """Read the clicks between N points and L labels."""
        return cls(labels_LV, co_occurring_labels(weights_NL, KEPT_LABELS, DAMPING))

    @cached_property
    def _titles(self) -> tuple["Parts", "Parts"]:
        """Words of every label, and labels of every word."""
        return _parts(self.titles_LV), _parts(self.titles_LV.T.tocsr())

    def similar_labels(self, points_NV: sp.csr_matrix) -> sp.csr_matrix:
        """The labels whose titles speak for each title and by how much: CSR N x L, rows sum to 1 or are empty."""
        found_NS, cosine_NS = _most_similar(_parts(points_NV), *self._titles, SIMILAR_LABELS, LEAST_SIMILARITY)
        row, place = np.nonzero(cosine_NS)
        share = np.minimum(cosine_NS[row, place], 1) ** SHARPNESS
        shape = (points_NV.shape[0], self.titles_LV.shape[0])
        return with_sum_one(sp.csr_matrix((share, (row, found_NS[row, place])), shape=shape))

    def co_clicks(self, points_NV: sp.csr_matrix) -> sp.csr_matrix:
        """Evidence for every point and label between 0 and 1: CSR float32 N x L, most pairs have none."""
        return sp.csr_matrix(self.similar_labels(points_NV) @ self.co_clicks_LL, dtype=np.float32)

    def of_one(self, point_1V: sp.csr_matrix) -> "Heard":
        """The same for a single title, without the cost of making sparse matrices."""
        found_1S, cosine_1S = _most_similar(_parts(point_1V), *self._titles, SIMILAR_LABELS, LEAST_SIMILARITY)
        similar = found_1S[0][cosine_1S[0] > 0]
        share = np.minimum(cosine_1S[0][cosine_1S[0] > 0], 1) ** SHARPNESS
        share = (share / max(share.sum(), np.float32(1e-30))).astype(np.float32)
        met = self.co_clicks_LL
        rows = [slice(met.indptr[label], met.indptr[label + 1]) for label in similar]
        labels = np.concatenate([met.indices[row] for row in rows] or [np.empty(0, np.int32)])
        heard = np.concatenate([one * met.data[row] for one, row in zip(share, rows, strict=True)] or [np.empty(0)])
        labels, place = np.unique(labels, return_inverse=True)
        return Heard(similar, share, labels, np.bincount(place, heard, len(labels)).astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write co_clicks.npz: plain arrays, no pickle."""
        sp.save_npz(folder / "co_clicks.npz", self.co_clicks_LL)

    @classmethod
    def load(cls, folder: Path, labels_LV: sp.csr_matrix) -> "Evidence":
        """Read what `save` wrote, beside the same label titles."""
        return cls(labels_LV, sp.load_npz(folder / "co_clicks.npz").tocsr())


def bonus_of(co_clicks: sp.csr_matrix, config: ECLAREConfig) -> sp.csr_matrix:
    """What evidence adds to the model's score of a pair: evidence_weight * log(1 + evidence / FLOOR)."""
    bonus = co_clicks.copy()
    bonus.data = bonus_of_each(bonus.data, config)
    return bonus


def bonus_of_each(co_clicks: npt.NDArray[np.float32], config: ECLAREConfig) -> npt.NDArray[np.float32]:
    """The same for an array."""
    return np.asarray(config.evidence_weight * np.log1p(co_clicks / FLOOR), dtype=np.float32)


Parts = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]  # indptr, indices, data


def _parts(matrix: sp.csr_matrix) -> Parts:
    matrix = matrix.sorted_indices()
    return matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data.astype(np.float32)


@numba.njit(parallel=True, cache=True)
def _most_similar(
    points: Parts, labels: Parts, by_word: Parts, most: int, least: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Per point the `most` labels with a cosine of at least `least`, highest first, ties by lower label; 0: none."""
    rows = len(points[0]) - 1
    found = np.zeros((rows, most), np.int32)
    cosines = np.zeros((rows, most), np.float32)
    for row in numba.prange(rows):
        start, end = points[0][row], points[0][row + 1]
        words, weights = points[1][start:end], points[2][start:end]
        for label in _sharing_a_telling_word(words, weights, by_word, least):
            cosine = _cosine(words, weights, labels, label)
            slot = most
            while slot > 0 and cosine > cosines[row, slot - 1]:
                slot -= 1
            if cosine >= least and slot < most:
                for moved in range(most - 1, slot, -1):
                    found[row, moved], cosines[row, moved] = found[row, moved - 1], cosines[row, moved - 1]
                found[row, slot], cosines[row, slot] = label, cosine
    return found, cosines


@numba.njit(cache=True)
def _sharing_a_telling_word(
    words: npt.NDArray[np.int32], weights: npt.NDArray[np.float32], by_word: Parts, least: float
) -> npt.NDArray[np.int32]:
    """Every label that can reach the cosine `least`, sorted: it shares a word beyond the commonest of the title.

    Words whose weights have a norm below `least` cannot bring two titles that close by themselves (Cauchy-Schwarz), so
    the commonest ones are passed over as long as that holds (prefix filtering, Bayardo et al., WWW 2007).
    """
    length = by_word[0][words + 1] - by_word[0][words]
    order = np.argsort(-length, kind="mergesort")
    passed_over, first = 0.0, 0
    while first < len(order) and passed_over + weights[order[first]] ** 2 < (0.999 * least) ** 2:
        passed_over += weights[order[first]] ** 2
        first += 1
    total = 0
    for place in order[first:]:
        total += length[place]
    labels = np.empty(total, np.int32)
    filled = 0
    for place in order[first:]:
        start = by_word[0][words[place]]
        labels[filled : filled + length[place]] = by_word[1][start : start + length[place]]
        filled += length[place]
    return np.unique(labels)


@numba.njit(cache=True)
def _cosine(words: npt.NDArray[np.int32], weights: npt.NDArray[np.float32], labels: Parts, label: int) -> np.float32:
    """Inner product of a title and a label's, both with sorted words."""
    total = np.float32(0)
    here, there, end = 0, labels[0][label], labels[0][label + 1]
    while here < len(words) and there < end:
        if words[here] == labels[1][there]:
            total += weights[here] * labels[2][there]
            here += 1
            there += 1
        elif words[here] < labels[1][there]:
            here += 1
        else:
            there += 1
    return total
