from dataclasses import replace

import numpy as np
import pytest

from eclare.model.beam_search import top_labels
from eclare.model.config import ECLAREConfig
from eclare.xc.config import RecommenderConfig
from eclare.xc.recommender import Recommender
from tests.made_shops import shop_of_groups

QUICK = ECLAREConfig(embedding_dim=16, epochs=4, batch_size=16, negatives_per_batch=16, learning_rate=0.01)
CLUSTERS = replace(ECLAREConfig.preset("paper-131k"), embedding_dim=8, epochs=1, surrogate_epochs=1, ensemble=1)


def test_a_warm_start_knows_what_it_knew_although_words_and_labels_have_changed() -> None:
    shop = shop_of_groups(seed=3)
    ids = shop.clicks.label_ids_L.tolist()
    old = np.arange(96) % 12 != 3
    known = Recommender.fit(
        [title for title, kept in zip(shop.titles, old, strict=True) if kept],
        [title for title, kept in zip(shop.titles, old, strict=True) if kept],
        shop.clicks.weights_NL[old][:, old],
        RecommenderConfig(replace(QUICK, epochs=30)),
        label_ids=np.array(ids)[old].tolist(),
    )
    brief = RecommenderConfig(replace(QUICK, epochs=1, learning_rate=0.001))
    precision = {}
    for name, start in (("cold", None), ("warm", known)):
        fitted = Recommender.fit(
            [*shop.titles], [f"{title} renewed" for title in shop.titles], shop.clicks.weights_NL, brief,
            label_ids=ids, warm_start=start,
        )  # fmt: skip
        labels, _ = top_labels(fitted.ensemble, fitted.ensemble.texts.labels_LV, 5, np.ones(96, bool))
        precision[name] = (shop.group_of_P[labels] == shop.group_of_P[:, None])[~old].mean()
    assert precision["warm"] > 0.95 > precision["cold"]


@pytest.mark.parametrize(
    ("earlier", "wanted", "message"),
    [
        (QUICK, replace(QUICK, embedding_dim=8), "needs the same embedding_dim, got 16 before and 8 now"),
        (QUICK, replace(QUICK, use_graph=False), r"needs the same views, got \('text', 'graph', 'refinement'\) before"),
        (CLUSTERS, CLUSTERS, "needs shortlister faiss: the paper's stages start from the surrogate"),
    ],
)
def test_a_warm_start_that_does_not_fit_is_refused(earlier, wanted, message) -> None:
    shop = shop_of_groups(groups=2)
    clicks, share = shop.clicks.weights_NL, dict.fromkeys(("co_click_weight", "held_back_share"), 0)
    start = Recommender.fit(shop.titles, shop.titles, clicks, RecommenderConfig(earlier, **share))
    with pytest.raises(ValueError, match=message):
        Recommender.fit(shop.titles, shop.titles, clicks, RecommenderConfig(wanted, **share), warm_start=start)
