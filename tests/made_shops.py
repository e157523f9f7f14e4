"""A small shop with a known answer, for tests and first tries."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from eclare.model.data import Interactions
from eclare.related.cooccurrence import Cooccurrence


class Shop(NamedTuple):
    """Titles of P products, their clicks (points and labels are the same products), and the group of each."""

    titles: list[str]
    clicks: Interactions
    group_of_P: "np.ndarray[tuple[int], np.dtype[np.int64]]"


def shop_of_groups(groups: int = 8, products_per_group: int = 12, clicks_per_product: int = 6, seed: int = 0) -> Shop:
    """Products clicked only within their group, whose titles share the group's words: the right answer is the group.

    The last product of each group has a title and no click: what it is related to can only be learnt from its text.
    """
    random = np.random.default_rng(seed)
    products = groups * products_per_group
    group_of_P = np.arange(products) // products_per_group
    titles = [f"theme{group} kind{group} item{product}" for product, group in enumerate(group_of_P)]
    new = np.arange(products) % products_per_group == products_per_group - 1
    related = [
        random.choice(
            np.flatnonzero((group_of_P == group_of_P[p]) & ~new & (np.arange(products) != p)),
            clicks_per_product,
            replace=False,
        )
        for p in np.flatnonzero(~new)
    ]
    row = np.repeat(np.flatnonzero(~new), clicks_per_product)
    weights = random.integers(1, 5, len(row)).astype(np.float32)
    matrix = sp.csr_matrix((weights, (row, np.concatenate(related))), shape=(products, products))
    ids = np.array([f"P{product:04d}" for product in range(products)])
    return Shop(titles, Interactions(matrix, ids, ids), group_of_P)


class DatedShop(NamedTuple):
    """Titles of P products, their co-occurrence in dated sessions, and the group of each."""

    titles: list[str]
    cooccurrence: Cooccurrence
    group_of_P: "np.ndarray[tuple[int], np.dtype[np.int64]]"


def sessions_of_groups(groups: int, products_per_group: int, days: int, seed: int = 0) -> DatedShop:
    """Sessions of four products of one group, ten a day; the last product of each group is never chosen."""
    random = np.random.default_rng(seed)
    products = groups * products_per_group
    group_of_P = np.arange(products) // products_per_group
    titles = [f"theme{group} kind{group} item{product}" for product, group in enumerate(group_of_P)]
    group_of_S = random.integers(groups, size=10 * days)
    within = np.argsort(random.random((len(group_of_S), products_per_group - 1)), axis=1)[:, :4]
    chosen = (group_of_S[:, None] * products_per_group + within).ravel()
    row = np.repeat(np.arange(len(group_of_S)), 4)
    matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, chosen)), shape=(len(group_of_S), products))
    return DatedShop(titles, Cooccurrence.of_sessions(matrix, np.arange(len(group_of_S))[::-1] // 10), group_of_P)
