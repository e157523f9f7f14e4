import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.tfidf import Vocabulary, normalise_rows
from eclare.xc.candidates import co_click_bonus
from eclare.xc.co_clicks import CoClickScores, shared_points


def test_co_clicks_are_looked_up_through_similar_titles() -> None:
    titles = ["red mug", "blue plate", "green lamp"]
    vocabulary = Vocabulary.of(titles)
    weights = sp.csr_matrix(np.array([[3, 2, 0], [0, 1, 0]], np.float32))
    co_clicks = CoClickScores.of(weights, vocabulary.features(titles), vocabulary.features([""] * 2))
    asked = vocabulary.features(["red mug", "lamp", "unknown", "blue plate blue"])
    scores = sp.csr_matrix(co_clicks.scores(co_clicks.similar_labels(asked))[::-1], shape=(4, 3)).toarray()
    assert scores[0].tolist() == [0, 1, 0]
    assert scores[1].tolist() == scores[2].tolist() == [0, 0, 0]
    assert scores[3, 0] == pytest.approx(1)
    bonus = co_click_bonus(scores, 2)
    assert bonus[0, 1] == pytest.approx(2 * np.log(101), rel=1e-5)
    assert bonus[1].tolist() == [0, 0, 0]


@given(
    arrays(np.float32, (4, 6), elements=st.integers(0, 3)),
    arrays(np.float32, (9, 6), elements=st.sampled_from([0, 1, 5])),
)
def test_the_most_similar_titles_are_those_of_all_cosines(points_QV, labels_LV) -> None:
    points, labels = (normalise_rows(sp.csr_matrix(matrix)) for matrix in (points_QV, labels_LV))
    cosine = (points @ labels.T).toarray()
    assume(not (np.abs(cosine - 0.35) < 1e-5).any())  # rounding decides at the bound
    co_clicks = CoClickScores.of(sp.csr_matrix((4, 9), dtype=np.float32), labels, points)
    for found, others, count, sharpness in (
        (co_clicks.similar_labels(points), labels, 5, 8),
        (co_clicks.similar_points(points), points, 20, 4),
    ):
        cosine = (points @ others.T).toarray()
        expected = np.sort(np.where(cosine < 0.35, 0, np.minimum(cosine, 1)), axis=1)[:, ::-1][:, :count] ** sharpness
        expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1e-30)
        weights = sp.csr_matrix(found[::-1], shape=cosine.shape).toarray()
        assert np.allclose(np.sort(weights, axis=1)[:, ::-1][:, :count], expected, atol=1e-4)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.integers(0, 2)))
def test_shared_points_are_counted_however_heavy_their_clicks(clicks_NL) -> None:
    clicked = (clicks_NL > 0).astype(np.float32)
    expected = clicked.T @ clicked
    np.fill_diagonal(expected, 0)
    assert np.array_equal(shared_points(sp.csr_matrix(clicks_NL), 10).toarray(), expected)


def test_what_is_saved_scores_the_same_when_loaded(tmp_path) -> None:
    weights, titles = (
        sp.random(20, 8, 0.3, "csr", np.float32, 0),
        normalise_rows(sp.random(8, 5, 0.5, "csr", np.float32, 1)),
    )
    saved = CoClickScores.of(weights, titles, sp.csr_matrix((20, 5), dtype=np.float32))
    saved.save(tmp_path)
    loaded = CoClickScores.load(tmp_path, titles)
    before, after = (each.scores(each.similar_labels(titles)) for each in (saved, loaded))
    assert len(before.data) and all(map(np.array_equal, before, after))
