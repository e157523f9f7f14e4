import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.topk import PAD
from eclare.evaluation.baselines import Known, best_allowed, rivals

P = 6


@given(arrays(np.int8, (P, P), elements=st.integers(0, 3)), arrays(np.bool_, P), st.integers(1, P + 1))
def test_the_heaviest_allowed_clicks_come_first(weights: np.ndarray, allowed: np.ndarray, k: int) -> None:
    own = np.arange(P, dtype=np.int32)
    labels, scores = best_allowed(sp.csr_matrix(weights.astype(np.float32)), k, allowed, own)
    for point in range(P):
        right = sorted((-weights[point, x], x) for x in range(P) if weights[point, x] and allowed[x] and x != point)[:k]
        assert labels[point].tolist() == [label for _, label in right] + [PAD] * (k - len(right))
        assert scores[point].tolist() == [-w for w, _ in right] + [0] * (k - len(right))


def known_of(chosen: np.ndarray, allowed: np.ndarray) -> Known:
    shared = (chosen.T @ chosen).astype(np.float32)
    np.fill_diagonal(shared, 0)
    weights = sp.csr_matrix(shared)
    return Known(weights, weights, chosen.sum(axis=0).astype(np.float32), len(chosen), allowed)


SESSIONS = arrays(np.int8, st.tuples(st.integers(1, 12), st.just(P)), elements=st.integers(0, 1))


@given(SESSIONS, arrays(np.bool_, P), st.integers(1, P + 1))
def test_rivals_rank_by_their_formulas_and_are_filled_up_with_what_is_popular(chosen, allowed, k) -> None:
    known, sessions = known_of(chosen, allowed), chosen.sum(axis=0).astype(float)
    queries = np.array([3, 0], np.int32)
    found = rivals(known, queries, k)
    assert list(found) == ["co-click", "observed - expected", "cosine", "popularity"]
    popular = [x for x in np.argsort(-np.where(allowed, sessions, 0), kind="stable") if allowed[x] and sessions[x]]
    for row, query in enumerate(queries):
        shared = known.shared_PP.toarray()[query].astype(float)
        expected = np.maximum(sessions[query] * sessions, 1e-9) / len(chosen)
        excess = np.where(shared >= 2, np.maximum(shared - expected, 0) / np.sqrt(expected), 0)
        scores = {
            "co-click": shared,
            "observed - expected": excess,
            "cosine": shared / np.sqrt(np.maximum(sessions[query] * sessions, 1)),
            "popularity": np.zeros(P),
        }
        for name, score in scores.items():
            best = [x for x in np.argsort(-score.astype(np.float32), kind="stable") if score[x] > 1e-6 and allowed[x]]
            right = [*best, *(x for x in popular if x not in best and x != query)][:k]
            assert found[name][row].tolist() == right + [PAD] * (k - len(right)), name
