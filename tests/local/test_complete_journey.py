from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from local.complete_journey import write_complete_journey
from tasks.ingest.catalogue import delivery_of, read_catalogue
from tasks.run import run
from tasks.settings import Settings

pytestmark = pytest.mark.slow

DAY = date(2017, 6, 30)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """The folder of the day's raw files, and how many of what are in them."""
    folder = tmp_path_factory.mktemp("written")
    return folder, write_complete_journey(folder / "clicks", folder / "catalogue.parquet", DAY, DAY)


@pytest.fixture
def settings(settings: Settings, written: tuple[Path, dict[str, int]]) -> Settings:
    """Of an installation to which they were delivered."""
    folder, _ = written
    places = {"click_log_url": str(folder / "clicks"), "catalogue_url": str(folder / "catalogue.parquet")}
    return settings.model_copy(update=places)


@pytest.fixture
def delivered(written: tuple[Path, dict[str, int]]) -> dict[str, int]:
    return written[1]


def test_its_day_is_ingested_without_a_refused_row(settings: Settings, delivered: dict[str, int]) -> None:
    counts = run("ingest_clicks", str(DAY), settings)
    assert delivered["days"] == 1
    assert counts["rows_read"] == delivered["rows"] > 1000
    assert counts["quarantined"] == 0


def test_a_row_is_a_purchase_of_a_household_in_its_basket(settings: Settings, delivered: dict[str, int]) -> None:
    log = pq.read_table(Path(settings.click_log_url) / f"date={DAY}" / "log.parquet")
    assert log.column_names == ["event_time", "session_id", "product_id", "user_id", "event_type"]
    assert log["event_type"].unique().to_pylist() == ["purchase"]
    household_of: dict[str, set[str]] = {}
    for basket, household in zip(log["session_id"].to_pylist(), log["user_id"].to_pylist(), strict=True):
        household_of.setdefault(basket, set()).add(household)
    assert all(len(households) == 1 for households in household_of.values())


def test_its_catalogue_is_read_and_products_without_a_type_are_refused(
    settings: Settings, delivered: dict[str, int]
) -> None:
    catalogue = read_catalogue(delivery_of(DAY, settings), settings)
    assert len(catalogue.products) == delivered["products"] - delivered["products_without_title"]
    assert catalogue.refused["reason"].unique().to_pylist() == ["missing_title"]
    title_of = dict(zip(*(catalogue.products[name].to_pylist() for name in ("product_id", "title")), strict=True))
    assert title_of["1000050"] == "Kids Cereal 14.5 oz, National (maker 1046)"
    assert all(title == title.strip() for title in title_of.values())
