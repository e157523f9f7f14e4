"""How the adapters of real data deliver a log: one Parquet file a day."""

from datetime import date
from pathlib import Path

import ibis
import pyarrow.compute as pc
import pyarrow.parquet as pq


def write_days(log: ibis.Table, folder: Path, first: date, last: date) -> dict[str, int]:
    """Write the rows of `first` to `last` (both included) as folder/date=YYYY-MM-DD/log.parquet, sorted; count them."""
    log = log.filter(log.event_time.date().between(first, last)).order_by(*log.columns)
    rows = log.to_pyarrow()
    dates = rows["event_time"].cast("date32")
    days = dates.unique().to_pylist()
    for day in days:
        file = folder / f"date={day}" / "log.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.filter(pc.equal(dates, day)), file)
    return {"days": len(days), "rows": len(rows)}
