from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.topk import PAD, distinct_per_row
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import train
from eclare.related.backtest import examples_of, rank, related_products, right_products, teaching_queries
from eclare.related.cooccurrence import Cooccurrence, CountsByAge
from eclare.related.features import NAMES, Signals
from tests.made_shops import DatedShop, sessions_of_groups

CONFIG = ECLAREConfig(embedding_dim=16, epochs=6, batch_size=32)
CPU = torch.device("cpu")


def features_of(titles: list[str]) -> sp.csr_matrix:
    return Vocabulary.of(titles).features(titles)


def learn(pairs: Cooccurrence, titles_PV: sp.csr_matrix, config: ECLAREConfig = CONFIG) -> Ensemble:
    clicks = pairs.together()
    return train(clicks, Texts.of(titles_PV, titles_PV, build_label_graph(clicks, config)), config, CPU)


def signals_of(pairs: Cooccurrence, titles: list[str], allowed: np.ndarray | None = None) -> Signals:
    features = features_of(titles)
    return Signals(pairs, features, learn(pairs, features), np.ones(len(pairs), bool) if allowed is None else allowed)


@settings(deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 1)),
    st.sampled_from([1.0, 30.0, np.inf]),
)
def test_sessions_that_products_share_count_less_the_older_they_are(chosen_SP, half_life) -> None:
    age_S = np.arange(len(chosen_SP)) * 7
    pairs = Cooccurrence.of_sessions(sp.csr_matrix(chosen_SP), age_S)
    slowly = np.zeros((chosen_SP.shape[1],) * 2)
    for chosen, age in zip(chosen_SP, age_S, strict=True):
        slowly += np.outer(chosen, chosen) * 0.5 ** (age / half_life)
    assert np.allclose(pairs.popularity(half_life), np.diag(slowly), atol=1e-6)
    np.fill_diagonal(slowly, 0)
    assert np.allclose(pairs.together(half_life).toarray(), slowly, atol=1e-6)


def test_pairs_as_they_stood_and_what_came_after_are_two_parts_of_them(tmp_path) -> None:
    chosen = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 1]], np.float32))
    pairs = Cooccurrence.of_sessions(chosen, np.array([0, 5, 10, 20]))
    assert pairs.until(10).together().toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert pairs.since(10).together().toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert (pairs.days, pairs.until(10).days, pairs.since(10).days) == (20, 10, 5)
    pairs.save(tmp_path)
    again = Cooccurrence.load(tmp_path)
    assert (again.together(7) != pairs.together(7)).nnz == 0
    assert np.array_equal(again.popularity(7), pairs.popularity(7))


@pytest.mark.parametrize(
    ("keys", "ages", "message"),
    [([0, 1], [1], "as many, got 2, 1"), ([0], [-1], "0 or more, got -1"), ([1, 0], [1, 1], "keys must be sorted")],
)
def test_counts_that_do_not_hold_together_are_refused(keys, ages, message) -> None:
    with pytest.raises(ValueError, match=message):
        CountsByAge(np.array(keys), np.array(ages, np.int32), np.ones(len(keys), np.float32))


@given(arrays(np.int32, (3, 6), elements=st.integers(-1, 4)))
@settings(deadline=None)
def test_candidates_are_distinct_and_never_the_query(columns) -> None:
    found = distinct_per_row(columns, np.array([0, 1, 2], np.int32))
    for row, query in enumerate((0, 1, 2)):
        expected = sorted({*columns[row].tolist()} - {PAD, query})
        assert found[row].tolist() == expected + [PAD] * (found.shape[1] - len(expected))


