"""Re-ranking: ranked candidates become the lists that a shop shows, by the shop's rules.

The steps in their order: `diversify` chooses among the candidates, `sources_of` names where each label came from,
`fill_up` adds what is popular to lists that came out short.
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

MODEL, CO_CLICK, COLD, CATEGORY, POPULAR = (
    np.int8(SOURCES.index(name)) for name in ("model", "co-click", "cold", "category", "popular")
)
SMALLEST_SPAN = 1e-12  # of scores that are all the same, which then have no relevance


class ListRules(NamedTuple):
    """What holds for every list of k labels.

    max_same_category: labels of one category, 0 for no limit; diversity: from 0 (by score) to 1 (as unlike as can be).
    """

    k: int
    max_same_category: int = 0
    diversity: float = 0.0

    @property
    def candidates(self) -> int:
        """How many ranked labels to choose from."""
        return 3 * self.k if self.max_same_category or self.diversity else self.k

    @property
    def category_limit(self) -> int:
        """Labels of one category that a list may hold: all k where there is no limit."""
        return self.max_same_category or self.k


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What re-ranking reads of P products.

    titles_PV: TF-IDF rows of norm 1 or 0; category_P: a number for the category, -1 for none, which has no limit;
    allowed_P: those that may be recommended.
    """

    titles_PV: sp.csr_matrix
    category_P: Rows
    allowed_P: npt.NDArray[np.bool_]


class Lists(NamedTuple):
    """The labels of P products, best first, their scores and places in SOURCES, P x K; PAD ends a list of fewer."""

    labels_PK: Rows
    scores_PK: Floats
    sources_PK: npt.NDArray[np.int8]


def rerank(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, cooccurrence: Cooccurrence, rules: ListRules
) -> Lists:
    """The lists of all P products, chosen from the C ranked labels of each by the rules.

    labels_PC, scores_PC: best first, PAD where there are fewer. Scores fall along every list.
    """
    labels_PK, scores_PK = diversify(labels_PC, scores_PC, catalogue, rules)
    lists = Lists(labels_PK, scores_PK, sources_of(labels_PK, cooccurrence))
    popular = Popular.of(cooccurrence.popularity(), catalogue.allowed_P, catalogue.category_P)
    return fill_up(lists, popular, rules.category_limit)


def diversify(labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, rules: ListRules) -> tuple[Rows, Floats]:
    """k of the C ranked labels of every product: maximal marginal relevance within the limit of a category, P x k.

    Relevance is a label's score between the lowest (0) and the highest (1) of its product; a label that resembles one
    chosen before loses diversity times the cosine of their titles (Carbonell, Goldstein, SIGIR 1998). A score is that
    of the label, or of the one before where that is lower.
    """
    if not rules.max_same_category and not rules.diversity:
        return labels_PC[:, : rules.k].copy(), scores_PC[:, : rules.k].copy()
    limited = rules._replace(max_same_category=rules.category_limit)
    ranks_PK = _choose_all(labels_PC, scores_PC, CSR.of(catalogue.titles_PV), catalogue.category_P, limited)
    chosen_PK = ranks_PK != PAD
    ranks_PK = np.maximum(ranks_PK, 0)
    labels = np.where(chosen_PK, np.take_along_axis(labels_PC, ranks_PK, axis=1), PAD).astype(np.int32)
    scores = np.where(chosen_PK, np.take_along_axis(scores_PC, ranks_PK, axis=1), np.inf)
    return labels, np.where(chosen_PK, np.minimum.accumulate(scores, axis=1), 0).astype(np.float32)


@numba.njit(parallel=True, cache=True)
def _choose_all(labels_PC: Rows, scores_PC: Floats, titles: CSR, category_L: Rows, rules: ListRules) -> Rows:
    """The ranks of the chosen candidates of every product, P x k, PAD where there are fewer."""
    ranks_PK = np.empty((len(labels_PC), rules.k), np.int32)
    for product in numba.prange(len(labels_PC)):
        ranks_PK[product] = _choose(labels_PC[product], scores_PC[product], titles, category_L, rules)
    return ranks_PK


