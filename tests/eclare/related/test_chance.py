"""A world of pure chance: what is known at the cut says nothing of what follows but how popular each product is."""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp

from eclare.evaluation.baselines import Known, rivals
from eclare.evaluation.metrics import inverse_propensities, point_metrics, related_gains
from eclare.related.backtest import ranker_from
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.ranking import rank
from tests.eclare.related.trained_shops import snapshot_of

pytestmark = pytest.mark.slow

PRODUCTS, DAYS, CUT, SESSIONS_A_DAY, SIZE, K, MIN_SUPPORT = 400, 30, 20, 60, 5, 10, 2
FUTURES, NOISE = 100, 4  # drawn apart from the past; standard deviations
SYSTEMS = ("eclare", "co-click", "observed - expected", "cosine", "popularity")


def sessions(random: np.random.Generator, days: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Each holds SIZE different products drawn by popularity, and by nothing else."""
    popularity = 1 / np.arange(200, 200 + PRODUCTS)
    count = days * SESSIONS_A_DAY
    # The SIZE largest of log(weight) + Gumbel noise are a draw by weight without replacement.
    chosen = np.argsort(-(np.log(popularity) + random.gumbel(size=(count, PRODUCTS))), axis=1)[:, :SIZE]
    row = np.repeat(np.arange(count), SIZE)
    matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, chosen.ravel())), shape=(count, PRODUCTS))
    return matrix, np.repeat(np.arange(days), SESSIONS_A_DAY)


@cache
def past_and_future() -> Cooccurrence:
    return Cooccurrence.of_sessions(*sessions(np.random.default_rng(0), DAYS), MIN_SUPPORT)


@cache
def futures() -> list[Cooccurrence]:
    random = np.random.default_rng(1)
    return [Cooccurrence.of_sessions(*sessions(random, CUT), MIN_SUPPORT) for _ in range(FUTURES)]


def lists_of(known: Cooccurrence, *, ours: bool = True) -> dict[str, np.ndarray]:
    """Of every product, by system; ours has the fixed weights of a log too short to learn on."""
    everything, allowed = np.arange(PRODUCTS, dtype=np.int32), np.ones(PRODUCTS, bool)
    shared = known.shared_sessions()
    found = rivals(Known(known.matrix(45), shared, known.popularity(), known.session_count, allowed), everything, K)
    if ours:
        snapshot = snapshot_of(known, [f"word{product % 17} thing{product}" for product in range(PRODUCTS)])
        found["eclare"] = rank(snapshot, ranker_from([], "basket", seed=0), everything, K).labels_QK
    return found


def figures(labels: np.ndarray, later: Cooccurrence, weights: np.ndarray) -> dict[str, float]:
    popularity, truth = later.popularity(), later.matrix()
    gains = related_gains(later.shared_sessions(), popularity, popularity, later.session_count)
    return {each.name: each.value for each in point_metrics(labels, truth, weights, [K], gains)}


def deviations(labels: np.ndarray, known: Cooccurrence) -> dict[str, float]:
    """How far the figures on what really followed are from those on futures that the past cannot know, in noise."""
    weights = inverse_propensities(known.matrix())
    real = figures(labels, past_and_future().since(CUT), weights)
    drawn = [figures(labels, later, weights) for later in futures()]
    of_chance = {name: np.array([each[name] for each in drawn]) for name in real}
    return {name: float((value - of_chance[name].mean()) / of_chance[name].std()) for name, value in real.items()}


@cache
def honest_lists() -> dict[str, np.ndarray]:
    return lists_of(past_and_future().until(CUT))


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_foresees_chance(system) -> None:
    found = deviations(honest_lists()[system], past_and_future().until(CUT))
    assert found.keys() == {"P", "PSP", "nDCG", "recall", "lift"}
    assert max(map(abs, found.values())) < NOISE, found


def test_support_counted_in_the_whole_window_would_foresee_it() -> None:
    """What was wrong once: a pair seen once before the cut stayed because it came again after it."""
    whole = past_and_future()
    leaking = Cooccurrence(
        whole.counts.between(CUT, None), whole.sessions.between(CUT, None), PRODUCTS, whole.sessions_A[CUT:]
    )
    for system in ("co-click", "cosine"):
        found = deviations(lists_of(leaking, ours=False)[system], leaking)
        assert min(found["P"], found["nDCG"], found["PSP"]) > 1.5 * NOISE, found