def test_signals_are_what_their_names_say() -> None:
    chosen = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]], np.float32)
    pairs = Cooccurrence.of_sessions(sp.csr_matrix(chosen), np.array([0, 30, 60]))
    signals = signals_of(pairs, ["red mug", "blue mug", "red mug large", "red mug"])
    queries = np.array([0, 3], np.int32)
    candidates = signals.candidates(queries)
    assert candidates.tolist() == [[1, 2, 3], [0, 1, 2]]
    seen = dict(zip(NAMES, np.moveaxis(signals.of(queries, candidates), 2, 0), strict=True))
    assert seen["together, 30 days"][0] == pytest.approx(np.log([1.5 + 0.1, 0.5 + 0.1, 0.1]))
    assert seen["popularity, 30 days"][0] == pytest.approx(np.log([1.75 + 0.1, 0.75 + 0.1, 0.1]))
    weight = 0.5 ** (np.array([0, 30, 60]) / 365)
    together = (chosen * weight[:, None]).T @ chosen
    np.fill_diagonal(together, 0)
    onwards = together / np.maximum(together.sum(axis=1, keepdims=True), 1e-9)
    assert seen["over one more product"][0] == pytest.approx(np.log((onwards @ onwards)[0, 1:] + 1e-4), rel=1e-4)
    cosine = (signals.titles_PV @ signals.titles_PV.T).toarray()
    like = np.where(cosine >= 0.4, np.minimum(cosine, 1), 0) ** 8 * (1 - np.eye(4))
    reached = {
        "similar queries": like @ together,
        "similar answers": together @ like.T,
        "similar both": like @ together @ like.T,
    }
    for name, expected in reached.items():
        rows = np.take_along_axis(expected[queries], candidates, axis=1)
        assert seen[name] == pytest.approx(np.log(rows + 0.1), abs=1e-4), name
    assert seen["same words"] == pytest.approx(np.take_along_axis(cosine[queries], candidates, axis=1), abs=1e-6)
    assert seen["history"] == pytest.approx(np.log(together.sum(axis=1)[queries, None] + 0.1).repeat(3, axis=1))
    assert np.exp(seen["model"]).sum(axis=1) == pytest.approx(1)


def shop(days: int = 120) -> DatedShop:
    return sessions_of_groups(groups=6, products_per_group=8, days=days)


def test_the_next_days_are_foreseen_for_known_and_for_new_products() -> None:
    made = shop()
    features = features_of(made.titles)
    labels, scores = related_products(made.pairs, features, 5, CONFIG)
    same_group = made.group_of_P[labels] == made.group_of_P[:, None]
    new = made.pairs.popularity() == 0
    assert new.sum() == 6
    assert same_group[~new].mean() > 0.9
    assert same_group[new].mean() > 0.9
    assert (labels != np.arange(len(labels))[:, None]).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    again, _ = related_products(made.pairs, features, 5, CONFIG)
    assert np.array_equal(labels, again)


def test_only_what_is_allowed_is_an_answer_and_every_query_gets_one() -> None:
    made = shop(60)
    allowed = np.zeros(48, bool)
    allowed[[3, 12, 47]] = True
    fusion = torch.nn.Module()
    fusion.scores = lambda signals: signals[..., NAMES.index("model")].copy()  # type: ignore[assignment]
    found = rank(signals_of(made.pairs, made.titles, allowed), fusion, np.arange(48, dtype=np.int32), 4).labels_QK
    for query, row in enumerate(found.tolist()):
        assert sorted(row, reverse=True) == sorted({3, 12, 47} - {query}, reverse=True) + [PAD] * row.count(PAD)


def test_examples_are_what_was_known_then_and_what_was_shared_later() -> None:
    made = sessions_of_groups(groups=2, products_per_group=8, days=60)
    known, later = made.pairs.until(20), made.pairs.since(20)
    signals = signals_of(known, made.titles)
    right = later.together().toarray()
    right[right < 2] = 0
    assert np.array_equal(right_products(later).toarray(), right)
    queries = teaching_queries(right_products(later), seed=0)
    assert queries.tolist() == np.flatnonzero((right > 0).sum(axis=1) >= 5).tolist()
    assert len(queries) == 14
    examples, candidates = examples_of(signals, right_products(later), queries), signals.candidates(queries)
    assert np.array_equal(examples.signals_QCF, signals.of(queries, candidates))
    expected = np.where(candidates == PAD, 0, np.take_along_axis(right[queries], candidates, axis=1))
    assert np.array_equal(examples.right_QC, expected)
    assert np.array_equal(examples.there_QC, candidates != PAD)


def test_a_log_that_is_too_short_says_so() -> None:
    pairs = Cooccurrence.of_sessions(sp.csr_matrix(np.ones((3, 4), np.float32)), np.array([0, 1, 2]))
    features = sp.csr_matrix(np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match="it has none: use a longer log"):
        related_products(pairs, features, 5, replace(CONFIG, epochs=1))
