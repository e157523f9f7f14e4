"""The models of a night: one for each earlier cut-off, then the night's own, each started from the one before it.

A model that is trained from scratch at every cut-off learns the same words each time. Whatever a later one takes over
was known at the earlier cut-off, so nothing is foreseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import scipy.sparse as sp
import torch

from eclare.model import distributed
from eclare.model.checkpoint import Epoch
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts, weighted
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training
from eclare.ranker import Examples
from eclare.related.backtest import cutoffs, examples_at
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.like_sentences import ProductSentences
from eclare.related.targets import Goal, model_targets

# Of the epochs of a model that is trained once: from scratch, and started from an earlier one.
PAST, OF_THE_NIGHT = (0.5, 0.2), (1.0, 0.3)


@dataclass(frozen=True)
class Learning:
    """How the models of a night learn: the options of ECLARE, and what they learn of a log (model_targets)."""

    config: ECLAREConfig
    goal: Goal
    half_life_days: float
    max_related: int

    def targets(self, known: Cooccurrence) -> sp.csr_matrix:
        """What a model learns of what was known on a day, CSR P x P."""
        return weighted(model_targets(known, self.goal, self.half_life_days, self.max_related), self.config)


@dataclass(frozen=True, eq=False)
class Retrained:
    """The night's model, its epochs, and what its ranker is fitted on, the latest cut-off first.

    Of several processes that train together, the first alone has examples.
    """

    ensemble: Ensemble
    history: Sequence[Epoch]
    examples: Sequence[Examples]


def retrain(
    known: Cooccurrence,
    texts: Texts,
    like_PP: sp.csr_matrix,
    learning: Learning,
    device: torch.device,
    *,
    checkpoints: Path | None = None,
    shard_labels: bool = False,
    sentences: ProductSentences | None = None,
) -> Retrained:
    """Train at every earlier cut-off of what is known, the earliest first, and last on all of it.

    texts: titles of the products, which are points and labels alike, over the graph of all that is known; like_PP:
    which titles are alike (like_titles). checkpoints: folder from which a killed training goes on. shard_labels: as
    run_stage. sentences: of an encoder, for the examples. Raises ValueError without a single click, FloatingPointError
    when a loss stops being a number.
    """
    config, examples = learning.config, list[Examples]()
    earlier: tuple[Training, Ensemble] | None = None
    past = list(reversed(list(cutoffs(known, learning.goal, config.seed))))
    for number, cutoff in enumerate(past, 1):
        targets_PP = learning.targets(cutoff.known)
        of_then = texts.with_graph(build_label_graph(targets_PP, config))
        below = checkpoints and checkpoints / f"known_for_{cutoff.known.days}_days"
        title = f"past night {number} of {len(past)}"
        training = Training(targets_PP, of_then, device, below, shard_labels, title=title)
        earlier = training, _train(training, config, earlier, PAST)
        if not distributed.rank():  # the others wait in the next training
            examples.insert(0, examples_at(cutoff, texts.labels_LV, like_PP, earlier[1], sentences))
    training = Training(learning.targets(known), texts, device, checkpoints, shard_labels, title="the night")
    ensemble = _train(training, config, earlier, OF_THE_NIGHT)
    return Retrained(ensemble, training.history, examples)


def _train(
    training: Training, config: ECLAREConfig, earlier: tuple[Training, Ensemble] | None, shares: tuple[float, float]
) -> Ensemble:
    """The paper's stages start from a surrogate of their own, never from an earlier model."""
    from_scratch, going_on = (replace(config, epochs=max(1, round(share * config.epochs))) for share in shares)
    if earlier is None or config.shortlister == "clusters":
        return training.ensemble(from_scratch)
    return training.after(*earlier).ensemble(going_on)
