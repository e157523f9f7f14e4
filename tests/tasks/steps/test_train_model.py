"""From training clicks to lists: a ranker fitted on a backtest, or fixed weights where the log is too short."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from eclare.model.data import Interactions
from eclare.model.token_shortlists import TokenShortlists
from eclare.ranker import Ranker
from eclare.related import ranking
from eclare.related.backtest import ranker_from
from eclare.related.features import NAMES
from eclare.related.recommendations import Recommendations
from tasks import training
from tasks.errors import BadInput, NotReady
from tasks.model_config import read_config
from tasks.night import Night
from tasks.ranking import RANKER, load_ranker
from tasks.run import run
from tasks.stores.artefacts import Storage
from tests.made_shops import DatedShop, sessions_of_groups

QUICK = {"embedding_dim": 16, "epochs": 6, "batch_size": 32}
DAY = "2017-06-30"


@pytest.fixture
def settings(settings):
    return with_config(settings.model_copy(update={"held_out_days": 2, "window_days": 60, "top_k": 5}), QUICK)


def with_config(settings, options):
    file = settings.state_folder.with_name("eclare.json")
    file.write_text(json.dumps(options))
    return settings.model_copy(update={"eclare_config": file})


def make_interactions(shop: DatedShop, settings) -> Night:
    """What build_interactions writes, and then the label graph."""
    night, storage, ids = (
        Night.of(DAY, settings),
        Storage(settings.storage_url),
        np.arange(len(shop.titles)).astype(str),
    )
    known, yes = shop.cooccurrence.until(night.held_out_days), np.ones(len(ids), bool)
    nothing = pa.nulls(len(ids), pa.string())
    products = {"product_id": ids, "title": shop.titles, "category": nothing, "brand": nothing}
    with storage.write(night.artefact("interactions")) as (folder, _):
        pq.write_table(pa.table(products | {"in_stock": yes, "blocked": ~yes}), folder / "products.parquet")
        (folder / "training").mkdir()
        Interactions(known.matrix(), ids, ids).save(folder / "training")
        shop.cooccurrence.save(folder)
    run("build_label_graph", DAY, settings)
    return night


def same_group(shop: DatedShop, night: Night, settings) -> tuple[float, float]:
    """The share of recommended products that are of the product's group: of products with clicks, and of new ones."""
    run("rank_products", DAY, settings)
    run("recommend_products", DAY, settings)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(night.artefact("recommendations"))) as folder:
        labels = Recommendations.load(folder).labels_NK
    right, new = shop.group_of_P[labels] == shop.group_of_P[:, None], shop.cooccurrence.popularity() == 0
    return right[~new].mean(), right[new].mean()


@pytest.mark.slow
@pytest.mark.parametrize(("days", "is_fitted"), [(40, True), (3, False)])
def test_a_night_ranks_by_a_backtest_or_by_fixed_weights(settings, days, is_fitted) -> None:
    shop = sessions_of_groups(groups=6, products_per_group=8, days=days)
    night = make_interactions(shop, settings)
    counts = run("train_model", DAY, settings)
    assert (counts["ranker_examples"] > 0) == is_fitted
    storage = Storage(settings.storage_url)
    artefact = storage.read(night.artefact("model"))
    assert artefact.sources == {"config": read_config(settings).hash}
    with storage.open(artefact) as model:
        ranker, fixed = Ranker.load(model / RANKER, NAMES), ranker_from([], settings.goal, seed=0)
    assert torch.equal(ranker.layers[0].weight, fixed.layers[0].weight) == (not is_fitted)
    known, new = same_group(shop, night, settings)
    assert known > 0.9 and new > 0.9


@pytest.mark.slow
def test_a_large_catalogue_is_ranked_by_shortlists_that_were_found_once(settings, monkeypatch) -> None:
    shop = sessions_of_groups(groups=6, products_per_group=8, days=40)
    night = make_interactions(shop, settings)
    for module in (training, ranking):
        monkeypatch.setattr(module, "worth_shortlists", lambda _: True)
    run("train_model", DAY, settings)
    monkeypatch.setattr(TokenShortlists, "of", None)  # nobody looks for them again
    assert min(same_group(shop, night, settings)) > 0.9


@pytest.mark.slow
def test_a_night_can_shortlist_by_clusters_as_the_paper_does(settings) -> None:
    settings = with_config(settings, QUICK | {"shortlister": "clusters", "surrogate_epochs": 6, "beam": 2})
    shop = sessions_of_groups(groups=6, products_per_group=8, days=40)
    night = make_interactions(shop, settings)
    assert run("train_model", DAY, settings)["ranker_examples"] > 0
    known, _ = same_group(shop, night, settings)
    assert known > 0.9


def test_a_ranker_of_other_features_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run train_model again"):
        load_ranker(tmp_path)
    Ranker.linear(NAMES[::-1], {}, {}).save(tmp_path / RANKER)
    with pytest.raises(BadInput, match=r"run train_model again: ranker\.safetensors must rank by the features"):
        load_ranker(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_worker_without_the_gpu_that_is_asked_for_refuses(settings) -> None:
    settings = settings.model_copy(update={"device": "cuda"})
    make_interactions(sessions_of_groups(groups=2, products_per_group=8, days=3), settings)
    with pytest.raises(NotReady, match="set DEVICE=auto"):
        run("train_model", DAY, settings)
