"""Pinned labels come first, blocked ones leave, and the rest of a list stays as it was."""

import numpy as np
import pytest
import scipy.sparse as sp

from eclare.arrays.topk import PAD
from eclare.related.list_rules import CO_CLICK, PINNED, Catalogue, Lists
from eclare.related.pair_rules import PairRules, Pairs, apply_pair_rules
from eclare.related.variants import Variants

TITLES = ["mug", "cup", "kettle", "pan", "Cup", "pot", "lid"]  # 1 and 4 have one title
SOLD_OUT = 5
NONE = Pairs(np.zeros(0, np.int32), np.zeros(0, np.int32))


def catalogue() -> Catalogue:
    products = len(TITLES)
    variants = Variants.of(TITLES, [None] * products, [None] * products)
    allowed = np.arange(products) != SOLD_OUT
    empty, sessions = sp.csr_matrix((products, 1), dtype=np.float32), np.ones(products, np.float32)
    return Catalogue(empty, np.full(products, -1, np.int32), allowed, variants, sessions)


def pairs(*of_query: tuple[int, int]) -> Pairs:
    queries, labels = zip(*of_query, strict=True) if of_query else ((), ())
    return Pairs(np.array(queries, np.int32), np.array(labels, np.int32))


def lists(*labels: int) -> Lists:
    """The list of product 0 in the first row; the other products have none."""
    labels_PK = np.full((len(TITLES), 3), PAD, np.int32)
    labels_PK[0, : len(labels)] = labels
    scores_PK = np.tile(np.array([3, 2, 1], np.float32), (len(TITLES), 1))
    return Lists(labels_PK, scores_PK, np.full(labels_PK.shape, CO_CLICK, np.int8), 7)


@pytest.mark.parametrize(
    ("listed", "pinned", "blocked", "expected", "scores", "counts"),
    [
        ((1, 2, 3), [], [], [1, 2, 3], [3, 2, 1], (0, 0, 0)),
        ((1, 2, 3), [(0, 6)], [], [6, 1, 2], [3, 3, 2], (1, 0, 0)),
        ((1, 2, 3), [(0, 3)], [], [3, 1, 2], [3, 3, 2], (1, 0, 0)),  # it was in the list
        ((1, 2, 3), [(0, 6), (0, 2)], [], [6, 2, 1], [3, 3, 3], (2, 0, 0)),  # in the order of the rules
        ((1, 2, 3), [(0, 4)], [], [4, 2, 3], [3, 2, 1], (1, 0, 0)),  # takes the place of its own title
        ((1, 2, 3), [(0, 4), (0, 1)], [], [4, 2, 3], [3, 2, 1], (1, 1, 0)),  # one title once
        ((1, 2, 3), [(0, SOLD_OUT), (0, -1), (-1, 2), (0, 0)], [], [1, 2, 3], [3, 2, 1], (0, 4, 0)),
        ((1, 2, 3), [(0, 6), (0, 3), (0, 2), (0, 1)], [], [6, 3, 2], [3, 3, 3], (3, 1, 0)),  # the list is full
        ((1, 2, 3), [], [(0, 2)], [1, 3, PAD], [3, 1], (0, 0, 1)),
        ((1, 2, 3), [], [(0, 6), (0, -1), (-1, 1)], [1, 2, 3], [3, 2, 1], (0, 0, 0)),
        ((1, 2, 3), [(0, 6)], [(0, 1), (0, 2)], [6, 3, PAD], [3, 1], (1, 0, 2)),
        ((), [(0, 6)], [], [6, PAD, PAD], [0], (1, 0, 0)),
        ((1,), [(0, 6)], [(0, 1)], [6, PAD, PAD], [3], (1, 0, 1)),
    ],
)
def test_a_list_is_as_people_want_it(listed, pinned, blocked, expected, scores, counts):
    before = lists(*listed)
    after, applied = apply_pair_rules(before, PairRules(pairs(*pinned), pairs(*blocked)), catalogue())
    assert after.labels_PK[0].tolist() == expected
    assert after.scores_PK[0, : len(scores)].tolist() == scores
    first = [PINNED] * counts[0] + [CO_CLICK] * (len(scores) - counts[0])
    assert after.sources_PK[0, : len(scores)].tolist() == first
    assert tuple(applied) == counts and after.moved == before.moved
    assert (after.labels_PK[1:] == PAD).all(), "the lists of other products stay as they are"
    assert before.labels_PK[0, : len(listed)].tolist() == list(listed), "what is given is not changed"


def test_without_rules_nothing_changes():
    before = lists(1, 2, 3)
    after, applied = apply_pair_rules(before, PairRules(NONE, NONE), catalogue())
    assert np.array_equal(after.labels_PK, before.labels_PK) and not any(applied)
