"""What people decided about single pairs: pinned labels come first in a list, blocked ones are not in it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import Rows
from eclare.arrays.topk import PAD
from eclare.related.list_rules import PINNED, Catalogue, Lists


class Pairs(NamedTuple):
    """A query and a label of E pairs, as rows of the catalogue; -1 for a product that it lacks."""

    queries_E: Rows
    labels_E: Rows


class PairRules(NamedTuple):
    """Pairs that people pinned, the first of a query to come first, and pairs that they blocked."""

    pinned: Pairs
    blocked: Pairs


class Applied(NamedTuple):
    """How many pinned labels stand in a list, how many cannot, and how many blocked ones left theirs."""

    pinned: int
    pins_skipped: int
    blocked_pairs: int


def apply_pair_rules(lists: Lists, rules: PairRules, catalogue: Catalogue) -> tuple[Lists, Applied]:
    """The lists as people want them; a list has as many labels as before at most.

    A pinned label has the score of the first one, which it goes before, and takes the place of one with its own title.
    It is skipped where the catalogue lacks a product of the pair, where it may not be recommended, and where a list is
    full of pinned ones. A list that loses a blocked label is shorter by one.
    """
    labels_PK, scores_PK, sources_PK = lists.labels_PK.copy(), lists.scores_PK.copy(), lists.sources_PK.copy()
    pinned = blocked = 0
    for query in np.unique(np.concatenate([rules.pinned.queries_E, rules.blocked.queries_E])):
        if query < 0:
            continue
        pins = _possible(query, _labels_of(query, rules.pinned), catalogue)[: labels_PK.shape[1]]
        listed = labels_PK[query][labels_PK[query] != PAD]
        is_blocked = np.isin(listed, _labels_of(query, rules.blocked))
        stays = ~(is_blocked | np.isin(listed, pins) | _has_title_of(pins, listed, catalogue))
        kept = np.flatnonzero(stays)[: labels_PK.shape[1] - len(pins)]
        first = scores_PK[query, :1] if len(listed) else np.zeros(1, np.float32)
        places = slice(0, len(pins) + len(kept))
        scores, sources = scores_PK[query, kept], sources_PK[query, kept]
        labels_PK[query], labels_PK[query, places] = PAD, np.concatenate([pins, listed[kept]])
        scores_PK[query, places] = np.concatenate([np.repeat(first, len(pins)), scores])
        sources_PK[query, places] = np.concatenate([np.repeat(PINNED, len(pins)), sources])
        pinned, blocked = pinned + len(pins), blocked + int(is_blocked.sum())
    applied = Applied(pinned, len(rules.pinned.queries_E) - pinned, blocked)
    return Lists(labels_PK, scores_PK, sources_PK, lists.moved), applied


def _labels_of(query: int, pairs: Pairs) -> Rows:
    return pairs.labels_E[pairs.queries_E == query]


def _possible(query: int, pins: Rows, catalogue: Catalogue) -> Rows:
    """The pinned labels that may stand in the list, each product and each title once."""
    known = pins[(pins >= 0) & (pins != query)]
    allowed = known[catalogue.allowed_P[known]]
    possible: list[int] = []
    for pin in allowed.tolist():
        if not _has_title_of(np.array(possible, np.int32), np.array([pin], np.int32), catalogue)[0]:
            possible.append(pin)
    return np.array(possible, np.int32)


def _has_title_of(some: Rows, labels: Rows, catalogue: Catalogue) -> npt.NDArray[np.bool_]:
    """Which labels have the title of one of some others, or are one of them."""
    title_P = catalogue.variants.title_P
    titled = (title_P[labels] >= 0) & np.isin(title_P[labels], title_P[some])
    return np.asarray(titled | np.isin(labels, some))
