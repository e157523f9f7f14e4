"""Fine-tuning of a sentence encoder by clicks: a title comes near the texts of the labels that it clicked.

In-batch contrastive learning (InfoNCE; van den Oord et al., 2018) of one encoder for titles and label texts, as NGAME
(Dahiya et al., WSDM 2023) and DEXML (Gupta et al., ICLR 2024) train theirs, without NGAME's search for near batches.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from tqdm import tqdm

from eclare.model import distributed
from eclare.model.batches import Batch, Batches
from eclare.model.config import ECLAREConfig
from eclare.model.sentence_encoder import SentenceEncoder
from eclare.model.training import loss_of

log = logging.getLogger(__name__)

POINTS, NEGATIVES = 64, 64  # of a step: titles, each with a label that it clicked, and further labels
LEARNING_RATE, WARM_UP = 1e-4, 0.1  # the highest, and the share of the steps until it is reached; from there down to 0
LARGEST_GRADIENT = 1.0  # norm that a longer one is cut to
TEMPERATURE = 0.05  # of cosines
MOST_TOKENS = 32  # of a title, while it is learnt from
BFLOAT16_ON = ("cuda",)  # devices whose layers compute in it


def fine_tuned(
    encoder: SentenceEncoder, titles: Sequence[str], targets_ML: sp.csr_matrix, epochs: int, seed: int
) -> SentenceEncoder:
    """The encoder after so many epochs over M titles, of which the last L are the labels' texts.

    targets_ML: CSR, positive where a title shall come near to a label; titles without a target are not looked at, and
    no title is beside a label of the same text. The same seed gives the same encoder on one device; several processes
    share every step. Raises ValueError without a target, FloatingPointError when the loss stops being a number.
    """
    model = encoder.read()
    FineTuning(model, titles, targets_ML, seed).run(epochs)
    return replace(encoder, weights=model.state_dict())


@dataclass(frozen=True, eq=False)
class FineTuning:
    """A SentenceTransformer that learns in place, step by step; the rest as in fine_tuned."""

    model: Any
    titles: Sequence[str]
    targets_ML: sp.csr_matrix
    seed: int

    def run(self, epochs: int) -> None:
        """Learn for so many epochs."""
        steps = epochs * self.batches.steps_per_epoch
        optimiser = torch.optim.AdamW(self.model.parameters(), LEARNING_RATE, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, LEARNING_RATE, steps, pct_start=WARM_UP, anneal_strategy="linear", cycle_momentum=False
        )
        self.model.max_seq_length = min(self.model.max_seq_length, MOST_TOKENS)
        self.model.train()
        with tqdm(total=steps, desc="fine-tune the encoder", unit="step", disable=None) as bar:
            for number in range(1, epochs + 1):
                losses = []
                seeds = np.random.SeedSequence([self.seed, number, distributed.rank()])
                torch.manual_seed(int(seeds.generate_state(1)[0]))
                for batch in self.batches.epoch(number):
                    losses.append(self._step(batch, optimiser))
                    schedule.step()
                    bar.update()
                mean = float(distributed.mean_of_all(torch.stack(losses).mean()))
                if not np.isfinite(mean):
                    raise FloatingPointError(f"the loss of the encoder, epoch {number}, is {mean}: leave it frozen")
                log.info("fine-tune the encoder, epoch %d of %d: loss %.4f", number, epochs, mean)

    @cached_property
    def batches(self) -> Batches:
        """What each step looks at, of this process."""
        drawn = ECLAREConfig(batch_size=POINTS, positives_per_point=1, negatives_per_batch=NEGATIVES, seed=self.seed)
        return Batches(self.targets_ML, drawn, distributed.rank(), distributed.world_size())

    def loss(self, batch: Batch) -> Tensor:
        """How far the titles of a batch are from those of its labels that they clicked, and near to the others."""
        texts, text_of_M = self._distinct
        points_B, labels_S = text_of_M[batch.points_B], text_of_M[self._first_label + batch.labels_S]
        rows, at = np.unique(np.concatenate([points_B, labels_S]), return_inverse=True)
        vectors = self._vectors([texts[row] for row in rows])[torch.from_numpy(at)]
        cosines_BS = vectors[: len(points_B)] @ vectors[len(points_B) :].T
        weights_BS, is_other_BS = batch.weights_BS.toarray(), points_B[:, None] != labels_S
        clicked, scored = (torch.from_numpy(each).to(cosines_BS.device) for each in (weights_BS, is_other_BS))
        return loss_of(cosines_BS / TEMPERATURE, clicked, "softmax", scored) * batch.share

    def _step(self, batch: Batch, optimiser: torch.optim.Optimizer) -> Tensor:
        loss = self.loss(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self.model.parameters())
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        return loss.detach()

    def _vectors(self, texts: list[str]) -> Tensor:
        """Of norm 1, with their gradient; layers compute in bfloat16 on a GPU."""
        from sentence_transformers.util import batch_to_device

        device = self.model.device
        tokens = batch_to_device(self.model.preprocess(texts), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type in BFLOAT16_ON):
            vectors: Tensor = self.model(tokens)["sentence_embedding"]
        return nn.functional.normalize(vectors.float(), dim=1)

    @property
    def _first_label(self) -> int:
        return len(self.titles) - int(self.targets_ML.shape[1])

    @cached_property
    def _distinct(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Every text once, and which of them each title is."""
        texts, text_of_M = np.unique(np.array(self.titles, dtype=object), return_inverse=True)
        return texts.tolist(), text_of_M
