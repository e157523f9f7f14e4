"""What the shop blocks after a night was published leaves the live lists, also those that a rollback brings back."""

from pathlib import Path

import pytest

from tasks.run import run
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tests.nights import OTHER, RELATED, expected, make_night, roll_back, rows_of, with_lenient_gate

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

LISTED = "select product_id, rank, related_product_id from current_recommendations order by product_id, rank"


@pytest.fixture
def settings(settings, monkeypatch, tmp_path):
    (tmp_path / "dated").mkdir()
    dated = settings.model_copy(update={"catalogue_url": str(tmp_path / "dated")})
    return with_lenient_gate(dated, monkeypatch)


def deliver(day: str, settings: Settings, *blocked: str) -> None:
    folder = Path(settings.catalogue_url) / f"date={day}"
    folder.mkdir()
    rows = [f"{product},product {product},{str(product in blocked).lower()}" for product in "1234"]
    (folder / "catalogue.csv").write_text("\n".join(["product_id,title,blocked", *rows, ""]))
    run("ingest_catalogue", day, settings)


def without(blocked: str) -> list[tuple]:
    return [row for row in expected(RELATED) if row[2] != blocked]


def test_what_the_newest_catalogue_blocks_is_not_read(settings):
    publish_recommendations(make_night("2017-06-28", settings), settings)
    publish_recommendations(make_night("2017-06-29", settings, OTHER), settings)
    deliver("2017-06-30", settings, "2")
    roll_back(settings, "odd titles")
    assert rows_of(settings, LISTED) == without("2")
    assert rows_of(settings, "select rank, related_product_id from related_products('1', 1)") == [(2, "3")]
    assert rows_of(settings, "select * from explain_recommendation('1', '2')") == []
    deliver("2017-06-29", settings)
    assert rows_of(settings, LISTED) == without("2"), "an older catalogue says nothing of today"
    deliver("2017-07-01", settings, "3")
    assert rows_of(settings, LISTED) == without("3")
