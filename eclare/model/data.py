"""What a model learns from: weighted clicks of points on labels, and the titles of both over one label graph."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.strings import Strings, pack, unpack
from eclare.model.config import ECLAREConfig

if TYPE_CHECKING:
    from eclare.model.label_graph import LabelGraph


@dataclass(frozen=True, eq=False)
class Interactions:
    """Weighted clicks between N points (query products) and L labels (products that can be recommended).

    weights_NL: CSR float32, a positive weight per clicked pair, column indices sorted, no duplicates.
    point_ids_N, label_ids_L: product ids; everything inside the library is a row number of one of them.
    Raises ValueError when shapes disagree, an id occurs twice or a weight is not positive and finite.
    """

    weights_NL: sp.csr_matrix
    point_ids_N: Strings
    label_ids_L: Strings

    def __post_init__(self) -> None:
        expected = (len(self.point_ids_N), len(self.label_ids_L))
        if self.weights_NL.shape != expected:
            raise ValueError(f"weights_NL must be points x labels = {expected}, got {self.weights_NL.shape}")
        for name, ids in (("point_ids_N", self.point_ids_N), ("label_ids_L", self.label_ids_L)):
            if len(np.unique(ids)) != len(ids):
                values, counts = np.unique(ids, return_counts=True)
                raise ValueError(f"{name} must be unique, got '{values[counts.argmax()]}' {counts.max()} times")
        weights = self.weights_NL.data
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(f"weights must be positive and finite, got {weights[~(weights > 0)][:1] or weights.max()}")
        self.weights_NL.sum_duplicates()

    def __repr__(self) -> str:
        points, labels = self.weights_NL.shape
        queried, clicked = (int((self.weights_NL.getnnz(axis=axis) > 0).sum()) for axis in (1, 0))
        return (
            f"Interactions({self.weights_NL.nnz:,} pairs; {queried:,} of {points:,} points, "
            f"{clicked:,} of {labels:,} labels)"
        )

    def save(self, folder: Path) -> None:
        """Write interactions.npz: plain arrays, no pickle."""
        weights = self.weights_NL
        np.savez(
            folder / "interactions.npz",
            data=weights.data, indices=weights.indices, indptr=weights.indptr,
            allow_pickle=False, **pack("point_ids", self.point_ids_N), **pack("label_ids", self.label_ids_L),
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> "Interactions":
        """Read what `save` wrote; raises ValueError where it does not hold together."""
        with np.load(folder / "interactions.npz", allow_pickle=False) as file:
            again = "run build_interactions for this night again"
            points, labels = (unpack(name, file, again) for name in ("point_ids", "label_ids"))
            parts = (file["data"], file["indices"], file["indptr"])
            return cls(sp.csr_matrix(parts, shape=(len(points), len(labels))), points, labels)


def weighted(weights_NL: sp.csr_matrix, config: ECLAREConfig) -> sp.csr_matrix:
    """The clicks as `config.weighting` counts them: as heavy as they are, or all alike."""
    if config.weighting == "clicks":
        return weights_NL
    alike = weights_NL.copy()
    alike.data = np.ones_like(alike.data)
    return alike


@dataclass(frozen=True, eq=False)
class Texts:
    """Titles as TF-IDF over V tokens, of N points and of L labels, and the label graph over which texts are shared."""

    points_NV: sp.csr_matrix
    labels_LV: sp.csr_matrix
    edges_LL: sp.csr_matrix

    @classmethod
    def of(cls, points_NV: sp.csr_matrix, labels_LV: sp.csr_matrix, graph: "LabelGraph") -> "Texts":
        """Raises ValueError where the shapes do not fit together."""
        if points_NV.shape[1] != labels_LV.shape[1] or graph.edges_LL.shape[0] != labels_LV.shape[0]:
            raise ValueError(
                "points and labels must share a vocabulary, and graph and texts their labels: "
                f"got points {points_NV.shape}, labels {labels_LV.shape}, graph {graph.edges_LL.shape}"
            )
        return cls(points_NV, labels_LV, graph.edges_LL)

    def of_points(self, rows: npt.NDArray[np.int32]) -> "Texts":
        """The same labels with some of the points."""
        return replace(self, points_NV=self.points_NV[rows])

    def without_points(self) -> "Texts":
        """The labels alone."""
        return replace(self, points_NV=self.points_NV[:0])

    def with_label_points(self) -> "Texts":
        """The labels' own texts as further points, behind the others."""
        return replace(self, points_NV=sp.vstack([self.points_NV, self.labels_LV], format="csr"))

    def with_graph(self, graph: "LabelGraph") -> "Texts":
        """The same titles over another graph."""
        return replace(self, edges_LL=graph.edges_LL)
