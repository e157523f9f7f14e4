"""A catalogue ranked in shards: the same lists whatever their number, and no list of shards that do not belong."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from eclare.related import ranking
from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.publish.explanations import FILE as REASONS
from tasks.run import run
from tasks.settings import Settings
from tasks.shards import Shard
from tasks.stores.artefacts import Storage
from tests.made_shops import sessions_of_groups
from tests.tasks.steps.test_train_model import DAY, QUICK, make_interactions, with_config

pytestmark = pytest.mark.slow

PRODUCTS = 48


@pytest.fixture
def trained(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A night with a model, of ten chunks of queries; shards are of whole chunks."""
    monkeypatch.setattr(ranking, "CHUNK", 5)
    settings = settings.model_copy(update={"held_out_days": 2, "window_days": 60, "top_k": 5})
    settings = with_config(settings, QUICK | {"epochs": 2})
    make_interactions(sessions_of_groups(groups=6, products_per_group=PRODUCTS // 6, days=40), settings)
    run("train_model", DAY, settings)
    return settings


def in_shards(settings: Settings, shards: int) -> Settings:
    return settings.model_copy(update={"recommend_shards": shards})


def night_of(settings: Settings) -> Night:
    return Night.of(DAY, settings)


def recommended(settings: Settings) -> tuple[dict[str, np.ndarray], object, dict[str, float]]:
    """What recommend_products writes of what was ranked: lists, reasons and counts."""
    counts, storage = run("recommend_products", DAY, settings), Storage(settings.storage_url)
    made = storage.read(night_of(settings).artefact("recommendations"))
    with storage.open(made) as folder, np.load(folder / "recommendations.npz") as lists:
        return dict(lists), pq.read_table(folder / REASONS), counts


def test_the_rows_are_the_same_whatever_the_number_of_shards(trained: Settings) -> None:
    assert run("rank_products", DAY, trained) == {"shards": 1, "products": PRODUCTS, "candidates": 25}
    lists, reasons, counts = recommended(trained)
    assert (lists["labels"] >= 0).any() and reasons.num_rows > PRODUCTS
    for shards in (3, 7):
        mine = in_shards(trained, shards)
        if shards == 3:
            assert run("rank_products", DAY, mine)["shards"] == shards
        else:  # each by a task of its own, in any order
            parts = [run("rank_products", DAY, mine, shard=f"{number}-of-7") for number in (5, 1, 7, 2, 4, 3, 6)]
            assert sum(part["products"] for part in parts) == PRODUCTS
            assert min(part["products"] for part in parts) > 0
        again, reasons_again, counts_again = recommended(mine)
        assert again.keys() == lists.keys()
        for name, values in lists.items():
            assert np.array_equal(again[name], values), name
        assert reasons_again.equals(reasons)
        assert counts_again == counts


def test_shards_that_do_not_belong_are_refused(trained: Settings) -> None:
    run("rank_products", DAY, in_shards(trained, 2))
    three, storage = in_shards(trained, 3), Storage(trained.storage_url)
    with pytest.raises(NotReady, match="shard=1-of-3 is not in"):
        run("recommend_products", DAY, three)
    longer = in_shards(trained, 2).model_copy(update={"top_k": 7})
    with pytest.raises(BadInput, match=r"must hold 35 candidates of each of 48.*got \[25\].*run rank_products again"):
        run("recommend_products", DAY, longer)
    run("rank_products", DAY, longer, shard="2-of-2")
    with pytest.raises(BadInput, match=r"got \[25, 35\]"):
        run("recommend_products", DAY, longer)
    run("rank_products", DAY, longer, shard="1-of-2")
    run("recommend_products", DAY, longer)
    run("train_model", DAY, with_config(longer, QUICK | {"epochs": 2, "seed": 7}))
    with pytest.raises(BadInput, match=r"shard=1-of-2 was made from .*model.* run the step that makes"):
        run("recommend_products", DAY, longer)
    assert storage.complete(night_of(trained).ranked(Shard(2, 2)))


def test_a_shard_that_cannot_be_is_refused(trained: Settings) -> None:
    with pytest.raises(BadInput, match="got '3-of-2'"):
        run("rank_products", DAY, trained, shard="3-of-2")
