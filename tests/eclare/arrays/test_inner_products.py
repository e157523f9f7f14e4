import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax

from eclare.arrays.inner_products import inner_products, log_shares


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


def test_inner_products_are_those_of_the_chosen_pairs() -> None:
    random = np.random.default_rng(0)
    for dim in (0, 1, 3, 4, 9):
        encoded, classifiers = (random.normal(size=(rows, dim)).astype(np.float32) for rows in (5, 7))
        row, label = (random.integers(0, end, 30).astype(np.int32) for end in (5, 7))
        assert np.allclose(
            inner_products(encoded, classifiers, row, label), (encoded @ classifiers.T)[row, label], atol=1e-5
        )
