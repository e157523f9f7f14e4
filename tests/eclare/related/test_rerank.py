import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.tfidf import normalise_rows
from eclare.arrays.topk import PAD
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.diversify import diversify
from eclare.related.exposure import (
    LEAST_OVER_EVEN,
    Stratum,
    exposure_limit,
    limit_exposure,
    limit_in_strata,
    strata,
    visited_by_history,
)
from eclare.related.fill_up import Fillers, fill_up, related_to_categories
from eclare.related.list_rules import CATEGORY, CO_CLICK, POPULAR, Catalogue, ListRules, Lists
from eclare.related.recommendations import SOURCES
from eclare.related.rerank import rerank, sources_of
from eclare.related.variants import Variants

PRODUCTS = 12


def catalogue_of(titles: sp.csr_matrix, category: np.ndarray, variants: Variants | None = None) -> Catalogue:
    alone = np.arange(len(category), dtype=np.int32)
    everything, no_session = np.ones(len(category), bool), np.zeros(len(category), np.float32)
    return Catalogue(titles, category, everything, variants or Variants(alone, alone), no_session)


def made_catalogue(random: np.random.Generator, products: int = PRODUCTS) -> Catalogue:
    """Products of few titles, kinds and categories, so that every limit is met; some have none."""
    group = random.integers(-1, products // 2, products).astype(np.int32)
    title = np.where(random.random(products) < 0.5, group, np.arange(products) + products).astype(np.int32)
    category, allowed = random.integers(-1, 3, products).astype(np.int32), random.random(products) < 0.8
    titles = made_titles(random) if products == PRODUCTS else sp.csr_matrix((products, 3), dtype=np.float32)
    sessions = random.integers(0, 4, products).astype(np.float32)
    return Catalogue(titles, category, allowed, Variants(title, group), sessions)


def fits_slowly(label, listed, catalogue, rules):
    """Whether a list may hold another label."""
    limits = [(catalogue.category_P, rules.max_same_category), (catalogue.variants.group_P, rules.max_variants)]
    limits.append((catalogue.variants.title_P, 1 if rules.max_variants else 0))
    return all(
        not most or numbers[label] < 0 or sum(numbers[other] == numbers[label] for other in listed) < most
        for numbers, most in limits
    )


def ranked_lists(random: np.random.Generator, queries: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.stack([random.permutation(PRODUCTS)[:candidates] for _ in range(queries)]).astype(np.int32)
    scores = -np.sort(-random.normal(size=(queries, candidates)), axis=1).astype(np.float32)
    for row, length in enumerate(random.integers(0, candidates + 1, queries)):
        labels[row, length:], scores[row, length:] = PAD, 0
    return labels, scores


def ranked_of(random: np.random.Generator, products: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    """Different candidates of all products, none of them the last, with falling scores."""
    worth = random.random((products, products - 1))
    labels = np.argsort(-worth, axis=1)[:, :candidates].astype(np.int32)
    return labels, np.take_along_axis(worth, labels, axis=1).astype(np.float32)


def made_titles(random: np.random.Generator) -> sp.csr_matrix:
    words = random.random((PRODUCTS, 6)) * (random.random((PRODUCTS, 6)) < 0.5)
    return sp.csr_matrix(normalise_rows(sp.csr_matrix(words)), dtype=np.float32)


def made_sessions(sessions: list[list[int]], products: int) -> Cooccurrence:
    row = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    column = np.array([product for session in sessions for product in session])
    chosen = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(sessions), products))
    return Cooccurrence.of_sessions(chosen, np.arange(len(sessions)))


def diversify_slowly(labels, scores, catalogue, rules, is_open=None):
    """One list, chosen label by label, the first places from the open ones; a tie goes to the better ranked one."""
    titles = catalogue.titles_PV.toarray()
    left = [place for place, label in enumerate(labels) if label != PAD]
    lowest, highest = (scores[left[-1]], scores[0]) if left else (0, 1)
    chosen = []
    while left and len(chosen) < rules.k:

        def worth(place):
            alike = max((titles[labels[place]] @ titles[labels[other]] for other in chosen), default=0)
            relevance = (scores[place] - lowest) / max(highest - lowest, 1e-12)
            return (1 - rules.diversity) * relevance - rules.diversity * alike

        listed = [labels[other] for other in chosen]
        left = [place for place in left if fits_slowly(labels[place], listed, catalogue, rules)]
        first = len(chosen) < rules.first and is_open is not None
        may_come = [place for place in left if is_open[place]] if first else left
        if not may_come:
            break
        best = max(may_come, key=lambda place: (round(worth(place), 5), -place))
        left.remove(best)
        chosen.append(best)
    return [int(labels[place]) for place in chosen], np.minimum.accumulate(scores[chosen]) if chosen else []


def limit_slowly(labels_PC, scores_PC, catalogue, rules, most):
    """The first labels of every list, and the places given up: label after label, counted again each time."""
    rules = rules._replace(k=min(rules.k, rules.first))
    lists = [
        diversify_slowly(labels, scores, catalogue, rules)[0]
        for labels, scores in zip(labels_PC, scores_PC, strict=True)
    ]
    closed, moved = set(), 0
    while True:
        shown = [sum(label in listed for listed in lists) for label in range(len(catalogue.category_P))]
        label = max(range(len(shown)), key=lambda label: (shown[label], -label))
        if shown[label] <= most:
            return lists, moved
        closed.add(label)
        losses = []
        for row, listed in enumerate(lists):
            if label in listed:
                ranked, rest = labels_PC[row].tolist(), [other for other in listed if other != label]
                could = [
                    other for other in ranked
                    if other != PAD and other not in listed and other not in closed
                    and fits_slowly(other, rest, catalogue, rules)
                ]  # fmt: skip
                place = ranked.index(label)
                loss = scores_PC[row, place] - scores_PC[row, ranked.index(could[0])] if could else np.inf
                losses.append((-loss, place, row, rest + could[:1]))
        for _, _, row, replaced in sorted(losses, key=lambda loss: loss[:3])[most:]:
            lists[row] = replaced
            moved += 1


def related_slowly(labels_PK, sources_PK, category):
    """The labels of each category, most telling first."""
    met = [
        {int(label) for label, source in zip(*row, strict=True) if label != PAD and source == CO_CLICK}
        for row in zip(labels_PK, sources_PK, strict=True)
    ]
    lists = [(category[p], labels) for p, labels in enumerate(met) if labels and category[p] >= 0]
    related = []
    for wanted in range(max([*category, -1]) + 1):
        of_category = [labels for c, labels in lists if c == wanted]
        telling = []
        for label in range(len(category)):
            together, all_with = sum(label in labels for labels in of_category), sum(label in m for _, m in lists)
            gain = together * np.log(together * len(lists) / (len(of_category) * all_with)) if together else 0
            if together >= 2 and gain > 0:
                telling.append((-gain, label))
        related.append([label for _, label in sorted(telling)])
    return related


def fill_up_slowly(lists, catalogue, rules, limits):
    """What is added to every list, with its source."""
    allowed, category, sessions = catalogue.allowed_P, catalogue.category_P, catalogue.sessions_P
    chosen = [[int(label) for label in labels if label != PAD] for labels in lists.labels_PK]
    related = related_slowly(lists.labels_PK, lists.sources_PK, category)
    clicked = [p for p in range(len(category)) if allowed[p] and sessions[p] > 0]
    clicked.sort(key=lambda p: (-sessions[p], p))
    added = [[] for _ in chosen]
    for product, listed in enumerate(chosen):
        of_category = [p for p in clicked if category[product] >= 0 and category[p] == category[product]]
        goes_with = related[category[product]] if category[product] >= 0 else []
        everywhere = clicked if rules.fill_with_popular else []
        for source, some in ((CATEGORY, goes_with), (CATEGORY, of_category), (POPULAR, everywhere)):
            for label in some:
                rows, most = next(stratum for stratum in limits if product in stratum.rows)
                shown = sum(label in chosen[row][: rules.first] for row in rows)
                is_new = label != product and label not in listed and (shown < most or len(listed) >= rules.first)
                if len(listed) < rules.k and is_new and fits_slowly(label, listed, catalogue, rules):
                    listed.append(label)
                    added[product].append(source)
    return chosen, added


@given(
    seed=st.integers(0, 10_000),
    most=st.integers(0, 2),
    diversity=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    variants=st.integers(0, 2),
    k=st.integers(1, 6),
)
@hypothesis_settings(max_examples=60)
def test_lists_are_those_of_choosing_one_label_after_the_other(seed, most, diversity, variants, k):
    random = np.random.default_rng(seed)
    catalogue = made_catalogue(random)
    ranked, rules = ranked_lists(random, 5, 9), ListRules(k, most, diversity, variants)
    labels, scores = diversify(*ranked, catalogue, rules)
    for row in range(5):
        expected, falling = diversify_slowly(ranked[0][row], ranked[1][row], catalogue, rules)
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
    catalogue = catalogue_of(titles, np.full(3, PAD, np.int32))
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


def numbers_of(labels_PK: np.ndarray, numbers: np.ndarray) -> list[int]:
    """How often each list holds a number at most; a negative one is none."""
    counts = [np.bincount(numbers[row[row != PAD]] + 1, minlength=2)[1:].max(initial=0) for row in labels_PK]
    return [int(count) for count in counts]


RULES = st.builds(
    ListRules, k=st.integers(1, 6), max_same_category=st.integers(0, 3), diversity=st.sampled_from([0.0, 0.4]),
    max_variants=st.integers(0, 2), max_exposure=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
    fill_with_popular=st.booleans(), first=st.integers(1, 7),
)  # fmt: skip


@given(seed=st.integers(0, 10_000), rules=RULES, most=st.integers(1, 6))
@hypothesis_settings(max_examples=100)
def test_a_label_above_the_limit_keeps_the_lists_that_lose_most_without_it(seed, rules, most):
    random = np.random.default_rng(seed)
    catalogue, (labels, scores) = made_catalogue(random), ranked_lists(random, PRODUCTS, 9)
    open_PC, moved = limit_exposure(labels, scores, catalogue, rules, most)
    found, falling = diversify(labels, scores, catalogue, rules, open_PC)
    expected, moved_slowly = limit_slowly(labels, scores, catalogue, rules, most)
    assert moved == moved_slowly
    first = found[:, : rules.first]
    assert [set(row[row != PAD].tolist()) for row in first] == [set(row) for row in expected]
    assert np.bincount(first[first != PAD], minlength=PRODUCTS).max() <= most
    assert ((np.diff(falling, axis=1) <= 0) | (found[:, 1:] == PAD)).all()
    for row in range(PRODUCTS):
        listed = diversify_slowly(labels[row], scores[row], catalogue, rules, open_PC[row])[0]
        assert found[row].tolist() == listed + [PAD] * (rules.k - len(listed))


def test_the_limit_holds_among_lists_of_products_with_as_much_history():
    """Of ten thousand products few are looked at; a best seller may not stand on all pages of those."""
    random, products = np.random.default_rng(4), 400
    catalogue = made_catalogue(random, products)
    catalogue.sessions_P[:] = np.repeat([0, 3, 10, 50], [250, 80, 40, 30])
    labels, scores = ranked_of(random, products, 40)
    scores[:, 0], labels[:, 0] = scores[:, 0] + np.log1p(catalogue.sessions_P), 399
    rules = ListRules(5, max_exposure=0.5)
    limits = strata(labels, catalogue, rules, np.array([0, 0, 0, 1]))
    assert [stratum.rows.tolist() for stratum in limits] == [
        np.flatnonzero(catalogue.sessions_P == sessions).tolist() for sessions in (0, 3, 10, 50)
    ]
    assert [stratum.most for stratum in limits] == [6, 8, 12, 15], "0.05, 0.2, 0.6 and all of one half of the lists"
    open_PC, moved = limit_in_strata(labels, scores, catalogue, rules, limits)
    first = diversify(labels, scores, catalogue, rules, open_PC)[0]
    assert moved > 0
    for rows, most in limits:
        assert (first[rows] == 399).any(axis=1).sum() == most
        alone, _ = limit_exposure(labels[rows], scores[rows], catalogue, rules, most)
        assert np.array_equal(open_PC[rows], alone)


def test_a_label_at_all_limits_stands_on_its_share_of_the_pages_that_are_visited():
    """Where half of the visits are to new products, which may hardly show it, more of the others may."""
    random, products = np.random.default_rng(4), 400
    catalogue, (labels, _) = made_catalogue(random, products), ranked_of(random, products, 40)
    catalogue.sessions_P[:] = np.repeat([0, 3, 10, 50], [200, 100, 50, 50])
    visited = np.array([0.5, 0, 0, 0.5])
    limits = strata(labels, catalogue, ListRules(5, max_exposure=0.42), visited)
    assert [stratum.most for stratum in limits] == [8, 16, 24, 40]
    assert np.mean([limits[0].most / 200, limits[-1].most / 50]) == pytest.approx(0.42)
    assert strata(labels, catalogue, ListRules(5, max_exposure=0.9), visited)[-1].most == 50, "no more than all"
    assert [most for _, most in strata(labels, catalogue, ListRules(5), visited)] == [200, 100, 50, 50]


def test_visited_pages_are_told_by_what_products_were_known_for_before():
    """In the last half of 7 days 0, 1 and 3 were visited, in the last quarter 0 and 1; only 0 was known before.

    4 is seen four times in the end, which is no visited page.
    """
    sessions = [[0, 2]] * 30 + [[3, 0]] * 5 + [[0, 1]] * 5 + [[0, 4]] * 4
    age = np.array([7] * 30 + [2] * 5 + [0] * 9)
    held = sp.csr_matrix([[product in session for product in range(5)] for session in sessions], dtype=np.float32)
    assert visited_by_history(Cooccurrence.of_sessions(held, age)) == pytest.approx([7 / 12, 0, 0, 5 / 12])
    of_one_day = Cooccurrence.of_sessions(held, np.zeros(len(age), np.int64))
    assert visited_by_history(of_one_day).tolist() == [0, 0, 0, 1], "who knows nothing takes the limit as it is"
    few = Cooccurrence.of_sessions(held[28:32], age[28:32])
    assert visited_by_history(few).tolist() == [0, 0, 0, 1], "nothing was visited often enough to tell"


def test_what_gave_up_a_first_place_stands_below_them():
    """Two lists want label 0 first, one may have it there: in the other it comes after the first places."""
    labels, scores = np.array([[0, 1, 2], [0, 3, 4]], np.int32), np.array([[9.0, 3, 1], [9.0, 8, 7]], np.float32)
    catalogue = catalogue_of(sp.csr_matrix((5, 3), dtype=np.float32), np.full(5, PAD, np.int32))
    rules = ListRules(3, first=1)
    open_PC, moved = limit_exposure(labels, scores, catalogue, rules, 1)
    assert moved == 1
    found, falling = diversify(labels, scores, catalogue, rules, open_PC)
    assert found.tolist() == [[0, 1, 2], [3, 0, 4]]
    assert falling.tolist() == [[9, 3, 1], [8, 8, 7]], "a score never rises along a list"


def test_the_margin_keeps_more_score_than_rank_or_score_would():
    """Two lists want label 0, one may have it: the second has nothing near it, though its score is lower."""
    labels = np.array([[0, 1], [0, 2], [3, 1]], np.int32)
    scores = np.array([[9.0, 8.9], [5.0, 1.0], [2.0, 1.0]], np.float32)
    catalogue = catalogue_of(sp.csr_matrix((4, 3), dtype=np.float32), np.full(4, PAD, np.int32))
    open_PC, moved = limit_exposure(labels, scores, catalogue, ListRules(1), 1)
    assert moved == 1
    assert diversify(labels, scores, catalogue, ListRules(1), open_PC)[0].tolist() == [[1], [0], [3]]


def test_a_list_without_a_replacement_keeps_its_label_first():
    labels = np.array([[0, 1], [0, PAD], [0, 2]], np.int32)
    scores = np.array([[9.0, 1.0], [5.0, 0.0], [7.0, 6.0]], np.float32)
    catalogue = catalogue_of(sp.csr_matrix((3, 3), dtype=np.float32), np.full(3, PAD, np.int32))
    open_PC, _ = limit_exposure(labels, scores, catalogue, ListRules(1), 1)
    assert diversify(labels, scores, catalogue, ListRules(1), open_PC)[0].tolist() == [[1], [0], [2]]


def test_the_limit_is_a_share_of_the_lists_and_never_below_what_fills_them():
    labels = np.tile(np.arange(20, dtype=np.int32), (1000, 1))
    everywhere = np.vstack([labels, np.full((50, 20), PAD, np.int32)])
    assert exposure_limit(everywhere, ListRules(4)) == 1050
    assert exposure_limit(everywhere, ListRules(4, max_exposure=0.5)) == 500
    assert exposure_limit(everywhere, ListRules(4, max_exposure=0.04)) == LEAST_OVER_EVEN * 4 * 1000 / 20
    assert exposure_limit(everywhere, ListRules(20, max_exposure=0.04, first=20)) >= 1000, "each must stand in all"
    assert exposure_limit(everywhere[-50:], ListRules(4, max_exposure=0.04)) == 1


def test_a_shop_of_four_products_shows_them_all():
    labels = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]], np.int32)
    scores = np.tile(np.array([0.9, 0.5, 0.25], np.float32), (4, 1))
    rules = ListRules(3, max_variants=1, max_exposure=0.04)
    catalogue = catalogue_of(sp.csr_matrix((4, 3), dtype=np.float32), np.full(4, PAD, np.int32))
    lists = rerank(labels, scores, catalogue, made_sessions([[0, 1, 2, 3]], 4), rules)
    assert (lists.labels_PK == labels).all()
    assert lists.moved == 0


