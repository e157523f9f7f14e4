"""Short lists are filled up with what goes with their category, its best sellers, and if wanted those of all."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD
from eclare.related.exposure import Shown, Stratum
from eclare.related.list_rules import CATEGORY, CO_CLICK, POPULAR, Catalogue, Limits, ListRules, Lists, fits, length_of

LEAST_LISTS = 2  # of a category that must hold a label before it counts as related to the category


class ByCategory(NamedTuple):
    """Labels of each category, best first: those of category c are labels[starts[c]:starts[c + 1]]."""

    starts: npt.NDArray[np.int64]
    labels: Rows

    @classmethod
    def of(cls, category: Rows, labels: Rows, categories: int) -> "ByCategory":
        """category: that of each label, sorted."""
        return cls(np.searchsorted(category, np.arange(categories + 1)).astype(np.int64), labels.astype(np.int32))


class Fillers(NamedTuple):
    """What fills up a short list: what goes with its category, the category's best sellers, those of all products.

    category_P: that of every product, -1 for none.
    """

    category_P: Rows
    related: ByCategory
    in_category: ByCategory
    everywhere: Rows

    @classmethod
    def of(cls, lists: Lists, catalogue: Catalogue, *, with_popular: bool) -> "Fillers":
        """Best sellers are allowed products with a session; ties go to the lower row. Without popular, none of all."""
        sessions_P = catalogue.sessions_P
        category_P = catalogue.category_P
        categories = int(category_P.max(initial=-1)) + 1
        clicked = np.flatnonzero(catalogue.allowed_P & (sessions_P > 0)).astype(np.int32)
        everywhere = clicked[np.argsort(-sessions_P[clicked], kind="stable")]
        categorised = everywhere[category_P[everywhere] >= 0]
        in_category = categorised[np.argsort(category_P[categorised], kind="stable")]
        sellers = ByCategory.of(category_P[in_category], in_category, categories)
        related = related_to_categories(lists, category_P)
        return cls(category_P, related, sellers, everywhere if with_popular else everywhere[:0])


def related_to_categories(lists: Lists, category_P: Rows) -> ByCategory:
    """The labels that the lists of each category hold more often than all lists do, most telling first.

    Of labels that met their query (source co-click) in at least LEAST_LISTS lists of the category: lists of the
    category with the label times log(their share of the category's lists / share of all lists), where it is positive;
    ties go to the lower row.
    """
    categories, products = int(category_P.max(initial=-1)) + 1, len(category_P)
    met_PK = (lists.sources_PK == CO_CLICK) & (lists.labels_PK != PAD) & (category_P >= 0)[:, None]
    lists_C = np.bincount(category_P[met_PK.any(axis=1)], minlength=categories)
    row, place = np.nonzero(met_PK)
    label = lists.labels_PK[row, place].astype(np.int64)
    key, together = np.unique(category_P[row] * np.int64(products) + label, return_counts=True)
    category, label = key // max(products, 1), key % max(products, 1)
    with_label_P = np.bincount(label, weights=together, minlength=products)
    gain = together * np.log(together * lists_C.sum() / (lists_C[category] * with_label_P[label]))
    telling = np.flatnonzero((together >= LEAST_LISTS) & (gain > 0))
    order = telling[np.lexsort((label[telling], -gain[telling], category[telling]))]
    return ByCategory.of(category[order], label[order], categories)


def fill_up(lists: Lists, fillers: Fillers, catalogue: Catalogue, rules: ListRules, limits: Sequence[Stratum]) -> Lists:
    """Lists with fewer gaps: what goes with the product's category, its best sellers, then (if wanted) those of all.

    What is added has the score of the last ranked label (0 where there is none), keeps to the limits of a list and
    stands among the first places of at most as many lists of a stratum as its limit says; lists of lower rows choose
    first. A product is never in its own list, and no label comes twice. A list stays short where nothing is left.
    """
    filled = Lists(lists.labels_PK.copy(), lists.scores_PK.copy(), lists.sources_PK.copy(), int(lists.moved))
    is_short_P, of_list = (filled.labels_PK == PAD).any(axis=1), Limits.of(rules, catalogue)
    for rows, most in limits:
        seen = lists.labels_PK[rows, : rules.first]
        shown = Shown(np.bincount(seen[seen != PAD], minlength=len(catalogue.category_P)), int(most))
        _fill(filled, rows[is_short_P[rows]].astype(np.int32), fillers, of_list, shown)
    return filled


@numba.njit(cache=True)
def _fill(lists: Lists, short: Rows, fillers: Fillers, limits: Limits, shown: Shown) -> None:
    for product in short:
        labels_K, category = lists.labels_PK[product], fillers.category_P[product]
        length = length_of(labels_K)
        score = lists.scores_PK[product, length - 1] if length else np.float32(0)
        for source, labels in (
            (CATEGORY, _of_category(fillers.related, category)),
            (CATEGORY, _of_category(fillers.in_category, category)),
            (POPULAR, fillers.everywhere),
        ):
            for label in labels:
                if length == len(labels_K):
                    break
                seen = length < limits.first
                if (not seen or shown.lists_P[label] < shown.most) and _may_join(
                    label, product, labels_K[:length], limits
                ):
                    labels_K[length] = label
                    lists.scores_PK[product, length] = score
                    lists.sources_PK[product, length] = source
                    shown.lists_P[label] += seen
                    length += 1


@numba.njit(cache=True)
def _of_category(labels: ByCategory, category: int) -> Rows:
    if category < 0:
        return labels.labels[:0]
    return labels.labels[labels.starts[category] : labels.starts[category + 1]]


@numba.njit(cache=True)
def _may_join(label: int, product: int, listed: Rows, limits: Limits) -> bool:
    for other in listed:
        if other == label:
            return False
    return label != product and fits(label, listed, limits)
