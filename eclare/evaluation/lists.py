"""What the pages of a shop look like: how the first places of all lists are shared among the products."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Rows
from eclare.arrays.topk import PAD

FIRST = 10  # places of a list that a shopper sees
PAIRS_OF_LISTS = 10_000  # that are compared for the mean overlap
BEST_SELLING = 0.1  # share of the products with a session


class ListFigures(NamedTuple):
    """What the first places of all lists look like; a list without a label counts in none of it.

    lists: with a label; with_session: products with a session; different: products shown. Shares: most_shown, of lists
    with the most shown product; ten_most_shown, of places of the ten most shown; shown, different products over those
    with a session (over 1 where others are shown as well; 1 where there is none); gini, of the places of all products
    that may be shown (0: all alike, 1: one has them all); beyond_best_sellers, of places of products that are not
    among the best-selling tenth; title_twice, of lists that hold one title twice; overlap, mean of two random lists.
    """

    lists: int
    with_session: int
    different: int
    most_shown: float
    ten_most_shown: float
    shown: float
    gini: float
    beyond_best_sellers: float
    title_twice: float
    overlap: float


def list_figures(
    labels_NK: Rows,
    popularity_L: npt.NDArray[np.floating],
    allowed_L: npt.NDArray[np.bool_],
    title_L: Rows,
    seed: int = 0,
) -> ListFigures:
    """The figures of the first places of N lists.

    labels_NK: label rows, best first, PAD where there are fewer; popularity_L: sessions of each label, ties of best
    sellers go to the lower row; allowed_L: those that may be shown; title_L: a number for the title of each, negative
    for none. seed: of the pairs of lists that are compared.
    """
    first_NK, shown_L = first_places(labels_NK), exposure(labels_NK, len(allowed_L))
    with_session, best_selling = int((popularity_L > 0).sum()), best_sellers(popularity_L)
    return ListFigures(
        lists=len(first_NK),
        with_session=with_session,
        different=int((shown_L > 0).sum()),
        most_shown=int(shown_L.max(initial=0)) / max(len(first_NK), 1),
        ten_most_shown=_ten_most_shown(shown_L),
        shown=_shown(shown_L, with_session),
        gini=_gini(shown_L[allowed_L | (shown_L > 0)]),
        beyond_best_sellers=1 - int(shown_L[best_selling].sum()) / max(int(shown_L.sum()), 1),
        title_twice=title_twice(labels_NK, title_L),
        overlap=_overlap(first_NK, seed),
    )


def best_sellers(popularity_L: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The rows of the best-selling tenth of the labels with a session, ties by the lower row."""
    count = int(np.ceil(BEST_SELLING * (popularity_L > 0).sum()))
    return np.argsort(-popularity_L, kind="stable")[:count]


def first_places(labels_NK: Rows) -> Rows:
    """The first places of the lists that have a label."""
    return labels_NK[(labels_NK != PAD).any(axis=1), :FIRST]


def exposure(labels_NK: Rows, labels: int) -> npt.NDArray[np.int64]:
    """In how many lists each of L labels stands among the first places."""
    first_NK = first_places(labels_NK)
    return np.bincount(first_NK[first_NK != PAD], minlength=labels)


def _ten_most_shown(shown_L: npt.NDArray[np.int64]) -> float:
    """Share of all places that the ten most shown labels have; 0 where there is none."""
    return int(np.sort(shown_L)[::-1][:10].sum()) / max(int(shown_L.sum()), 1)


def _shown(shown_L: npt.NDArray[np.int64], with_session: int) -> float:
    """Different labels shown over products with a session; 1 where there is none."""
    return int((shown_L > 0).sum()) / with_session if with_session else 1.0


def title_twice(labels_NK: Rows, title_L: Rows) -> float:
    """Share of the lists with a label that hold one title twice among their first places; 0 where there is none."""
    first_NK = first_places(labels_NK)
    titles = np.sort(np.where(first_NK == PAD, PAD, title_L[first_NK]), axis=1)
    twice = ((titles[:, 1:] == titles[:, :-1]) & (titles[:, 1:] >= 0)).any(axis=1)
    return float(twice.mean()) if len(twice) else 0.0


def _gini(counts: npt.NDArray[np.int64]) -> float:
    """Half the mean difference of two counts over their mean (Gini, 1912)."""
    total, n = int(counts.sum()), len(counts)
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(counts) / (n * total))


def _overlap(labels_NK: Rows, seed: int) -> float:
    """The mean share of the shorter of two different lists that the other holds, over seeded pairs of lists."""
    if len(labels_NK) < 2:
        return 0.0
    random = np.random.default_rng(seed)
    one = random.integers(len(labels_NK), size=PAIRS_OF_LISTS)
    other = (one + random.integers(1, len(labels_NK), size=PAIRS_OF_LISTS)) % len(labels_NK)
    both = np.concatenate([labels_NK[one], labels_NK[other]], axis=1)
    in_order = np.sort(both, axis=1)
    common = ((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] != PAD)).sum(axis=1)
    shorter = np.minimum((labels_NK[one] != PAD).sum(axis=1), (labels_NK[other] != PAD).sum(axis=1))
    return float((common / shorter).mean())
