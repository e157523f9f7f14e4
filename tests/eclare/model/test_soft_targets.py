import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.tfidf import Vocabulary, normalise_rows
from eclare.model.config import ECLAREConfig
from eclare.model.soft_targets import co_occurring_labels, with_label_points
from eclare.xc.co_clicks import CoClickScores, bonus_of

clicks = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 7)), elements=st.integers(0, 4))


def slowly(clicks_NL: np.ndarray, damping: float) -> np.ndarray:
    labels = clicks_NL.shape[1]
    found = np.zeros((labels, labels))
    for one in range(labels):
        for other in range(labels):
            for point in clicks_NL:
                if one != other and point[one] and point[other]:
                    found[one, other] += point[one] * point[other] / point.sum()
            if one != other and found[one, other]:
                found[one, other] /= clicks_NL[:, other].sum() ** damping
    return found / np.maximum(found.max(axis=1, keepdims=True), 1e-30)


@given(clicks, st.sampled_from([0.0, 0.25, 1.0]))
def test_co_occurrence_is_the_chance_to_walk_over_a_point(clicks_NL, damping) -> None:
    found = co_occurring_labels(sp.csr_matrix(clicks_NL), heaviest=10, damping=damping)
    assert np.allclose(found.toarray(), slowly(clicks_NL, damping), atol=1e-5)


def test_label_points_find_themselves_and_what_they_are_met_with() -> None:
    weights = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], np.float32))
    assert with_label_points(weights, 1).toarray().tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 0], [0, 1, 1]]


def test_evidence_comes_through_the_titles_that_resemble_the_question() -> None:
    titles = ["red mug", "blue plate", "green lamp"]
    vocabulary = Vocabulary.of(titles)
    weights = sp.csr_matrix(np.array([[3, 2, 0], [0, 1, 0]], np.float32))
    evidence = CoClickScores.of(weights, vocabulary.features(titles), vocabulary.features([""] * 2))
    seen = evidence.co_clicks(vocabulary.features(["red mug", "lamp", "unknown", "blue plate blue"])).toarray()
    assert seen[0].tolist() == [0, 1, 0]
    assert seen[1].tolist() == seen[2].tolist() == [0, 0, 0]
    assert seen[3, 0] == pytest.approx(1)
    bonus = bonus_of(sp.csr_matrix(seen), ECLAREConfig(evidence_weight=2)).toarray()
    assert bonus[0, 1] == pytest.approx(2 * np.log(101), rel=1e-5)
    assert bonus[1].tolist() == [0, 0, 0]


@given(
    arrays(np.float32, (4, 6), elements=st.integers(0, 3)),
    arrays(np.float32, (9, 6), elements=st.sampled_from([0, 1, 5])),
)
def test_the_most_similar_titles_are_those_of_all_cosines(points_NV, labels_LV) -> None:
    points, labels = (normalise_rows(sp.csr_matrix(matrix)) for matrix in (points_NV, labels_LV))
    cosine = (points @ labels.T).toarray()
    assume((np.abs(cosine - 0.35) > 1e-5).all())
    cosine[cosine < 0.35] = 0
    slowly = np.sort(np.minimum(cosine, 1), axis=1)[:, ::-1][:, :5] ** 8
    slowly /= np.maximum(slowly.sum(axis=1, keepdims=True), 1e-30)
    found = (
        CoClickScores.of(sp.csr_matrix((2, 9), dtype=np.float32), labels, points[:2]).similar_labels(points).toarray()
    )
    assert np.allclose(np.sort(found, axis=1)[:, ::-1][:, :5], slowly, atol=1e-4)


def test_evidence_saved_is_evidence_loaded(tmp_path) -> None:
    weights, titles = (
        sp.random(20, 8, 0.3, "csr", np.float32, 0),
        normalise_rows(sp.random(8, 5, 0.5, "csr", np.float32, 1)),
    )
    evidence = CoClickScores.of(weights, titles, sp.csr_matrix((20, 5), dtype=np.float32))
    evidence.save(tmp_path)
    assert (CoClickScores.load(tmp_path, titles).co_clicks(titles) != evidence.co_clicks(titles)).nnz == 0
