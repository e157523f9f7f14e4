"""The rules of a list, and what re-ranking reads of a catalogue to keep to them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD
from eclare.evaluation.lists import FIRST
from eclare.related.recommendations import SOURCES
from eclare.related.variants import Variants

MODEL, CO_CLICK, COLD, CATEGORY, POPULAR, PINNED = (
    np.int8(SOURCES.index(name)) for name in ("model", "co-click", "cold", "category", "popular", "pinned")
)

CANDIDATES_A_PLACE = 5  # ranked labels for every place of a list whose rules may pass some over

Mask = npt.NDArray[np.bool_]


class ListRules(NamedTuple):
    """What holds for every list of k labels, and for all lists together.

    max_same_category: labels of one category, 0 for no limit; diversity: from 0 (by score) to 1 (as unlike as can be).
    max_variants: variants of one product, 0 for no limit; with a limit no title comes twice. The query is no member of
    its own list, so a list holds that many of the query's variants, too.
    max_exposure: share of the lists that one label may stand in among the `first` places, those that a shopper sees, 1
    for no limit. fill_with_popular: whether what sells everywhere fills up a list that is still short.
    """

    k: int
    max_same_category: int = 0
    diversity: float = 0.0
    max_variants: int = 0
    max_exposure: float = 1.0
    fill_with_popular: bool = False
    first: int = FIRST

    @property
    def candidates(self) -> int:
        """How many ranked labels to choose from."""
        chooses = self.max_same_category or self.diversity or self.max_variants or self.max_exposure < 1
        return CANDIDATES_A_PLACE * self.k if chooses else self.k


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What re-ranking reads of P products.

    titles_PV: TF-IDF rows of norm 1 or 0; category_P: a number for the category, -1 for none, which has no limit;
    allowed_P: those that may be recommended; variants: which of them are the same but for size or colour; sessions_P:
    that held each.
    """

    titles_PV: sp.csr_matrix
    category_P: Rows
    allowed_P: Mask
    variants: Variants
    sessions_P: Floats


class Lists(NamedTuple):
    """The labels of P products, best first, their scores and places in SOURCES, P x K; PAD ends a list of fewer.

    moved: first places that a label gave up because it stood in too many of them.
    """

    labels_PK: Rows
    scores_PK: Floats
    sources_PK: npt.NDArray[np.int8]
    moved: int = 0


class Limits(NamedTuple):
    """The rules of a list as kernels take them: it holds at most most_G[g] labels of one number in group_GP[g].

    group_GP: numbers of categories, of variants and of titles; a negative number has no limit.
    """

    k: int
    first: int
    diversity: float
    most_G: Rows
    group_GP: Rows

    @classmethod
    def of(cls, rules: ListRules, catalogue: Catalogue) -> "Limits":
        """The rules over the groups of a catalogue."""
        title, group = catalogue.variants
        first, same = min(rules.first, rules.k), rules.max_same_category or rules.k
        most = np.array([same, rules.max_variants or rules.k, 1 if rules.max_variants else rules.k], np.int32)
        groups = np.stack([catalogue.category_P, group, title]).astype(np.int32)
        return cls(int(rules.k), int(first), float(rules.diversity), most, groups)


@numba.njit(cache=True)
def fits(label: int, listed: Rows, limits: Limits) -> bool:
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


@numba.njit(cache=True)
def length_of(labels_K: Rows) -> int:
    """How many labels come before PAD."""
    length = 0
    while length < len(labels_K) and labels_K[length] != PAD:
        length += 1
    return length
