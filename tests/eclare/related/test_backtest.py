import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.topk import PAD
from eclare.ranker import Examples, Ranker
from eclare.related.backtest import (
    NOTHING_KNOWN,
    SIMPLE,
    Cutoff,
    _is_ahead,
    _latest_and_earlier,
    cutoffs,
    examples_at,
    ndcg,
    queries_to_learn_from,
    ranker_from,
    relevant_products,
)
from eclare.related.candidates import candidates_of
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import NAMES, CandidateSet
from tests.eclare.related.trained_shops import snapshot_of
from tests.made_shops import sessions_of_groups


def test_examples_are_what_was_known_then_and_what_was_shared_later() -> None:
    shop = sessions_of_groups(groups=2, products_per_group=8, days=60)
    known, later = shop.cooccurrence.until(20), shop.cooccurrence.since(20)
    snapshot = snapshot_of(known, shop.titles)
    relevance = later.matrix().toarray()
    relevance[relevance < 2] = 0
    assert np.array_equal(relevant_products(later, "basket").toarray(), relevance)
    queries = queries_to_learn_from(relevant_products(later, "basket"), seed=0)
    assert queries.tolist() == np.flatnonzero((relevance > 0).sum(axis=1) >= 5).tolist()
    assert len(queries) == 14
    cutoff = Cutoff(known, relevant_products(later, "basket"), queries)
    examples = examples_at(cutoff, snapshot.titles_PV, snapshot.like_PP, snapshot.ensemble)
    products = candidates_of(snapshot, queries)
    assert np.array_equal(examples.features_QCF, CandidateSet(snapshot, queries, products).features_QCF)
    expected = np.where(products == PAD, 0, np.take_along_axis(relevance[queries], products, axis=1))
    assert np.array_equal(examples.relevance_QC, expected)
    assert np.array_equal(examples.mask_QC, products != PAD)


@pytest.mark.parametrize(("days", "days_ago"), [(400, [45, 90, 180]), (120, [20, 40, 79]), (3, [1])])
def test_a_short_log_is_cut_at_the_same_shares_of_itself(days, days_ago) -> None:
    log = sessions_of_groups(groups=2, products_per_group=8, days=days).cooccurrence
    found = list(cutoffs(log, "basket", seed=0))
    assert [log.days - each.known.days for each in found] == days_ago
    for cutoff, ago in zip(found, days_ago, strict=True):
        assert (cutoff.relevance_PP != relevant_products(log.since(ago), "basket")).nnz == 0


def test_a_log_that_is_too_short_has_no_cutoff() -> None:
    log = Cooccurrence.of_sessions(sp.csr_matrix(np.ones((3, 4), np.float32)), np.array([0, 1, 2]))
    assert list(cutoffs(log, "basket", seed=0)) == []
    assert (
        list(cutoffs(sessions_of_groups(groups=2, products_per_group=8, days=1).cooccurrence, "basket", seed=0)) == []
    )


def test_related_products_are_those_that_met_more_often_than_chance() -> None:
    """0 and 1 are in every session, 2 and 3 always together and seldom: so is what they are worth."""
    chosen = np.array([[1, 1, 0, 0]] * 8 + [[1, 1, 1, 1]] * 2, np.float32)
    later = Cooccurrence.of_sessions(sp.csr_matrix(chosen), np.arange(10))
    assert relevant_products(later, "basket").toarray()[0].tolist() == [0, 10, 2, 2]
    related = relevant_products(later, "related").toarray()
    assert related[2, 3] == pytest.approx(np.log1p(2 * 10 / (2 * 2)) * np.log1p(2))
    assert related[0, 1] == pytest.approx(np.log1p(1) * np.log1p(10)), "exactly as often as chance"
    assert (related == related.T).all()
    once = Cooccurrence.of_sessions(sp.csr_matrix(chosen[-1:]), np.array([0]))
    assert relevant_products(once, "related").nnz == relevant_products(once, "basket").nnz == 0


def test_a_thin_log_is_cut_further_back() -> None:
    thin = sessions_of_groups(groups=2, products_per_group=8, days=1500).cooccurrence
    assert [thin.days - each.known.days for each in cutoffs(thin, "basket", seed=0)] == [45, 90, 180, 360, 720]


