"""Re-ranking: ranked candidates become the lists that a shop shows, by the shop's rules.

The steps in their order: `limit_exposure` takes what stands in too many lists out of some, `diversify` chooses among
the candidates that are left, `sources_of` names where each label came from, `fill_up` adds what goes with the category
to lists that came out short.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, CSRStack, Floats, Rows
from eclare.arrays.knn import cosine_of
from eclare.arrays.products import look_up
from eclare.arrays.topk import PAD
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.recommendations import SOURCES
from eclare.related.variants import Variants

MODEL, CO_CLICK, COLD, CATEGORY, POPULAR = (
    np.int8(SOURCES.index(name)) for name in ("model", "co-click", "cold", "category", "popular")
)
SMALLEST_SPAN = 1e-12  # of scores that are all the same, which then have no relevance
EVEN_SLACK = 1.5  # the least exposure limit, in times of what each product would have if all had the same
LEAST_LISTS = 2  # of a category that must hold a label before it counts as related to the category

Mask = npt.NDArray[np.bool_]


class ListRules(NamedTuple):
    """What holds for every list of k labels, and for all lists together.

    max_same_category: labels of one category, 0 for no limit; diversity: from 0 (by score) to 1 (as unlike as can be).
    max_variants: variants of one product, 0 for no limit; with a limit no title comes twice. The query is no member of
    its own list, so a list holds that many of the query's variants, too.
    max_exposure: share of the lists that one label may stand in, 1 for no limit. fill_with_popular: whether what sells
    everywhere fills up a list that is still short.
    """

    k: int
    max_same_category: int = 0
    diversity: float = 0.0
    max_variants: int = 0
    max_exposure: float = 1.0
    fill_with_popular: bool = False

    @property
    def candidates(self) -> int:
        """How many ranked labels to choose from."""
        chooses = self.max_same_category or self.diversity or self.max_variants or self.max_exposure < 1
        return 5 * self.k if chooses else self.k


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What re-ranking reads of P products.

    titles_PV: TF-IDF rows of norm 1 or 0; category_P: a number for the category, -1 for none, which has no limit;
    allowed_P: those that may be recommended; variants: which of them are the same but for size or colour.
    """

    titles_PV: sp.csr_matrix
    category_P: Rows
    allowed_P: Mask
    variants: Variants


class Lists(NamedTuple):
    """The labels of P products, best first, their scores and places in SOURCES, P x K; PAD ends a list of fewer.

    moved: places that a label gave up because it stood in too many lists.
    """

    labels_PK: Rows
    scores_PK: Floats
    sources_PK: npt.NDArray[np.int8]
    moved: int = 0


class _Limits(NamedTuple):
    """The rules of a list as kernels take them: it holds at most most_G[g] labels of one number in group_GP[g].

    group_GP: numbers of categories, of variants and of titles; a negative number has no limit.
    """

    k: int
    diversity: float
    most_G: Rows
    group_GP: Rows

    @classmethod
    def of(cls, rules: ListRules, catalogue: Catalogue) -> "_Limits":
        title, group = catalogue.variants
        most = [rules.max_same_category or rules.k, rules.max_variants or rules.k, 1 if rules.max_variants else rules.k]
        groups = np.stack([catalogue.category_P, group, title]).astype(np.int32)
        return cls(int(rules.k), float(rules.diversity), np.array(most, np.int32), groups)


def rerank(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, cooccurrence: Cooccurrence, rules: ListRules
) -> Lists:
    """The lists of all P products, chosen from the C ranked labels of each by the rules.

    labels_PC, scores_PC: best first, PAD where there are fewer. Scores fall along every list.
    """
    most = exposure_limit(labels_PC, rules)
    open_PC, moved = limit_exposure(labels_PC, scores_PC, catalogue, rules, most)
    labels_PK, scores_PK = diversify(labels_PC, scores_PC, catalogue, rules, open_PC)
    lists = Lists(labels_PK, scores_PK, sources_of(labels_PK, cooccurrence), moved)
    fillers = Fillers.of(lists, cooccurrence.popularity(), catalogue, with_popular=rules.fill_with_popular)
    return fill_up(lists, fillers, catalogue, rules, most)


