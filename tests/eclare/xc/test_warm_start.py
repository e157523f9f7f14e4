from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from eclare.model.config import ECLAREConfig
from eclare.model.search import search_classifiers
from eclare.xc.config import RecommenderConfig
from eclare.xc.recommender import Recommender
from eclare.xc.warm_start import EarlierModel
from tests.made_shops import shop_of_groups

QUICK = ECLAREConfig(embedding_dim=16, epochs=4, batch_size=16, negatives_per_batch=16, learning_rate=0.01)
CLUSTERS = ECLAREConfig.preset("paper-131k")


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
        labels, _ = search_classifiers(fitted.ensemble, fitted.ensemble.texts.labels_LV, 5, np.ones(96, bool))
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
    model = EarlierModel(SimpleNamespace(config=earlier), np.array([]), np.array([]))
    with pytest.raises(ValueError, match=message):
        model.check(wanted)


def test_a_fit_from_a_model_of_another_shape_is_refused() -> None:
    shop = shop_of_groups(groups=2)
    data = shop.titles, shop.titles, shop.clicks.weights_NL
    start = Recommender.fit(*data, RecommenderConfig(QUICK))
    with pytest.raises(ValueError, match="needs the same embedding_dim, got 16 before and 8 now"):
        Recommender.fit(*data, RecommenderConfig(replace(QUICK, embedding_dim=8)), warm_start=start)
