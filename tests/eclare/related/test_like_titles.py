import numpy as np
import pytest

from eclare.related.like_titles import LEAST_COSINE, NEIGHBOURS, SHARPNESS, like_titles
from tests.eclare.related.trained_shops import tfidf


def test_a_product_is_like_those_with_its_nearest_titles_and_not_like_itself() -> None:
    """Against all cosines; of more twins than NEIGHBOURS each is like so many of them."""
    random = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(12)])
    titles = [" ".join(random.choice(words, 3, replace=False)) for _ in range(60)] + ["the same twin"] * 30 + [""]
    titles_PV = tfidf(titles)
    cosines_PP = (titles_PV @ titles_PV.T).toarray()
    np.fill_diagonal(cosines_PP, 0)
    cosines_PP[cosines_PP < LEAST_COSINE] = 0
    like_PP = like_titles(titles_PV, np.ones(len(titles), bool)).toarray()
    assert not like_PP.diagonal().any()
    few = (cosines_PP > 0).sum(axis=1) <= NEIGHBOURS
    assert few.sum() > 20
    assert like_PP[few] == pytest.approx(np.minimum(cosines_PP[few], 1) ** SHARPNESS, abs=1e-5)
    found = (like_PP > 0).sum(axis=1)
    assert (found[~few] >= NEIGHBOURS).all() and (found <= NEIGHBOURS + 1).all()
    assert like_PP.max() == pytest.approx(1) and not like_PP[-1].any()


def test_only_what_has_a_pair_is_like_another_and_takes_up_a_place() -> None:
    twins = 2 * NEIGHBOURS
    titles_PV = tfidf(["red mug"] * twins + ["blue kettle", ""])
    paired_P = np.zeros(titles_PV.shape[0], bool)
    paired_P[[0, twins - 1, twins]] = True
    assert not like_titles(titles_PV, np.ones_like(paired_P))[1, twins - 1]  # more twins than places
    like_PP = like_titles(titles_PV, paired_P)
    assert set(like_PP.indices.tolist()) == {0, twins - 1}
    assert like_PP[[1, 1, 0], [0, twins - 1, twins - 1]] == pytest.approx(1)
    assert like_titles(titles_PV, np.zeros_like(paired_P)).nnz == 0