def exposure_limit(labels_PC: Rows, rules: ListRules) -> int:
    """How many lists one label may stand in.

    max_exposure of the lists that have a label, but at least EVEN_SLACK times what each label would have if all lists
    were full and all labels stood in as many: where products are few, each must be shown often.
    """
    if rules.max_exposure >= 1:
        return len(labels_PC)
    length_P = (labels_PC != PAD).sum(axis=1)
    labels = np.count_nonzero(np.bincount(labels_PC[labels_PC != PAD]))
    even = np.minimum(length_P, rules.k).sum() / max(labels, 1)
    return max(1, int(rules.max_exposure * (length_P > 0).sum()), int(np.ceil(EVEN_SLACK * even)))


def limit_exposure(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, rules: ListRules, most: int
) -> tuple[Mask, int]:
    """Which candidates each list may choose from so that no label stands in more than `most` lists, P x C.

    Also how many places changed hands. One pass over the labels, the most shown first: a label above the limit keeps
    the lists that lose most without it, by its score minus that of the best candidate that could replace it; a list
    without such a candidate loses more than any other. Ties keep the better ranked place, then the lower row. A label
    that was cut is closed: it stays at the limit and replaces nothing. A replacement is chosen by its score alone,
    without regard to diversity, and keeps to the limits of its list. Where no label is above the limit, all is open.
    """
    every = np.ones(labels_PC.shape, np.bool_)
    if most >= len(labels_PC):
        return every, 0
    limits = _Limits.of(rules, catalogue)
    ranks_PK = _choose_all(labels_PC, scores_PC, every, CSR.of(catalogue.titles_PV), limits)
    row_of, place_of = np.nonzero(ranks_PK != PAD)
    listed_PC = np.zeros(labels_PC.shape, np.bool_)
    listed_PC[row_of, ranks_PK[row_of, place_of]] = True
    shown = _Shown(np.bincount(labels_PC[listed_PC], minlength=len(catalogue.category_P)), int(most))
    if shown.lists_P.max(initial=0) <= most:
        return every, 0
    index = _Index.of(labels_PC, len(shown.lists_P), most)
    return listed_PC, int(_limit(_Table(labels_PC, scores_PC, listed_PC), index, limits, shown))


class _Table(NamedTuple):
    """The ranked candidates of every list, and which of them it holds, P x C."""

    labels_PC: Rows
    scores_PC: Floats
    listed_PC: Mask


class _Shown(NamedTuple):
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
def _limit(table: _Table, index: _Index, limits: _Limits, shown: _Shown) -> int:
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
def _replacements(table: _Table, rows: Rows, ranks: npt.NDArray[np.int16], closed_P: Mask, limits: _Limits) -> Rows:
    """The rank of the best candidate that fits each list without the label of this rank, PAD where there is none."""
    replacements = np.empty(len(rows), np.int32)
    for entry in numba.prange(len(rows)):
        labels_C, listed_C = table.labels_PC[rows[entry]], table.listed_PC[rows[entry]]
        replacements[entry] = _replacement(labels_C, listed_C, ranks[entry], closed_P, limits)
    return replacements


@numba.njit(cache=True)
def _replacement(labels_C: Rows, listed_C: Mask, given_up: int, closed_P: Mask, limits: _Limits) -> int:
    others, length = np.empty(limits.k, np.int32), 0
    for rank in range(len(labels_C)):
        if listed_C[rank] and rank != given_up:
            others[length] = labels_C[rank]
            length += 1
    for rank in range(_length(labels_C)):
        label = labels_C[rank]
        if not listed_C[rank] and not closed_P[label] and _fits(label, others[:length], limits):
            return rank
    return PAD


@numba.njit(cache=True)
def _fits(label: int, listed: Rows, limits: _Limits) -> bool:
    """Whether a list with these labels may hold another one."""
    for g in range(len(limits.most_G)):
        group = limits.group_GP[g, label]
        if group >= 0 and limits.most_G[g] < limits.k:
            count = 0
            for other in listed:
                count += limits.group_GP[g, other] == group
            if count >= limits.most_G[g]:
                return False
    return True


