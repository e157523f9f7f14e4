import numpy as np
import pytest
import torch
from hypothesis import given, strategies

from eclare.arrays.topk import PAD
from eclare.ranker import Ranker
from eclare.related import candidates, ranking
from eclare.related.backtest import ranker_from
from eclare.related.candidates import candidates_by_group
from eclare.related.features import GROUPS, NAMES, CandidateSet
from eclare.related.ranking import rank, rank_and_ablate, rows_of_shard
from tests.eclare.related.trained_shops import backtested, snapshot_of
from tests.made_shops import sessions_of_groups


@pytest.mark.slow
@pytest.mark.parametrize(("days", "is_chosen"), [(120, True), (3, False)])
def test_the_next_days_are_foreseen_for_known_and_for_new_products(days, is_chosen) -> None:
    """With a ranker chosen by a backtest, and with the fixed weights of a log too short for it."""
    shop = sessions_of_groups(groups=6, products_per_group=8, days=days)
    ranker = backtested(shop.cooccurrence, shop.titles)
    fixed = ranker_from([], "basket", seed=0)
    assert torch.equal(ranker.layers[0].weight, fixed.layers[0].weight) == (not is_chosen)
    snapshot, everything = snapshot_of(shop.cooccurrence, shop.titles), np.arange(48, dtype=np.int32)
    labels, scores, _ = rank(snapshot, ranker, everything, 5)
    same_group = shop.group_of_P[labels] == shop.group_of_P[:, None]
    new = shop.cooccurrence.popularity() == 0
    assert new.sum() >= 6
    assert same_group[~new].mean() > 0.9
    assert same_group[new].mean() > 0.9
    assert (labels != everything[:, None]).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert np.array_equal(rank(snapshot, backtested(shop.cooccurrence, shop.titles), everything, 5).labels_QK, labels)


def test_only_what_is_allowed_is_recommended_and_every_query_gets_some() -> None:
    shop = sessions_of_groups(groups=6, products_per_group=8, days=60)
    allowed = np.zeros(48, bool)
    allowed[[3, 12, 47]] = True
    snapshot, by_model_alone = (
        snapshot_of(shop.cooccurrence, shop.titles, allowed),
        Ranker.linear(NAMES, {"model": 1.0}, {}),
    )
    found = rank(snapshot, by_model_alone, np.arange(48, dtype=np.int32), 4).labels_QK
    for query, row in enumerate(found.tolist()):
        assert sorted(row, reverse=True) == sorted({3, 12, 47} - {query}, reverse=True) + [PAD] * row.count(PAD)


def test_without_a_group_neither_its_features_nor_its_candidates_count(monkeypatch) -> None:
    """Against the slow way: every query alone, its candidates by hand, the features of the group at their mean."""
    monkeypatch.setattr(ranking, "CHUNK", 5)
    for name, few in (("FROM_COOCCURRENCE", 2), ("FROM_LIKE_TITLES", 2), ("FROM_MODEL", 3)):
        monkeypatch.setattr(candidates, name, few)  # so that generators find different products
    shop = sessions_of_groups(groups=6, products_per_group=8, days=60)
    snapshot, queries = snapshot_of(shop.cooccurrence, shop.titles), np.arange(0, 48, 4, dtype=np.int32)
    weights = {"model": 1.0, "popularity, half-life 30 days": 0.7, "title cosine": 2.0}
    ranker = Ranker.linear(NAMES, weights, {"model": -3.0})
    whole, ablated = rank_and_ablate(snapshot, ranker, queries, 4, ("model", "popularity"))
    assert np.array_equal(whole.labels_QK, rank(snapshot, ranker, queries, 4).labels_QK)
    for group, (labels_QK, *_) in ablated.items():
        assert (labels_QK != whole.labels_QK).any()
        for row, query in zip(labels_QK.tolist(), queries, strict=True):
            found = candidates_by_group(snapshot, np.array([query]), 4)
            left = {int(each) for name, rows in found.items() if name != group for each in rows[0]} - {PAD, query}
            products = np.array(sorted(left), np.int32)
            features = CandidateSet(snapshot, np.array([query]), products[None]).features_QCF
            features[..., GROUPS[group]] = ranker.mean.numpy()[GROUPS[group]]
            best = products[np.argsort(-ranker.scores(features)[0].round(4), kind="stable")][:4]
            assert row == best.tolist() + [PAD] * (4 - len(best))


@given(products=strategies.integers(0, 10_000), shards=strategies.integers(1, 20))
def test_shards_are_all_rows_once_in_whole_chunks_and_nearly_even(products, shards) -> None:
    parts = [rows_of_shard(products, number, shards) for number in range(1, shards + 1)]
    assert np.array_equal(np.concatenate(parts), np.arange(products))
    assert all(part[0] % ranking.CHUNK == 0 for part in parts if len(part))
    chunks = [-(-len(part) // ranking.CHUNK) for part in parts]
    assert max(chunks) - min(chunks) <= 1