@numba.njit(cache=True)
def _choose(labels_C: Rows, scores_C: Floats, titles: CSR, category_L: Rows, rules: ListRules) -> Rows:
    ranks_K = np.full(rules.k, PAD, np.int32)
    length = _length(labels_C)
    labels, relevance = labels_C[:length], _relevance(scores_C[:length], 1 - rules.diversity)
    similarity = np.zeros(length, np.float64)  # the highest cosine to a chosen label
    eligible = np.ones(length, np.bool_)
    for k in range(min(rules.k, length)):
        best, highest = PAD, -np.inf
        for rank in range(length):
            value = relevance[rank] - rules.diversity * similarity[rank]
            if eligible[rank] and value > highest:
                best, highest = rank, value
        if best == PAD:
            break
        ranks_K[k] = best
        eligible[best] = False
        if _count_category(labels[best], labels[ranks_K[: k + 1]], category_L) >= rules.max_same_category:
            eligible &= category_L[labels] != category_L[labels[best]]
        if rules.diversity > 0:
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
def _count_category(label: int, chosen: Rows, category_L: Rows) -> int:
    """How many of the chosen labels have the category of this label; 0 where it has none."""
    count = 0
    for other in chosen:
        count += category_L[label] >= 0 and category_L[other] == category_L[label]
    return count


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


class Popular(NamedTuple):
    """Products that may be recommended, most popular first: of each category, and of all.

    category_P: that of every product, -1 for none; those of category c are in_category[starts[c]:starts[c + 1]].
    """

    category_P: Rows
    starts: Rows
    in_category: Rows
    everywhere: Rows

    @classmethod
    def of(cls, popularity_P: npt.NDArray[np.float32], allowed_P: npt.NDArray[np.bool_], category_P: Rows) -> "Popular":
        """Products without a session are left out; ties go to the lower row."""
        clicked = np.flatnonzero(allowed_P & (popularity_P > 0)).astype(np.int32)
        everywhere = clicked[np.argsort(-popularity_P[clicked], kind="stable")]
        categorised = everywhere[category_P[everywhere] >= 0]
        in_category = categorised[np.argsort(category_P[categorised], kind="stable")]
        starts = np.searchsorted(category_P[in_category], np.arange(category_P.max(initial=-1) + 2)).astype(np.int32)
        return cls(category_P, starts, in_category, everywhere)


def fill_up(lists: Lists, popular: Popular, category_limit: int) -> Lists:
    """Lists without gaps, as far as there are products: first of the product's category, then of all.

    What is added has the score of the last ranked label (0 where there is none) and keeps to the limit of labels of
    one category. A product is never in its own list, and no label comes twice.
    """
    filled = Lists(lists.labels_PK.copy(), lists.scores_PK.copy(), lists.sources_PK.copy())
    short = np.flatnonzero((filled.labels_PK == PAD).any(axis=1)).astype(np.int32)
    _fill(filled, short, popular, category_limit)
    return filled


@numba.njit(cache=True)
def _fill(lists: Lists, short: Rows, popular: Popular, category_limit: int) -> None:
    for product in short:
        labels_K, category = lists.labels_PK[product], popular.category_P[product]
        length = _length(labels_K)
        score = lists.scores_PK[product, length - 1] if length else np.float32(0)
        start, end = (popular.starts[category], popular.starts[category + 1]) if category >= 0 else (0, 0)
        for source, labels in ((CATEGORY, popular.in_category[start:end]), (POPULAR, popular.everywhere)):
            for label in labels:
                if length == len(labels_K):
                    break
                if _fits(label, product, labels_K[:length], popular.category_P, category_limit):
                    labels_K[length] = label
                    lists.scores_PK[product, length] = score
                    lists.sources_PK[product, length] = source
                    length += 1


@numba.njit(cache=True)
def _fits(label: int, product: int, labels: Rows, category_P: Rows, category_limit: int) -> bool:
    for listed in labels:
        if listed == label:
            return False
    return label != product and _count_category(label, labels, category_P) < category_limit
