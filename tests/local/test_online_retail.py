from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from local.online_retail import GOODS, SERVICES, main, write_online_retail
from tasks.ingest.catalogue import delivery_of, read_catalogue
from tasks.run import INGEST, run
from tasks.settings import ROOT, Settings

pytestmark = pytest.mark.slow

FOLDER = ROOT.parent / "shared/data/online_retail"
CLEAN, RAW = FOLDER / "transactions.parquet", FOLDER / "raw.parquet"
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
NOON = datetime(2011, 10, 1, 12)
DIRT = pd.DataFrame(
    [
        ("1", NOON, "10001", "LAMP", 2, 1.5, "7", "France"),
        ("1", NOON, "10001", "LAMP", 2, 1.5, "7", "France"),
        ("1", NOON, "POST", "POSTAGE", 1, 18.0, "7", "France"),
        ("1", NOON, "23444", "Next Day Carriage", 1, 15.0, "7", "France"),
        ("C2", NOON, "10002A", "CUP", -1, 2.0, "7", "France"),
        ("3", NOON, "10001", "damaged?", -9, 0.0, None, "United Kingdom"),
        ("4", NOON, "10003", "nan", 5, 0.0, None, "United Kingdom"),
        ("4", NOON, "10004", None, 5, 0.0, None, "United Kingdom"),
        ("5", NOON, "DCGSSGIRL", "GIRLS PARTY BAG", 1, 3.0, None, "United Kingdom"),
        ("A6", NOON, "B", "Adjust bad debt", 1, -11062.06, None, "United Kingdom"),
    ],
    columns=["session_id", "event_time", "product_id", "title", "quantity", "unit_price", "user_id", "country"],
)
DAY = date(2011, 10, 1)


def write(lines: Path, settings: Settings, first: date, last: date, **options: Any) -> dict[str, int]:
    folders = Path(settings.click_log_url), Path(settings.catalogue_url)
    return write_online_retail(lines, *folders, first, last, **options)


def listed(settings: Settings, day: date) -> dict[str, str]:
    """The title of every product that the catalogue of a day lists."""
    products = read_catalogue(delivery_of(day, settings), settings).products
    return dict(zip(products["product_id"].to_pylist(), products["title"].to_pylist(), strict=True))


def test_days_and_titles_are_those_of_the_time(settings: Settings, tmp_path: Path) -> None:
    LINES.to_parquet(tmp_path / "lines.parquet")
    counts = write(tmp_path / "lines.parquet", settings, date(2011, 10, 1), date(2011, 10, 2))
    assert counts == {"days": 2, "rows": 3, "catalogues": 1, "products": 2, "products_without_title": 0}
    days = sorted(folder.name for folder in Path(settings.click_log_url).iterdir())
    assert days == ["date=2011-10-01", "date=2011-10-02"]
    assert listed(settings, DAY) == {"A": "NEW NAME", "B": "LAMP"}


def test_dated_catalogues_have_the_titles_known_then(settings: Settings, tmp_path: Path) -> None:
    LINES.to_parquet(tmp_path / "lines.parquet")
    settings = settings.model_copy(update={"catalogue_url": str(tmp_path / "catalogue")})
    counts = write(tmp_path / "lines.parquet", settings, date(2011, 9, 30), date(2011, 10, 4), catalogue_every=2)
    assert counts["catalogues"] == 3
    delivered = sorted(folder.name for folder in (tmp_path / "catalogue").iterdir())
    assert delivered == ["date=2011-09-30", "date=2011-10-02", "date=2011-10-04"]
    assert listed(settings, date(2011, 10, 1)) == {"A": "OLD NAME"}
    assert listed(settings, date(2011, 10, 3)) == {"A": "NEW NAME", "B": "LAMP"}
    assert listed(settings, date(2011, 10, 9)) == {"A": "NEW NAME", "B": "LAMP, RENAMED LATER", "C": "NOT YET KNOWN"}


@pytest.fixture
def dirt(settings: Settings, tmp_path: Path) -> dict[str, int]:
    DIRT.to_parquet(tmp_path / "raw.parquet")
    return write(tmp_path / "raw.parquet", settings, DAY, DAY, raw=True)


