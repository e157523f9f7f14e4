"""A wholesaler's invoices as they were booked, replayed day by day: each kind of dirt ends where it should."""

from collections import Counter
from datetime import date
from pathlib import Path

import ibis
import pandas as pd
import pyarrow.parquet as pq
import pytest

from local.online_retail import GOODS, SERVICES, write_online_retail
from tasks.ingest.quarantine import QUARANTINE
from tasks.night import Night
from tasks.settings import ROOT, Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.ingest_catalogue import ingest_catalogue
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage

RAW = ROOT.parent / "shared/data/online_retail/raw.parquet"
# First and last day, the start of the second file, a December rush, a quiet Sunday, a day of many corrections.
DAYS = [
    date(2009, 12, 1),
    date(2010, 6, 20),
    date(2010, 12, 1),
    date(2011, 10, 5),
    date(2011, 12, 5),
    date(2011, 12, 9),
]
WHOLESALE = 500

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RAW.exists(), reason="shared/data/online_retail/raw.parquet is not here"),
]


@pytest.fixture
def replayed(settings: Settings) -> Settings:
    """The raw log of each day and the catalogue known then."""
    settings = settings.model_copy(update={"wholesale_session_products": WHOLESALE, "max_quarantined_share": 0.6})
    for day in DAYS:
        catalogue = Path(settings.catalogue_url) / f"date={day}" / "catalogue.parquet"
        write_online_retail(RAW, Path(settings.click_log_url), catalogue, day, day, raw=True)
    return settings


def ledger_of(settings: Settings, day: date) -> dict[str, float]:
    night = Night.of(day, settings)
    ingest_catalogue(night, settings)
    counts = ingest_clicks(night, settings)
    aggregate_clicks(night, settings)
    return counts


def explained(lines: pd.DataFrame, catalogue: set[str]) -> dict[str, int]:
    """What should become of a day's lines, worked out line by line with pandas."""
    normal = lines["session_id"].str.match(r"\d") & (lines["quantity"] > 0)
    good = lines[normal]
    single = good.drop_duplicates()
    products = single.groupby("session_id")["product_id"].nunique()
    wholesale = single["session_id"].isin(products[products > WHOLESALE].index)
    accepted = single[~wholesale]
    counts = {
        "files": 1,
        "rows_read": len(lines),
        "accepted": len(accepted),
        "quarantined": int((~normal).sum() + wholesale.sum()),
        "duplicates": len(good) - len(single),
        "unknown_event_type": int((~normal).sum()),
        "wholesale_session": int(wholesale.sum()),
        "duplicate_row": len(good) - len(single),
        "product_not_in_catalogue": int((~accepted["product_id"].isin(catalogue)).sum()),
    }
    always = ("files", "rows_read", "accepted", "quarantined", "duplicates")
    return {name: rows for name, rows in counts.items() if rows or name in always}


def test_every_line_of_the_raw_invoices_ends_where_it_should(replayed: Settings) -> None:
    raw = pd.read_parquet(RAW)
    raw["session_id"], raw["product_id"] = raw["session_id"].astype(str), raw["product_id"].astype(str)
    storage = Storage(replayed.storage_url)
    total: Counter[str] = Counter()
    for day in DAYS:
        counts = ledger_of(replayed, day)
        with storage.open(storage.read(Night.catalogue(day))) as folder:
            catalogue = set(pq.read_table(folder / "products.parquet")["product_id"].to_pylist())
        expected = explained(raw[raw["event_time"].dt.date == day], catalogue)
        assert counts == expected, day
        total.update(expected)
        with storage.open(storage.read(Night.clicks(day))) as folder:
            clicks = pq.read_table(folder / "clicks").to_pandas()
            refused = pq.read_table(folder / QUARANTINE).to_pandas()
        assert not clicks["session_id"].str.startswith("C").any()
        of_type = refused[refused["rule"] == "unknown_event_type"]
        assert set(of_type["event_type"]) <= {"cancellation", "correction"}
        assert (of_type[of_type["event_type"] == "cancellation"]["session_id"].str.startswith("C")).all()
        assert of_type["rest"].str.contains("quantity=").all()
    dirt = ("unknown_event_type", "duplicate_row", "wholesale_session", "product_not_in_catalogue")
    assert all(total[name] for name in dirt), total


def test_postage_and_products_without_a_title_are_kept_and_not_served(replayed: Settings) -> None:
    day = DAYS[2]
    ledger_of(replayed, day)
    storage = Storage(replayed.storage_url)
    with storage.open(storage.read(Night.clicks(day))) as folder:
        clicked = set(pq.read_table(folder / "clicks")["product_id"].to_pylist())
    with storage.open(storage.read(Night.catalogue(day))) as folder:
        listed = set(pq.read_table(folder / "products.parquet")["product_id"].to_pylist())
        refused = pq.read_table(folder / "refused_products.parquet").to_pandas()
    assert "POST" in clicked - listed
    assert not {product for product in listed if not pd.Series([product]).str.match(GOODS)[0]} | (
        listed & SERVICES.keys()
    )
    others = refused.loc[refused["reason"] != "missing_title", ["product_id", "reason"]]
    assert others.to_numpy().tolist() == [["47503J", "same_id"]], "the log has it with a blank behind, too"


def test_how_much_of_two_years_is_dirt() -> None:
    """Of 1,044,847 lines: 19,165 cancellations, 3,399 other corrections, and 11,751 of the rest are there already."""
    lines = ibis.duckdb.connect().read_parquet(str(RAW))
    good = lines.filter(lines.session_id.re_search(r"^\d") & (lines.quantity > 0))
    cancelled = lines.filter(lines.session_id.startswith("C"))
    rows, purchases, cancellations, distinct = (
        int(table.count().execute()) for table in (lines, good, cancelled, good.distinct())
    )
    assert (rows, cancellations, rows - purchases - cancellations, purchases - distinct) == (
        1_044_847,
        19_165,
        3_399,
        11_751,
    )