@given(seed=st.integers(0, 10_000), rules=RULES, most=st.integers(1, 10))
@hypothesis_settings(max_examples=100)
def test_lists_are_filled_from_the_category_and_if_wanted_from_everywhere(seed, rules, most):
    random, products, k = np.random.default_rng(seed), 10, rules.k
    catalogue = made_catalogue(random, products)
    labels, scores = np.full((products, k), PAD, np.int32), np.zeros((products, k), np.float32)
    for product, length in enumerate(random.integers(0, k + 1, products)):
        labels[product, :length] = random.permutation(np.delete(np.arange(products), product))[:length]
        scores[product, :length] = -np.sort(-random.normal(size=length))
    ranked = Lists(labels, scores, random.integers(0, 3, labels.shape).astype(np.int8))
    fillers = Fillers.of(ranked, catalogue, with_popular=rules.fill_with_popular)
    limits = [Stratum(np.arange(6), most), Stratum(np.arange(6, products), 1)]
    filled = fill_up(ranked, fillers, catalogue, rules, limits)
    chosen, added = fill_up_slowly(ranked, catalogue, rules, limits)
    for product in range(products):
        gap = [PAD] * (k - len(chosen[product]))
        assert filled.labels_PK[product].tolist() == chosen[product] + gap
        length, end = len(chosen[product]) - len(added[product]), len(chosen[product])
        assert filled.sources_PK[product, length:end].tolist() == added[product]
        assert filled.sources_PK[product, :length].tolist() == ranked.sources_PK[product, :length].tolist()
        assert filled.scores_PK[product, :end] == pytest.approx(
            [*scores[product, :length], *[scores[product, length - 1] if length else 0] * len(added[product])]
        )


