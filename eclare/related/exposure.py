"""The exposure limit: no label stands in the first places of too many lists; it keeps those that lose most without.

It holds among lists of products with as much history: a limit over all lists alone would let a best seller stand on
nearly every page that people look at, and on none of the many that nobody does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD
from eclare.evaluation.list_segments import HISTORY, by_history
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.diversify import choose_all
from eclare.related.list_rules import Catalogue, Limits, ListRules, Mask, fits, length_of

# The less is known of a product, the more a best seller in its list is a guess: limits to one another, by HISTORY.
SHARES_H = np.array([0.05, 0.2, 0.6, 1.0])
VISITED_SESSIONS = 5  # of a page that shoppers visit; what was seen once or twice is most of a catalogue
LEAST_OVER_EVEN = 1.5  # the least exposure limit, in times of what each product would have if all had the same


class Stratum(NamedTuple):
    """Lists of products with as much history, and how many of them one label may stand in among the first places."""

    rows: npt.NDArray[np.int64]
    most: int


def visited_by_history(cooccurrence: Cooccurrence) -> npt.NDArray[np.float64]:
    """Which share of the pages that shoppers visit is of products with so much history (HISTORY), H; the sum is 1.

    Visited were the products with VISITED_SESSIONS in the last half of the log, its last quarter, eighth and so on;
    history is what they had before. Each of these times that has such products counts alike.
    """
    sessions_P, days_ago, shares = cooccurrence.popularity(), cooccurrence.days // 2, []
    while days_ago:
        later_P = cooccurrence.popularity_since(days_ago)
        visited_P = later_P >= VISITED_SESSIONS
        if visited_P.any():
            history_V = by_history((sessions_P - later_P)[visited_P]).place_N
            pages_H = np.bincount(history_V, minlength=len(HISTORY))
            shares.append(pages_H / pages_H.sum())
        days_ago //= 2
    return np.mean(shares, axis=0) if shares else np.eye(len(HISTORY))[-1]


def strata(
    labels_PC: Rows,
    catalogue: Catalogue,
    rules: ListRules,
    visited_H: npt.NDArray[np.float64],
    *,
    queries: Rows | None = None,
) -> list[Stratum]:
    """All lists, or those of some queries, by how many sessions held their product (HISTORY), each with its limit.

    The limits rise with history as SHARES_H do. A label that reaches all of them stands on max_exposure of the pages
    that shoppers visit.
    """
    relative_H = SHARES_H if rules.max_exposure < 1 else np.ones(len(HISTORY))  # 1 is no limit
    share_H = np.minimum(rules.max_exposure * relative_H / (visited_H @ relative_H), 1)
    place_P, found = by_history(catalogue.sessions_P).place_N, []
    every = np.arange(len(labels_PC)) if queries is None else np.sort(queries).astype(np.int64)
    for place, share in enumerate(share_H.tolist()):
        rows = every[place_P[every] == place]
        if len(rows):
            found.append(Stratum(rows, exposure_limit(labels_PC[rows], rules._replace(max_exposure=share))))
    return found


def limit_in_strata(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, rules: ListRules, limits: Sequence[Stratum]
) -> tuple[Mask, int]:
    """What `limit_exposure` finds of the lists of every stratum, together."""
    open_PC, moved = np.ones(labels_PC.shape, np.bool_), 0
    for rows, most in limits:
        open_PC[rows], moved_here = limit_exposure(labels_PC[rows], scores_PC[rows], catalogue, rules, most)
        moved += moved_here
    return open_PC, moved


def exposure_limit(labels_PC: Rows, rules: ListRules) -> int:
    """How many of these lists one label may stand in among the first places.

    max_exposure of the lists that have a label, but at least LEAST_OVER_EVEN times what each label would have if all
    lists were full and all labels stood in as many: where products are few, each must be shown often.
    """
    if rules.max_exposure >= 1:
        return len(labels_PC)
    length_P = (labels_PC != PAD).sum(axis=1)
    labels = np.count_nonzero(np.bincount(labels_PC[labels_PC != PAD]))
    even = np.minimum(length_P, min(rules.first, rules.k)).sum() / max(labels, 1)
    return max(1, int(rules.max_exposure * (length_P > 0).sum()), int(np.ceil(LEAST_OVER_EVEN * even)))


def limit_exposure(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, rules: ListRules, most: int
) -> tuple[Mask, int]:
    """Which candidates may stand among the first places so that no label does in more than `most` lists, P x C.

    Also how many places changed hands. One pass over the labels, the most shown first: a label above the limit keeps
    the lists that lose most without it, by its score minus that of the best candidate that could replace it; a list
    without such a candidate loses more than any other. Ties keep the better ranked place, then the lower row. A label
    that was cut is closed: it stays at the limit and replaces nothing. A replacement is chosen by its score alone,
    without regard to diversity, and keeps to the limits of its list. Where no label is above the limit, all is open.
    """
    every = np.ones(labels_PC.shape, np.bool_)
    if most >= len(labels_PC):
        return every, 0
    limits = Limits.of(rules._replace(k=min(rules.first, rules.k)), catalogue)
    ranks_PK = choose_all(labels_PC, scores_PC, every, CSR.of(catalogue.titles_PV), limits)
    row_of, place_of = np.nonzero(ranks_PK != PAD)
    listed_PC = np.zeros(labels_PC.shape, np.bool_)
    listed_PC[row_of, ranks_PK[row_of, place_of]] = True
    shown = Shown(np.bincount(labels_PC[listed_PC], minlength=len(catalogue.category_P)), int(most))
    if shown.lists_P.max(initial=0) <= most:
        return every, 0
    index = _Index.of(labels_PC, len(shown.lists_P), most)
    return listed_PC, int(_limit(_Table(labels_PC, scores_PC, listed_PC), index, limits, shown))


class _Table(NamedTuple):
    """The ranked candidates of every list, and which of them it holds, P x C."""

    labels_PC: Rows
    scores_PC: Floats
    listed_PC: Mask


class Shown(NamedTuple):
    """In how many lists every label stands, and how many it may."""

    lists_P: npt.NDArray[np.int64]
    most: int


class _Index(NamedTuple):
    """Where labels stand that have more candidatures than lists they may stand in, by label and row.

    Label p is candidate rank_E[e] of row_E[e] for e in starts_P[p]:starts_P[p + 1].
    """

    starts_P: npt.NDArray[np.int64]
    row_E: Rows
    rank_E: npt.NDArray[np.int16]

    @classmethod
    def of(cls, labels_PC: Rows, products: int, most: int) -> "_Index":
        count_P = np.bincount(labels_PC[labels_PC != PAD], minlength=products)
        count_P[count_P <= most] = 0
        starts_P = np.concatenate([[0], np.cumsum(count_P)]).astype(np.int64)
        index = cls(starts_P, np.empty(starts_P[-1], np.int32), np.empty(starts_P[-1], np.int16))
        _fill_index(labels_PC, index)
        return index


@numba.njit(cache=True)
def _fill_index(labels_PC: Rows, index: _Index) -> None:
    next_P = index.starts_P.copy()
    for row in range(len(labels_PC)):
        for rank in range(labels_PC.shape[1]):
            label = labels_PC[row, rank]
            if label != PAD and next_P[label] < index.starts_P[label + 1]:
                index.row_E[next_P[label]], index.rank_E[next_P[label]] = row, rank
                next_P[label] += 1


@numba.njit(cache=True)
def _limit(table: _Table, index: _Index, limits: Limits, shown: Shown) -> int:
    """Change the listed candidates until no label stands in too many lists; returns the places given up."""
    moved, closed_P = 0, np.zeros(len(shown.lists_P), np.bool_)
    while True:
        label = np.argmax(shown.lists_P)  # a closed one stands in `most` lists
        if shown.lists_P[label] <= shown.most:
            return moved
        closed_P[label] = True
        entries = slice(index.starts_P[label], index.starts_P[label + 1])
        rows, ranks = _listed(index.row_E[entries], index.rank_E[entries], table.listed_PC)
        replacements = _replacements(table, rows, ranks, closed_P, limits)
        margins = np.empty(len(rows), np.float64)
        for entry in range(len(rows)):
            scores, replacement = table.scores_PC[rows[entry]], replacements[entry]
            margins[entry] = np.inf if replacement == PAD else scores[ranks[entry]] - scores[replacement]
        for entry in _smallest(margins, ranks, shown.most):
            row, replacement = rows[entry], replacements[entry]
            table.listed_PC[row, ranks[entry]] = False
            if replacement != PAD:
                table.listed_PC[row, replacement] = True
                shown.lists_P[table.labels_PC[row, replacement]] += 1
        moved += len(rows) - shown.most
        shown.lists_P[label] = shown.most


@numba.njit(cache=True)
def _smallest(margins: npt.NDArray[np.float64], ranks: npt.NDArray[np.int16], kept: int) -> npt.NDArray[np.int64]:
    """The entries that are not the `kept` of the largest margins; of ties those of worse ranks, then higher rows."""
    least = np.partition(-margins, kept - 1)[kept - 1]
    given_up = -margins > least
    ties = np.flatnonzero(-margins == least)
    places = kept - np.sum(-margins < least)
    for entry in ties[np.argsort(ranks[ties], kind="mergesort")][places:]:
        given_up[entry] = True
    return np.flatnonzero(given_up)


@numba.njit(cache=True)
def _listed(row_E: Rows, rank_E: npt.NDArray[np.int16], listed_PC: Mask) -> tuple[Rows, npt.NDArray[np.int16]]:
    """The rows and ranks of those that are listed."""
    listed_E = np.empty(len(row_E), np.bool_)
    for entry in range(len(row_E)):
        listed_E[entry] = listed_PC[row_E[entry], rank_E[entry]]
    return row_E[listed_E], rank_E[listed_E]


@numba.njit(parallel=True, cache=True)
def _replacements(table: _Table, rows: Rows, ranks: npt.NDArray[np.int16], closed_P: Mask, limits: Limits) -> Rows:
    """The rank of the best candidate that fits each list without the label of this rank, PAD where there is none."""
    replacements = np.empty(len(rows), np.int32)
    for entry in numba.prange(len(rows)):
        labels_C, listed_C = table.labels_PC[rows[entry]], table.listed_PC[rows[entry]]
        replacements[entry] = _replacement(labels_C, listed_C, ranks[entry], closed_P, limits)
    return replacements


@numba.njit(cache=True)
def _replacement(labels_C: Rows, listed_C: Mask, given_up: int, closed_P: Mask, limits: Limits) -> int:
    others, length = np.empty(limits.k, np.int32), 0
    for rank in range(len(labels_C)):
        if listed_C[rank] and rank != given_up:
            others[length] = labels_C[rank]
            length += 1
    for rank in range(length_of(labels_C)):
        label = labels_C[rank]
        if not listed_C[rank] and not closed_P[label] and fits(label, others[:length], limits):
            return rank
    return PAD
