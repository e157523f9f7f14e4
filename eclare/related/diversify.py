"""The labels of a list, chosen one after the other: maximal marginal relevance within the limits of a list."""

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.knn import cosine_of
from eclare.arrays.topk import PAD
from eclare.related.list_rules import Catalogue, Limits, ListRules, Mask, fits, length_of

SMALLEST_SPAN = 1e-12  # of scores that are all the same, which then have no relevance


def diversify(
    labels_PC: Rows, scores_PC: Floats, catalogue: Catalogue, rules: ListRules, open_PC: Mask | None = None
) -> tuple[Rows, Floats]:
    """k of the C ranked labels of every product: maximal marginal relevance within the limits of a list, P x k.

    open_PC: which of them may stand among the first places, all by default. Relevance is a label's score between the
    lowest (0) and the highest (1) of its product; a label that resembles one chosen before loses diversity times the
    cosine of their titles (Carbonell, Goldstein, SIGIR 1998). A score is that of the label, or of the one before where
    that is lower.
    """
    open_PC = np.ones(labels_PC.shape, np.bool_) if open_PC is None else open_PC
    titles, limits = CSR.of(catalogue.titles_PV), Limits.of(rules, catalogue)
    ranks_PK = choose_all(labels_PC, scores_PC, open_PC, titles, limits)
    chosen_PK = ranks_PK != PAD
    ranks_PK = np.maximum(ranks_PK, 0)
    labels = np.where(chosen_PK, np.take_along_axis(labels_PC, ranks_PK, axis=1), PAD).astype(np.int32)
    scores = np.where(chosen_PK, np.take_along_axis(scores_PC, ranks_PK, axis=1), np.inf)
    return labels, np.where(chosen_PK, np.minimum.accumulate(scores, axis=1), 0).astype(np.float32)


@numba.njit(parallel=True, cache=True)
def choose_all(labels_PC: Rows, scores_PC: Floats, open_PC: Mask, titles: CSR, limits: Limits) -> Rows:
    """The ranks of the chosen candidates of every product, P x k, PAD where there are fewer."""
    ranks_PK = np.empty((len(labels_PC), limits.k), np.int32)
    for product in numba.prange(len(labels_PC)):
        ranks_PK[product] = _choose(labels_PC[product], scores_PC[product], open_PC[product], titles, limits)
    return ranks_PK


@numba.njit(cache=True)
def _choose(labels_C: Rows, scores_C: Floats, open_C: Mask, titles: CSR, limits: Limits) -> Rows:
    ranks_K, chosen_K = np.full(limits.k, PAD, np.int32), np.empty(limits.k, np.int32)
    length = length_of(labels_C)
    labels, relevance = labels_C[:length], _relevance(scores_C[:length], 1 - limits.diversity)
    similarity = np.zeros(length, np.float64)  # the highest cosine to a chosen label
    eligible = np.ones(length, np.bool_)
    for k in range(min(limits.k, length)):
        best, highest = PAD, -np.inf
        for rank in range(length):
            value = relevance[rank] - limits.diversity * similarity[rank]
            if eligible[rank] and (open_C[rank] or k >= limits.first) and value > highest:
                if fits(labels[rank], chosen_K[:k], limits):
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
