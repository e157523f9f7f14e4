"""Learns ECLARE from clicks, titles and the label graph."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from tqdm import tqdm

from eclare.batches import Batch, Batches
from eclare.co_occurrence import co_occurring_labels
from eclare.config import ECLAREConfig
from eclare.graph import LabelGraph
from eclare.interactions import weighted
from eclare.model import ECLARE, Bags, LabelRows

log = logging.getLogger(__name__)


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

    def with_label_points(self) -> "Texts":
        """The labels' own texts as further points, behind the others."""
        return replace(self, points_NV=sp.vstack([self.points_NV, self.labels_LV], format="csr"))


def with_label_points(weights_NL: sp.csr_matrix, targets: int) -> sp.csr_matrix:
    """Clicks with L more points, the labels: each finds itself and the `targets` labels it shares most points with.

    The soft targets of Gandalf (Kharbanda et al., KDD 2024): own label 1, the others by their share of the heaviest.
    """
    own = sp.identity(weights_NL.shape[1], np.float32, format="csr")
    points = sp.vstack([weights_NL, co_occurring_labels(weights_NL, targets) + own], format="csr")
    points.sort_indices()
    return points


def train(weights_NL: sp.csr_matrix, texts: Texts, config: ECLAREConfig, device: torch.device) -> ECLARE:
    """Fit the encoder and all label classifiers together on clicked and drawn labels (ECLARE, section 4.4).

    weights_NL: clicks, points x labels, CSR. Returns the model ready to predict. The same seed gives the same model on
    one device. Raises ValueError without a single click, FloatingPointError when the loss stops being a number.
    """
    torch.manual_seed(config.seed)
    model = ECLARE(texts.labels_LV.shape[1], texts.labels_LV.shape[0], config).to(device)
    model.start_refinement(Bags.of(texts.labels_LV, device), Bags.of(texts.edges_LL, device))
    weights_NL = weighted(weights_NL, config)
    if config.label_point_targets:
        weights_NL = with_label_points(weights_NL, config.label_point_targets)
        texts = texts.with_label_points()
    batches = Batches(weights_NL, config)
    optimisers = _optimisers(model, config)
    schedules = [
        torch.optim.lr_scheduler.StepLR(each, config.halve_learning_rate_every, gamma=0.5) for each in optimisers
    ]
    with tqdm(total=config.epochs * batches.steps_per_epoch, unit="step", desc="train", disable=None) as progress:
        for epoch in range(1, config.epochs + 1):
            losses = []
            for batch in batches.epoch():
                losses.append(_step(model, batch, texts, optimisers))
                progress.update()
            for schedule in schedules:
                schedule.step()
            mean = float(torch.stack(losses).mean())
            if not np.isfinite(mean):
                raise FloatingPointError(f"the loss of epoch {epoch} is {mean}: lower learning_rate")
            progress.set_postfix(loss=f"{mean:.4f}")
            log.info("epoch %d of %d: loss %.4f", epoch, config.epochs, mean)
    return model.eval()


def _optimisers(model: ECLARE, config: ECLAREConfig) -> list[torch.optim.Optimizer]:
    """Adam; its sparse form for the refinement vectors, the one table of which a step sees few rows."""
    refinement = [*model.refinement.parameters()]
    blocks = [model.tokens, model.point_block, model.text_block, model.graph_block, model.attention]
    return [
        torch.optim.SparseAdam(refinement, lr=config.learning_rate),
        torch.optim.Adam([parameter for block in blocks for parameter in block.parameters()], lr=config.learning_rate),
    ]


def _step(model: ECLARE, batch: Batch, texts: Texts, optimisers: list[torch.optim.Optimizer]) -> Tensor:
    device = model.refinement.weight.device
    points = Bags.of(texts.points_NV[batch.points_B], device)
    scores_BS = model.encode(points) @ model.classifiers(*label_rows(model, texts, batch.labels_S)).T
    loss = loss_of(scores_BS, torch.from_numpy(batch.weights_BS).to(device), model.config.loss)
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimiser in optimisers:
        optimiser.step()
    return loss.detach()


def label_rows(model: ECLARE, texts: Texts, labels_S: npt.NDArray[np.int64]) -> tuple[LabelRows, Tensor]:
    """S labels and the embedded texts that their classifiers need: their own and their neighbours', U x D."""
    device = model.refinement.weight.device
    edges = texts.edges_LL[labels_S]
    labels_U, position = np.unique(edges.indices, return_inverse=True)
    edges = sp.csr_matrix((edges.data, position, edges.indptr), shape=(len(labels_S), len(labels_U)))
    rows = LabelRows(
        torch.from_numpy(labels_S).to(device),
        torch.from_numpy(np.searchsorted(labels_U, labels_S)).to(device),
        Bags.of(edges, device),
    )
    return rows, model.embed(Bags.of(texts.labels_LV[labels_U], device))


def loss_of(scores_BS: Tensor, weights_BS: Tensor, loss: str) -> Tensor:
    """How far the scores of B points for S labels are from their clicks, averaged.

    "bce" asks of each label whether it was clicked (ECLARE, section 4.4); "softmax" asks for the share of the point's
    click weight that each label got, so heavier clicks end up higher.
    """
    if loss == "bce":
        return nn.functional.binary_cross_entropy_with_logits(scores_BS, (weights_BS > 0).to(scores_BS.dtype))
    return nn.functional.cross_entropy(scores_BS, weights_BS / weights_BS.sum(dim=1, keepdim=True))
