"""Any delivered file as a Parquet file that an engine reads, one value a row in each of our columns."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import ibis
import pyarrow.parquet as pq

from tasks.ingest.engine import ROW
from tasks.ingest.file_format import FileFormat
from tasks.ingest.ids import as_id, is_id
from tasks.ingest.input_files import MAX_TEXT_BYTES, Bounds, actual_names, as_text, check_parquet
from tasks.ingest.kinds import PARQUET, Kind
from tasks.ingest.parquet_rows import must_be_converted, parquet_to_rows
from tasks.ingest.parsed_file import LINE, ParsedFile
from tasks.ingest.text_files import text_to_parquet
from tasks.ingest.typed_times import is_int96, within_limits
from tasks.ingest.unreadable import UnreadableLines


class Readable(NamedTuple):
    """A Parquet file with the rows of a delivered one.

    is_converted: it is made of it, its columns have our names and hold text, beside `rest` and `line`; else it is the
    delivered file itself. unreadable: the lines of a converted one that are no rows. numbers: which of its columns of
    ids hold numbers that were written as text. is_utc: its times are moments in UTC and do not say so.
    """

    parquet: Path
    rows: int
    is_converted: bool
    unreadable: UnreadableLines | None = None
    numbers: frozenset[str] = frozenset()
    is_utc: bool = False

    def columns(self, file_format: FileFormat) -> dict[str, str]:
        """Our name -> its column, of those that it has."""
        names = pq.read_schema(self.parquet).names
        return {name: name for name in file_format.sources} if self.is_converted else actual_names(file_format, names)

    def lines(self, rows: ibis.Table) -> ibis.Value:
        """Where each row is in the delivered file: in text its line, of which items of one record share one."""
        return rows[LINE] if self.is_converted else rows[ROW]

    def texts(
        self, rows: ibis.Table, file_format: FileFormat, names: Iterable[str], size: int = MAX_TEXT_BYTES
    ) -> dict[str, ibis.Value]:
        """Some of our columns as text (`as_text`), ids in their normal form; null where the file lacks them."""
        columns, engine = self.columns(file_format), rows.get_backend().name
        texts = {name: as_text(rows[columns[name]], size) if name in columns else ibis.null("string") for name in names}
        return {
            name: as_id(text, engine, is_number=name in self.numbers) if is_id(name) else text
            for name, text in texts.items()
        }


def readable(file: Path, kind: Kind, file_format: FileFormat, target: Path, bounds: Bounds) -> Readable:
    """The rows of a delivered file, in `target` where it cannot be read as it is.

    Raises BadInput, the rest of a sentence about the file, for one that cannot be read, lacks a column, holds a list or
    an object where a value has to be, and exceeds a bound.
    """
    if kind.form != PARQUET:
        return _converted(text_to_parquet(file, kind, file_format, target, bounds), target)
    if not (rows := check_parquet(file, file_format, bounds)):
        return Readable(file, 0, is_converted=False)
    times = actual_names(file_format, pq.read_schema(file).names).get("event_time", "")
    is_utc = is_int96(file, times)
    if must_be_converted(file, file_format):
        return _converted(parquet_to_rows(file, file_format, target, bounds), target)._replace(is_utc=is_utc)
    return Readable(within_limits(file, times), rows, is_converted=False, is_utc=is_utc)


def _converted(parsed: ParsedFile, target: Path) -> Readable:
    numbers = parsed.numbers.names
    return Readable(target, parsed.rows, is_converted=True, unreadable=parsed.unreadable, numbers=numbers)
