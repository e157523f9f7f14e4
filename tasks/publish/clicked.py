"""Which products the last days' sessions held, in the catalogue or not: clicked.parquet beside the interactions."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FILE = "clicked.parquet"


def write_clicked(days: Sequence[pa.Table], folder: Path) -> None:
    """One row a product: the sessions of all days that held it; each day has columns product_id and sessions."""
    all_days = pa.concat_tables([day.select(["product_id", "sessions"]) for day in days])
    summed = all_days.group_by("product_id").aggregate([("sessions", "sum")])
    pq.write_table(summed.rename_columns(["product_id", "sessions"]), folder / FILE)


def read_clicked(folder: Path) -> pa.Table | None:
    """What `write_clicked` wrote; None where older code made the folder."""
    return pq.read_table(folder / FILE) if (folder / FILE).exists() else None