def examples_where(best: str, queries: int, seed: int) -> Examples:
    """Ten candidates of random features each; those with most of one of them are relevant."""
    features = np.random.default_rng(seed).normal(size=(queries, 10, len(NAMES))).astype(np.float32)
    decisive = features[..., NAMES.index(best)]
    relevance = (decisive >= np.sort(decisive, axis=1)[:, -3:-2]).astype(np.float32)
    return Examples(features, relevance, np.ones(relevance.shape, bool))


def simple() -> list[Ranker]:
    return [Ranker.linear(NAMES, weights, NOTHING_KNOWN) for weights in SIMPLE]


def test_a_ranker_is_learnt_where_simple_rankings_do_not_know() -> None:
    examples = [examples_where("trend", 300, seed) for seed in range(3)]
    ranker = ranker_from(examples, "related", seed=0)
    assert ndcg(ranker, examples_where("trend", 100, seed=9)).mean() > 0.9
    assert all(ndcg(each, examples[0]).mean() < 0.8 for each in simple())


@pytest.mark.parametrize("cut_offs", [1, 3])
def test_a_ranker_that_has_learnt_nothing_is_not_taken(cut_offs) -> None:
    """What is relevant is what co-occurrence says; few queries with as many features teach no more than that."""
    examples = [examples_where("co-occurrence", 6, seed) for seed in range(cut_offs)]
    ranker = ranker_from(examples, "basket", seed=0)
    assert any(torch.equal(ranker.layers[0].weight, each.layers[0].weight) for each in simple())
    assert np.mean([ndcg(ranker, each).mean() for each in examples]) > 0.6


def test_a_ranker_is_judged_on_the_latest_cut_offs_with_enough_queries() -> None:
    def divided(*queries: int) -> tuple[list[int], list[int]]:
        examples = [examples_where("trend", count, seed=0) for count in queries]
        return tuple([len(each) for each in side] for side in _latest_and_earlier(examples))

    assert divided(300, 200, 100) == ([300], [200, 100])
    assert divided(1, 60, 39, 200) == ([1, 60, 39], [200])
    assert divided(1, 300) == ([1], [300]), "some are left to learn from"
    assert divided(5) == ([3], [2])
    assert divided(1) == ([1], [0])


def test_what_a_few_queries_say_is_believed_where_it_is_no_chance() -> None:
    random = np.random.default_rng(0)
    by_chance = [_is_ahead([random.normal(size=queries)]) for queries in (2, 3, 5, 20, 100) for _ in range(2000)]
    assert np.mean(by_chance) == pytest.approx(0.025, abs=0.005)
    assert _is_ahead([random.normal(1, 1, size=50)])
    assert not _is_ahead([np.array([1.0])]), "one query"
    asked_again = [[queries] * 4 for queries in random.normal(size=(2000, 30))]
    assert np.mean([_is_ahead(cut_offs) for cut_offs in asked_again]) == pytest.approx(0.025, abs=0.01)


def test_the_fewer_queries_the_more_a_learnt_ranker_is_like_the_simple_one() -> None:
    """Only learning can tell what is relevant here, and few queries are believed little."""
    asked = examples_where("trend", 100, seed=9)
    figures = [
        ndcg(
            ranker_from([examples_where("trend", queries, seed) for seed in range(2)], "related", seed=0), asked
        ).mean()
        for queries in (40, 100, 1000)
    ]
    assert figures[0] < figures[1] < figures[2]


def test_of_simple_rankings_that_chance_may_have_ordered_the_simplest_is_taken() -> None:
    """Model and titles say nothing here: rankings with much and with little of them differ by chance alone."""
    examples = [examples_where("co-occurrence", 6, seed) for seed in range(2)]
    taken = ranker_from(examples, "basket", seed=0)
    figures = [np.concatenate([ndcg(each, some) for some in examples]) for each in simple()]
    best = max(figures, key=np.mean)
    within = [(best - each).mean() <= (best - each).std() / (len(each) - 1) ** 0.5 for each in figures]
    expected = simple()[within.index(True)]
    assert torch.equal(taken.layers[0].weight, expected.layers[0].weight)
    assert SIMPLE[within.index(True)]["model"] == 0.1


def test_ndcg_is_that_of_the_formula() -> None:
    examples = examples_where("trend", 1, seed=0)
    ranker = simple()[0]
    order = np.argsort(-ranker.scores(examples.features_QCF)[0], kind="stable")
    discount = 1 / np.log2(np.arange(10) + 2)
    relevance = examples.relevance_QC[0]
    assert ndcg(ranker, examples) == pytest.approx(relevance[order] @ discount / (np.sort(relevance)[::-1] @ discount))