def test_a_category_is_related_to_what_its_lists_hold_more_often_than_others():
    category = np.array([0, 0, 0, 1, 1, 1, -1, -1], np.int32)
    labels = np.array([[6, 7], [6, 7], [6, PAD], [7, PAD], [7, PAD], [7, 6], [0, 1], [0, 1]], np.int32)
    sources = np.full(labels.shape, CO_CLICK)
    related = related_to_categories(Lists(labels, np.zeros(labels.shape, np.float32), sources), category)
    assert related.labels.tolist() == [6, 7] and related.starts.tolist() == [0, 1, 2]
    guessed = np.zeros_like(sources)
    none = related_to_categories(Lists(labels, np.zeros(labels.shape, np.float32), guessed), category)
    assert none.labels.tolist() == [], "only what met counts"


@given(seed=st.integers(0, 10_000), rules=RULES)
@hypothesis_settings(max_examples=100)
def test_the_whole_table_keeps_every_limit(seed, rules):
    random = np.random.default_rng(seed)
    catalogue, (labels, scores) = made_catalogue(random), ranked_lists(random, PRODUCTS, 9)
    sessions = [random.permutation(PRODUCTS - 2)[: random.integers(1, 5)].tolist() for _ in range(12)]
    cooccurrence = made_sessions(sessions, PRODUCTS)
    lists = rerank(labels, scores, catalogue, cooccurrence, rules)
    found, there = lists.labels_PK, lists.labels_PK != PAD
    first = found[:, : rules.first]
    for rows, most in strata(labels, catalogue, rules, visited_by_history(cooccurrence)):
        of_stratum = first[rows]
        assert np.bincount(of_stratum[of_stratum != PAD], minlength=PRODUCTS).max() <= most
    assert max(numbers_of(found, catalogue.category_P)) <= (rules.max_same_category or rules.k)
    assert max(numbers_of(found, catalogue.variants.group_P)) <= (rules.max_variants or rules.k)
    assert max(numbers_of(found, catalogue.variants.title_P)) <= (1 if rules.max_variants else rules.k)
    assert (there[:, :-1] | ~there[:, 1:]).all()
    assert ((np.diff(lists.scores_PK, axis=1) <= 0) | ~there[:, 1:]).all()


