"""What one training step looks at: some points, the labels it scores them against, and which of those were clicked."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import rows_of
from eclare.arrays.topk import best_entries
from eclare.model.config import ECLAREConfig

Rows = npt.NDArray[np.int64]
LEAST_STEPS = 4  # an epoch, whatever the batch size


@dataclass(frozen=True, eq=False)
class Shortlist:
    """The labels that a point's negatives are drawn from: the best ones, or all labels of the best meta-labels.

    best_NK: label rows, or those of meta-labels where members_CL tells which labels each holds (CSR, C x L).
    """

    best_NK: npt.NDArray[np.int32]
    members_CL: sp.csr_matrix | None = None

    def labels(self, points_B: Rows) -> Rows:
        """The labels shortlisted for any of the points, sorted."""
        best = np.unique(self.best_NK[points_B])
        labels = best if self.members_CL is None else np.unique(self.members_CL[best].indices)
        return labels.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Batch:
    """B points, S labels shared by all of them, and the click weight of every pair (0: not clicked).

    share: points here over the mean number of points that the processes of a step have.
    """

    points_B: Rows
    labels_S: Rows
    weights_BS: npt.NDArray[np.float32]
    share: float = 1.0


@dataclass(frozen=True)
class Batches:
    """An endless supply of epochs; the same seed gives the same batches.

    weights_NL: CSR, N points x L labels. Points without a clicked label are left out.
    The S labels of a batch are at most `positives_per_point` clicked labels per point, drawn by weight, and
    `negatives_per_batch` drawn among the shortlisted labels of its points, the rest uniformly (all labels where there
    are no more), so a step costs the same however many labels there are; with `every_label` they are all labels. Each
    of several processes gets its own part of every batch's points.
    Raises ValueError where no point has a clicked label.
    """

    weights_NL: sp.csr_matrix
    config: ECLAREConfig
    rank: int = 0
    world_size: int = 1
    every_label: bool = False

    def __post_init__(self) -> None:
        if not self.weights_NL.nnz:
            raise ValueError("training needs at least one point with a clicked label, got none")

    @cached_property
    def batch_size(self) -> int:
        """Points a step: as many as the config says, fewer where an epoch would have less than LEAST_STEPS."""
        return min(self.config.batch_size, math.ceil(len(self._clicked_points) / LEAST_STEPS))

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch."""
        return math.ceil(len(self._clicked_points) / self.batch_size)

    @cached_property
    def _clicked_points(self) -> Rows:
        return np.flatnonzero(np.diff(self.weights_NL.indptr))

    def epoch(self, number: int, shortlist: Shortlist | None = None) -> Iterator[Batch]:
        """Every point once, in the order of this epoch."""
        points = np.random.default_rng([self.config.seed, number]).permutation(self._clicked_points)
        random = np.random.default_rng([self.config.seed, number, self.rank])
        for start in range(0, len(points), self.batch_size):
            of_all = points[start : start + self.batch_size]
            mine = of_all[self.rank :: self.world_size]
            # A process without points in the last step still takes part in it, with a weight of 0.
            share = len(mine) * self.world_size / len(of_all)
            yield self._batch(mine if share else of_all[:1], share, shortlist, random)

    def _batch(self, points_B: Rows, share: float, shortlist: Shortlist | None, random: np.random.Generator) -> Batch:
        clicked = self.weights_NL[points_B]
        if self.every_label:
            return Batch(points_B, np.arange(clicked.shape[1]), clicked.toarray(), share)
        positives = clicked.indices[self._drawn(clicked, random)]
        shortlisted = np.empty(0, np.int64) if shortlist is None else shortlist.labels(points_B)
        labels_S = np.union1d(positives, self._negatives(shortlisted, random))
        return Batch(points_B, labels_S, clicked[:, labels_S].toarray(), share)

    def _negatives(self, shortlisted: Rows, random: np.random.Generator) -> Rows:
        labels, wanted = self.weights_NL.shape[1], self.config.negatives_per_batch
        if wanted >= labels:
            return np.arange(labels)
        if len(shortlisted) >= wanted:
            return random.choice(shortlisted, wanted, replace=False)
        return np.concatenate([shortlisted, random.integers(labels, size=wanted - len(shortlisted))])

    def _drawn(self, clicked: sp.csr_matrix, random: np.random.Generator) -> Rows:
        """Positions of at most `positives_per_point` entries a row, without replacement, heavier ones more likely.

        The entries with the smallest Exponential(weight) variates are such a draw (Efraimidis, Spirakis, 2006).
        """
        arrival = random.exponential(size=clicked.nnz) / clicked.data
        return best_entries(rows_of(clicked), clicked.indices, -arrival, self.config.positives_per_point)[0]