def diversify(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, rules: ListRules, open_PC: Mask | None = None
) -> tuple[Rows, Floats]:
    """k of the C ranked labels of every product: maximal marginal relevance within the limits of a list, P x k.

    open_PC: which of them may be chosen, all by default. Relevance is a label's score between the lowest (0) and the
    highest (1) of its product; a label that resembles one chosen before loses diversity times the cosine of their
    titles (Carbonell, Goldstein, SIGIR 1998). A score is that of the label, or of the one before where that is lower.
    """
    open_PC = np.ones(labels_PC.shape, np.bool_) if open_PC is None else open_PC
    titles, limits = CSR.of(catalogue.titles_PV), _Limits.of(rules, catalogue)
    ranks_PK = _choose_all(labels_PC, scores_PC, open_PC, titles, limits)
    chosen_PK = ranks_PK != PAD
    ranks_PK = np.maximum(ranks_PK, 0)
    labels = np.where(chosen_PK, np.take_along_axis(labels_PC, ranks_PK, axis=1), PAD).astype(np.int32)
    scores = np.where(chosen_PK, np.take_along_axis(scores_PC, ranks_PK, axis=1), np.inf)
    return labels, np.where(chosen_PK, np.minimum.accumulate(scores, axis=1), 0).astype(np.float32)


@numba.njit(parallel=True, cache=True)
def _choose_all(labels_PC: Rows, scores_PC: Floats, open_PC: Mask, titles: CSR, limits: _Limits) -> Rows:
    """The ranks of the chosen candidates of every product, P x k, PAD where there are fewer."""
    ranks_PK = np.empty((len(labels_PC), limits.k), np.int32)
    for product in numba.prange(len(labels_PC)):
        ranks_PK[product] = _choose(labels_PC[product], scores_PC[product], open_PC[product], titles, limits)
    return ranks_PK


@numba.njit(cache=True)
def _choose(labels_C: Rows, scores_C: Floats, open_C: Mask, titles: CSR, limits: _Limits) -> Rows:
    ranks_K, chosen_K = np.full(limits.k, PAD, np.int32), np.empty(limits.k, np.int32)
    length = _length(labels_C)
    labels, relevance = labels_C[:length], _relevance(scores_C[:length], 1 - limits.diversity)
    similarity = np.zeros(length, np.float64)  # the highest cosine to a chosen label
    eligible = open_C[:length].copy()
    for k in range(min(limits.k, length)):
        best, highest = PAD, -np.inf
        for rank in range(length):
            value = relevance[rank] - limits.diversity * similarity[rank]
            if eligible[rank] and value > highest:
                if _fits(labels[rank], chosen_K[:k], limits):
                    best, highest = rank, value
                else:
                    eligible[rank] = False
        if best == PAD:
            break
        ranks_K[k], chosen_K[k] = best, labels[best]
        eligible[best] = False
        if limits.diversity > 0:
            _raise_similarity(labels, labels[best], titles, eligible, similarity)
    return ranks_K


@numba.njit(cache=True)
def _length(labels_K: Rows) -> int:
    """How many labels come before PAD."""
    length = 0
    while length < len(labels_K) and labels_K[length] != PAD:
        length += 1
    return length


@numba.njit(cache=True)
def _relevance(scores: Floats, weight: float) -> npt.NDArray[np.float64]:
    """Falling scores between 0 for the lowest and the weight for the highest."""
    relevance = np.zeros(len(scores), np.float64)
    for rank in range(len(scores)):
        span = max(scores[0] - scores[-1], SMALLEST_SPAN)
        relevance[rank] = weight * (scores[rank] - scores[-1]) / span
    return relevance


