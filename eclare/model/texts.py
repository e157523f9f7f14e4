"""Titles of points and labels over one vocabulary, and the graph over which labels share theirs."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from eclare.model.label_graph import LabelGraph
from eclare.model.network import ECLARE, Bags, LabelRows


@dataclass(frozen=True, eq=False)
class Texts:
    """Titles as TF-IDF over V tokens, of N points and of L labels, and the label graph over which texts are shared."""

    points_NV: sp.csr_matrix
    labels_LV: sp.csr_matrix
    edges_LL: sp.csr_matrix

    @classmethod
    def of(cls, points_NV: sp.csr_matrix, labels_LV: sp.csr_matrix, graph: LabelGraph) -> "Texts":
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

    def with_graph(self, graph: LabelGraph) -> "Texts":
        """The same titles over another graph."""
        return replace(self, edges_LL=graph.edges_LL)


def label_rows(model: ECLARE, texts: Texts, labels_S: npt.NDArray[np.int64]) -> tuple[LabelRows, Tensor]:
    """S labels and the embedded texts that their classifiers need: their own and their neighbours', U x D."""
    edges = texts.edges_LL[labels_S]
    labels_U, position = np.unique(edges.indices, return_inverse=True)
    edges = sp.csr_matrix((edges.data, position, edges.indptr), shape=(len(labels_S), len(labels_U)))
    rows = LabelRows(
        torch.from_numpy(labels_S).to(model.device),
        torch.from_numpy(np.searchsorted(labels_U, labels_S)).to(model.device),
        Bags.of(edges, model.device),
    )
    return rows, model.embed(Bags.of(texts.labels_LV[labels_U], model.device))
