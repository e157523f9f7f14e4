import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.related.cooccurrence import Cooccurrence, CountsByAge


@settings(deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 1)),
    st.sampled_from([1.0, 30.0, np.inf]),
)
def test_sessions_that_products_share_count_less_the_older_they_are(chosen_SP, half_life) -> None:
    age_S = np.arange(len(chosen_SP)) * 7
    pairs = Cooccurrence.of_sessions(sp.csr_matrix(chosen_SP), age_S)
    slowly = np.zeros((chosen_SP.shape[1],) * 2)
    for chosen, age in zip(chosen_SP, age_S, strict=True):
        slowly += np.outer(chosen, chosen) * 0.5 ** (age / half_life)
    assert np.allclose(pairs.popularity(half_life), np.diag(slowly), atol=1e-6)
    np.fill_diagonal(slowly, 0)
    assert np.allclose(pairs.matrix(half_life).toarray(), slowly, atol=1e-6)


def test_pairs_as_they_stood_and_what_came_after_are_two_parts_of_them(tmp_path) -> None:
    chosen = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 1]], np.float32))
    pairs = Cooccurrence.of_sessions(chosen, np.array([0, 5, 10, 20]))
    assert pairs.until(10).matrix().toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert pairs.since(10).matrix().toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert (pairs.days, pairs.until(10).days, pairs.since(10).days) == (20, 10, 5)
    pairs.save(tmp_path)
    again = Cooccurrence.load(tmp_path)
    assert (again.matrix(7) != pairs.matrix(7)).nnz == 0
    assert np.array_equal(again.popularity(7), pairs.popularity(7))


@pytest.mark.parametrize(
    ("keys", "ages", "message"),
    [([0, 1], [1], "as many, got 2, 1"), ([0], [-1], "0 or more, got -1"), ([1, 0], [1, 1], "keys must be sorted")],
)
def test_counts_that_do_not_hold_together_are_refused(keys, ages, message) -> None:
    with pytest.raises(ValueError, match=message):
        CountsByAge(np.array(keys), np.array(ages, np.int32), np.ones(len(keys), np.float32))
