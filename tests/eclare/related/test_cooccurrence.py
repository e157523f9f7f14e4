import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.related.cooccurrence import Cooccurrence, CountsByAge


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
    assert np.array_equal(pairs.paired(), slowly.any(axis=1))


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


def test_support_is_counted_in_the_days_of_each_part_alone(tmp_path) -> None:
    """The pair 0, 1 met twice before the cut, 1, 2 once before and once after it, 0, 2 twice after it."""
    chosen = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 1], [1, 0, 1], [1, 0, 1]], np.float32)
    age_S = np.array([12, 10, 11, 3, 2, 1])
    pairs = Cooccurrence.of_sessions(sp.csr_matrix(chosen), age_S, min_support=2)
    pairs.save(tmp_path)
    for found in (pairs, Cooccurrence.load(tmp_path)):
        assert found.matrix().toarray().tolist() == [[0, 2, 2], [2, 0, 2], [2, 2, 0]]
        assert found.until(10).matrix().toarray().tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
        assert found.since(10).matrix().toarray().tolist() == [[0, 0, 2], [0, 0, 0], [2, 0, 0]]
        assert found.until(10).until(2).matrix().nnz == 0
        assert found.on(3).matrix().nnz == 0 and found.on(3).session_count == 1
        assert (found.session_count, found.until(10).session_count, found.since(10).session_count) == (6, 3, 3)
        assert found.until(10).popularity().tolist() == [2, 3, 1]
        assert found.popularity_since(10).tolist() == found.since(10).popularity().tolist() == [2, 1, 3]


def test_support_is_of_sessions_and_weights_are_of_clicks(tmp_path) -> None:
    counts = CountsByAge(
        np.array([1, 1, 2]), np.array([0, 5, 5], np.int32), np.array([4, 1, 0.5], "f4"), np.array([1, 2, 1], "f4")
    )
    sessions = CountsByAge(np.array([0]), np.array([5], np.int32), np.array([3], np.float32))
    Cooccurrence(counts, sessions, 3, np.array([1, 0, 0, 0, 0, 3]), 2).save(tmp_path)
    pairs = Cooccurrence.load(tmp_path)
    assert pairs.until(5).matrix().toarray()[0].tolist() == [0, 1, 0], "two sessions, though they weigh 1"
    assert pairs.since(5).matrix().nnz == 0, "one session, though it weighs 4"
    assert pairs.until(5).shared_sessions().toarray()[0].tolist() == [0, 2, 0]


def test_counts_of_older_code_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "cooccurrence.npz", products=3)
    with pytest.raises(ValueError, match=r"must hold min_support .* is of older code: run build_interactions"):
        Cooccurrence.load(tmp_path)


@pytest.mark.parametrize(
    ("keys", "ages", "message"),
    [([0, 1], [1], "as many, got 2, 1"), ([0], [-1], "0 or more, got -1"), ([1, 0], [1, 1], "keys must be sorted")],
)
def test_counts_that_do_not_hold_together_are_refused(keys, ages, message) -> None:
    with pytest.raises(ValueError, match=message):
        CountsByAge(np.array(keys), np.array(ages, np.int32), np.ones(len(keys), np.float32))
