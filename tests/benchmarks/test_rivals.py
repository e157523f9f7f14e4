"""The rivals of the benchmarks against their formulas, written out."""

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.rivals import BM25_B, BM25_K1, EASE_PENALTY, RP3_BETA, Log, scores_of_rivals

SESSIONS, PRODUCTS = 40, 12
QUERIES = np.array([1, 4, 7], np.int32)


@pytest.fixture(scope="module")
def held_SP() -> np.ndarray:
    """Which products each session holds; popular ones more often."""
    random = np.random.default_rng(3)
    return (random.random((SESSIONS, PRODUCTS)) < np.linspace(0.1, 0.6, PRODUCTS)).astype(np.float32)


@pytest.fixture(scope="module")
def scores(held_SP) -> dict[str, np.ndarray]:
    shared_PP = held_SP.T @ held_SP
    np.fill_diagonal(shared_PP, 0)
    log = Log(sp.csr_matrix(held_SP), sp.csr_matrix(shared_PP))
    return {name: each.toarray() for name, each in scores_of_rivals(log, QUERIES).items()}


def expected_of(formula) -> np.ndarray:
    """A formula of query and product, at all pairs of different ones."""
    return np.array([[0 if p == q else formula(q, p) for p in range(PRODUCTS)] for q in QUERIES])


def test_co_counts_are_sessions_that_held_both(held_SP, scores):
    def shared(q, p):
        return sum(session[q] and session[p] for session in held_SP)

    assert scores["co-counts"] == pytest.approx(expected_of(shared))
    half = expected_of(lambda q, p: shared(q, p) / held_SP[:, p].sum() ** 0.5)
    assert scores["co-counts / popularity^0.5"] == pytest.approx(half)


def test_tf_idf_is_the_cosine_of_weighted_sessions(held_SP, scores):
    idf_S = np.log(PRODUCTS) - np.log1p(held_SP.sum(axis=1))

    def cosine(q, p):
        one, other = held_SP[:, q] * idf_S, held_SP[:, p] * idf_S
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    assert scores["TF-IDF"] == pytest.approx(expected_of(cosine), rel=1e-4)


def test_bm25_counts_sessions_of_few_products_and_products_of_few_sessions_more(held_SP, scores):
    idf_S = np.log(PRODUCTS) - np.log1p(held_SP.sum(axis=1))
    length_P = held_SP.sum(axis=0)

    def weight(s, p):
        norm = 1 - BM25_B + BM25_B * length_P[p] / length_P.mean()
        return held_SP[s, p] * (BM25_K1 + 1) / (BM25_K1 * norm + held_SP[s, p]) * idf_S[s]

    both = expected_of(lambda q, p: sum(weight(s, q) * weight(s, p) for s in range(SESSIONS)))
    assert scores["BM25"] == pytest.approx(both, rel=1e-4)


def test_rp3_beta_is_a_walk_over_a_session(held_SP, scores):
    def walk(q, p):
        through = [held_SP[s, q] * held_SP[s, p] / held_SP[s].sum() for s in range(SESSIONS) if held_SP[s].any()]
        return sum(through) / held_SP[:, q].sum() / held_SP[:, p].sum() ** RP3_BETA

    assert scores["RP3beta"] == pytest.approx(expected_of(walk), rel=1e-4)


def test_ease_foresees_a_product_from_the_others_of_its_session(held_SP, scores):
    """Each column of weights solves a ridge regression of one product on all others."""
    for place, query in enumerate(QUERIES):
        for product in range(PRODUCTS):
            if product == query:
                continue
            others = [p for p in range(PRODUCTS) if p != product]
            X = held_SP[:, others].astype(np.float64)
            weights = np.linalg.solve(X.T @ X + EASE_PENALTY * np.eye(len(others)), X.T @ held_SP[:, product])
            expected = max(weights[others.index(query)], 0)
            assert scores["EASE"][place, product] == pytest.approx(expected, abs=1e-5)
