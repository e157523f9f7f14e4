"""Any delivered file as a Parquet file that an engine reads, one value a row in each of our columns."""

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tasks.ingest.file_format import FileFormat
from tasks.ingest.input_files import Bounds, actual_names, check_parquet
from tasks.ingest.kinds import PARQUET, Kind
from tasks.ingest.parquet_rows import must_be_converted, parquet_to_rows
from tasks.ingest.text_files import text_to_parquet
from tasks.ingest.unreadable import UnreadableLines


class Readable(NamedTuple):
    """A Parquet file with the rows of a delivered one.

    is_converted: it is made of it, its columns have our names and hold text, beside `rest` and `line`; else it is the
    delivered file itself. unreadable: the lines of a converted one that are no rows.
    """

    parquet: Path
    rows: int
    is_converted: bool
    unreadable: UnreadableLines | None = None

    def columns(self, file_format: FileFormat) -> dict[str, str]:
        """Our name -> its column, of those that it has."""
        names = pq.read_schema(self.parquet).names
        return {name: name for name in file_format.sources} if self.is_converted else actual_names(file_format, names)


def readable(file: Path, kind: Kind, file_format: FileFormat, target: Path, bounds: Bounds) -> Readable:
    """The rows of a delivered file, in `target` where it cannot be read as it is.

    Raises BadInput, the rest of a sentence about the file, for one that cannot be read, lacks a column, holds a list or
    an object where a value has to be, and exceeds a bound.
    """
    if kind.form == PARQUET:
        rows = check_parquet(file, file_format, bounds)
        if not (rows and must_be_converted(file, file_format)):
            return Readable(file, rows, is_converted=False)
        parsed = parquet_to_rows(file, file_format, target, bounds)
    else:
        parsed = text_to_parquet(file, kind, file_format, target, bounds)
    return Readable(target, parsed.rows, is_converted=True, unreadable=parsed.unreadable)
