from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.tfidf import normalise_rows
from eclare.arrays.topk import PAD
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.recommendations import SOURCES
from eclare.related.rerank import (
    CATEGORY,
    POPULAR,
    Catalogue,
    ListRules,
    Lists,
    Popular,
    diversify,
    fill_up,
    rerank,
    sources_of,
)

PRODUCTS = 12


def catalogue_of(titles: sp.csr_matrix, category: np.ndarray) -> Catalogue:
    return Catalogue(titles, category, np.ones(len(category), bool))


def ranked_lists(random: np.random.Generator, queries: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.stack([random.permutation(PRODUCTS)[:candidates] for _ in range(queries)]).astype(np.int32)
    scores = -np.sort(-random.normal(size=(queries, candidates)), axis=1).astype(np.float32)
    for row, length in enumerate(random.integers(0, candidates + 1, queries)):
        labels[row, length:], scores[row, length:] = PAD, 0
    return labels, scores


def made_titles(random: np.random.Generator) -> sp.csr_matrix:
    words = random.random((PRODUCTS, 6)) * (random.random((PRODUCTS, 6)) < 0.5)
    return sp.csr_matrix(normalise_rows(sp.csr_matrix(words)), dtype=np.float32)


def made_sessions(sessions: list[list[int]], products: int) -> Cooccurrence:
    row = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    column = np.array([product for session in sessions for product in session])
    chosen = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(sessions), products))
    return Cooccurrence.of_sessions(chosen, np.arange(len(sessions)))


def diversify_slowly(labels, scores, titles, category, rules):
    """One list, chosen label by label; a tie goes to the better ranked one."""
    left = [place for place, label in enumerate(labels) if label != PAD]
    lowest, highest = (scores[left[-1]], scores[0]) if left else (0, 1)
    chosen = []
    while left and len(chosen) < rules.k:

        def worth(place):
            alike = max((titles[labels[place]] @ titles[labels[other]] for other in chosen), default=0)
            relevance = (scores[place] - lowest) / max(highest - lowest, 1e-12)
            return (1 - rules.diversity) * relevance - rules.diversity * alike

        def fits(place):
            same = sum(category[labels[other]] == category[labels[place]] for other in chosen)
            return not rules.max_same_category or category[labels[place]] < 0 or same < rules.max_same_category

        left = [place for place in left if fits(place)]
        if not left:
            break
        best = max(left, key=lambda place: (round(worth(place), 5), -place))
        left.remove(best)
        chosen.append(best)
    return [int(labels[place]) for place in chosen], np.minimum.accumulate(scores[chosen]) if chosen else []


def fill_up_slowly(product, labels, popularity, catalogue, rules):
    allowed, category = catalogue.allowed_P, catalogue.category_P
    chosen, added = [label for label in labels if label != PAD], []
    clicked = [p for p in range(len(category)) if allowed[p] and popularity[p] > 0]
    clicked.sort(key=lambda p: (-popularity[p], p))
    of_category = [p for p in clicked if category[product] >= 0 and category[p] == category[product]]
    for source, some in ((CATEGORY, of_category), (POPULAR, clicked)):
        for label in some:
            same = sum(category[other] == category[label] >= 0 for other in chosen)
            full = rules.max_same_category and same >= rules.max_same_category
            if len(chosen) < len(labels) and label != product and label not in chosen and not full:
                chosen.append(label)
                added.append(source)
    return chosen, added