def test_one_thread_and_two_make_the_same_lists():
    random, products = np.random.default_rng(3), 300
    catalogue = made_catalogue(random, products)
    worth = random.normal(size=products) + random.normal(size=(products, products))
    labels = np.argsort(-worth, axis=1)[:, :40].astype(np.int32)
    ranked = labels, np.take_along_axis(worth, labels, axis=1).astype(np.float32)
    cooccurrence = made_sessions([random.permutation(products)[:5].tolist() for _ in range(200)], products)
    rules, threads = ListRules(8, 4, max_variants=1, max_exposure=0.05), numba.get_num_threads()
    try:
        of_threads = []
        for some in (1, min(2, threads)):
            numba.set_num_threads(some)
            of_threads.append(rerank(*ranked, catalogue, cooccurrence, rules))
    finally:
        numba.set_num_threads(threads)
    one, two = of_threads
    assert one.moved == two.moved > 0
    assert all(np.array_equal(*both) for both in zip(one[:3], two[:3], strict=True))


@pytest.mark.parametrize(
    "rules",
    [
        ListRules(4, fill_with_popular=True), ListRules(4, 2, fill_with_popular=True),
        ListRules(4, 1, 0.5, 1, 0.4, True),
        ListRules(4, diversity=0.9, max_variants=2, fill_with_popular=True),
    ],
)  # fmt: skip
def test_lists_are_limited_then_chosen_then_named_by_source_then_filled_up(rules):
    random = np.random.default_rng(0)
    catalogue, ranked = made_catalogue(random), ranked_lists(random, PRODUCTS, 9)
    sessions = [random.permutation(PRODUCTS - 2)[: random.integers(1, 5)].tolist() for _ in range(12)]
    cooccurrence = made_sessions(sessions, PRODUCTS)
    limits = strata(ranked[0], catalogue, rules, visited_by_history(cooccurrence))
    labels, scores, sources, moved = rerank(*ranked, catalogue, cooccurrence, rules)
    open_PC, moved_alone = limit_in_strata(*ranked, catalogue, rules, limits)
    chosen, falling = diversify(*ranked, catalogue, rules, open_PC)
    assert moved == moved_alone
    named = Lists(chosen, falling, sources_of(chosen, cooccurrence))
    filled, added = fill_up_slowly(named, catalogue, rules, limits)
    seen = set()
    for p in range(PRODUCTS):
        assert labels[p].tolist() == filled[p] + [PAD] * (rules.k - len(filled[p]))
        length = len(filled[p]) - len(added[p])
        assert sources[p, : len(filled[p])].tolist() == [*named.sources_PK[p, :length], *added[p]]
        assert (np.diff(scores[p, : len(filled[p])]) <= 0).all()
        seen |= {SOURCES[source] for source in sources[p, : len(filled[p])]}
    assert seen >= {"model", "co-click", "category", "popular"}


