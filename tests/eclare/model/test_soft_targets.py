import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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


def test_label_points_find_themselves_and_what_they_are_met_with() -> None:
    weights = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], np.float32))
    assert with_label_points(weights, 1).toarray().tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 0], [0, 1, 1]]
