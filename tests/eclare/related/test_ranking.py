import numpy as np
import pytest
import torch

from eclare.arrays.topk import PAD
from eclare.ranker import Ranker
from eclare.related.backtest import ranker_from
from eclare.related.features import NAMES
from eclare.related.ranking import rank
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
