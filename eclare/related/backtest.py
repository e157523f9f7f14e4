"""Related products on the day after a log: all signals ranked together, with weights learnt on past nights of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from tqdm import tqdm

from eclare.arrays.csr import CSRStack
from eclare.arrays.products import keep_heaviest, look_up
from eclare.arrays.topk import PAD, best_of_rows
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.inference import Floats, Rows
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import train
from eclare.ranker import Examples, Ranker, fit_ranker
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import Signals

HELD_BACK_DAYS = (45, 90, 180)  # three nights of the past on which the ranking is learnt; what came after is right
SHARED_SESSIONS = 2  # that make a pair right, as fewer are chance
FEWEST_RIGHT = 5  # right products a query needs to teach anything
MOST_QUERIES = 5000  # of a past night that teach; a few hundred weights need no more
MODEL_HALF_LIFE, MODEL_PAIRS = 90.0, 50  # clicks that the model learns: days to a half, heaviest ones of a product
STEPS, QUERIES_PER_STEP = 1600, 64
CHUNK = 1024  # queries in memory at a time

Learn = Callable[[Cooccurrence], Ensemble]


def learn_ranking(pairs: Cooccurrence, titles_PV: sp.csr_matrix, learn: Learn, seed: int) -> Ranker | None:
    """Weights of all signals, from past nights: what was known then, and what the days after them then brought.

    A log too short for the usual nights takes a sixth, a third and two thirds of itself; None where it teaches nothing.
    """
    scale = min(1.0, pairs.days / (1.5 * HELD_BACK_DAYS[-1]))
    examples = []
    for held_back in HELD_BACK_DAYS:
        days_ago = max(1, round(held_back * scale))
        known, later = pairs.until(days_ago), pairs.since(days_ago)
        right = right_products(later)
        if len(known.pairs.key_E) and len(queries := teaching_queries(right, seed)):
            signals = Signals(known, titles_PV, learn(known), np.ones(len(pairs), bool))
            examples.append(examples_of(signals, right, queries))
    taught = [some for some in examples if len(some.right_QC)]
    return fit_ranker(taught, seed, STEPS, QUERIES_PER_STEP) if taught else None


def right_products(later: Cooccurrence) -> sp.csr_matrix:
    """The sessions that every product shared with those that shared SHARED_SESSIONS or more with it, P x P."""
    right = later.together()
    right.data[right.data < SHARED_SESSIONS] = 0
    right.eliminate_zeros()
    return right


def teaching_queries(right_PP: sp.csr_matrix, seed: int) -> Rows:
    """Queries with FEWEST_RIGHT right products or more, MOST_QUERIES of them at most, sorted."""
    queries = np.flatnonzero(np.diff(right_PP.indptr) >= FEWEST_RIGHT).astype(np.int32)
    return np.sort(np.random.default_rng(seed).permutation(queries)[:MOST_QUERIES])


def examples_of(signals: Signals, right_PP: sp.csr_matrix, queries: Rows) -> Examples:
    """What was known, and what then happened; queries without a right candidate are left out."""
    candidates = signals.candidates(queries)
    happened = look_up(CSRStack(right_PP.indptr, right_PP.indices, right_PP.data[:, None]), queries, candidates)[..., 0]
    return Examples(signals.of(queries, candidates), happened, candidates != PAD).with_positives()


class Ranked(NamedTuple):
    """The k best labels of every query and their scores, Q x k, best first; PAD where there are fewer.

    log_partition_Q: what the model's shares were taken of (Signals.log_partition), so that a score can
    be explained later.
    """

    labels_QK: Rows
    scores_QK: Floats
    log_partition_Q: Floats | None = None


def rank(signals: Signals, fusion: Ranker, queries: Rows, k: int) -> Ranked:
    """The k best allowed products for every query, ties by lower row; PAD has score 0."""
    found_QK, scores_QK = np.full((len(queries), k), PAD, np.int32), np.zeros((len(queries), k), np.float32)
    totals_Q = np.zeros(len(queries), np.float32)
    for start in tqdm(range(0, len(queries), CHUNK), desc="rank", unit="chunk", disable=None):
        chunk = slice(start, start + CHUNK)
        candidates = signals.candidates(queries[chunk], k)
        seen = signals.of(queries[chunk], candidates)
        found_QK[chunk], scores_QK[chunk] = best_of_rows(candidates, fusion.scores(seen), k)
        totals_Q[chunk] = signals.log_partition(queries[chunk], candidates, seen)
    return Ranked(found_QK, scores_QK, totals_Q)


def related_products(
    pairs: Cooccurrence,
    titles_PV: sp.csr_matrix,
    k: int,
    config: ECLAREConfig | None = None,
    device: torch.device | None = None,
) -> tuple[Rows, Floats]:
    """The k products that the sessions after the last day will most likely share with each product, P x k, best first.

    titles_PV: TF-IDF of every product, those without a session too. Raises ValueError where the log is too short.
    """
    config, where = config or replace(ECLAREConfig(), epochs=8), device or torch.device("cpu")

    def learn(known: Cooccurrence) -> Ensemble:
        clicks_PP = keep_heaviest(known.together(MODEL_HALF_LIFE), MODEL_PAIRS)
        return train(clicks_PP, Texts.of(titles_PV, titles_PV, build_label_graph(clicks_PP, config)), config, where)

    fusion = learn_ranking(pairs, titles_PV, learn, config.seed)
    if fusion is None:
        raise ValueError(
            f"the log must hold products that share {SHARED_SESSIONS} sessions with {FEWEST_RIGHT} others after a "
            "night of the past, it has none: use a longer log"
        )
    everything: npt.NDArray[np.bool_] = np.ones(len(pairs), bool)
    signals = Signals(pairs, titles_PV, learn(pairs), everything)
    best = rank(signals, fusion, np.arange(len(pairs), dtype=np.int32), k)
    return best.labels_QK, best.scores_QK