def test_without_limits_lists_are_the_first_of_the_ranking():
    random = np.random.default_rng(8)
    catalogue, (labels, scores) = made_catalogue(random), ranked_lists(random, PRODUCTS, 9)
    none_met = made_sessions([], PRODUCTS)
    catalogue.sessions_P[:] = 0
    lists = rerank(labels, scores, catalogue, none_met, ListRules(5))
    assert np.array_equal(lists.labels_PK, labels[:, :5]) and np.array_equal(lists.scores_PK, scores[:, :5])
    assert lists.moved == 0


@given(seed=st.integers(0, 10_000), rules=RULES)
@hypothesis_settings(max_examples=50)
def test_of_some_queries_alone_limits_are_of_their_lists_and_no_other_has_one(seed, rules):
    random = np.random.default_rng(seed)
    catalogue, (labels, scores) = made_catalogue(random), ranked_lists(random, PRODUCTS, 9)
    queries = random.permutation(PRODUCTS)[: random.integers(1, PRODUCTS + 1)].astype(np.int32)
    others = np.setdiff1d(np.arange(PRODUCTS), queries)
    labels[others], scores[others] = PAD, 0
    cooccurrence = made_sessions([random.permutation(PRODUCTS)[:3].tolist() for _ in range(12)], PRODUCTS)
    lists = rerank(labels, scores, catalogue, cooccurrence, rules, queries=queries)
    assert (lists.labels_PK[others] == PAD).all()
    limits = strata(labels, catalogue, rules, visited_by_history(cooccurrence), queries=queries)
    assert sorted(row for rows, _ in limits for row in rows) == sorted(queries)
    for rows, most in limits:
        first = lists.labels_PK[rows, : rules.first]
        assert np.bincount(first[first != PAD], minlength=PRODUCTS).max(initial=0) <= most
    if len(queries) == PRODUCTS:
        of_all = rerank(labels, scores, catalogue, cooccurrence, rules)
        assert all(np.array_equal(*both) for both in zip(lists[:3], of_all[:3], strict=True))
