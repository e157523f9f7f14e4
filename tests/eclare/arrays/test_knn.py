import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

from eclare.arrays.csr import CSR
from eclare.arrays.knn import Nearest, cosines_at, shares
from eclare.arrays.tfidf import normalise_rows


@given(st.integers(0, 10_000), st.sampled_from([1, 5, 20]), st.sampled_from([0.2, 0.35, 0.6]))
def test_the_nearest_titles_are_those_of_all_cosines(seed, most, least) -> None:
    random = np.random.default_rng(seed)
    points, rows = titles(random, 10), titles(random, 400)
    cosine = (points @ rows.T).toarray()
    assume((np.abs(cosine - least) > 1e-5).all())
    found, cosines = Nearest(rows).to(points, most, least)
    slowly = np.sort(np.where(cosine >= least, cosine, 0), axis=1)[:, ::-1][:, :most]
    assert np.allclose(cosines, slowly, atol=1e-5)
    there = cosines > 0
    assert np.allclose(np.take_along_axis(cosine, found, axis=1)[there], cosines[there], atol=1e-5)
    assert all(len(set(row[kept])) == kept.sum() for row, kept in zip(found, there, strict=True))
    assert np.array_equal(cosines_at(CSR.of(points), CSR.of(rows), found)[there], cosines[there])


@given(st.integers(0, 10_000), st.integers(1, 120))
def test_only_rows_without_any_rarer_word_of_the_title_are_passed_over(seed, longest) -> None:
    random = np.random.default_rng(seed)
    points, rows = titles(random, 10), titles(random, 400)
    holds = np.bincount(rows.indices, minlength=200)
    bounded, exact = (Nearest(rows, most).to(points, 20, 0.2) for most in (longest, 400))
    for point in range(10):
        words = points.indices[points.indptr[point] : points.indptr[point + 1]]
        rarest = words[np.argsort(holds[words], kind="stable")[0]]
        rarer = words[(holds[words] <= longest) | (words == rarest)]
        of_word = np.asarray(rows[:, rarer].sum(axis=1)).ravel() > 0
        kept = exact[1][point] > 0
        expected = {row for row in exact[0][point][kept].tolist() if of_word[row]}
        assert expected <= set(bounded[0][point][bounded[1][point] > 0].tolist())
    assert (bounded[1] <= exact[1]).all()


def test_near_rows_weigh_by_their_sharpened_cosine() -> None:
    found = np.array([[4, 1, 0], [0, 0, 0]], np.int32), np.array([[1, 0.5, 0], [0, 0, 0]], np.float32)
    weights = shares(found, 2)
    assert weights.indptr.tolist() == [0, 2, 2]
    assert weights.indices.tolist() == [4, 1]
    assert np.allclose(weights.data, [0.8, 0.2])


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread here")
def test_the_number_of_threads_changes_nothing() -> None:
    random = np.random.default_rng(0)
    points, rows = titles(random, 300), titles(random, 900)
    usual, found = numba.get_num_threads(), []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(Nearest(rows).to(points, 5, 0.35))
    numba.set_num_threads(usual)
    assert all(np.array_equal(*each) for each in zip(*found, strict=True))


def titles(random: np.random.Generator, count: int) -> sp.csr_matrix:
    """Seven words each of which a few stand in most titles and most in a few, weighed by how rare they are."""
    word = np.minimum(random.zipf(1.3, (count, 7)), 200) - 1
    weights = sp.csr_matrix(
        (np.ones(word.size, np.float32), (np.repeat(np.arange(count), 7), word.ravel())), (count, 200)
    )
    rarity = 1 / np.sqrt(1 + np.bincount(weights.indices, minlength=200))
    return normalise_rows(sp.csr_matrix(weights @ sp.diags_array(rarity.astype(np.float32))))
