"""Search for many titles among a million labels: the best labels of every token are found once, then tried for titles.

A title is the sum of its tokens before the last layers see it, so its best labels are among those of its tokens: 98% of
the best 10 and 83% of the best 100 of 1,000,000 labels in LENGTH of each (docs/decisions/model.md), for a thirtieth
of the time. Inverted lists over clusters of labels find 72% of the best 10: labels do not cluster, they share words.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD
from eclare.model.ensemble import Ensemble
from eclare.model.exact_index import Index
from eclare.model.inference import CHUNK

FILE = "token_shortlists.npz"
LENGTH = 200  # labels of a token
MOST = 127  # of 8 bits
FEWEST_TITLES = 2  # that must hold a token: one that a single title has is seldom among the words of its best labels


@dataclass(frozen=True, eq=False)
class TokenShortlists:
    """The LENGTH labels that an ensemble scores highest for each of V tokens alone; PAD where there are fewer.

    labels_VT: rows of classifiers_LD; tokens that fewer than FEWEST_TITLES titles hold have none.
    """

    labels_VT: Rows
    classifiers_LD: Floats

    @classmethod
    def of(cls, ensemble: Ensemble, index: Index, labels: Rows, titles_PV: sp.csr_matrix) -> "TokenShortlists":
        """index: of the classifiers of these labels; titles_PV: CSR TF-IDF of the titles to search for."""
        tokens = titles_PV.shape[1]
        labels_VT = np.full((tokens, LENGTH), PAD, np.int32)
        held = np.flatnonzero(np.bincount(titles_PV.indices, minlength=tokens) >= FEWEST_TITLES)
        alone_VV = sp.identity(tokens, np.float32, format="csr")
        for start in range(0, len(held), CHUNK):
            chunk = held[start : start + CHUNK]
            places = index.search(ensemble.encode(alone_VV[chunk]), min(LENGTH, index.ntotal))[1]
            labels_VT[chunk, : places.shape[1]] = np.where(places == PAD, PAD, labels[places])
        return cls(labels_VT, ensemble.classifiers_LD)

    def save(self, folder: Path) -> None:
        """Write token_shortlists.npz: a plain array, no pickle."""
        np.savez(folder / FILE, labels_VT=self.labels_VT)

    @classmethod
    def load(cls, folder: Path, ensemble: Ensemble, allowed_L: npt.NDArray[np.bool_]) -> "TokenShortlists | None":
        """What `save` wrote, of the labels that are still allowed; None where it wrote nothing."""
        if not (folder / FILE).exists():
            return None
        with np.load(folder / FILE, allow_pickle=False) as file:
            labels_VT = file["labels_VT"]
        return cls(np.where((labels_VT != PAD) & allowed_L[labels_VT], labels_VT, PAD), ensemble.classifiers_LD)

    def search(self, titles_QV: sp.csr_matrix, encoded_QD: Floats, k: int) -> Rows:
        """The k best of the labels of each title's tokens by scores of 8 bits, in no order, Q x k; PAD where fewer."""
        titles, workers = CSR.of(titles_QV), min(numba.get_num_threads(), max(len(encoded_QD), 1))
        met = np.full((workers, len(self.classifiers_LD)), PAD, np.int32)
        found_QK = np.full((len(encoded_QD), k), PAD, np.int32)
        labels = _Labels(self.labels_VT, *self._quantised)
        _search(titles, quantised(encoded_QD).codes_ND, labels, met, found_QK)
        return found_QK

    @cached_property
    def _quantised(self) -> "Quantised":
        return quantised(self.classifiers_LD)


class Quantised(NamedTuple):
    """Rows as whole numbers from -127 to 127 times a scale of their own: a search reads a quarter."""

    codes_ND: npt.NDArray[np.int8]
    scale_N: Floats


def quantised(rows_ND: Floats) -> Quantised:
    """The largest number of a row, positive or negative, is 127."""
    scale_N = np.maximum(rows_ND.max(axis=1, initial=0), -rows_ND.min(axis=1, initial=0)) / np.float32(MOST)
    scale_N[scale_N == 0] = 1
    codes_ND = np.empty(rows_ND.shape, np.int8)
    for start in range(0, len(rows_ND), CHUNK):
        chunk = slice(start, start + CHUNK)
        codes_ND[chunk] = np.rint(rows_ND[chunk] / scale_N[chunk, None])
    return Quantised(codes_ND, scale_N)


class _Labels(NamedTuple):
    """Those of every token, and their classifiers."""

    of_token_VT: Rows
    codes_LD: npt.NDArray[np.int8]
    scale_L: Floats


@numba.njit(parallel=True, cache=True)
def _search(titles: CSR, codes_QD: npt.NDArray[np.int8], shortlists: _Labels, met: Rows, found_QK: Rows) -> None:
    """met: workers x labels, the last title for which a worker met each; PAD before."""
    workers = len(met)
    for worker in numba.prange(workers):
        for query in range(worker, len(codes_QD), workers):
            tokens = titles.indices[titles.indptr[query] : titles.indptr[query + 1]]
            labels = np.empty(len(tokens) * shortlists.of_token_VT.shape[1], np.int32)
            count = _union(tokens, shortlists.of_token_VT, query, met[worker], labels)
            scores = np.empty(count, np.float32)
            for place in range(count):
                label = labels[place]
                scores[place] = _product(codes_QD[query], shortlists.codes_LD[label]) * shortlists.scale_L[label]
            _keep_best(labels[:count], scores, found_QK[query])


@numba.njit(cache=True)
def _product(query_D: npt.NDArray[np.int8], label_D: npt.NDArray[np.int8]) -> np.int32:
    """In 32 bits throughout: a processor then multiplies many numbers at once."""
    total = np.int32(0)
    for d in range(len(query_D)):
        total = np.int32(total + np.int32(np.int32(query_D[d]) * np.int32(label_D[d])))
    return total


@numba.njit(cache=True)
def _union(tokens: Rows, labels_VT: Rows, query: int, met: Rows, labels: Rows) -> int:
    """Write the labels of any of the tokens, once each; returns how many."""
    count = 0
    for token in tokens:
        for label in labels_VT[token]:
            if label != PAD and met[label] != query:
                met[label] = query
                labels[count] = label
                count += 1
    return count


@numba.njit(cache=True)
def _keep_best(labels: Rows, scores: Floats, best_K: Rows) -> None:
    """Write the best-scored labels; of those that are level with the last of them, the ones met first."""
    if len(labels) <= len(best_K):
        best_K[: len(labels)] = labels
        return
    last = np.partition(scores, len(labels) - len(best_K))[len(labels) - len(best_K)]
    above, kept = (scores > last).sum(), 0
    level = len(best_K) - above
    for place in range(len(labels)):
        is_level = scores[place] == last
        if scores[place] > last or (is_level and level > 0):
            best_K[kept] = labels[place]
            kept += 1
            level -= is_level