def test_a_raw_log_keeps_every_line_and_column_and_says_what_kind_of_line_it_is(
    settings: Settings, dirt: dict[str, int]
) -> None:
    log = pq.read_table(Path(settings.click_log_url) / f"date={DAY}" / "log.parquet").to_pandas()
    assert set(log.columns) == {*DIRT.columns, "event_type"}
    assert len(log) == dirt["rows"] == len(DIRT)
    kinds = {invoice: set(lines) for invoice, lines in log.groupby("session_id")["event_type"]}
    correction = {"3": {"correction"}, "A6": {"correction"}}
    assert kinds == {invoice: {"purchase"} for invoice in "145"} | {"C2": {"cancellation"}} | correction


def test_a_raw_catalogue_lists_goods_alone_and_takes_no_note_for_a_title(
    settings: Settings, dirt: dict[str, int]
) -> None:
    assert listed(settings, DAY) == {"10001": "LAMP", "10002A": "CUP", "DCGSSGIRL": "GIRLS PARTY BAG"}
    refused = read_catalogue(delivery_of(DAY, settings), settings).refused.to_pylist()
    assert [(row["product_id"], row["reason"]) for row in refused] == [
        ("10003", "missing_title"), ("10004", "missing_title")
    ]  # fmt: skip
    assert (dirt["products"], dirt["products_without_title"]) == (5, 2)


def test_dirt_is_ingested_by_rules_and_nothing_is_lost(settings: Settings, dirt: dict[str, int]) -> None:
    settings = settings.model_copy(update={"max_quarantined_share": 0.9})
    _, clicks, _ = (run(step, str(DAY), settings) for step in INGEST)
    assert clicks["rows_read"] == len(DIRT)
    assert clicks["unknown_event_type"] == 3
    assert clicks["duplicates"] == 1
    assert clicks["product_not_in_catalogue"] == 4
    assert clicks["accepted"] == 6


@pytest.mark.skipif(not CLEAN.exists(), reason="the wholesaler's invoices are not on this machine")
def test_real_invoices_are_ingested_without_a_refused_row(settings: Settings) -> None:
    delivered = write(CLEAN, settings, date(2011, 10, 3), date(2011, 10, 3))
    counts = run("ingest_clicks", "2011-10-03", settings)
    assert counts["rows_read"] == delivered["rows"] > 500
    assert counts["quarantined"] == 0


@pytest.mark.skipif(not RAW.exists(), reason="the wholesaler's raw invoices are not on this machine")
class TestRawInvoices:
    def test_what_is_no_goods_is_few_and_none_of_it_is_in_the_clean_file(self) -> None:
        ids = pd.read_parquet(RAW, columns=["product_id"])["product_id"].drop_duplicates()
        goods = ids[ids.str.match(GOODS) & ~ids.isin([*SERVICES])]
        clean = set(pd.read_parquet(CLEAN, columns=["product_id"])["product_id"])
        assert set(goods) >= clean - {*SERVICES}
        others = set(ids) - set(goods)
        assert others >= {"POST", "DOT", "M", "C2", "D", "S", "BANK CHARGES", "ADJUST", "AMAZONFEE", "CRUK", "B"}
        assert len(others) < 40

    def test_two_days_of_it_are_ingested_by_rules(self, settings: Settings, tmp_path: Path) -> None:
        settings = settings.model_copy(update={"catalogue_url": str(tmp_path / "catalogue")})
        first, last = date(2011, 10, 3), date(2011, 10, 4)
        written = write(RAW, settings, first, last, raw=True, catalogue_every=1)
        assert (written["days"], written["catalogues"]) == (2, 2)
        read = 0
        for day in (first, last):
            catalogue, clicks, _ = (run(step, str(day), settings) for step in INGEST)
            assert catalogue["refused"] > 0
            for found in ("unknown_event_type", "duplicates", "product_not_in_catalogue"):
                assert clicks[found] > 0, found
            assert clicks["rows_read"] == clicks["accepted"] + clicks["quarantined"] + clicks["duplicates"]
            read += clicks["rows_read"]
        assert read == written["rows"]


def test_the_command_writes_what_it_says(tmp_path: Path) -> None:
    import typer

    DIRT.to_parquet(tmp_path / "raw.parquet")
    app = typer.Typer()
    app.command()(main)
    days = ["--first", "2011-10-01", "--last", "2011-10-02", "--to", str(tmp_path / "out")]
    ended = CliRunner().invoke(app, ["--log", str(tmp_path / "raw.parquet"), "--raw", "--catalogue-every", "1", *days])
    assert ended.output.strip() == "days 1, rows 10, catalogues 2, products 5, products_without_title 2"
    assert (tmp_path / "out/catalogue/date=2011-10-02/catalogue.parquet").exists()
