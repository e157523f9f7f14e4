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

LongRows = npt.NDArray[np.int64]  # row numbers as torch indexes
LEAST_STEPS = 4  # an epoch, whatever the batch size


@dataclass(frozen=True, eq=False)
class Shortlist:
    """The labels that each point is scored against, and no others (ECLARE, section 4.4).

    They are those of its shortlisted meta-labels and their graph neighbours. clusters_NC: CSR, positive where a point
    has a meta-label; members_CL: 1 where a meta-label holds a label; edges_LL: the label graph.
    """

    clusters_NC: sp.csr_matrix
    members_CL: sp.csr_matrix
    edges_LL: sp.csr_matrix

    def of(self, points_B: LongRows) -> tuple[LongRows, sp.csr_matrix]:
        """The S labels that any of the points has, sorted, and a positive entry where a point has one, B x S."""
        has_BL = sp.csr_matrix(self.clusters_NC[points_B] @ self.members_CL @ self.edges_LL)
        labels_S = np.unique(has_BL.indices).astype(np.int64)
        has_BS = has_BL[:, labels_S]
        has_BS.eliminate_zeros()
        return labels_S, has_BS


@dataclass(frozen=True, eq=False)
class Batch:
    """B points, S labels, and the click weight of every clicked pair, CSR.

    share: points here over the mean number of points that the processes of a step have. scored_BS: CSR with an entry
    for every label that a point is scored against, all of them where it is None.
    """

    points_B: LongRows
    labels_S: LongRows
    weights_BS: sp.csr_matrix
    share: float = 1.0
    scored_BS: sp.csr_matrix | None = None


@dataclass(frozen=True)
class Batches:
    """An endless supply of epochs; the same seed gives the same batches.

    weights_NL: CSR, N points x L labels. Points without a clicked label are left out.
    The S labels of a batch are at most `positives_per_point` clicked labels per point, drawn by weight, and
    `negatives_per_batch` drawn among the hardest labels of its points, the rest among all labels, by a power of their
    points (word2vec: Mikolov et al., NIPS 2013, section 2.2), or all labels where there are no more. So a step costs
    the same however many labels there are. Nothing is drawn with `every_label`, where they are all labels, and with a
    shortlist, where each point has its own. Each of several processes gets its own part of every batch's points.
    Raises ValueError where no point has a clicked label.
    """

    weights_NL: sp.csr_matrix
    config: ECLAREConfig
    rank: int = 0
    world_size: int = 1
    every_label: bool = False
    shortlist: Shortlist | None = None

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
    def _clicked_points(self) -> LongRows:
        return np.flatnonzero(np.diff(self.weights_NL.indptr))

    def epoch(self, number: int, hardest_NK: npt.NDArray[np.int32] | None = None) -> Iterator[Batch]:
        """Every point once, in the order of this epoch; negatives come first from the hardest labels of its points."""
        random = np.random.default_rng([self.config.seed, number, self.rank])
        for points_B, share in self.parts(number):
            hardest = np.empty(0, np.int64) if hardest_NK is None else np.unique(hardest_NK[points_B]).astype(np.int64)
            yield self._batch(points_B, share, hardest, random)

    def parts(self, number: int) -> Iterator[tuple[LongRows, float]]:
        """The points of each step of an epoch that this process has, and their share as of a Batch."""
        points = np.random.default_rng([self.config.seed, number]).permutation(self._clicked_points)
        for start in range(0, len(points), self.batch_size):
            of_all = points[start : start + self.batch_size]
            mine = of_all[self.rank :: self.world_size]
            # A process without points in the last step still takes part in it, with a weight of 0.
            share = len(mine) * self.world_size / len(of_all)
            yield mine if share else of_all[:1], share

    def _batch(self, points_B: LongRows, share: float, hardest: LongRows, random: np.random.Generator) -> Batch:
        clicked = self.weights_NL[points_B]
        if self.every_label:
            return Batch(points_B, np.arange(clicked.shape[1]), clicked, share)
        if self.shortlist:
            labels_S, scored_BS = self.shortlist.of(points_B)
            return Batch(points_B, labels_S, clicked[:, labels_S], share, scored_BS)
        positives = clicked.indices[self._drawn(clicked, random)]
        labels_S = np.union1d(positives, self._negatives(hardest, random))
        return Batch(points_B, labels_S, clicked[:, labels_S], share)

    def _negatives(self, hardest: LongRows, random: np.random.Generator) -> LongRows:
        labels, wanted = self.weights_NL.shape[1], self.config.negatives_per_batch
        if wanted >= labels:
            return np.arange(labels)
        if len(hardest) >= wanted:
            return random.choice(hardest, wanted, replace=False)
        return np.concatenate([hardest, self._among_all(wanted - len(hardest), random)])

    def _among_all(self, count: int, random: np.random.Generator) -> LongRows:
        if not self.config.negative_power:
            return random.integers(self.weights_NL.shape[1], size=count)
        return np.searchsorted(self.drawn_up_to_L, random.random(count), side="right")

    @cached_property
    def drawn_up_to_L(self) -> npt.NDArray[np.float64]:
        """The chance that a negative is a label or one before it."""
        points_L = np.bincount(self.weights_NL.indices, minlength=self.weights_NL.shape[1])
        up_to_L = np.cumsum((points_L + 1.0) ** self.config.negative_power)
        return np.asarray(up_to_L[:-1] / up_to_L[-1])

    def _drawn(self, clicked: sp.csr_matrix, random: np.random.Generator) -> LongRows:
        """Positions of at most `positives_per_point` entries a row, without replacement, heavier ones more likely.

        The entries with the smallest Exponential(weight) variates are such a draw (Efraimidis, Spirakis, 2006).
        """
        arrival = random.exponential(size=clicked.nnz) / clicked.data
        return best_entries(rows_of(clicked), clicked.indices, -arrival, self.config.positives_per_point)[0]
