import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.config import ECLAREConfig
from eclare.features import Vocabulary
from eclare.related import examples_of, related_products
from eclare.sessions import Sessions
from eclare.signals import NAMES, Signals
from eclare.synthetic import sessions_of_groups

CONFIG = ECLAREConfig(embedding_dim=16, epochs=3, batch_size=32)
CPU = torch.device("cpu")


@given(
    arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 1)),
    st.sampled_from([1.0, 30.0, np.inf]),
)
def test_sessions_that_products_share_count_less_the_older_they_are(chosen_SP, half_life) -> None:
    age_S = np.arange(len(chosen_SP), dtype=float) * 7
    sessions = Sessions(sp.csr_matrix(chosen_SP), age_S)
    slowly = np.zeros((chosen_SP.shape[1],) * 2)
    for chosen, age in zip(chosen_SP, age_S, strict=True):
        slowly += np.outer(chosen, chosen) * 0.5 ** (age / half_life)
    assert np.allclose(sessions.popularity(half_life), np.diag(slowly), atol=1e-6)
    np.fill_diagonal(slowly, 0)
    assert np.allclose(sessions.together(half_life).toarray(), slowly, atol=1e-6)


def test_the_log_as_it_stood_and_what_came_after_are_two_parts_of_it() -> None:
    sessions = Sessions(sp.identity(4, np.float32, format="csr"), np.array([0.0, 5.0, 10.0, 20.0]))
    assert sessions.until(10).age_S.tolist() == [0, 10]
    assert sessions.since(10).age_S.tolist() == [0, 5]
    assert sessions.days == 20


@pytest.mark.parametrize(("ages", "message"), [([1.0], "every session needs an age"), ([1.0, -1.0], "0 or more")])
def test_sessions_that_do_not_hold_together_are_refused(ages, message) -> None:
    with pytest.raises(ValueError, match=message):
        Sessions(sp.identity(2, np.float32, format="csr"), np.array(ages))


def test_signals_are_what_their_names_say() -> None:
    chosen = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]], np.float32)
    titles = ["red mug", "blue mug", "red mug large", "red mug"]
    sessions = Sessions(sp.csr_matrix(chosen), np.array([0.0, 30.0, 60.0]))
    signals = Signals.of(sessions, Vocabulary.of(titles).features(titles), CONFIG, CPU)
    ((candidates, features),) = list(signals.examples(np.array([0, 3], np.int32)))
    assert candidates.tolist() == [[1, 2, 3], [0, 1, 2]]
    seen = dict(zip(NAMES, np.moveaxis(features, 2, 0), strict=True))
    assert seen["together, 30 days"][0] == pytest.approx(np.log([1.5 + 0.1, 0.5 + 0.1, 0.1]))
    assert seen["popularity, 30 days"][0] == pytest.approx(np.log([1.75 + 0.1, 0.75 + 0.1, 0.1]))
    weight = 0.5 ** (np.array([0, 30, 60]) / 365)
    together = (chosen * weight[:, None]).T @ chosen
    np.fill_diagonal(together, 0)
    onwards = together / np.maximum(together.sum(axis=1, keepdims=True), 1e-9)
    assert seen["over one more product"][0] == pytest.approx(np.log((onwards @ onwards)[0, 1:] + 1e-4), rel=1e-4)
    assert seen["similar queries"][1, 1] == pytest.approx(np.log(together[0, 1] + together[2, 1] * 0 + 0.1), abs=0.3)
    assert seen["same words"][1, 0] == pytest.approx(1)
    assert seen["history"][1] == pytest.approx(np.log(0.1))
    assert (seen["model"] < 0).all()


def test_the_next_days_are_foreseen_for_known_and_for_new_products() -> None:
    shop = sessions_of_groups(groups=6, products_per_group=8, days=120)
    features = Vocabulary.of(shop.titles).features(shop.titles)
    labels, scores = related_products(shop.sessions, features, 5, CONFIG)
    same_group = shop.group_of_P[labels] == shop.group_of_P[:, None]
    new = shop.sessions.popularity() == 0
    assert new.sum() == 6
    assert same_group[~new].mean() > 0.9
    assert same_group[new].mean() > 0.9
    assert (labels != np.arange(len(labels))[:, None]).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    again, _ = related_products(shop.sessions, features, 5, CONFIG)
    assert np.array_equal(labels, again)


def test_examples_are_what_was_known_then_and_what_was_shared_later() -> None:
    shop = sessions_of_groups(groups=2, products_per_group=8, days=60)
    features = Vocabulary.of(shop.titles).features(shop.titles)
    known, later = shop.sessions.until(20), shop.sessions.since(20)
    signals = Signals.of(known, features, CONFIG, CPU)
    examples = examples_of(signals, later)
    dense = later.chosen_SP.toarray()
    right = dense.T @ dense
    np.fill_diagonal(right, 0)
    right[right < 2] = 0
    queries = np.flatnonzero((right > 0).sum(axis=1) >= 5).astype(np.int32)
    ((candidates, known_then),) = list(signals.examples(queries))
    assert len(queries) == 14
    assert np.array_equal(examples.signals_QCF, known_then)
    assert np.array_equal(examples.right_QC, np.take_along_axis(right[queries], candidates, axis=1))


def test_a_log_that_is_too_short_says_so() -> None:
    sessions = Sessions(sp.csr_matrix(np.ones((3, 4), np.float32)), np.array([0.0, 1.0, 2.0]))
    features = sp.csr_matrix(np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match="it has none: use a longer log"):
        related_products(sessions, features, 5, CONFIG)
