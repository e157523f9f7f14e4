"""One ranking of all signals, learned on days that the log itself holds back."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import nn

from eclare.config import ECLAREConfig
from eclare.search import Floats, Rows
from eclare.sessions import Sessions
from eclare.signals import NAMES, Signals
from eclare.sparse import best_per_row

log = logging.getLogger(__name__)

HELD_BACK_DAYS = (45.0, 90.0, 180.0)  # three nights of the past on which the ranking is learned
JUDGED_DAYS = 60.0  # after such a night that say what was right
SHARED_SESSIONS = 2  # that make a pair right, as fewer are chance
FEWEST_RIGHT = 5  # right products a query needs to teach anything
HIDDEN, STEPS, QUERIES_PER_STEP, LEARNING_RATE, WEIGHT_DECAY = 24, 800, 256, 0.01, 1e-3


@dataclass(frozen=True, eq=False)
class Examples:
    """Signals of the candidates of Q queries, Q x C x F, and the sessions they shared afterwards, Q x C."""

    signals_QCF: Floats
    shared_QC: Floats

    @classmethod
    def of(cls, signals: Signals, later: Sessions) -> "Examples":
        """What was known, and what then happened; queries without a right candidate are left out."""
        right = later.together()
        right.data[right.data < SHARED_SESSIONS] = 0
        right.eliminate_zeros()
        queries = np.flatnonzero(np.diff(right.indptr) >= FEWEST_RIGHT).astype(np.int32)
        known, happened, start = [], [], 0
        for candidates, features in signals.examples(queries):
            rows = queries[start : start + len(candidates)]
            start += len(rows)
            shared = np.take_along_axis(right[rows].toarray(), candidates, axis=1)
            teaches = shared.sum(axis=1) > 0
            known.append(features[teaches])
            happened.append(shared[teaches])
        if not known:
            return cls(np.zeros((0, 1, len(NAMES)), np.float32), np.zeros((0, 1), np.float32))
        return cls(np.concatenate(known), np.concatenate(happened))


class Fusion(nn.Module):
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


def fit_fusion(examples: Sequence[Examples], seed: int) -> Fusion:
    """Learn to give each candidate its share of the sessions that the query then shared with all of them.

    Raises ValueError where there is no query to learn from.
    """
    taught = [some for some in examples if len(some.signals_QCF)]
    if not taught:
        raise ValueError(
            f"the log must hold products that share {SHARED_SESSIONS} sessions with {FEWEST_RIGHT} others within "
            f"{JUDGED_DAYS:.0f} days, it has none: use a longer log"
        )
    signals = torch.from_numpy(np.concatenate([some.signals_QCF for some in taught]))
    shared = torch.from_numpy(np.concatenate([some.shared_QC for some in taught]))
    share = shared / shared.sum(dim=1, keepdim=True)
    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    flat = signals.flatten(0, 1)
    fusion = Fusion(flat.mean(dim=0), flat.std(dim=0) + 1e-6)
    optimiser = torch.optim.Adam(fusion.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, STEPS)
    for _ in range(STEPS):
        drawn = torch.randint(len(signals), (QUERIES_PER_STEP,), generator=random)
        loss = nn.functional.cross_entropy(fusion(signals[drawn]), share[drawn])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    log.info("fusion learned from %d queries, loss %.4f", len(signals), loss.item())
    return fusion


def past_examples(
    sessions: Sessions, titles_PV: sp.csr_matrix, config: ECLAREConfig, device: torch.device
) -> list[Examples]:
    """Examples of past nights: the log as it stood, and the days that followed it.

    A log too short for the usual nights takes a sixth, a third and two thirds of itself.
    """
    scale = min(1.0, sessions.days / (1.5 * HELD_BACK_DAYS[-1]))
    found = []
    for held_back in HELD_BACK_DAYS:
        days_ago = held_back * scale
        known, later = sessions.until(days_ago), sessions.since(days_ago)
        later = later.until(max(0.0, days_ago - JUDGED_DAYS * scale))
        if known.chosen_SP.shape[0]:
            found.append(Examples.of(Signals.of(known, titles_PV, config, device), later))
    return found


@torch.no_grad()
def related_products(
    sessions: Sessions,
    titles_PV: sp.csr_matrix,
    k: int,
    config: ECLAREConfig | None = None,
    device: torch.device | None = None,
) -> tuple[Rows, Floats]:
    """The k products that the sessions after the last day will most likely share with each product, P x k, best first.

    titles_PV: TF-IDF of every product, those without a session too. Raises ValueError where the log is too short.
    """
    config, device = config or replace(ECLAREConfig(), epochs=8), device or torch.device("cpu")
    with torch.enable_grad():
        examples = past_examples(sessions, titles_PV, config, device)
        fusion = fit_fusion(examples, config.seed)
        signals = Signals.of(sessions, titles_PV, config, device)
    found = []
    for candidates, features in signals.examples(np.arange(titles_PV.shape[0], dtype=np.int32)):
        scores: npt.NDArray[np.float32] = fusion(torch.from_numpy(features)).numpy()
        row = np.repeat(np.arange(len(candidates), dtype=np.int32), candidates.shape[1])
        found.append(best_per_row(row, candidates.ravel(), scores.ravel(), len(candidates), k))
    labels_PK, scores_PK = zip(*found, strict=True)
    return np.concatenate(labels_PK), np.concatenate(scores_PK)
