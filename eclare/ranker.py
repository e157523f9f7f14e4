"""The ranker: one score from many features of a candidate, by a small network with learnt or fixed weights."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from eclare.arrays.csr import Floats
from eclare.arrays.topk import PAD, best_of_rows
from eclare.model.uncompiled import Adam

log = logging.getLogger(__name__)

HIDDEN, LEARNING_RATE, WEIGHT_DECAY = 24, 0.01, 1e-3
MASKED = -1e4  # score of a place without a candidate
K = 10  # places of the lists that a ranker is chosen by


@dataclass(frozen=True, eq=False)
class Examples:
    """What a ranker learns from: F features of C candidates of each of Q queries, and how relevant each turned out.

    relevance_QC: 0 for a candidate that is not relevant; mask_QC: where there is a candidate.
    """

    features_QCF: Floats
    relevance_QC: Floats
    mask_QC: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.relevance_QC)

    def with_positives(self) -> "Examples":
        """Without the queries that have no relevant candidate."""
        return self.where(self.relevance_QC.sum(axis=1) > 0)

    def where(self, kept_Q: npt.NDArray[np.bool_]) -> "Examples":
        """Some of the queries."""
        return Examples(self.features_QCF[kept_Q], self.relevance_QC[kept_Q], self.mask_QC[kept_Q])

    def of(self, places: Sequence[int]) -> "Examples":
        """The same with some of the features."""
        return Examples(np.ascontiguousarray(self.features_QCF[..., places]), self.relevance_QC, self.mask_QC)

    def hiding(self, places: Sequence[int]) -> "Examples":
        """The same where some of the features tell nothing."""
        features_QCF = self.features_QCF.copy()
        features_QCF[..., places] = 0
        return Examples(features_QCF, self.relevance_QC, self.mask_QC)

    def padded(self, candidates: int) -> "Examples":
        """With places for so many candidates, the new ones masked."""
        rows = (0, 0), (0, candidates - self.relevance_QC.shape[1])
        return Examples(
            np.pad(self.features_QCF, (*rows, (0, 0))), np.pad(self.relevance_QC, rows), np.pad(self.mask_QC, rows)
        )


class Ranker(nn.Module):
    """A network with one hidden layer that scores a candidate from its standardised features.

    features: their names, in order.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, features: Sequence[str], mean_F: torch.Tensor, deviation_F: torch.Tensor, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.features = tuple(features)
        self.register_buffer("mean", mean_F)
        self.register_buffer("deviation", deviation_F)
        self.layers = nn.Sequential(nn.Linear(len(mean_F), hidden), nn.GELU(), nn.Linear(hidden, 1))

    @classmethod
    @torch.no_grad()
    def linear(cls, features: Sequence[str], weights: Mapping[str, float], origin: Mapping[str, float]) -> "Ranker":
        """Fixed weights: the score is the sum of weight * (feature - origin) over the named features.

        Exact in this network, since gelu(x) - gelu(-x) = x: one hidden unit holds the weights, one their negatives.
        origin: the values at which the score is 0; 0 for features left out. Raises ValueError for an unknown feature.
        """
        if unknown := {*weights, *origin} - set(features):
            raise ValueError(f"weights must be of {', '.join(features)}; got {', '.join(sorted(unknown))}")
        weight_F, mean_F = (torch.tensor([of.get(name, 0.0) for name in features]) for of in (weights, origin))
        ranker = cls(features, mean_F, torch.ones(len(features)), hidden=2)
        inner_HF, bias_H, outer_1H, bias_1 = ranker.parameters()
        inner_HF[:] = torch.stack([weight_F, -weight_F])
        outer_1H[:] = torch.tensor([1.0, -1.0])
        bias_H.zero_()
        bias_1.zero_()
        return ranker

    @torch.no_grad()
    def shrunk_to(self, other: "Ranker", share: float) -> "Ranker":
        """The ranker whose score is this share of this one's score, and the rest of the other's.

        Exact in one network: both hidden layers stand side by side. Both rank by the same features.
        """
        inner_HF, bias_H, outer_1H, bias_1 = self.parameters()
        of_other_HF, other_bias_H, other_outer_1H, other_bias_1 = other.parameters()
        # The other's first layer as it reads what is standardised for this one.
        other_inner_HF = of_other_HF * (self.deviation / other.deviation)
        shift_H = of_other_HF @ ((self.mean - other.mean) / other.deviation)
        both = (
            torch.cat([inner_HF, other_inner_HF]),
            torch.cat([bias_H, other_bias_H + shift_H]),
            torch.cat([share * outer_1H, (1 - share) * other_outer_1H], dim=1),
            share * bias_1 + (1 - share) * other_bias_1,
        )
        shrunk = Ranker(self.features, self.mean, self.deviation, hidden=len(both[1]))
        for parameter, values in zip(shrunk.parameters(), both, strict=True):
            parameter.copy_(values)
        return shrunk

    @torch.no_grad()
    def without(self, features: Collection[str]) -> "Ranker":
        """The same ranker where these features have their mean, or their origin, whatever they are.

        Raises ValueError for an unknown feature.
        """
        if unknown := set(features) - set(self.features):
            raise ValueError(f"features must be of {', '.join(self.features)}; got {', '.join(sorted(unknown))}")
        ranker = deepcopy(self)
        inner_HF, *_ = ranker.parameters()
        inner_HF[:, [name in features for name in self.features]] = 0  # standardised, the mean is 0
        return ranker

    def forward(self, features_QCF: torch.Tensor) -> torch.Tensor:
        """Q x C x F in, a score of every candidate out, Q x C."""
        scores: torch.Tensor = self.layers((features_QCF - self.mean) / self.deviation).squeeze(-1)
        return scores

    @torch.no_grad()
    def scores(self, features_QCF: Floats) -> Floats:
        """The same for arrays."""
        return np.asarray(self(torch.from_numpy(features_QCF)).numpy())

    @torch.no_grad()
    def parts(self, features_NF: Floats, groups: Sequence[Sequence[int]]) -> Floats:
        """What each group of features adds to the score of average features, and that score, N x (groups + 1).

        Exact Shapley values (Shapley, 1953; Lundberg, Lee, NIPS 2017): a group's worth to every set of the others, by
        the set's size. They sum to the score where each feature is in one group.
        """
        scores = self._scores_of_sets(features_NF, groups)
        parts_GN = torch.zeros(len(groups), len(features_NF))
        for group, known in product(range(len(groups)), range(len(scores))):
            if not known >> group & 1:
                orders = len(groups) * comb(len(groups) - 1, known.bit_count())
                parts_GN[group] += (scores[known | 1 << group] - scores[known]) / orders
        return np.asarray(torch.stack([*parts_GN, scores[0]], dim=-1).numpy())

    def _scores_of_sets(self, features_NF: Floats, groups: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """The scores where only the groups of a set are known and other features average; bit g stands for group g.

        The first layer is linear, so what each group adds before the GELU is computed once.
        """
        weight, bias = self.layers[0].parameters()
        standard = (torch.from_numpy(features_NF) - self.mean) / self.deviation
        added = [standard[:, list(group)] @ weight[:, list(group)].T for group in groups]
        hidden = [bias.expand(len(standard), -1)]
        for of_group in added:
            hidden += [before + of_group for before in hidden]
        return [self.layers[1:](each).squeeze(-1) for each in hidden]

    def save(self, file: Path) -> None:
        """Write a safetensors file that names the features."""
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        file.write_bytes(save(tensors, {"features": json.dumps(self.features)}))

    @classmethod
    def load(cls, file: Path, *features: Sequence[str]) -> "Ranker":
        """Read what `save` wrote; raises ValueError where its features are none of these."""
        with safe_open(file, "pt") as stored:
            found = json.loads((stored.metadata() or {}).get("features", "[]"))
        if found not in [list(names) for names in features]:
            raise ValueError(
                f"{file.name} must rank by the features {' or '.join(map(', '.join, features))}; "
                f"it was made for {', '.join(found) or 'features without a name'}: train again"
            )
        state = load_file(file)
        ranker = cls(found, state["mean"], state["deviation"], hidden=len(state["layers.0.bias"]))
        ranker.load_state_dict(state)
        return ranker


def fit_ranker(
    examples: Sequence[Examples], features: Sequence[str], seed: int, steps: int, queries_per_step: int
) -> Ranker:
    """Learn to give each candidate its share of its query's relevance (softmax cross-entropy, Adam).

    Raises ValueError where there is nothing to learn from.
    """
    widest = max((each.relevance_QC.shape[1] for each in examples), default=0)
    positive = [each.with_positives().padded(widest) for each in examples]
    if not sum(map(len, positive)):
        raise ValueError("a ranker learns from queries with a relevant candidate, got none")
    features_QCF, relevance_QC, mask_QC = (
        torch.from_numpy(np.concatenate([getattr(each, name) for each in positive]))
        for name in ("features_QCF", "relevance_QC", "mask_QC")
    )
    share_QC = relevance_QC / relevance_QC.sum(dim=1, keepdim=True)
    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    of_candidates = features_QCF[mask_QC]
    ranker = Ranker(features, of_candidates.mean(dim=0), of_candidates.std(dim=0, correction=0) + 1e-6)
    optimiser = Adam(ranker.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    for _ in range(steps):
        drawn = torch.randint(len(features_QCF), (queries_per_step,), generator=random)
        scores = ranker(features_QCF[drawn]).masked_fill(~mask_QC[drawn], MASKED)
        loss = nn.functional.cross_entropy(scores, share_QC[drawn])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    log.info("%s", json.dumps({"ranker fitted on queries": len(features_QCF), "loss": round(loss.item(), 4)}))
    return ranker


def ndcg(ranker: Ranker, examples: Examples) -> npt.NDArray[np.float64]:
    """nDCG@K of every query's candidates as a ranker orders them, Q; the gain is their relevance."""
    places = np.where(examples.mask_QC, np.arange(examples.mask_QC.shape[1], dtype=np.int32), np.int32(PAD))
    best_QK, _ = best_of_rows(places, ranker.scores(examples.features_QCF), K)
    gained = np.take_along_axis(examples.relevance_QC, np.maximum(best_QK, 0), axis=1) * (best_QK != PAD)
    ideal = -np.sort(-examples.relevance_QC, axis=1)[:, :K]
    discount = 1 / np.log2(np.arange(K) + 2)
    return np.asarray(gained @ discount / (ideal @ discount[: ideal.shape[1]]), np.float64)


def standard_error(values_Q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of the mean over queries, which are the last axis."""
    return np.asarray(values_Q.std(axis=-1) / max(values_Q.shape[-1] - 1, 1) ** 0.5)
