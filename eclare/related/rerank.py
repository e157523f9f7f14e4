"""Re-ranking: ranked candidates become the lists that a shop shows, by the shop's rules.

The steps in their order: `limit_in_strata` takes what stands in too many lists out of some, `diversify` chooses among
the candidates that are left, `sources_of` names where each label came from, `fill_up` adds what goes with the category
to lists that came out short.
"""

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import CSRStack, Floats, Rows
from eclare.arrays.products import look_up
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.diversify import diversify
from eclare.related.exposure import limit_in_strata, strata, visited_by_history
from eclare.related.fill_up import Fillers, fill_up
from eclare.related.list_rules import CO_CLICK, COLD, MODEL, Catalogue, ListRules, Lists


def rerank(
    labels_PC: Rows,
    scores_PC: Floats,
    catalogue: Catalogue,
    cooccurrence: Cooccurrence,
    rules: ListRules,
    *,
    queries: Rows | None = None,
) -> Lists:
    """The lists of all P products, chosen from the C ranked labels of each by the rules.

    labels_PC, scores_PC: best first, PAD where there are fewer. queries: the only products that are ranked, whose lists
    alone are limited and filled up. Scores fall along every list.
    """
    limits = strata(labels_PC, catalogue, rules, visited_by_history(cooccurrence), queries=queries)
    open_PC, moved = limit_in_strata(labels_PC, scores_PC, catalogue, rules, limits)
    labels_PK, scores_PK = diversify(labels_PC, scores_PC, catalogue, rules, open_PC)
    lists = Lists(labels_PK, scores_PK, sources_of(labels_PK, cooccurrence), moved)
    fillers = Fillers.of(lists, catalogue, with_popular=rules.fill_with_popular)
    return fill_up(lists, fillers, catalogue, rules, limits)


def sources_of(labels_PK: Rows, cooccurrence: Cooccurrence) -> npt.NDArray[np.int8]:
    """Places in SOURCES of the ranked labels of all P products, P x K.

    co-click: both products were met in one session; cold: the product has no session, it is known by its title alone;
    model: all others.
    """
    sessions_PP = cooccurrence.matrix()
    pattern = CSRStack.of(sessions_PP, sessions_PP.data[:, None])
    met_PK = look_up(pattern, np.arange(len(labels_PK), dtype=np.int32), labels_PK)[..., 0] > 0
    cold_P = cooccurrence.popularity() == 0
    return np.where(met_PK, CO_CLICK, np.where(cold_P[:, None], COLD, MODEL)).astype(np.int8)
