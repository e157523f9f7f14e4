"""Training that starts from an earlier model, although vocabulary and labels have changed since."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from eclare.arrays.strings import Strings
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.network import ECLARE, Bags
from eclare.model.stages import Start

# Without these, weights cannot be taken over.
SAME_OPTIONS = ("embedding_dim", "views", "learnt_residual", "xavier_attention", "shortlister")


class SharedRows(NamedTuple):
    """Rows of the tokens (or labels) that both trainings have, in the earlier model and in the fresh one."""

    earlier: torch.Tensor
    fresh: torch.Tensor

    @classmethod
    def of(cls, earlier: Strings, fresh: Strings) -> "SharedRows":
        """By name."""
        _, earlier_rows, fresh_rows = np.intersect1d(earlier, fresh, return_indices=True)
        return cls(torch.from_numpy(earlier_rows), torch.from_numpy(fresh_rows))


@dataclass(frozen=True, eq=False)
class EarlierModel:
    """A trained ensemble and the names of its tokens and labels."""

    ensemble: Ensemble
    tokens_V: Strings
    label_ids_L: Strings

    def check(self, config: ECLAREConfig) -> None:
        """Raises ValueError, naming the option, where a training with this config cannot start from it."""
        for option in SAME_OPTIONS:
            earlier, wanted = getattr(self.ensemble.config, option), getattr(config, option)
            if earlier != wanted:
                raise ValueError(f"a warm start needs the same {option}, got {earlier!r} before and {wanted!r} now")
        if config.shortlister != "faiss":
            raise ValueError("a warm start needs shortlister faiss: the paper's stages start from the surrogate")

    def starts(self, tokens_V: Strings, label_ids_L: Strings, texts: Texts) -> tuple[Start, ...]:
        """For every member, what sets a fresh model of these tokens and labels to its weights.

        Shared tokens and labels keep their vectors, new labels start at their graph-augmented text.
        """
        tokens, labels = SharedRows.of(self.tokens_V, tokens_V), SharedRows.of(self.label_ids_L, label_ids_L)
        return tuple(
            partial(_take_over, member.classifier.model, tokens, labels, texts) for member in self.ensemble.members
        )


@torch.no_grad()
def _take_over(earlier: ECLARE, tokens: SharedRows, labels: SharedRows, texts: Texts, model: ECLARE) -> None:
    by_row = ("tokens.weight", "refinement.weight")
    blocks = {name: value for name, value in earlier.state_dict().items() if name not in by_row}
    model.load_state_dict(model.state_dict() | blocks)
    _copy_rows(earlier.tokens.weight, model.tokens.weight, tokens)
    model.start_refinement(Bags.of(texts.labels_LV, model.device), Bags.of(texts.edges_LL, model.device))
    _copy_rows(earlier.refinement.weight, model.refinement.weight, labels)


def _copy_rows(earlier: torch.Tensor, fresh: torch.Tensor, rows: SharedRows) -> None:
    fresh[rows.fresh.to(fresh.device)] = earlier[rows.earlier.to(earlier.device)].to(fresh.device)
