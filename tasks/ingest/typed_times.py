"""Times that are times by their type in Parquet: those that no engine can hold, and those that are moments in UTC."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.input_files import reading_as

# In both units that Parquet has and that reach further; nanoseconds end in 2262.
LIMITS = {
    unit: tuple(
        int(np.datetime64(limit, unit).astype(np.int64)) for limit in (datetime(1, 1, 1), datetime(9999, 12, 31))
    )
    for unit in ("ms", "us")
}


def is_int96(file: Path, column: str) -> bool:
    """Whether times are of the old type that Spark and Hive write moments in UTC as, without saying so."""
    leaves = pq.read_metadata(file).schema
    columns = (leaves.column(place) for place in range(len(leaves)))
    return any(leaf.path == column and leaf.physical_type == "INT96" for leaf in columns)


def within_limits(file: Path, column: str) -> Path:
    """The file or, where one of its times is outside the years 1 to 9999, a copy in which it is at the limit.

    An engine that meets such a time refuses the whole file, before any expression could look at the row. Raises
    BadInput, the rest of a sentence about the file, where it cannot be read.
    """
    with reading_as(".parquet"):
        schema = pq.read_schema(file)
        kind: Any = schema.field(column).type if column in schema.names else pa.null()
        if not pa.types.is_timestamp(kind) or kind.unit not in LIMITS or _is_within(file, column, *LIMITS[kind.unit]):
            return file
        copy = file.parent / "within_limits" / file.name  # files are told by their number
        copy.parent.mkdir(exist_ok=True)
        _write_clipped(file, column, LIMITS[kind.unit], copy)
        return copy


def _write_clipped(file: Path, column: str, limits: tuple[int, ...], copy: Path) -> None:
    with pq.ParquetWriter(copy, pq.read_schema(file)) as writer:
        for batch in pq.ParquetFile(file).iter_batches():
            place = batch.schema.get_field_index(column)
            clipped = _clipped(batch.column(place), *limits)
            writer.write_batch(batch.set_column(place, batch.schema.field(place), clipped))


def _is_within(file: Path, column: str, first: int, last: int) -> bool:
    metadata = pq.read_metadata(file)
    place = next(place for place in range(len(metadata.schema)) if metadata.schema.column(place).path == column)
    for group in range(metadata.num_row_groups):
        seen = metadata.row_group(group).column(place).statistics
        if seen is None or not seen.has_min_max or seen.min_raw < first or seen.max_raw > last:
            return _is_each_within(file, column, first, last)
    return True


def _is_each_within(file: Path, column: str, first: int, last: int) -> bool:
    for batch in pq.ParquetFile(file).iter_batches(columns=[column]):
        seen = pc.min_max(batch.column(0).cast(pa.int64())).as_py()
        if seen["min"] is not None and (seen["min"] < first or seen["max"] > last):
            return False
    return True


def _clipped(times: pa.Array, first: int, last: int) -> pa.Array:
    numbers = times.cast(pa.int64())
    numbers = pc.max_element_wise(pc.min_element_wise(numbers, last, skip_nulls=False), first, skip_nulls=False)
    return numbers.cast(times.type)
