"""Real input: the invoices of a gift wholesaler (Online Retail, UCI) as a click log and a catalogue."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import ibis
import pyarrow.parquet as pq
import typer

from local.click_log import write_days


def write_online_retail(
    transactions: Path, click_log_folder: Path, catalogue_path: Path, first: date, last: date
) -> dict[str, int]:
    """Write the invoice lines from `first` to `last` as daily logs and the catalogue as known on `last`; count them.

    An invoice is a session. A title is the product's last one on or before `last`, because titles change.
    """
    lines = ibis.duckdb.connect().read_parquet(str(transactions))
    lines = lines.mutate(event_time=lines.event_time.cast("timestamp(6)"))
    log = lines.select("event_time", "session_id", "product_id", "user_id", event_type=ibis.literal("purchase"))
    counts = write_days(log, click_log_folder, first, last)
    catalogue_path.parent.mkdir(parents=True, exist_ok=True)
    catalogue = _catalogue(lines, last).to_pyarrow()
    pq.write_table(catalogue, catalogue_path)
    return counts | {"products": len(catalogue)}


def _catalogue(lines: ibis.Table, last: date) -> ibis.Table:
    known = lines.filter(lines.event_time.date() <= last)
    newest_first = [ibis.desc("event_time"), "title"]
    turn = ibis.row_number().over(group_by="product_id", order_by=newest_first)
    return known.mutate(turn=turn).filter(ibis._.turn == 0).select("product_id", "title").order_by("product_id")


Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="a day from 2009-12-01 to 2011-12-09, included")]


def main(
    log: Annotated[Path, typer.Option(help="transactions.parquet: one row an invoice line")],
    first: Day,
    last: Day,
    to: Annotated[Path, typer.Option(help="folder for clicks/date=.../ and catalogue.parquet")],
) -> None:
    """Write two years' invoices of a UK gift wholesaler as daily click logs and the catalogue known on the last day."""
    counts = write_online_retail(log, to / "clicks", to / "catalogue.parquet", first.date(), last.date())
    typer.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))


if __name__ == "__main__":
    typer.run(main)
