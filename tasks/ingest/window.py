"""The aggregates of a window as rows of the night's catalogue, read each time they are asked for: too many to hold."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.csr import Rows
from eclare.related.daily_cooccurrence import DayCooccurrence
from tasks.ingest.counted import read_pairs
from tasks.night import Night
from tasks.stores.artefacts import Artefact, Storage
from tasks.stores.rows import rows_of_stored


@dataclass(frozen=True, eq=False)
class Day:
    """One aggregate. row_of_D: the catalogue's row of each of its products, -1 where it has none."""

    age: int
    folder: Path
    row_of_D: Rows
    sessions_D: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Window:
    """All days; iterating reads their pairs, day by day."""

    days: Sequence[Day]

    def __iter__(self) -> Iterator[DayCooccurrence]:
        for day in self.days:
            for pairs in read_pairs(day.folder, day.age):
                yield pairs.in_catalogue(day.row_of_D)

    def products_at(self, ages: range) -> list[pa.Table]:
        """All products of the days of these ages, whether the catalogue has them or not: product_id and sessions."""
        return [pq.read_table(day.folder / "products.parquet") for day in self.days if day.age in ages]

    def sessions_of_products(self) -> Iterator[tuple[int, Rows, Rows]]:
        """Age, rows of products and their sessions, by day."""
        return ((day.age, day.row_of_D, day.sessions_D) for day in self.days)


@contextmanager
def open_window(
    night: Night, aggregates: Mapping[date, Artefact], ids: pa.ChunkedArray, storage: Storage
) -> Iterator[Window]:
    """The aggregates beside a catalogue's ids; raises NotReady where one of them was replaced meanwhile."""
    with ExitStack() as opened:
        days = []
        try:
            for day, aggregate in aggregates.items():
                folder = opened.enter_context(storage.open(aggregate))
                products = pq.read_table(folder / "products.parquet")
                row_of_D = rows_of_stored(ids, products["product_id"])
                days.append(Day((night.day - day).days, folder, row_of_D, products["sessions"].to_numpy()))
            yield Window(days)
        finally:  # what a replaced aggregate made of the sums is no matter then
            for aggregate in aggregates.values():
                storage.check_unchanged(aggregate)
