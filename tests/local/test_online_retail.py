from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from local.online_retail import write_online_retail
from tasks.catalogue import read_catalogue
from tasks.run import run
from tasks.settings import ROOT, Settings

REAL = ROOT.parent / "shared/data/online_retail/transactions.parquet"
LINES = pd.DataFrame(
    [
        ("1", datetime(2011, 9, 30, 23, 59), "A", "OLD NAME", "7"),
        ("2", datetime(2011, 10, 1, 0, 0), "A", "NEW NAME", None),
        ("2", datetime(2011, 10, 1, 0, 0), "B", "LAMP", None),
        ("3", datetime(2011, 10, 2, 23, 59), "B", "LAMP", "8"),
        ("4", datetime(2011, 10, 3, 0, 0), "B", "LAMP, RENAMED LATER", "8"),
        ("4", datetime(2011, 10, 3, 0, 0), "C", "NOT YET KNOWN", "8"),
    ],
    columns=["session_id", "event_time", "product_id", "title", "user_id"],
)


def write(transactions: Path, settings: Settings, first: date, last: date) -> dict[str, int]:
    return write_online_retail(transactions, Path(settings.click_log_url), Path(settings.catalogue_url), first, last)


def test_days_and_titles_are_those_of_the_time(settings: Settings, tmp_path: Path) -> None:
    LINES.to_parquet(tmp_path / "lines.parquet")
    counts = write(tmp_path / "lines.parquet", settings, date(2011, 10, 1), date(2011, 10, 2))
    assert counts == {"days": 2, "rows": 3, "products": 2}
    days = sorted(folder.name for folder in Path(settings.click_log_url).iterdir())
    assert days == ["date=2011-10-01", "date=2011-10-02"]
    products = read_catalogue(settings).products.select(["product_id", "title"]).to_pylist()
    assert [tuple(product.values()) for product in products] == [("A", "NEW NAME"), ("B", "LAMP")]


@pytest.mark.skipif(not REAL.exists(), reason="the wholesaler's invoices are not on this machine")
def test_real_invoices_are_ingested_without_a_refused_row(settings: Settings) -> None:
    delivered = write(REAL, settings, date(2011, 10, 3), date(2011, 10, 3))
    counts = run("ingest_clicks", "2011-10-03", settings)
    assert counts["rows_read"] == delivered["rows"] > 500
    assert counts["refused"] == 0