@numba.njit(cache=True)
def _raise_similarity(
    labels: Rows, chosen: int, titles: CSR, eligible: npt.NDArray[np.bool_], similarity: npt.NDArray[np.float64]
) -> None:
    """Raise the similarity of the eligible labels to the cosine with a label just chosen, where that is higher."""
    start, end = titles.indptr[chosen], titles.indptr[chosen + 1]
    for rank in range(len(labels)):
        if eligible[rank]:
            cosine = cosine_of(titles.indices[start:end], titles.data[start:end], titles, labels[rank])
            similarity[rank] = max(similarity[rank], cosine)


def sources_of(labels_PK: Rows, cooccurrence: Cooccurrence) -> npt.NDArray[np.int8]:
    """Places in SOURCES of the ranked labels of all P products, P x K.

    co-click: both products were met in one session; cold: the product has no session, it is known by its title alone;
    model: all others.
    """
    sessions_PP = cooccurrence.matrix()
    indptr, indices = sessions_PP.indptr.astype(np.int32), sessions_PP.indices.astype(np.int32)
    pattern = CSRStack(indptr, indices, sessions_PP.data[:, None])
    met_PK = look_up(pattern, np.arange(len(labels_PK), dtype=np.int32), labels_PK)[..., 0] > 0
    cold_P = cooccurrence.popularity() == 0
    return np.where(met_PK, CO_CLICK, np.where(cold_P[:, None], COLD, MODEL)).astype(np.int8)


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
    def of(
        cls, lists: Lists, popularity_P: npt.NDArray[np.float32], catalogue: Catalogue, *, with_popular: bool
    ) -> "Fillers":
        """Best sellers are allowed products with a session; ties go to the lower row. Without popular, none of all."""
        category_P = catalogue.category_P
        categories = int(category_P.max(initial=-1)) + 1
        clicked = np.flatnonzero(catalogue.allowed_P & (popularity_P > 0)).astype(np.int32)
        everywhere = clicked[np.argsort(-popularity_P[clicked], kind="stable")]
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


def fill_up(lists: Lists, fillers: Fillers, catalogue: Catalogue, rules: ListRules, most: int) -> Lists:
    """Lists with fewer gaps: what goes with the product's category, its best sellers, then (if wanted) those of all.

    What is added has the score of the last ranked label (0 where there is none), keeps to the limits of a list and
    stands in at most `most` lists; lists of lower rows choose first. A product is never in its own list, and no label
    comes twice. A list stays short where nothing is left.
    """
    filled = Lists(lists.labels_PK.copy(), lists.scores_PK.copy(), lists.sources_PK.copy(), int(lists.moved))
    short = np.flatnonzero((filled.labels_PK == PAD).any(axis=1)).astype(np.int32)
    listed = lists.labels_PK[lists.labels_PK != PAD]
    shown = _Shown(np.bincount(listed, minlength=len(catalogue.category_P)), int(most))
    _fill(filled, short, fillers, _Limits.of(rules, catalogue), shown)
    return filled


@numba.njit(cache=True)
def _fill(lists: Lists, short: Rows, fillers: Fillers, limits: _Limits, shown: _Shown) -> None:
    for product in short:
        labels_K, category = lists.labels_PK[product], fillers.category_P[product]
        length = _length(labels_K)
        score = lists.scores_PK[product, length - 1] if length else np.float32(0)
        for source, labels in (
            (CATEGORY, _of_category(fillers.related, category)),
            (CATEGORY, _of_category(fillers.in_category, category)),
            (POPULAR, fillers.everywhere),
        ):
            for label in labels:
                if length == len(labels_K):
                    break
                if shown.lists_P[label] < shown.most and _may_join(label, product, labels_K[:length], limits):
                    labels_K[length] = label
                    lists.scores_PK[product, length] = score
                    lists.sources_PK[product, length] = source
                    shown.lists_P[label] += 1
                    length += 1


@numba.njit(cache=True)
def _of_category(labels: ByCategory, category: int) -> Rows:
    if category < 0:
        return labels.labels[:0]
    return labels.labels[labels.starts[category] : labels.starts[category + 1]]


@numba.njit(cache=True)
def _may_join(label: int, product: int, listed: Rows, limits: _Limits) -> bool:
    for other in listed:
        if other == label:
            return False
    return label != product and _fits(label, listed, limits)
