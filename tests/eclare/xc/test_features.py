from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax

from eclare.arrays.csr import CSR
from eclare.arrays.tfidf import normalise_rows
from eclare.arrays.topk import best_of_rows
from eclare.model.beam_search import top_labels
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.inference import log_shares, with_bonus
from eclare.model.stages import train
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.features import NAMES, Reranker, _known_pairs, held_back
from eclare.xc.recommender import Recommender
from tests.made_shops import shop_of_groups

QUICK = ECLAREConfig(embedding_dim=16, epochs=6, batch_size=16, negatives_per_batch=16, learning_rate=0.01)


@settings(deadline=None)
@given(
    arrays(np.float32, (4, 9), elements=st.sampled_from([0, 0, 0.5, 3])),
    arrays(np.float32, (4, 2), elements=st.integers(-2, 2)),
    arrays(np.float32, (9, 2), elements=st.integers(-2, 2)),
)
def test_the_best_with_a_bonus_are_those_of_all_labels(bonus, encoded, classifiers) -> None:
    scores = encoded @ classifiers.T
    found = np.argsort(-scores, axis=1, kind="stable")[:, :4].astype(np.int32)
    best, totals = with_bonus(
        found, np.take_along_axis(scores, found, axis=1), CSR.of(sp.csr_matrix(bonus)), encoded, classifiers
    )
    slowly = np.argsort(-(scores + bonus), axis=1, kind="stable")[:, :4]
    assert np.allclose(totals, np.take_along_axis(scores + bonus, slowly, axis=1))
    assert np.array_equal(best, slowly) or (np.sort(scores, axis=1)[:, :-1] == np.sort(scores, axis=1)[:, 1:]).any()


@settings(deadline=None)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 4), st.integers(0, 6)), elements=st.integers(-1, 7)), st.integers(0, 9)
)
def test_log_shares_are_the_log_of_a_softmax_over_the_labels_that_are_there(labels_NC, seed) -> None:
    random = np.random.default_rng(seed)
    encoded, classifiers = (random.normal(size=(rows, 3)).astype(np.float32) for rows in (len(labels_NC), 8))
    found = log_shares(encoded, classifiers, labels_NC)
    for row, labels in enumerate(labels_NC):
        there = labels >= 0
        if there.any():
            assert np.allclose(found[row, there], log_softmax(classifiers[labels[there]] @ encoded[row]), atol=1e-5)
        assert (found[row, ~there] == -100).all()


def test_the_best_of_rows_fall_without_what_is_no_label() -> None:
    labels = np.array([[4, 2, -1, 3], [-1, -1, 7, -1]], np.int32)
    scores = np.array([[1, 5, 9, 5], [8, 8, 0, 8]], np.float32)
    best, best_scores = best_of_rows(labels, scores, 3)
    assert best.tolist() == [[2, 3, 4], [7, -1, -1]]
    assert best_scores.tolist() == [[5, 5, 1], [0, 0, 0]]


def test_signals_are_what_their_names_say() -> None:
    random = np.random.default_rng(0)
    clicks = (random.random((14, 8)) < 0.4).astype(np.float32)
    labels, points = (normalise_rows(sp.random(rows, 6, 0.5, "csr", np.float32, rows)) for rows in (8, 14))
    shop = Texts(points, labels, sp.identity(8, np.float32, format="csr"))
    ensemble = train(sp.csr_matrix(clicks), shop, replace(QUICK, epochs=1), torch.device("cpu"))
    evidence = CoClickScores.of(sp.csr_matrix(clicks), labels, points)
    reranker = Reranker(ensemble, evidence, None)
    questions = points[:5]
    candidates = np.tile(np.arange(8, dtype=np.int32), (5, 1))
    signal = dict(zip(NAMES, np.moveaxis(reranker.signals(reranker.known(questions), candidates), -1, 0), strict=True))
    scores = (ensemble.encode(questions) @ ensemble.classifiers_LD.T).astype(np.float64)
    assert np.allclose(signal["model"], scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), atol=1e-4)
    shared = clicks.T @ clicks
    np.fill_diagonal(shared, 0)
    similar = evidence.similar_labels(questions).toarray()
    assert np.allclose(signal["shared points"], np.log(similar @ shared + 0.1), atol=1e-4)
    assert np.allclose(signal["history"], np.log((similar @ shared).sum(axis=1, keepdims=True) + 0.1), atol=1e-4)
    cosine = (questions @ points.T).toarray()
    near = np.where(cosine >= 0.35, np.minimum(cosine, 1), 0) ** 4
    near /= near.sum(axis=1, keepdims=True)
    share = clicks / np.maximum(clicks.sum(axis=1, keepdims=True), 1)
    assert np.allclose(signal["clicks of like points"], np.log(near @ share + 1e-3), atol=1e-3)
    assert np.allclose(signal["same words"], (questions @ labels.T).toarray(), atol=1e-5)
    assert np.allclose(signal["popularity"], np.log(clicks.sum(axis=0) + 0.1), atol=1e-5)


