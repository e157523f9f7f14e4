"""What one training step looks at: some points, the labels it scores them against, and which of those were clicked."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.config import ECLAREConfig

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """B points, S labels shared by all of them, and the click weight of every pair (0: not clicked)."""

    points_B: Rows
    labels_S: Rows
    weights_BS: npt.NDArray[np.float32]


class Batches:
    """An endless supply of epochs; the same seed gives the same batches.

    weights_NL: CSR, N points x L labels. Points without a clicked label are left out.
    The S labels of a batch are at most `positives_per_point` clicked labels per point, drawn by weight, and
    `negatives_per_batch` drawn uniformly, so a step costs the same however many labels there are.
    """

    def __init__(self, weights_NL: sp.csr_matrix, config: ECLAREConfig) -> None:
        self.weights_NL = weights_NL
        self.points = np.flatnonzero(np.diff(weights_NL.indptr))
        self.config = config
        self.steps_per_epoch = math.ceil(len(self.points) / config.batch_size)
        self.random = np.random.default_rng(config.seed)
        if not len(self.points):
            raise ValueError("training needs at least one point with a clicked label, got none")

    def epoch(self) -> Iterator[Batch]:
        """Every point once, in a new order."""
        order = self.random.permutation(self.points)
        for start in range(0, len(order), self.config.batch_size):
            yield self._batch(order[start : start + self.config.batch_size])

    def _batch(self, points_B: Rows) -> Batch:
        clicked = self.weights_NL[points_B]
        negatives = self.random.integers(self.weights_NL.shape[1], size=self.config.negatives_per_batch)
        labels_S = np.union1d(clicked.indices[self._drawn(clicked)], negatives)
        return Batch(points_B, labels_S, clicked[:, labels_S].toarray())

    def _drawn(self, clicked: sp.csr_matrix) -> Rows:
        """Positions of at most `positives_per_point` entries a row, without replacement, heavier ones more likely.

        The entries with the smallest Exponential(weight) variates are such a draw (Efraimidis, Spirakis, 2006).
        """
        arrival = self.random.exponential(size=clicked.nnz) / clicked.data
        row = np.repeat(np.arange(clicked.shape[0]), np.diff(clicked.indptr))
        order = np.lexsort((arrival, row))
        place_in_row = np.arange(clicked.nnz) - np.repeat(clicked.indptr[:-1], np.diff(clicked.indptr))
        return np.asarray(order[place_in_row < self.config.positives_per_point])
