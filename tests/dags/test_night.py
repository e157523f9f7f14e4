"""The whole night through Airflow (`dag.test()`), against PostgreSQL."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.settings import Settings
from tasks.stores.database import transaction
from tests.small_shop import GROUP_OF, IDS, NIGHT, deliver_catalogue, deliver_log

pytestmark = pytest.mark.slow

# One day is held out; training needs days before it.
DAYS = [NIGHT - timedelta(days=age) for age in reversed(range(3))]


@pytest.fixture
def published(settings: Settings, run_dags: Any) -> list[dict[str, Any]]:
    """How each run ended: the ingest of every day, then the refresh."""
    deliver_log(Path(settings.click_log_url), DAYS[0])
    deliver_catalogue(Path(settings.catalogue_url))
    runs = [{"dag_id": "ingest_clicks", "conf": {"night": str(day)}, "logical_date": None} for day in DAYS]
    runs.append({"dag_id": "refresh_recommendations", "conf": {"night": str(NIGHT)}})
    names = ("database_url", "storage_url", "click_log_url", "catalogue_url")
    outcomes: list[dict[str, Any]]
    places = {name.upper(): str(getattr(settings, name)) for name in names}
    outcomes, _ = run_dags(*runs, HELD_OUT_DAYS="1", RECOMMEND_SHARDS="2", **places)
    return outcomes


@pytest.mark.parametrize("server", ["given"], indirect=True)
def test_the_dags_publish_a_night(settings: Settings, published: list[dict[str, Any]]) -> None:
    assert [outcome["state"] for outcome in published] == ["success"] * (len(DAYS) + 1)
    *ingested, refreshed = published
    assert all(outcome["counts"]["ingest_catalogue"]["products"] == len(IDS) for outcome in ingested)
    assert all(outcome["counts"]["ingest_clicks"]["accepted"] == 600 for outcome in ingested)
    assert all(outcome["counts"]["aggregate_clicks"]["sessions"] == 150 for outcome in ingested)
    ranked = [refreshed["counts"][f"rank_products {shard}"]["products"] for shard in ("1-of-2", "2-of-2")]
    assert refreshed["counts"]["list_shards"] == ["1-of-2", "2-of-2"] and sum(ranked) == len(IDS)
    assert [*refreshed["tasks"]] and set(refreshed["tasks"].values()) == {"success"}
    assert set(refreshed["tries"].values()) == {1}
    assert refreshed["counts"]["publish_recommendations"]["live"] == 1
    with transaction(settings) as connection:
        rows = connection.execute(
            sa.text("select product_id, related_product_id, night from current_recommendations where rank = 1")
        ).all()
    assert {product for product, *_ in rows} == set(IDS)
    assert {night for *_, night in rows} == {NIGHT}
    assert sum(GROUP_OF[product] == GROUP_OF[related] for product, related, _ in rows) > 0.95 * len(rows)
