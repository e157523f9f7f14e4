"""Related products on the day after a log: all signals ranked together, with weights learnt on past nights of it."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch

from eclare.config import ECLAREConfig
from eclare.fusion import Examples, fit_fusion
from eclare.search import Floats, Rows
from eclare.sessions import Sessions
from eclare.signals import NAMES, Signals
from eclare.sparse import best_per_row

HELD_BACK_DAYS = (45.0, 90.0, 180.0)  # three nights of the past on which the ranking is learned
JUDGED_DAYS = 60.0  # after such a night that say what was right
SHARED_SESSIONS = 2  # that make a pair right, as fewer are chance
FEWEST_RIGHT = 5  # right products a query needs to teach anything
STEPS, QUERIES_PER_STEP = 800, 256


def examples_of(signals: Signals, later: Sessions) -> Examples:
    """What was known, and what then happened; queries without a right candidate are left out."""
    right = later.together()
    right.data[right.data < SHARED_SESSIONS] = 0
    right.eliminate_zeros()
    queries = np.flatnonzero(np.diff(right.indptr) >= FEWEST_RIGHT).astype(np.int32)
    known, happened, start = [], [], 0
    for candidates, features in signals.examples(queries):
        rows = queries[start : start + len(candidates)]
        start += len(rows)
        known.append(features)
        happened.append(np.take_along_axis(right[rows].toarray(), candidates, axis=1))
    if not known:
        return Examples(np.zeros((0, 1, len(NAMES)), np.float32), np.zeros((0, 1), np.float32))
    return Examples(np.concatenate(known), np.concatenate(happened)).that_teach()


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
            found.append(examples_of(Signals.of(known, titles_PV, config, device), later))
    return found


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
    examples = [some for some in past_examples(sessions, titles_PV, config, device) if len(some.right_QC)]
    if not examples:
        raise ValueError(
            f"the log must hold products that share {SHARED_SESSIONS} sessions with {FEWEST_RIGHT} others within "
            f"{JUDGED_DAYS:.0f} days, it has none: use a longer log"
        )
    fusion = fit_fusion(examples, config.seed, STEPS, QUERIES_PER_STEP)
    signals = Signals.of(sessions, titles_PV, config, device)
    found = []
    for candidates, features in signals.examples(np.arange(titles_PV.shape[0], dtype=np.int32)):
        scores = fusion.scores(features)
        row = np.repeat(np.arange(len(candidates), dtype=np.int32), candidates.shape[1])
        found.append(best_per_row(row, candidates.ravel(), scores.ravel(), len(candidates), k))
    labels_PK, scores_PK = zip(*found, strict=True)
    return np.concatenate(labels_PK), np.concatenate(scores_PK)
