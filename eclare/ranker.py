"""One score from many signals: a small network that learns how much each of them is worth."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import nn

from eclare.model.inference import Floats

log = logging.getLogger(__name__)

HIDDEN, LEARNING_RATE, WEIGHT_DECAY = 24, 0.01, 1e-3
NOT_THERE = -1e4  # score of a candidate that is not there


@dataclass(frozen=True, eq=False)
class Examples:
    """Signals of the candidates of Q points, Q x C x F, how right each was, Q x C (0: wrong), and which are there."""

    signals_QCF: Floats
    right_QC: Floats
    there_QC: npt.NDArray[np.bool_]

    def with_positives(self) -> "Examples":
        """Without the points that have no right candidate."""
        return self._of(self.right_QC.sum(axis=1) > 0)

    def with_candidates(self, count: int) -> "Examples":
        """Room for more candidates, which are not there."""
        more = count - self.right_QC.shape[1]
        rows = (0, 0), (0, more)
        return Examples(
            np.pad(self.signals_QCF, (*rows, (0, 0))), np.pad(self.right_QC, rows), np.pad(self.there_QC, rows)
        )

    def _of(self, points: npt.NDArray[np.bool_]) -> "Examples":
        return Examples(self.signals_QCF[points], self.right_QC[points], self.there_QC[points])


class Ranker(nn.Module):
    """A small network that scores a candidate from its standardised signals."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean_F: torch.Tensor, deviation_F: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean_F)
        self.register_buffer("deviation", deviation_F)
        self.layers = nn.Sequential(nn.Linear(len(mean_F), HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))

    def forward(self, signals_QCF: torch.Tensor) -> torch.Tensor:
        """Q x C x F in, a score of every candidate out, Q x C."""
        scores: torch.Tensor = self.layers((signals_QCF - self.mean) / self.deviation).squeeze(-1)
        return scores

    @torch.no_grad()
    def scores(self, signals_QCF: Floats) -> Floats:
        """The same for arrays."""
        return np.asarray(self(torch.from_numpy(signals_QCF)).numpy())

    @torch.no_grad()
    def parts(self, signals_NF: Floats, groups: Sequence[Sequence[int]]) -> Floats:
        """What each group of signals adds to the score that average signals have, and that score, N x (groups + 1).

        Exact Shapley values (Shapley, 1953; Lundberg, Lee, NIPS 2017): a group's worth to every set of the others, by
        the set's size. They sum to the score where each signal is in one group.
        """
        scores = self._scores_of_sets(signals_NF, groups)
        parts_GN = torch.zeros(len(groups), len(signals_NF))
        for group, known in product(range(len(groups)), range(len(scores))):
            if not known >> group & 1:
                orders = len(groups) * comb(len(groups) - 1, known.bit_count())
                parts_GN[group] += (scores[known | 1 << group] - scores[known]) / orders
        return np.asarray(torch.stack([*parts_GN, scores[0]], dim=-1).numpy())

    def _scores_of_sets(self, signals_NF: Floats, groups: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """The scores where only the groups of a set are known and other signals are average; bit g stands for a group.

        The first layer is linear, so what each group pushes into it is worked out once.
        """
        weight, bias = self.layers[0].parameters()
        standard = (torch.from_numpy(signals_NF) - self.mean) / self.deviation
        pushes = [standard[:, list(group)] @ weight[:, list(group)].T for group in groups]
        hidden = [bias.expand(len(standard), -1)]
        for push in pushes:
            hidden += [before + push for before in hidden]
        return [self.layers[1:](each).squeeze(-1) for each in hidden]

    def save(self, file: Path) -> None:
        """Write a safetensors file."""
        file.write_bytes(save({name: value.contiguous() for name, value in self.state_dict().items()}))

    @classmethod
    def load(cls, file: Path) -> "Ranker":
        """Read what `save` wrote."""
        state = load_file(file)
        fusion = cls(state["mean"], state["deviation"])
        fusion.load_state_dict(state)
        return fusion


def fit_ranker(examples: Sequence[Examples], seed: int, steps: int, points_per_step: int) -> Ranker:
    """Learn to give each candidate its share of what was right for the point (softmax cross-entropy, Adam).

    Raises ValueError where there is nothing to learn from.
    """
    widest = max((some.right_QC.shape[1] for some in examples), default=0)
    taught = [some.with_positives().with_candidates(widest) for some in examples]
    signals, right, there = (
        torch.from_numpy(np.concatenate([getattr(some, name) for some in taught]))
        for name in ("signals_QCF", "right_QC", "there_QC")
    )
    if not len(signals):
        raise ValueError("fusing signals needs at least one point with a right candidate, got none")
    share = right / right.sum(dim=1, keepdim=True)
    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    known = signals[there]
    fusion = Ranker(known.mean(dim=0), known.std(dim=0, correction=0) + 1e-6)
    optimiser = torch.optim.Adam(fusion.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    for _ in range(steps):
        drawn = torch.randint(len(signals), (points_per_step,), generator=random)
        scores = fusion(signals[drawn]).masked_fill(~there[drawn], NOT_THERE)
        loss = nn.functional.cross_entropy(scores, share[drawn])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    log.info("%s", json.dumps({"fusion learnt from points": len(signals), "loss": round(loss.item(), 4)}))
    return fusion
