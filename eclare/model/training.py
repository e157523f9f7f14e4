"""One stage of training: epochs of steps over points and drawn labels, resumable, in one process or several."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from eclare.evaluation.metrics import evaluate
from eclare.model import distributed
from eclare.model.batches import Batch, Batches, Shortlist
from eclare.model.checkpoint import Checkpoint, CheckpointWriter, Epoch, Progress
from eclare.model.data import Texts
from eclare.model.device_batches import DeviceBatches, has_room
from eclare.model.inference import top_rows
from eclare.model.network import ECLARE
from eclare.model.prefetch import ahead
from eclare.model.row_adam import RowAdam
from eclare.model.sharded_table import ShardedEmbedding, in_parts
from eclare.model.step_inputs import LabelInputs, StepInputs, moved, pinned
from eclare.model.uncompiled import Adam

log = logging.getLogger(__name__)

JUDGED_AT = 5  # nDCG@5 on validation points decides when to stop
# Devices that would wait for batches of a CPU: they draw their own, or, where that cannot be, threads make them ahead.
DRAW_ON = ("cuda",)
PREFETCH_ON = ("cuda",)  # on a CPU the threads would take a step's own cores


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


def run_stage(
    model: ECLARE,
    data: TrainingData,
    stage: Stage,
    checkpoint: Checkpoint | None = None,
    *,
    shard_labels: bool = False,
    title: str = "",
) -> list[Epoch]:
    """Train the model in place, from the checkpoint on where there is one (ECLARE, section 4.4).

    shard_labels: several processes share the label table out among themselves, also where each has the room for it.
    title: of this training among others, before the stage's name in the log.
    The same seed gives the same model on one device, interrupted or not. Raises ValueError without a single click,
    FloatingPointError when the loss stops being a number.
    """
    with in_parts(model, wanted=shard_labels) as table:
        epochs = _run_stage(StageRun(model, data, stage, title), checkpoint, table)
    model.eval()
    return epochs


def _run_stage(run: "StageRun", checkpoint: Checkpoint | None, table: ShardedEmbedding | None) -> list[Epoch]:
    from tqdm import tqdm

    model, data, stage = run.model, run.data, run.stage
    progress = checkpoint.read(model, run.optimisers, table) if checkpoint else Progress()
    first = len(progress.epochs) + 1
    if progress.epochs:
        log.info("%s goes on after epoch %d of %d, where an earlier try ended", run.name, first - 1, stage.epochs)
    total, done = (epochs * run.batches.steps_per_epoch for epochs in (stage.epochs, first - 1))
    bar = tqdm(total=total, initial=done, unit="step", desc=run.name, disable=None)
    with bar, CheckpointWriter(checkpoint, table) as writer:
        for number in range(first, stage.epochs + 1):
            if data.validation and progress.epochs_without_better() >= model.config.patience:
                break
            progress.epochs.append(run.epoch(number, bar.update))
            bar.set_postfix(loss=f"{progress.epochs[-1].loss:.4f}")
            if data.validation and not progress.epochs_without_better():
                progress.best = {name: value.clone() for name, value in model.state_dict().items()}
            writer.after_epoch(model, run.optimisers, progress)
        if len(progress.epochs) >= first:
            writer.at_end(model, run.optimisers, progress)
    if progress.best:
        model.load_state_dict(progress.best)
    return progress.epochs


@dataclass(frozen=True, eq=False)
class StageRun:
    """One stage under way, epoch by epoch and step by step."""

    model: ECLARE
    data: TrainingData
    stage: Stage
    title: str = ""

    @property
    def name(self) -> str:
        """Which training and stage it is."""
        return f"{self.title}, {self.stage.name}" if self.title else self.stage.name

    def __post_init__(self) -> None:
        self.model.tokens.weight.requires_grad_(not self.stage.frozen_tokens)

    @cached_property
    def batches(self) -> Batches:
        """What each step looks at, of this process."""
        data, config = self.data, self.model.config
        processes = distributed.rank(), distributed.world_size()
        return Batches(data.clicks_NL, config, *processes, data.every_label, data.shortlist)

    @cached_property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """Adam; its sparse form for the two tables of which a step sees few rows, the labels' first (IN_PARTS)."""
        model = self.model
        tables = [table.weight for table in (model.refinement, model.tokens) if table.weight.requires_grad]
        blocks = [model.point_block, model.text_block, model.graph_block, model.attention]
        dense = [parameter for block in blocks for parameter in block.parameters()]
        # Fused, it is one operation on a GPU, which waits for the CPU that asks for it.
        return [RowAdam(tables), Adam(dense, fused=model.device.type == "cuda")]

    @cached_property
    def _parameters_of_all(self) -> list[nn.Parameter]:
        """Those that every process holds; the gradients of a table in parts are averaged on their way."""
        table = self.model.refinement
        part = table.weight if isinstance(table, ShardedEmbedding) else None
        return [parameter for parameter in self.model.parameters() if parameter is not part]

    def epoch(self, number: int, after_step: Callable[[], object] = lambda: None) -> Epoch:
        """Every point once, then a look at the validation points; epochs count from 1."""
        losses = []
        for loss in self.steps(number):
            losses.append(loss)
            after_step()
        mean = float(distributed.mean_of_all(torch.stack(losses).mean()))  # so that all go on, or none
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss of {self.name}, epoch {number}, is {mean}: lower learning_rate")
        epoch = Epoch(self.stage.name, number, mean, self._judge())
        log.info("%s, epoch %d of %d: loss %.4f", self.name, number, self.stage.epochs, mean)
        return epoch

    def steps(self, number: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch, where the model is, which then need not have ended."""
        # Every epoch draws afresh, so that one that follows a restart draws what it would have drawn.
        seeds = np.random.SeedSequence([self.model.config.seed, number, distributed.rank()])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.stage.learning_rate_of(number)
        hardest_NK = self._hardest(number)
        self.model.train()
        for inputs in self.inputs(number, hardest_NK):
            yield self._step(inputs)

    def inputs(self, number: int, hardest_NK: npt.NDArray[np.int32] | None = None) -> Iterator[StepInputs]:
        """Of each step of an epoch, where the model is."""
        if self.device_batches:
            return self.device_batches.epoch(number, hardest_NK)
        device, batches = self.model.device, self.batches.epoch(number, hardest_NK)
        made = (ahead if device.type in PREFETCH_ON else map)(self._inputs, batches)
        return (moved(inputs, device) for inputs in made)

    @cached_property
    def device_batches(self) -> DeviceBatches | None:
        """What draws the steps where the model is; None where a CPU does."""
        device, texts = self.model.device, self.data.texts
        if device.type not in DRAW_ON or not self._draws_labels or not has_room(self.batches, texts, device):
            return None
        return DeviceBatches.of(self.batches, texts, device)

    @property
    def _draws_labels(self) -> bool:
        return not (self.data.every_label or self.data.shortlist)

    def _inputs(self, batch: Batch) -> StepInputs:
        inputs = StepInputs.of(self.data.texts, batch, every_label=self.data.every_label)
        device = self.model.device
        return pinned(inputs, device) if device.type == "cuda" else inputs

    @cached_property
    def _every_label(self) -> LabelInputs:
        labels = np.arange(self.data.texts.labels_LV.shape[0])
        return moved(LabelInputs.of(self.data.texts, labels), self.model.device)

    def _step(self, inputs: StepInputs) -> Tensor:
        loss = self.loss(inputs)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self._parameters_of_all)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss.detach()

    def loss(self, inputs: StepInputs) -> Tensor:
        """Of inputs on the model's device."""
        model, labels = self.model, inputs.labels or self._every_label
        classifiers_SD = model.classifiers(labels.rows, model.embed(labels.texts))
        scores_BS = model.encode(inputs.points) @ classifiers_SD.T
        scored_BS = None if inputs.scored is None else inputs.scored.dense() > 0
        return loss_of(scores_BS, inputs.clicked.dense(), model.config.loss, scored_BS) * inputs.share

    def _hardest(self, number: int) -> npt.NDArray[np.int32] | None:
        """The labels that the model scores highest for each point; before the first epoch it knows none."""
        if not self.model.config.hard_negatives or number == 1 or not self._draws_labels:
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
