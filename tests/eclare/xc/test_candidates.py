import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.csr import CSR
from eclare.xc.candidates import _best_with_bonus


@given(
    arrays(np.float32, (4, 9), elements=st.sampled_from([0, 0, 0.5, 3])),
    arrays(np.float32, (4, 2), elements=st.integers(-2, 2)),
    arrays(np.float32, (9, 2), elements=st.integers(-2, 2)),
)
def test_the_best_with_a_bonus_are_those_of_all_labels(bonus_QL, encoded_QD, classifiers_LD) -> None:
    scores_QL = encoded_QD @ classifiers_LD.T
    found = np.argsort(-scores_QL, axis=1, kind="stable")[:, :4].astype(np.int32)
    best, totals = _best_with_bonus(
        found, np.take_along_axis(scores_QL, found, axis=1), CSR.of(sp.csr_matrix(bonus_QL)), encoded_QD, classifiers_LD
    )
    expected = np.argsort(-(scores_QL + bonus_QL), axis=1, kind="stable")[:, :4]  # ties by lower label
    assert np.array_equal(best, expected)
    assert np.array_equal(totals, np.take_along_axis(scores_QL + bonus_QL, expected, axis=1))


def test_labels_that_the_index_did_not_find_are_no_candidates() -> None:
    found = np.array([[2, -1, -1]], np.int32)
    bonus = CSR.of(sp.csr_matrix(np.array([[0, 0, 0, 1]], np.float32)))
    ones = np.ones((4, 1), np.float32)
    best, totals = _best_with_bonus(found, np.array([[1, 9, 9]], np.float32), bonus, ones[:1], ones)
    assert best.tolist() == [[3, 2, -1]]
    assert totals.tolist() == [[2, 1, 0]]
