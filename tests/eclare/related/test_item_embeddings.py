"""Item embeddings against a dense factorisation of the same information."""

import numpy as np
import pytest
import scipy.sparse as sp

from eclare.related.item_embeddings import DIMENSIONS, EXACT_UP_TO, NOISE, UNSEEN, item_embeddings

GROUP = 20  # products
SESSIONS = 3000


def _shop(groups: int) -> np.ndarray:
    """Sessions of products of one group, sessions x products; the last product is in none."""
    random = np.random.default_rng(3)
    held = np.zeros((SESSIONS, groups * GROUP + 1), np.float32)
    for session in held:
        group = random.integers(groups)
        session[group * GROUP + random.integers(GROUP, size=4)] = 1
    return held


def _embeddings(held: np.ndarray) -> np.ndarray:
    together = held.T @ held
    np.fill_diagonal(together, 0)
    return item_embeddings(sp.csr_matrix(together), held.sum(axis=0), len(held))


@pytest.mark.parametrize("groups", [3, 10])
def test_cosines_are_those_of_a_dense_factorisation(groups) -> None:
    held = _shop(groups)
    assert (held.shape[1] > EXACT_UP_TO) == (groups == 10)
    together, each = held.T @ held.astype(np.float64), held.sum(axis=0, dtype=np.float64)
    np.fill_diagonal(together, 0)
    with np.errstate(divide="ignore"):
        information = np.maximum(np.log(together / (np.outer(each, each) / len(held) + UNSEEN)), 0)
    values, vectors = np.linalg.eigh(information)
    scaled = vectors[:, -DIMENSIONS:] * np.sqrt(np.maximum(values[-DIMENSIONS:], 0))
    expected = scaled / np.sqrt((scaled**2).sum(axis=1, keepdims=True) + NOISE)
    found = _embeddings(held)
    assert found @ found.T == pytest.approx(expected @ expected.T, abs=1e-5)


def test_products_that_go_with_the_same_others_point_the_same_way() -> None:
    found = _embeddings(_shop(groups=10))
    cosine, group = found @ found.T, np.arange(200) // GROUP
    same = group[:, None] == group
    assert cosine[:200, :200][same].min() > cosine[:200, :200][~same].max() + 0.2
    assert not found[-1].any()


def test_nothing_is_known_of_products_that_never_met() -> None:
    assert not item_embeddings(sp.csr_matrix((4, 4), dtype=np.float32), np.ones(4, np.float32), 4).any()
    assert not item_embeddings(sp.csr_matrix((4, 4), dtype=np.float32), np.zeros(4, np.float32), 0).any()