def test_pairs_known_from_the_other_side_teach_nothing() -> None:
    titles = normalise_rows(sp.csr_matrix(np.eye(4, dtype=np.float32)))
    clicks = sp.csr_matrix(np.array([[0, 1, 0, 1], [0, 0, 1, 0]], np.float32))  # products 0 and 1 as points
    evidence = CoClickScores.of(clicks, titles, titles[:2])
    assert (_known_pairs(evidence, titles[[3]]).toarray() > 0).tolist() == [[True, False, False, True]]


def test_held_back_points_have_clicks_and_are_drawn_by_the_seed() -> None:
    clicks = sp.csr_matrix(np.diag([1, 0, 1, 1, 0, 1]).astype(np.float32))
    held, kept = held_back(clicks, replace(QUICK, held_back_share=0.5))
    assert len(held) == 2 and np.diff(clicks.indptr)[held].all()
    assert sorted([*held, *kept]) == list(range(6))
    assert np.array_equal(held, held_back(clicks, replace(QUICK, held_back_share=0.5))[0])


def test_learnt_weights_find_out_that_clicks_tell_more_than_a_weak_model() -> None:
    random = np.random.default_rng(0)
    product, size = np.arange(480), 12
    titles = [f"group{p // size} item{p} noise{random.integers(5)}" for p in product]
    steps = np.array([1, 2, 3])
    label = product[:, None] // size * size + (product[:, None] % size + steps) % size
    clicks = sp.csr_matrix((np.ones(label.size, np.float32), (np.repeat(product, 3), label.ravel())), shape=(480, 480))
    kept = random.random(480) < 0.7
    known, asked = ([title for title, k in zip(titles, kept, strict=True) if k == wanted] for wanted in (True, False))
    hits = {}
    for share in (0.0, 0.5):
        config = replace(QUICK, epochs=1, learning_rate=1e-4, evidence_weight=0.0, held_back_share=share)
        fitted = Recommender.fit(known, titles, clicks[kept], config)
        found, _ = fitted.predict(asked, 3)
        hits[share] = np.take_along_axis(clicks[~kept].toarray(), found, axis=1).mean()
    assert fitted.reranker.fusion is not None
    assert hits[0.5] > hits[0.0] + 0.05


def test_a_product_s_own_clicks_outrank_what_its_title_suggests() -> None:
    shop = shop_of_groups()
    against = sp.csr_matrix((np.full(96, 50, np.float32), (np.arange(96), (np.arange(96) + 48) % 96)), shape=(96, 96))
    titles = normalise_rows(sp.csr_matrix(np.eye(8, dtype=np.float32)[shop.group_of_P] + 0))
    titles = sp.csr_matrix(sp.hstack([titles, sp.identity(96, np.float32)]), dtype=np.float32)
    titles = normalise_rows(titles)
    texts = Texts(titles, titles, sp.identity(96, np.float32, format="csr"))
    ensemble = train(shop.clicks.weights_NL, texts, replace(QUICK, evidence_weight=4.0), torch.device("cpu"))
    own = np.arange(96, dtype=np.int32)
    without, _ = top_labels(ensemble, titles, 1, np.ones(96, bool), own_N=own)
    evidence = CoClickScores.of_products(against, titles)
    heard, _ = top_labels(ensemble, titles, 1, np.ones(96, bool), own_N=own, evidence=evidence)
    assert (heard[:, 0] == (own + 48) % 96).mean() > 0.9 > (without[:, 0] == (own + 48) % 96).mean()
