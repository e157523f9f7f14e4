"""Products of sparse matrices against dense ones."""

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.arrays.csr import CSR, CSRStack
from eclare.arrays.products import heaviest_of_product, keep_heaviest, look_up, product, product_at, sampled_product

LEFT = arrays(np.float32, (5, 4), elements=st.integers(0, 3))
RIGHT = arrays(np.float32, (4, 7), elements=st.integers(0, 3))


def cut(dense: np.ndarray, k: int) -> np.ndarray:
    """The k largest positive entries of every row, ties to the lower column."""
    order = np.argsort(-dense, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(dense)
    np.put_along_axis(kept, order, np.take_along_axis(dense, order, axis=1), axis=1)
    return kept


@given(LEFT, RIGHT, st.integers(1, 9))
def test_the_heaviest_entries_are_those_of_the_whole_product(left, right, k) -> None:
    found = heaviest_of_product(sp.csr_matrix(left), sp.csr_matrix(right), k)
    assert np.array_equal(found.toarray(), cut(left @ right, k))
    assert found.has_sorted_indices and found.nnz == np.count_nonzero(cut(left @ right, k))
    whole = product(CSR.of(sp.csr_matrix(left)), CSR.of(sp.csr_matrix(right)), 7)
    expected = sp.csr_matrix(left @ right)
    assert all(map(np.array_equal, whole, (expected.indptr, expected.indices, expected.data)))
    others = heaviest_of_product(sp.csr_matrix(left), sp.csr_matrix(right), k, with_diagonal=False)
    assert np.array_equal(others.toarray(), cut(left @ right * (1 - np.eye(5, 7, dtype=np.float32)), k))


@given(arrays(np.float32, (5, 6), elements=st.integers(0, 3)), st.integers(1, 7))
def test_rows_are_cut_to_their_heaviest(dense, k) -> None:
    assert np.array_equal(keep_heaviest(sp.csr_matrix(dense), k).toarray(), cut(dense, k))


@given(LEFT, RIGHT, arrays(np.int32, (5, 3), elements=st.integers(-1, 6)))
def test_entries_asked_for_are_those_of_the_whole_product(left, right, columns) -> None:
    whole = np.hstack([left @ right, np.zeros((5, 1), np.float32)])  # column -1
    left, right = CSR.of(sp.csr_matrix(left)), CSR.of(sp.csr_matrix(right))
    for found in (sampled_product(left, right, columns), product_at(left, right, columns, 7)):
        assert np.array_equal(found, np.take_along_axis(whole, columns, axis=1))


@given(arrays(np.float32, (2, 5, 6), elements=st.integers(0, 3)), arrays(np.int32, (4, 3), elements=st.integers(-1, 5)))
def test_entries_looked_up_are_those_of_every_matrix(dense, columns) -> None:
    dense[:, ~(dense != 0).all(axis=0)] = 0  # entries at the same places
    matrices = [sp.csr_matrix(each) for each in dense]
    rows = np.array([4, 0, 2, 0], np.int32)
    stack = CSRStack.of(matrices[0], np.stack([each.data for each in matrices], axis=1))
    expected = np.where(columns[..., None] >= 0, np.moveaxis(dense, 0, -1)[rows[:, None], columns], 0)
    assert np.array_equal(look_up(stack, rows, columns), expected)


def test_rows_lie_behind_more_entries_than_32_bits_count(tmp_path) -> None:
    before = 2**31 + 2  # entries of row 0, which nobody reads: files of nothing take no disk
    indices, data = (np.asarray(np.memmap(tmp_path / str(kind), kind, "w+", shape=before + 3)) for kind in ("i4", "f4"))
    indices[before:], data[before:] = (1, 4, 6), (1, 2, 3)
    right = CSR(np.array([0, before, before + 3]), indices, data)
    left, columns = CSR(np.array([0, 1]), np.array([1], np.int32), np.array([2], np.float32)), np.array([[4, 5, -1]])
    columns = columns.astype(np.int32)
    for found in (product_at(left, right, columns, 7), sampled_product(left, right, columns)):
        assert found.tolist() == [[4, 0, 0]]
    stack, whole = CSRStack(right.indptr, indices, data[:, None]), product(left, right, 7)
    assert look_up(stack, np.array([1], np.int32), columns)[..., 0].tolist() == [[2, 0, 0]]
    assert (whole.indices.tolist(), whole.data.tolist()) == ([1, 4, 6], [2, 4, 6])


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread here")
def test_the_number_of_threads_changes_nothing() -> None:
    left, right = (sp.random(*shape, 0.2, "csr", np.float32, 3) for shape in ((50, 40), (40, 60)))
    usual, found = numba.get_num_threads(), []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(heaviest_of_product(left, right, 5))
    numba.set_num_threads(usual)
    assert (found[0] != found[1]).nnz == 0
