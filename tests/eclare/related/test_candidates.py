from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.topk import PAD, distinct_per_row, only_among
from eclare.model.search import probabilities
from eclare.related import candidates
from eclare.related.candidates import (
    by_cooccurrence,
    by_damped_cooccurrence,
    by_like_titles,
    by_model,
    by_popularity,
    candidates_of,
)
from eclare.related.cooccurrence import Cooccurrence
from tests.eclare.related.trained_shops import CONFIG, snapshot_of
from tests.made_shops import sessions_of_groups

TITLES = ["red mug", "blue mug", "red mug large", "red mug", "lamp"]
CHOSEN = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1]], np.float32)


@given(arrays(np.int32, (3, 6), elements=st.integers(-1, 4)))
def test_candidates_are_distinct_and_never_the_query(columns) -> None:
    found = distinct_per_row(columns, np.array([0, 1, 2], np.int32))
    for row, query in enumerate((0, 1, 2)):
        expected = sorted({*columns[row].tolist()} - {PAD, query})
        assert found[row].tolist() == expected + [PAD] * (found.shape[1] - len(expected))


@given(arrays(np.int32, (3, 6), elements=st.integers(-1, 7)), arrays(np.int32, (3, 4), elements=st.integers(-1, 7)))
def test_only_columns_that_others_have_are_kept_in_their_places(columns, others) -> None:
    found, beside = (distinct_per_row(each, np.array([0, 1, 2], np.int32)) for each in (columns, others))
    slowly = [[column if column in row else PAD for column in own] for own, row in zip(found, beside, strict=True)]
    assert np.array_equal(only_among(found, beside), np.reshape(slowly, found.shape))


@pytest.fixture(scope="module")
def snapshot():
    allowed = np.array([True, True, True, True, False])
    return snapshot_of(Cooccurrence.of_sessions(sp.csr_matrix(CHOSEN), np.array([0, 30, 60])), TITLES, allowed)


def without_pad(columns: np.ndarray) -> list[set[int]]:
    return [set(row[row != PAD].tolist()) for row in columns]


def test_every_generator_finds_what_its_name_says_among_the_allowed(snapshot, monkeypatch) -> None:
    queries = np.array([0, 1, 3], np.int32)
    assert without_pad(by_cooccurrence(snapshot, queries)) == [{1, 2}, {0, 2}, set()]
    cosine = (snapshot.titles_PV @ snapshot.titles_PV.T).toarray() * (1 - np.eye(5))
    reached = (cosine >= 0.4) @ (CHOSEN.T @ CHOSEN * (1 - np.eye(5))) * snapshot.allowed_P
    assert without_pad(by_like_titles(snapshot, queries)) == [set(np.flatnonzero(reached[row])) for row in queries]
    assert reached[3].any(), "a product without a session is reached by its title"
    assert by_popularity(snapshot, queries).tolist() == [[1, 0, 2]] * 3
    scores = np.where(snapshot.allowed_P, snapshot.encoded_PD @ snapshot.ensemble.classifiers_LD.T, -np.inf)
    best = np.argsort(-scores[queries], axis=1)[:, :2]
    assert without_pad(by_model(snapshot, queries, 2)) == [set(row) for row in best.tolist()]
    damped = CHOSEN.T @ CHOSEN * (1 - np.eye(5)) / np.maximum(CHOSEN.sum(axis=0), 1) ** 0.9 * snapshot.allowed_P
    monkeypatch.setattr(candidates, "FROM_DAMPED", 1)
    assert without_pad(by_damped_cooccurrence(snapshot, queries, 0.9)) == [
        {damped[0].argmax()},
        {damped[1].argmax()},
        set(),
    ]
    monkeypatch.setattr(candidates, "FROM_COOCCURRENCE", 1)
    assert without_pad(by_cooccurrence(snapshot, queries)) == [{1}, {0}, set()]


def test_candidates_are_those_of_all_generators_without_the_query(snapshot) -> None:
    queries = np.array([0, 1, 3, 4], np.int32)
    found = candidates_of(snapshot, queries)
    assert found.tolist() == [[1, 2, 3, PAD], [0, 2, 3, PAD], [0, 1, 2, PAD], [0, 1, 2, 3]]


def test_over_clusters_the_model_finds_what_the_papers_beam_search_finds() -> None:
    shop = sessions_of_groups(groups=6, products_per_group=8, days=60)
    config = replace(CONFIG, shortlister="clusters", beam=2, epochs=2, surrogate_epochs=2)
    allowed = np.arange(48) % 5 > 0
    snapshot = snapshot_of(shop.cooccurrence, shop.titles, allowed, config)
    queries = np.array([2, 7, 40], np.int32)
    slowly = probabilities(snapshot.ensemble, snapshot.titles_PV[queries]).toarray() * allowed
    found = by_model(snapshot, queries, 6)
    assert without_pad(found) == [set(np.argsort(-row, kind="stable")[:6][np.sort(-row)[:6] < 0]) for row in slowly]
    assert all(allowed[list(row)].all() for row in without_pad(candidates_of(snapshot, queries)))
