"""What clicks say directly: the labels that were met together with the labels whose titles a title resembles."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, scale_rows, with_largest_one, with_sum_one
from eclare.arrays.knn import Nearest, shares
from eclare.model.config import ECLAREConfig
from eclare.model.soft_targets import co_occurring_labels, shared_points

KEPT_LABELS = 50  # co-occurring labels kept per label
KEPT_SHARED = 200  # labels kept per label with the number of points they share
SIMILAR_LABELS = 5  # labels whose titles speak for a title
LEAST_SIMILARITY = 0.35  # cosine of two titles below which neither speaks for the other
SHARPNESS = 8  # power of the cosine of two titles: near-identical ones speak, vaguely similar ones do not
LIKE_POINTS, LIKE_SHARPNESS = 20, 4  # the same for training points, of which more speak
OWN_SHARE = 0.9  # of a product's evidence that its own co-clicks bring, if it has some
DAMPING = 0.25  # power of a label's popularity that its co-occurrence is divided by
FLOOR = 0.01  # evidence below which the model alone decides


class Neighbours(NamedTuple):
    """Who speaks for some points, and with what share: labels and training points with titles like theirs."""

    labels: CSR
    points: CSR


class Heard(NamedTuple):
    """What one title hears: the labels met with those similar to it, and the evidence for them."""

    labels: npt.NDArray[np.int32]
    co_clicks: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CoClickScores:
    """Titles of L labels and of N training points, who clicked what, and the labels met together with each.

    titles_LV, points_NV: CSR TF-IDF with rows of norm 1 or 0. clicks_NL: CSR float32, rows sum to 1 or are empty.
    co_clicks_LL: CSR float32, row maximum 1, no diagonal. shared_LL: the number of points that two labels share.
    """

    titles_LV: sp.csr_matrix
    points_NV: sp.csr_matrix
    clicks_NL: sp.csr_matrix
    co_clicks_LL: sp.csr_matrix
    shared_LL: sp.csr_matrix

    @classmethod
    def of(cls, weights_NL: sp.csr_matrix, labels_LV: sp.csr_matrix, points_NV: sp.csr_matrix) -> "CoClickScores":
        """Read the clicks between N points and L labels."""
        return cls(
            labels_LV,
            points_NV,
            with_sum_one(weights_NL),
            co_occurring_labels(weights_NL, KEPT_LABELS, DAMPING),
            shared_points(weights_NL, KEPT_SHARED),
        )

    @classmethod
    def of_products(cls, weights_PP: sp.csr_matrix, titles_PV: sp.csr_matrix) -> "CoClickScores":
        """Where points and labels are the same P products: what was clicked beside a product speaks for itself.

        Other products are heard only as far as their titles resemble its own.
        """
        return replace(cls.of(weights_PP, titles_PV, titles_PV), co_clicks_LL=with_largest_one(weights_PP))

    def neighbours(self, points_QV: sp.csr_matrix) -> Neighbours:
        """Labels and training points whose titles speak for each title; shares sum to 1 or there are none."""
        return Neighbours(
            self._similar(points_QV), shares(self._points.to(points_QV, LIKE_POINTS, LEAST_SIMILARITY), LIKE_SHARPNESS)
        )

    def similar_labels(self, points_NV: sp.csr_matrix) -> sp.csr_matrix:
        """The labels whose titles speak for each title and by how much: CSR N x L, rows sum to 1 or are empty."""
        return self.over_labels(self._similar(points_NV))

    def co_clicks(self, points_NV: sp.csr_matrix, own_N: npt.NDArray[np.int32] | None = None) -> sp.csr_matrix:
        """CoClickScores for every point and label between 0 and 1: CSR float32 N x L, most pairs have none.

        own_N: the label that is each point itself, if there is one. Where it has co-clicks they count OWN_SHARE, those
        of labels with similar titles the rest.
        """
        similar = self.similar_labels(points_NV)
        if own_N is not None:
            share = OWN_SHARE * (np.diff(self.co_clicks_LL.indptr)[own_N] > 0).astype(np.float32)
            own = sp.csr_matrix((share, own_N, np.arange(len(own_N) + 1)), shape=similar.shape)
            similar = scale_rows(similar, 1 - share) + own
        return sp.csr_matrix(similar @ self.co_clicks_LL, dtype=np.float32)

    def over_labels(self, similar: CSR) -> sp.csr_matrix:
        """The shares of similar labels as a matrix, N x L."""
        return sp.csr_matrix(similar[::-1], shape=(len(similar[0]) - 1, self.titles_LV.shape[0]))

    def heard(self, similar: CSR) -> Heard:
        """co_clicks for a single title, without the cost of making sparse matrices."""
        met, (_, labels, share) = self.co_clicks_LL, similar
        rows = [slice(met.indptr[label], met.indptr[label + 1]) for label in labels]
        labels = np.concatenate([met.indices[row] for row in rows] or [np.empty(0, np.int32)])
        heard = np.concatenate([one * met.data[row] for one, row in zip(share, rows, strict=True)] or [np.empty(0)])
        labels, place = np.unique(labels, return_inverse=True)
        return Heard(labels, np.bincount(place, heard, len(labels)).astype(np.float32))

    def _similar(self, points_NV: sp.csr_matrix) -> CSR:
        return shares(self._titles.to(points_NV, SIMILAR_LABELS, LEAST_SIMILARITY), SHARPNESS)

    @cached_property
    def history_L(self) -> npt.NDArray[np.float32]:
        """Points that each label shares with others, summed over them."""
        return np.asarray(self.shared_LL.sum(axis=1), dtype=np.float32).ravel()

    @cached_property
    def parts_of_history(self) -> CSR:
        """history_L as a single column, L x 1, ready for sampled_product."""
        return CSR.of(sp.csr_matrix(self.history_L[:, None]))

    @cached_property
    def popularity_L(self) -> npt.NDArray[np.float32]:
        """Points of each label."""
        return np.bincount(self.clicks_NL.indices, minlength=self.titles_LV.shape[0]).astype(np.float32)

    @cached_property
    def parts_of_shared(self) -> CSR:
        """shared_LL, ready for sampled_product."""
        return CSR.of(self.shared_LL)

    @cached_property
    def parts_of_clicks(self) -> CSR:
        """clicks_NL likewise."""
        return CSR.of(self.clicks_NL)

    @cached_property
    def parts_of_words(self) -> CSR:
        """The labels of each word likewise, V x L."""
        return CSR.of(self.titles_LV.T.tocsr())

    @cached_property
    def _titles(self) -> Nearest:
        return Nearest(self.titles_LV)

    @cached_property
    def _points(self) -> Nearest:
        return Nearest(self.points_NV)

    def save(self, folder: Path) -> None:
        """Write evidence/: plain arrays, no pickle."""
        (folder / "evidence").mkdir()
        for name in ("points_NV", "clicks_NL", "co_clicks_LL", "shared_LL"):
            sp.save_npz(folder / f"evidence/{name}.npz", getattr(self, name))

    @classmethod
    def load(cls, folder: Path, labels_LV: sp.csr_matrix) -> "CoClickScores":
        """Read what `save` wrote, beside the same label titles."""
        names = ("points_NV", "clicks_NL", "co_clicks_LL", "shared_LL")
        return cls(labels_LV, *(sp.load_npz(folder / f"evidence/{name}.npz").tocsr() for name in names))


def bonus_of(co_clicks: sp.csr_matrix, config: ECLAREConfig) -> sp.csr_matrix:
    """What evidence adds to the model's score of a pair: evidence_weight * log(1 + evidence / FLOOR)."""
    bonus = co_clicks.copy()
    bonus.data = bonus_of_each(bonus.data, config)
    return bonus


def bonus_of_each(co_clicks: npt.NDArray[np.float32], config: ECLAREConfig) -> npt.NDArray[np.float32]:
    """The same for an array."""
    return np.asarray(config.evidence_weight * np.log1p(co_clicks / FLOOR), dtype=np.float32)
