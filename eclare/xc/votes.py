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
from eclare.arrays.knn import Nearest
from eclare.arrays.products import heaviest_of_product
from eclare.arrays.topk import PAD
from eclare.model.soft_targets import co_occurring_labels

TARGETS = 20  # labels that a label's text votes for
NEIGHBOURS, LEAST_COSINE = 50, 0.2
TEMPERATURE = 0.1  # of the softmax over cosines that weighs the neighbours


def targets_of_titles(weights_NL: sp.csr_matrix) -> sp.csr_matrix:
    """What every training title and then every label text votes for, CSR float32 (N + L) x L; its largest vote is 1."""
    clicked = weights_NL.copy()
    clicked.data = np.ones_like(clicked.data)
    return sp.vstack([clicked, co_occurring_labels(weights_NL, TARGETS)], format="csr", dtype=np.float32)


def voting_titles(weights_NL: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Which of the N training titles and L label texts vote for anything."""
    return np.diff(targets_of_titles(weights_NL).indptr) > 0


def softmax_weights(rows_QK: Rows, cosines_QK: Floats, temperature: float, count: int) -> sp.csr_matrix:
    """The neighbours of every point by the softmax of their cosines, CSR Q x count; a cosine of 0 or less has none."""
    nearest = cosines_QK.max(axis=1, initial=0, keepdims=True)
    weights = np.where(cosines_QK > 0, np.exp((cosines_QK - nearest) / np.float32(temperature)), 0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    indptr = np.arange(0, rows_QK.size + 1, max(rows_QK.shape[1], 1))
    found = sp.csr_matrix((weights.ravel().astype(np.float32), rows_QK.ravel(), indptr), (len(rows_QK), count))
    found.eliminate_zeros()
    found.sort_indices()
    return found


def most_voted(voters: sp.csr_matrix, targets_ML: sp.csr_matrix, k: int) -> Rows:
    """The k labels with the most votes of every point, Q x k; PAD where fewer have one."""
    votes = heaviest_of_product(voters, targets_ML, k)
    counts = np.diff(votes.indptr)
    labels = np.full((votes.shape[0], k), PAD, np.int32)
    labels[np.arange(k) < counts[:, None]] = votes.indices
    return labels


@dataclass(frozen=True, eq=False)
class TitleVotes:
    """M = N + L titles, training points first, that vote by the cosine of TF-IDF; targets_ML: targets_of_titles."""

    titles_MV: sp.csr_matrix
    targets_ML: sp.csr_matrix

    def voters(self, points_QV: sp.csr_matrix) -> sp.csr_matrix:
        """The weights of the nearest titles of every point, CSR Q x M."""
        found = self._nearest.to(points_QV, NEIGHBOURS, LEAST_COSINE)
        return softmax_weights(*found, TEMPERATURE, len(self))

    def __len__(self) -> int:
        return int(self.titles_MV.shape[0])

    @property
    def points(self) -> int:
        """N."""
        return len(self) - int(self.targets_ML.shape[1])

    @cached_property
    def targets(self) -> CSR:
        """targets_ML for sampled_product."""
        return CSR.of(self.targets_ML)

    @cached_property
    def _nearest(self) -> Nearest:
        """Of the titles that have a vote: others would take up places."""
        votes = (np.diff(self.targets_ML.indptr) > 0).astype(np.float32)
        return Nearest(scale_rows(self.titles_MV, votes))
