"""Co-click scores of a title: how often labels were clicked together with the labels whose titles are similar to it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, with_sum_one
from eclare.arrays.knn import Nearest, shares
from eclare.arrays.products import heaviest_of_product, product
from eclare.model.soft_targets import co_occurring_labels
from eclare.xc.votes import TitleVotes, targets_of_titles

KEPT_CO_CLICKS = 50  # co-clicked labels kept per label
KEPT_SHARED = 200  # labels kept per label with the number of points they share
LEAST_COSINE = 0.35  # of two titles that count as similar
SIMILAR_LABELS, LABEL_SHARPNESS = 5, 8  # neighbours of a title, and the power of the cosine that weighs them:
SIMILAR_POINTS, POINT_SHARPNESS = 20, 4  # near-identical titles count, vaguely similar ones hardly
DAMPING = 0.25  # power of a label's clicks that its co-clicks are divided by
SAME_TITLE = 0.999  # cosine of two titles of one product
FOLDER, SAVED = "co_clicks", ("points_NV", "clicks_NL", "co_clicks_LL", "shared_LL", "clicking_LL", "targets_ML")


@dataclass(frozen=True, eq=False)
class CoClickScores:
    """The clicks between N training points and L labels, looked up for a new title through similar titles.

    labels_LV, points_NV: CSR TF-IDF with rows of norm 1 or 0. clicks_NL: CSR float32, rows sum to 1 or are empty.
    co_clicks_LL: CSR float32, row maximum 1, no diagonal. shared_LL: the number of points that two labels share.
    clicking_LL: 1 where a label was clicked by the other one, which is a training point too. targets_ML: what titles
    vote for (targets_of_titles).
    """

    labels_LV: sp.csr_matrix
    points_NV: sp.csr_matrix
    clicks_NL: sp.csr_matrix
    co_clicks_LL: sp.csr_matrix
    shared_LL: sp.csr_matrix
    clicking_LL: sp.csr_matrix
    targets_ML: sp.csr_matrix

    @classmethod
    def of(cls, weights_NL: sp.csr_matrix, labels_LV: sp.csr_matrix, points_NV: sp.csr_matrix) -> "CoClickScores":
        """From weighted clicks, N x L."""
        return cls(
            labels_LV,
            points_NV,
            with_sum_one(weights_NL),
            co_occurring_labels(weights_NL, KEPT_CO_CLICKS, DAMPING),
            shared_points(weights_NL, KEPT_SHARED),
            clicking_labels(weights_NL, labels_LV, points_NV),
            targets_of_titles(weights_NL),
        )

    def similar_labels(self, points_QV: sp.csr_matrix) -> CSR:
        """Weighted nearest labels of each title, Q x L; rows sum to 1, or are empty where no title is similar."""
        return shares(self._nearest_labels.to(points_QV, SIMILAR_LABELS, LEAST_COSINE), LABEL_SHARPNESS)

    def similar_points(self, points_QV: sp.csr_matrix) -> CSR:
        """Weighted nearest training points of each title, Q x N; rows sum to 1 or are empty."""
        return shares(self._nearest_points.to(points_QV, SIMILAR_POINTS, LEAST_COSINE), POINT_SHARPNESS)

    def scores(self, similar_labels: CSR) -> CSR:
        """The co-clicks of each title's similar labels, averaged by their weights: Q x L, in [0, 1]."""
        return product(similar_labels, self.co_clicks, self.labels_LV.shape[0])

    @cached_property
    def history_L(self) -> Floats:
        """Points that each label shares with others, summed over them."""
        return np.asarray(self.shared_LL.sum(axis=1), dtype=np.float32).ravel()

    @cached_property
    def popularity_L(self) -> Floats:
        """Points of each label."""
        return np.bincount(self.clicks_NL.indices, minlength=self.labels_LV.shape[0]).astype(np.float32)

    @cached_property
    def history(self) -> CSR:
        """history_L as a column, L x 1, for sampled_product."""
        return CSR.of(sp.csr_matrix(self.history_L[:, None]))

    @cached_property
    def co_clicks(self) -> CSR:
        """co_clicks_LL for product."""
        return CSR.of(self.co_clicks_LL)

    @cached_property
    def shared(self) -> CSR:
        """shared_LL for sampled_product."""
        return CSR.of(self.shared_LL)

    @cached_property
    def clicks(self) -> CSR:
        """clicks_NL for sampled_product."""
        return CSR.of(self.clicks_NL)

    @cached_property
    def clicking(self) -> CSR:
        """clicking_LL for sampled_product."""
        return CSR.of(self.clicking_LL)

    @cached_property
    def clicking_alike(self) -> CSR:
        """Labels by how much of what shares points with a label they clicked themselves, L x L, for sampled_product."""
        shared_by = self.targets_ML[self.points_NV.shape[0] :]
        return CSR.of(heaviest_of_product(shared_by, self.clicking_LL, KEPT_SHARED))

    @cached_property
    def votes(self) -> TitleVotes:
        """What the nearest training titles and label texts vote for."""
        return TitleVotes(sp.vstack([self.points_NV, self.labels_LV], format="csr"), self.targets_ML)

    @property
    def labels(self) -> CSR:
        """labels_LV for cosines_at."""
        return self._nearest_labels.rows

    @cached_property
    def _nearest_labels(self) -> Nearest:
        return Nearest(self.labels_LV)

    @cached_property
    def _nearest_points(self) -> Nearest:
        return Nearest(self.points_NV)

    def save(self, folder: Path) -> None:
        """Write co_clicks/: plain arrays, no pickle, without the labels' titles."""
        (folder / FOLDER).mkdir()
        for name in SAVED:
            sp.save_npz(folder / FOLDER / f"{name}.npz", getattr(self, name))

    @classmethod
    def load(cls, folder: Path, labels_LV: sp.csr_matrix) -> "CoClickScores":
        """Read what `save` wrote, for the same label titles; raises ValueError where older code wrote it."""
        files = [folder / FOLDER / f"{name}.npz" for name in SAVED]
        if missing := [file.name for file in files if not file.exists()]:
            raise ValueError(f"{folder / FOLDER} must hold {', '.join(missing)}: fit the model again")
        return cls(labels_LV, *(sp.load_npz(file).tocsr() for file in files))


