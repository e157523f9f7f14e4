import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.csr import with_largest_one, with_sum_one
from eclare.arrays.products import keep_heaviest
from eclare.arrays.topk import best_per_row
from eclare.model.soft_targets import co_occurring_labels, with_label_points

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


@given(clicks, st.integers(1, 3))
def test_only_the_heaviest_stay(clicks_NL, k) -> None:
    kept = keep_heaviest(sp.csr_matrix(clicks_NL), k).toarray()
    for row, original in zip(kept, clicks_NL, strict=True):
        order = np.argsort(-original, kind="stable")[:k]
        assert np.array_equal(np.flatnonzero(row), np.sort(order[original[order] > 0]))
        assert np.array_equal(row[order], original[order])


@given(clicks)
def test_rows_are_scaled_and_empty_ones_stay_empty(clicks_NL) -> None:
    some = clicks_NL.sum(axis=1) > 0
    assert np.allclose(with_sum_one(sp.csr_matrix(clicks_NL)).sum(axis=1).ravel(), some)
    assert np.allclose(with_largest_one(sp.csr_matrix(clicks_NL)).max(axis=1).toarray().ravel(), some)


def test_the_best_of_each_row_fall_and_ties_go_to_the_lower_label() -> None:
    row, label = np.array([1, 0, 1, 1], np.int32), np.array([5, 2, 3, 4], np.int32)
    labels, scores = best_per_row(row, label, np.array([1, 7, 1, 2], np.float32), 3, 2)
    assert labels.tolist() == [[2, -1], [4, 3], [-1, -1]]
    assert scores.tolist() == [[7, 0], [2, 1], [0, 0]]


def test_label_points_find_themselves_and_what_they_are_met_with() -> None:
    weights = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], np.float32))
    assert with_label_points(weights, 1).toarray().tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 0], [0, 1, 1]]
