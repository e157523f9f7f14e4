"""Fast sparse kernels against dense ones."""

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.csr import CSR
from eclare.arrays.products import heaviest_of_product, keep_heaviest, product_at, sampled_product

LEFT = arrays(np.float32, (5, 4), elements=st.integers(0, 3))
RIGHT = arrays(np.float32, (4, 7), elements=st.integers(0, 3))


def cut(dense: np.ndarray, k: int) -> np.ndarray:
    """The k largest positive entries of every row, ties to the lower column."""
    order = np.argsort(-dense, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(dense)
    np.put_along_axis(kept, order, np.take_along_axis(dense, order, axis=1), axis=1)
    return kept


@settings(deadline=None)
@given(LEFT, RIGHT, st.integers(1, 9))
def test_the_heaviest_entries_are_those_of_the_whole_product(left, right, k) -> None:
    found = heaviest_of_product(sp.csr_matrix(left), sp.csr_matrix(right), k)
    assert np.array_equal(found.toarray(), cut(left @ right, k))
    assert found.has_sorted_indices and found.nnz == np.count_nonzero(cut(left @ right, k))
    others = heaviest_of_product(sp.csr_matrix(left), sp.csr_matrix(right), k, with_diagonal=False)
    assert np.array_equal(others.toarray(), cut(left @ right * (1 - np.eye(5, 7, dtype=np.float32)), k))


@settings(deadline=None)
@given(arrays(np.float32, (5, 6), elements=st.integers(0, 3)), st.integers(1, 7))
def test_rows_are_cut_to_their_heaviest(dense, k) -> None:
    assert np.array_equal(keep_heaviest(sp.csr_matrix(dense), k).toarray(), cut(dense, k))


@settings(deadline=None)
@given(LEFT, RIGHT, arrays(np.int32, (5, 3), elements=st.integers(-1, 6)))
def test_entries_asked_for_are_those_of_the_whole_product(left, right, columns) -> None:
    whole = np.hstack([left @ right, np.zeros((5, 1), np.float32)])  # column -1
    left, right = CSR.of(sp.csr_matrix(left)), CSR.of(sp.csr_matrix(right))
    for found in (sampled_product(left, right, columns), product_at(left, right, columns, 7)):
        assert np.array_equal(found, np.take_along_axis(whole, columns, axis=1))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads) -> None:
    left, right = (sp.random(*shape, 0.2, "csr", np.float32, 3) for shape in ((50, 40), (40, 60)))
    usual, expected = numba.get_num_threads(), heaviest_of_product(left, right, 5)
    numba.set_num_threads(threads)
    try:
        assert (heaviest_of_product(left, right, 5) != expected).nnz == 0
    finally:
        numba.set_num_threads(usual)