def shared_points(weights_NL: sp.csr_matrix, heaviest: int) -> sp.csr_matrix:
    """How many points two labels share, CSR float32 L x L without a diagonal; the `heaviest` of each row stay."""
    clicked = weights_NL.copy()
    clicked.data = np.ones_like(clicked.data)
    return heaviest_of_product(clicked.T.tocsr(), clicked, heaviest, with_diagonal=False)


def clicking_labels(weights_NL: sp.csr_matrix, labels_LV: sp.csr_matrix, points_NV: sp.csr_matrix) -> sp.csr_matrix:
    """1 at the labels whose own points clicked a label, CSR float32 L x L.

    A product's page that names what is like the question is evidence that the two go together, read the other way.
    """
    own_NL = own_label(labels_LV, points_NV)
    clicked = (weights_NL.T @ own_NL).tocsr()
    clicked.data = np.ones_like(clicked.data)
    clicked.sort_indices()
    return sp.csr_matrix(clicked, dtype=np.float32)


def own_label(labels_LV: sp.csr_matrix, points_QV: sp.csr_matrix) -> sp.csr_matrix:
    """1 at the label with the same title as the point, Q x L; products are known by their title."""
    label_Q1, cosine_Q1 = Nearest(labels_LV).to(points_QV, 1, SAME_TITLE)
    query = np.flatnonzero(cosine_Q1[:, 0] > 0)
    ones = np.ones(len(query), np.float32)
    return sp.csr_matrix((ones, (query, label_Q1[query, 0])), shape=(len(label_Q1), labels_LV.shape[0]))
