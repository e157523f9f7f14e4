"""A list chosen from ranked candidates: not too many of one category, not too much of the same."""

from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.knn import cosine_of
from eclare.arrays.topk import PAD


class ListRules(NamedTuple):
    """What holds for every list of k labels.

    most_of_category: labels of one category, 0 for no limit; diversity: from 0 (by score) to 1 (as unlike as can be).
    """

    k: int
    most_of_category: int = 0
    diversity: float = 0.0

    @property
    def candidates(self) -> int:
        """How many ranked labels to choose from."""
        return 3 * self.k if self.most_of_category or self.diversity else self.k


def select(
    ranked: tuple[Rows, Floats], titles_LV: sp.csr_matrix, category_L: Rows, rules: ListRules
) -> tuple[Rows, Floats]:
    """k of the ranked labels of every point, N x C to N x k: maximal marginal relevance within the category's limit.

    Relevance is a label's score between the lowest (0) and the highest (1) of its point; a label that resembles one
    chosen before loses diversity times the cosine of their titles (Carbonell, Goldstein, SIGIR 1998). category_L: -1
    for none, which has no limit. A score is that of the label, or of the one before where that is lower.
    """
    labels_NC, scores_NC = ranked
    if not rules.most_of_category and not rules.diversity:
        return labels_NC[:, : rules.k], scores_NC[:, : rules.k]
    places_NK = np.full((len(labels_NC), rules.k), -1, np.int32)
    _choose((labels_NC, scores_NC), CSR.of(titles_LV), category_L, tuple(rules), places_NK)
    there = places_NK >= 0
    places = np.maximum(places_NK, 0)
    labels = np.where(there, np.take_along_axis(labels_NC, places, axis=1), PAD).astype(np.int32)
    scores = np.where(there, np.take_along_axis(scores_NC, places, axis=1), np.inf)
    return labels, np.where(there, np.minimum.accumulate(scores, axis=1), 0).astype(np.float32)


@numba.njit(parallel=True, cache=True)
def _choose(
    ranked: tuple[Rows, Floats], titles: CSR, category_L: Rows, rules: tuple[int, int, float], places_NK: Rows
) -> None:
    labels_NC, scores_NC = ranked
    k, most, diversity = rules
    for point in numba.prange(len(labels_NC)):
        labels, there = labels_NC[point], 0
        while there < len(labels) and labels[there] != PAD:
            there += 1
        left = np.ones(there, np.bool_)
        alike = np.zeros(there, np.float64)
        of_category = np.zeros(there, np.int64)
        highest, lowest = scores_NC[point, 0], scores_NC[point, max(there, 1) - 1]
        span = max(highest - lowest, 1e-12)
        for slot in range(min(k, there)):
            best, value = -1, -np.inf
            for place in range(there):
                if left[place] and not (most and category_L[labels[place]] >= 0 and of_category[place] >= most):
                    worth = (1 - diversity) * (scores_NC[point, place] - lowest) / span - diversity * alike[place]
                    if worth > value:
                        best, value = place, worth
            if best < 0:
                break
            left[best] = False
            places_NK[point, slot] = best
            start, end = titles[0][labels[best]], titles[0][labels[best] + 1]
            for place in range(there):
                of_category[place] += category_L[labels[place]] == category_L[labels[best]]
                if diversity and left[place]:
                    near = cosine_of(titles[1][start:end], titles[2][start:end], titles, labels[place])
                    alike[place] = max(alike[place], near)
