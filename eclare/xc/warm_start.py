"""Training that starts from an earlier model, although vocabulary and labels have changed since."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from eclare.model.data import Ids, Texts
from eclare.model.ensemble import Ensemble
from eclare.model.network import ECLARE, Bags
from eclare.model.stages import Start


@dataclass(frozen=True, eq=False)
class Earlier:
    """What an earlier training knew: its ensemble, and the names of its tokens and labels."""

    ensemble: Ensemble
    tokens_V: Ids
    label_ids_L: Ids

    def starts(self, tokens_V: Ids, label_ids_L: Ids, texts: Texts) -> Iterator[Start]:
        """For every member, what sets a fresh model of these tokens and labels to what it knew.

        Shared tokens and labels keep their vectors, new labels start at their graph-augmented text.
        """
        tokens = np.intersect1d(self.tokens_V, tokens_V, return_indices=True)[1:]
        labels = np.intersect1d(self.label_ids_L, label_ids_L, return_indices=True)[1:]
        for member in self.ensemble.members:
            yield lambda model, known=member.classifier.model: _take_over(model, known, tokens, labels, texts)  # type: ignore[misc]


@torch.no_grad()
def _take_over(
    model: ECLARE,
    known: ECLARE,
    tokens: tuple[np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray],
    texts: Texts,
) -> None:
    named_by_rows = ("tokens.weight", "refinement.weight")
    blocks = {name: value for name, value in known.state_dict().items() if name not in named_by_rows}
    model.load_state_dict(model.state_dict() | blocks)
    old, new = (torch.from_numpy(rows).to(model.device) for rows in tokens)
    model.tokens.weight[new] = known.tokens.weight.to(model.device)[old]
    model.start_refinement(Bags.of(texts.labels_LV, model.device), Bags.of(texts.edges_LL, model.device))
    old, new = (torch.from_numpy(rows).to(model.device) for rows in labels)
    model.refinement.weight[new] = known.refinement.weight.to(model.device)[old]