@given(
    seed=st.integers(0, 10_000),
    most=st.integers(0, 2),
    diversity=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    k=st.integers(1, 6),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_lists_are_those_of_choosing_one_label_after_the_other(seed, most, diversity, k):
    random = np.random.default_rng(seed)
    titles, category = made_titles(random), random.integers(-1, 3, PRODUCTS).astype(np.int32)
    ranked, rules = ranked_lists(random, 5, 9), ListRules(k, most, diversity)
    labels, scores = diversify(*ranked, catalogue_of(titles, category), rules)
    for row in range(5):
        expected, falling = diversify_slowly(ranked[0][row], ranked[1][row], titles.toarray(), category, rules)
        assert labels[row].tolist() == expected + [PAD] * (k - len(expected))
        assert scores[row, : len(expected)] == pytest.approx(falling)


def test_without_rules_the_ranking_stays_as_it_is():
    ranked = ranked_lists(np.random.default_rng(0), 5, 9)
    catalogue = catalogue_of(sp.csr_matrix((PRODUCTS, 3), dtype=np.float32), np.zeros(PRODUCTS, np.int32))
    labels, scores = diversify(*ranked, catalogue, ListRules(4))
    assert np.array_equal(labels, ranked[0][:, :4]) and np.array_equal(scores, ranked[1][:, :4])


def test_of_two_that_are_the_same_one_is_enough():
    titles = sp.csr_matrix(np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    ranked = np.array([[0, 1, 2]], np.int32), np.array([[0.9, 0.8, 0.2]], np.float32)
    catalogue = catalogue_of(titles, np.full(3, -1, np.int32))
    labels, scores = diversify(*ranked, catalogue, ListRules(3, diversity=0.5))
    assert labels.tolist() == [[0, 2, 1]]
    assert scores[0] == pytest.approx([0.9, 0.2, 0.2]), "a score never rises again"


def test_a_source_tells_products_that_met_from_those_without_a_session():
    cooccurrence = made_sessions([[0, 1], [1, 2, 3], [4]], products=6)
    labels = np.array([[1, 2], [5, 3], [3, PAD], [0, 2], [0, 1], [0, 1]], np.int32)
    named = [[SOURCES[place] for place in row] for row in sources_of(labels, cooccurrence)]
    assert named == [
        ["co-click", "model"], ["model", "co-click"], ["co-click", "model"], ["model", "co-click"],
        ["model", "model"],  # a session of its own, with nothing else in it
        ["cold", "cold"],
    ]  # fmt: skip


@given(seed=st.integers(0, 10_000), most=st.integers(0, 2))
@hypothesis_settings(deadline=None, max_examples=80)
def test_lists_are_filled_from_the_category_and_then_from_everywhere(seed, most):
    random, products, rules = np.random.default_rng(seed), 10, ListRules(5, most)
    popularity = random.integers(0, 4, products).astype(np.float32)
    allowed, category = random.random(products) < 0.8, random.integers(-1, 3, products).astype(np.int32)
    labels, scores = np.full((products, 5), PAD, np.int32), np.zeros((products, 5), np.float32)
    for product, length in enumerate(random.integers(0, 6, products)):
        labels[product, :length] = random.permutation(np.delete(np.arange(products), product))[:length]
        scores[product, :length] = -np.sort(-random.normal(size=length))
    ranked = Lists(labels, scores, np.zeros(labels.shape, np.int8))
    filled = fill_up(ranked, Popular.of(popularity, allowed, category), rules.category_limit)
    for product in range(products):
        catalogue = SimpleNamespace(allowed_P=allowed, category_P=category)
        chosen, added = fill_up_slowly(product, labels[product], popularity, catalogue, rules)
        assert filled.labels_PK[product].tolist() == chosen + [PAD] * (5 - len(chosen))
        length = len(chosen) - len(added)
        assert filled.sources_PK[product].tolist() == [0] * length + added + [0] * (5 - len(chosen))
        assert filled.scores_PK[product, : len(chosen)] == pytest.approx(
            [*scores[product, :length], *[scores[product, length - 1] if length else 0] * len(added)]
        )


@pytest.mark.parametrize("rules", [ListRules(4), ListRules(4, 2), ListRules(4, 1, 0.5), ListRules(4, diversity=0.9)])
def test_lists_are_chosen_then_named_by_source_then_filled_up(rules):
    random = np.random.default_rng(5)
    titles, category = made_titles(random), random.integers(-1, 3, PRODUCTS).astype(np.int32)
    sessions = [random.permutation(PRODUCTS - 2)[: random.integers(1, 5)].tolist() for _ in range(12)]
    cooccurrence, ranked = made_sessions(sessions, PRODUCTS), ranked_lists(random, PRODUCTS, 9)
    catalogue = Catalogue(titles, category, random.random(PRODUCTS) < 0.8)
    labels, scores, sources = rerank(*ranked, catalogue, cooccurrence, rules)
    ranked_sources, popularity = sources_of(labels, cooccurrence), cooccurrence.popularity()
    named = set()
    for p in range(PRODUCTS):
        chosen, _ = diversify_slowly(ranked[0][p], ranked[1][p], titles.toarray(), category, rules)
        padded = chosen + [PAD] * (rules.k - len(chosen))
        filled, added = fill_up_slowly(p, padded, popularity, catalogue, rules)
        assert labels[p].tolist() == filled + [PAD] * (rules.k - len(filled))
        assert sources[p, : len(filled)].tolist() == [*ranked_sources[p, : len(chosen)], *added]
        assert (np.diff(scores[p, : len(filled)]) <= 0).all()
        named |= {SOURCES[source] for source in sources[p, : len(filled)]}
    assert named >= {"model", "co-click", "category", "popular"}
