"""One stage of training: epochs of steps over points and drawn labels, resumable, in one process or several."""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from tqdm import tqdm

from eclare.evaluation.metrics import evaluate
from eclare.model import distributed
from eclare.model.batches import Batch, Batches, Shortlist
from eclare.model.checkpoint import Checkpoint, Epoch, Progress
from eclare.model.data import Texts
from eclare.model.inference import top_rows
from eclare.model.network import ECLARE, Bags, LabelRows
from eclare.model.row_adam import RowAdam

log = logging.getLogger(__name__)

JUDGED_AT = 5  # nDCG@5 on validation points decides when to stop


class Stage(NamedTuple):
    """A part of training: its name, its length, its learning rate, and whether token embeddings stay as they are."""

    name: str
    epochs: int
    learning_rate: float
    halve_every: int  # epochs
    frozen_tokens: bool = False
    kept_at_first: int = 0  # epochs more before the learning rate is halved for the first time

    def learning_rate_of(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1."""
        return self.learning_rate * 0.5 ** (max(0, epoch - 1 - self.kept_at_first) // self.halve_every)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a model learns: clicks of N points on L labels with the texts of both.

    A point is scored against labels that are drawn for its step, with `every_label` against all, with a shortlist
    against its own.
    validation: points and clicks that are judged after each epoch and never trained on.
    """

    clicks_NL: sp.csr_matrix
    texts: Texts
    shortlist: Shortlist | None = None
    every_label: bool = False
    validation: tuple[sp.csr_matrix, sp.csr_matrix] | None = None


def run_stage(model: ECLARE, data: TrainingData, stage: Stage, checkpoint: Checkpoint | None = None) -> list[Epoch]:
    """Train the model in place, from the checkpoint on where there is one (ECLARE, section 4.4).

    The same seed gives the same model on one device, interrupted or not. Raises ValueError without a single click,
    FloatingPointError when the loss stops being a number.
    """
    model.tokens.weight.requires_grad_(not stage.frozen_tokens)
    run = _Run(model, data, stage, _optimisers(model))
    progress = checkpoint.read(model, run.optimisers) if checkpoint else Progress()
    first = len(progress.epochs) + 1
    if progress.epochs:
        log.info("%s goes on after epoch %d of %d, where an earlier try ended", stage.name, first - 1, stage.epochs)
    total, done = (epochs * run.batches.steps_per_epoch for epochs in (stage.epochs, first - 1))
    with tqdm(total=total, initial=done, unit="step", desc=stage.name, disable=None) as bar:
        for number in range(first, stage.epochs + 1):
            if data.validation and progress.epochs_without_better() >= model.config.patience:
                break
            progress.epochs.append(run.epoch(number, bar))
            if data.validation and not progress.epochs_without_better():
                progress.best = {name: value.clone() for name, value in model.state_dict().items()}
            if checkpoint and not distributed.rank():
                checkpoint.write(model, run.optimisers, progress)
    if progress.best:
        model.load_state_dict(progress.best)
    model.eval()
    return progress.epochs


@dataclass(frozen=True, eq=False)
class _Run:
    model: ECLARE
    data: TrainingData
    stage: Stage
    optimisers: list[torch.optim.Optimizer]

    @cached_property
    def batches(self) -> Batches:
        data, config = self.data, self.model.config
        processes = distributed.rank(), distributed.world_size()
        return Batches(data.clicks_NL, config, *processes, data.every_label, data.shortlist)

    def epoch(self, number: int, bar: tqdm) -> Epoch:
        # Every epoch draws afresh, so that one that follows a restart draws what it would have drawn.
        seeds = np.random.SeedSequence([self.model.config.seed, number, distributed.rank()])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.stage.learning_rate_of(number)
        hardest_NK = self._hardest(number)
        self.model.train()
        losses = []
        for batch in self.batches.epoch(number, hardest_NK):
            losses.append(self._step(batch))
            bar.update()
        mean = float(torch.stack(losses).mean())
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss of {self.stage.name}, epoch {number}, is {mean}: lower learning_rate")
        epoch = Epoch(self.stage.name, number, mean, self._judge())
        bar.set_postfix(loss=f"{mean:.4f}")
        log.info("%s, epoch %d of %d: loss %.4f", self.stage.name, number, self.stage.epochs, mean)
        return epoch

    def _step(self, batch: Batch) -> Tensor:
        model, texts = self.model, self.data.texts
        points = Bags.of(texts.points_NV[batch.points_B], model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
            scores_BS = model.encode(points) @ model.classifiers(*_label_rows(model, texts, batch.labels_S)).T
        clicked_BS = torch.from_numpy(batch.weights_BS).to(model.device)
        scored_BS = None if batch.scored_BS is None else torch.from_numpy(batch.scored_BS).to(model.device)
        loss = loss_of(scores_BS.float(), clicked_BS, model.config.loss, scored_BS) * batch.share
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(model)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss.detach()

    def _hardest(self, number: int) -> npt.NDArray[np.int32] | None:
        """The labels that the model scores highest for each point; before the first epoch it knows none."""
        drawn = not (self.data.every_label or self.data.shortlist)
        if not self.model.config.hard_negatives or number == 1 or not drawn:
            return None
        self.model.eval()
        texts = self.data.texts
        return top_rows(self.model, texts, texts.points_NV, self.model.config.hard_negatives)

    def _judge(self) -> float | None:
        """nDCG on the validation points, where there are some."""
        if self.data.validation is None:
            return None
        points_NV, clicks_NL = self.data.validation
        self.model.eval()
        found_NK = top_rows(self.model, self.data.texts, points_NV, JUDGED_AT)
        metrics = evaluate(found_NK, clicks_NL, np.ones(clicks_NL.shape[1]), [found_NK.shape[1]])
        return {metric.name: metric.value for metric in metrics}["nDCG"]


def _label_rows(model: ECLARE, texts: Texts, labels_S: npt.NDArray[np.int64]) -> tuple[LabelRows, Tensor]:
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


def _optimisers(model: ECLARE) -> list[torch.optim.Optimizer]:
    """Adam; its sparse form for the two tables of which a step sees few rows."""
    tables = [table.weight for table in (model.refinement, model.tokens) if table.weight.requires_grad]
    blocks = [model.point_block, model.text_block, model.graph_block, model.attention]
    return [RowAdam(tables), torch.optim.Adam([parameter for block in blocks for parameter in block.parameters()])]


def loss_of(scores_BS: Tensor, weights_BS: Tensor, loss: str, scored_BS: Tensor | None = None) -> Tensor:
    """How far the scores of B points for S labels are from their clicks, averaged over what is scored.

    "bce" asks of each label whether it was clicked (ECLARE, section 4.4), and weighs a clicked one by its weight over
    the mean of the point's; "softmax" asks for the share of the point's click weight that each label got, and learns
    nothing of a point without a click. scored_BS: which labels each point is scored against; None: all of them.
    """
    if scored_BS is not None:
        scores_BS = scores_BS.masked_fill(~scored_BS, torch.finfo(scores_BS.dtype).min)
        weights_BS = weights_BS * scored_BS
    if loss == "bce":
        clicked_BS = weights_BS > 0
        mean_B1 = weights_BS.sum(dim=1, keepdim=True) / clicked_BS.sum(dim=1, keepdim=True)
        importance_BS = torch.where(clicked_BS, weights_BS / mean_B1, 1.0)
        whole = nn.functional.binary_cross_entropy_with_logits(scores_BS, clicked_BS.to(scores_BS.dtype), importance_BS)
        return whole if scored_BS is None else whole * (scored_BS.numel() / scored_BS.sum())
    return nn.functional.cross_entropy(scores_BS, weights_BS / weights_BS.sum(dim=1, keepdim=True).clamp(min=1e-30))
