"""The made shop has the signal that it promises, is the same every time, and loads without a row refused."""

import filecmp
import shutil
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from benchmarks.made_shop import Shop, write_made_shop
from eclare.arrays.tfidf import Vocabulary
from tasks.run import INGEST, run
from tasks.settings import Settings

PRODUCTS, EVENTS_A_DAY, SEED = 2000, 20_000, 3
DAYS = [date(2017, 6, 28) + timedelta(days=age) for age in range(3)]


def write(folder: Path, seed: int = SEED) -> Path:
    write_made_shop(folder, DAYS, PRODUCTS, EVENTS_A_DAY, seed)
    return folder


def log_of(folder: Path, day: date) -> Path:
    return folder / "clicks" / f"date={day}" / "log.parquet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def clicks(folder: Path) -> pd.DataFrame:
    """With the topic and the first day of each product beside it."""
    shop = Shop.of(PRODUCTS, len(DAYS), SEED)
    products = pd.DataFrame({"topic": shop.topic_P, "listed": shop.listed_P}, index=shop.number_P.astype(str))
    log = pd.concat(pd.read_parquet(log_of(folder, day)).assign(day=age) for age, day in enumerate(DAYS))
    return log.join(products, on="product_id")


def test_products_of_a_topic_meet_far_above_chance(clicks) -> None:
    held = clicks.drop_duplicates(["session_id", "product_id"])
    sessions = held["session_id"].nunique()

    def pairs(rows: pd.DataFrame, within: str | list[str]) -> float:
        """Ordered pairs of different products within the same value, were each row an own one."""
        return float((rows.groupby(within).size() ** 2).sum())

    ours = held.groupby(["topic", "product_id"]).size()
    met = pairs(held, ["session_id", "topic"]) - len(held)
    by_chance = ((ours.groupby("topic").sum() ** 2).sum() - (ours**2).sum()) / sessions
    met_outside = pairs(held, "session_id") - pairs(held, ["session_id", "topic"])
    by_chance_outside = (len(held) ** 2 - (ours.groupby("topic").sum() ** 2).sum()) / sessions
    assert met > 5 * by_chance
    assert met_outside < 1.5 * by_chance_outside


def test_titles_of_a_topic_are_alike(folder) -> None:
    shop = Shop.of(PRODUCTS, len(DAYS), SEED)
    titles = pd.read_parquet(folder / "catalogue.parquet").set_index("product_id")["title"]
    of_topics = titles[shop.number_P.astype(str)].tolist()
    features_PV = Vocabulary.of(of_topics).features(of_topics)
    cosine_PP = (features_PV @ features_PV.T).toarray()
    inside_PP = shop.topic_P[:, None] == shop.topic_P
    assert cosine_PP[~inside_PP].mean() < 0.1
    np.fill_diagonal(inside_PP, False)
    assert cosine_PP[inside_PP].mean() > 4 * cosine_PP[~inside_PP & ~np.eye(PRODUCTS, dtype=bool)].mean()


def test_most_products_have_few_events_and_new_ones_none_before_their_day(clicks) -> None:
    events = clicks.groupby("product_id").size()
    assert 0.6 < 1 - (events >= 8).sum() / PRODUCTS < 0.75  # a quarter of the mean
    assert events.sum() == pytest.approx(len(DAYS) * EVENTS_A_DAY, rel=0.02)
    assert clicks["listed"].max() == len(DAYS) - 1
    assert (clicks["day"] >= clicks["listed"]).all()


def test_the_same_seed_writes_the_same_whatever_the_threads(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(duckdb, "connect", partial(duckdb.connect, config={"threads": 1}))
    again, other = write(tmp_path / "again"), write(tmp_path / "other", SEED + 1)
    assert filecmp.cmp(folder / "catalogue.parquet", again / "catalogue.parquet", shallow=False)
    for day in DAYS:
        expected = pd.read_parquet(log_of(folder, day))
        pd.testing.assert_frame_equal(pd.read_parquet(log_of(again, day)), expected)
        assert not pd.read_parquet(log_of(other, day)).equals(expected)


def test_the_ingest_refuses_nothing(folder, settings: Settings) -> None:
    shutil.copy(folder / "catalogue.parquet", settings.catalogue_url)
    shutil.copytree(folder / "clicks", settings.click_log_url)
    catalogue, clicks, _ = (run(step, str(DAYS[0]), settings) for step in INGEST)
    assert catalogue["products"] == PRODUCTS
    assert clicks["accepted"] == clicks["rows_read"] == pytest.approx(EVENTS_A_DAY, rel=0.02)
    assert not clicks["quarantined"] + clicks["duplicates"] + clicks.get("product_not_in_catalogue", 0)
