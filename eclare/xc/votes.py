"""Votes of the nearest titles: training titles vote for what they clicked, label texts for what shares their points.

Nothing is trained. A label's text does not vote for its own label: it may be the question itself. The targets of label
texts are those of Gandalf (Kharbanda et al., KDD 2024).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows, scale_rows
from eclare.arrays.kernels import numba
from eclare.arrays.knn import Nearest, as_shares
from eclare.arrays.products import product
from eclare.arrays.topk import PAD, best_of_row
from eclare.model.soft_targets import co_occurring_labels

TARGETS = 20  # labels that a label's text votes for
NEIGHBOURS, LEAST_COSINE = 50, 0.2
TEMPERATURE = 0.1  # of the softmax over cosines that weighs the neighbours


def targets_of_titles(weights_NL: sp.csr_matrix) -> sp.csr_matrix:
    """What every training title and then every label text votes for, CSR float32 (N + L) x L; its largest vote is 1."""
    clicked = weights_NL.copy()
    clicked.data = np.ones_like(clicked.data)
    return sp.vstack([clicked, co_occurring_labels(weights_NL, TARGETS)], format="csr", dtype=np.float32)


def voting_titles(targets_ML: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Which of the training titles and label texts vote for anything; targets_ML: targets_of_titles."""
    return np.asarray(np.diff(targets_ML.indptr) > 0)


def softmax_shares(found: tuple[Rows, Floats], temperature: float) -> CSR:
    """Weights of the nearest rows of every point: the softmax of their cosines; one of 0 or less has none."""
    rows_QK, cosines_QK = found
    near = cosines_QK > 0
    weights = np.exp((cosines_QK - cosines_QK.max(axis=1, initial=0, keepdims=True)) / np.float32(temperature)) * near
    return as_shares(rows_QK, weights, near)


@numba.njit(parallel=True, cache=True)
def most_voted(votes: CSR, k: int) -> Rows:
    """The k labels with the most votes of every point, most first, Q x k; PAD where fewer have one."""
    labels = np.full((len(votes.indptr) - 1, k), PAD, np.int32)
    for point in numba.prange(len(labels)):
        start, end = votes.indptr[point], votes.indptr[point + 1]
        best_of_row(votes.indices[start:end], votes.data[start:end], labels[point], np.empty(k, np.float32))
    return labels


@dataclass(frozen=True, eq=False)
class TitleVotes:
    """M = N + L titles, training points first, that vote by the cosine of TF-IDF; targets_ML: targets_of_titles."""

    titles_MV: sp.csr_matrix
    targets_ML: sp.csr_matrix

    def voters(self, points_QV: sp.csr_matrix) -> CSR:
        """The weights of the nearest titles of every point, Q x M."""
        return softmax_shares(self._nearest.to(points_QV, NEIGHBOURS, LEAST_COSINE), TEMPERATURE)

    def votes(self, voters: CSR) -> CSR:
        """The votes of every label that has one, Q x L."""
        return product(voters, self.targets, self.targets_ML.shape[1])

    def __len__(self) -> int:
        return int(self.titles_MV.shape[0])

    @property
    def points(self) -> int:
        """N."""
        return len(self) - int(self.targets_ML.shape[1])

    @cached_property
    def targets(self) -> CSR:
        """targets_ML for product."""
        return CSR.of(self.targets_ML)

    @cached_property
    def _nearest(self) -> Nearest:
        """Of the titles that have a vote: others would take up places."""
        votes = voting_titles(self.targets_ML).astype(np.float32)
        return Nearest(scale_rows(self.titles_MV, votes))
