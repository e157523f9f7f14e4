"""Real input: the invoices of a gift wholesaler (Online Retail, UCI) as a click log and a catalogue, clean or raw."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import ibis
import pyarrow.parquet as pq
import typer

from local.click_log import write_days

# What is sold has a stock number of five digits, and perhaps a letter for its colour, or one of a sister shop; postage,
# bank charges, vouchers, adjustments and the like have words or initials (POST, M, GIFT_0001_20), bar three services.
GOODS = r"^(\d{5}|DCGS|SP\d|PADS$)"
SERVICES = {"22016": "gift voucher", "23444": "next day carriage", "23574": "packing charge"}


def write_online_retail(
    lines: Path,
    click_log_folder: Path,
    catalogue_path: Path,
    first: date,
    last: date,
    *,
    raw: bool = False,
    catalogue_every: int | None = None,
) -> dict[str, int]:
    """Write the invoice lines from `first` to `last` as daily logs and the catalogue as known on `last`; count them.

    An invoice is a session. A title is the product's last one on or before the catalogue's day, because titles change.
    raw: keep every line and column, with its event type (purchase, cancellation, correction), and list goods alone.
    catalogue_every: write a folder date=YYYY-MM-DD/ with the catalogue known then, every so many days from `first` on.
    """
    rows = ibis.duckdb.connect().read_parquet(str(lines))
    rows = rows.mutate(event_time=rows.event_time.cast("timestamp(6)"))
    counts = write_days(_raw_log(rows) if raw else _clean_log(rows), click_log_folder, first, last)
    titled = _titled_goods(rows) if raw else rows.select("product_id", "title", "event_time")
    files = {catalogue_path: last}
    if catalogue_every:
        days = map(date.fromordinal, range(first.toordinal(), last.toordinal() + 1, catalogue_every))
        files = {catalogue_path / f"date={day}" / "catalogue.parquet": day for day in days}
    return counts | _write_catalogues(titled, files)


def _clean_log(rows: ibis.Table) -> ibis.Table:
    return rows.select("event_time", "session_id", "product_id", "user_id", event_type=ibis.literal("purchase"))


def _raw_log(rows: ibis.Table) -> ibis.Table:
    event_type = ibis.cases(
        (rows.session_id.startswith("C"), "cancellation"),
        ((rows.quantity > 0) & rows.session_id.re_search(r"^\d"), "purchase"),
        else_="correction",
    )
    ours = ("event_time", "session_id", "product_id", "user_id")
    others = [name for name in rows.columns if name not in ours]
    return rows.select(*ours, *others, event_type=event_type)


def _titled_goods(rows: ibis.Table) -> ibis.Table:
    """Lines of goods; on those without a price, stock-keepers left a note ("damaged?", "check") or nothing as title."""
    goods = rows.filter(rows.product_id.re_search(GOODS), rows.product_id.notin([*SERVICES]))
    is_title = (goods.unit_price > 0) & (goods.title.lower() != "nan")
    return goods.select("product_id", "event_time", title=is_title.ifelse(goods.title, None))


def _write_catalogues(titled: ibis.Table, files: Mapping[Path, date]) -> dict[str, int]:
    """Write the catalogue of each day; count the catalogues and the products, with a title or without, of the last."""
    counts = {"catalogues": 0}
    for file, day in files.items():
        catalogue = _catalogue(titled, day).to_pyarrow()
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(catalogue, file)
        counts["catalogues"] += 1
        counts |= {"products": len(catalogue), "products_without_title": catalogue["title"].null_count}
    return counts


def _catalogue(titled: ibis.Table, last: date) -> ibis.Table:
    known = titled.filter(titled.event_time < last + timedelta(days=1))
    newest_first = [ibis.asc(known.title.isnull()), ibis.desc("event_time"), "title"]
    turn = ibis.row_number().over(group_by="product_id", order_by=newest_first)
    return known.mutate(turn=turn).filter(ibis._.turn == 0).select("product_id", "title").order_by("product_id")


Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="a day from 2009-12-01 to 2011-12-09, included")]


def main(
    log: Annotated[Path, typer.Option(help="transactions.parquet, or raw.parquet with --raw: one row an invoice line")],
    first: Day,
    last: Day,
    to: Annotated[Path, typer.Option(help="folder for clicks/date=.../ and catalogue.parquet")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="keep the dirt: cancellations, corrections, duplicates")] = False,
    catalogue_every: Annotated[
        int | None, typer.Option(min=1, help="write catalogue/date=.../ every so many days instead of one file")
    ] = None,
) -> None:
    """Write two years' invoices of a UK gift wholesaler as daily click logs and the catalogue known on the last day."""
    catalogue = to / ("catalogue" if catalogue_every else "catalogue.parquet")
    counts = write_online_retail(
        log, to / "clicks", catalogue, first.date(), last.date(), raw=raw, catalogue_every=catalogue_every
    )
    typer.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))


if __name__ == "__main__":
    typer.run(main)
