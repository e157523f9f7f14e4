"""Parquet whose columns are not one value a row each: nested ones, lists of items, texts written as bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.file_format import FileFormat
from tasks.ingest.input_files import Bounds, actual_names, as_asked, reading_as
from tasks.ingest.parsed_file import ParsedFile, RowBatch, Rows, write_rows
from tasks.ingest.unreadable import UnreadableLines

ROWS_AT_ONCE = 256  # each may hold a long text
RESERVED = {"filename", "file_row_number", "file_number", "row_number", "_metadata"}  # what engines call their own


def must_be_converted(file: Path, file_format: FileFormat) -> bool:
    """Whether an engine cannot read our columns of a Parquet file as they are."""
    schema = pq.read_schema(file)
    if not file_format.is_plain or not RESERVED.isdisjoint(name.lower() for name in schema.names):
        return True
    return any(not is_plain(schema.field(name).type) for name in actual_names(file_format, schema.names).values())


def is_plain(dtype: pa.DataType) -> bool:
    """Whether a type is text, numbers, times or flags, which both engines read."""
    if pa.types.is_dictionary(dtype):
        return is_plain(dtype.value_type)
    types = pa.types
    bytes_ = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    odd = (types.is_nested, *bytes_)
    return not (isinstance(dtype, pa.BaseExtensionType) or any(is_odd(dtype) for is_odd in odd))


def parquet_to_rows(file: Path, file_format: FileFormat, target: Path, bounds: Bounds) -> ParsedFile:
    """Write the rows of a Parquet file to `target` as `text_to_parquet` does those of text; a row's line is its place.

    `rest` has the other columns that are no bytes and not nested. Raises BadInput, the rest of a sentence about the
    file, where its items are more rows than are allowed and where it cannot be read.
    """
    parsed = ParsedFile(file_format, UnreadableLines(target.with_suffix(".unreadable")))
    names = pq.read_schema(file).names
    called = dict(zip(names, as_asked(names, file_format.wanted), strict=True))
    with reading_as(".parquet"):
        write_rows(_rows(file, called, parsed, bounds), parsed, target)
    bounds.check_rows(parsed.lines)
    return parsed


def _rows(file: Path, called: dict[str, str], parsed: ParsedFile, bounds: Bounds) -> Iterator[Rows]:
    made, first = RowBatch(parsed), 1
    content = pq.ParquetFile(file)
    wanted = {theirs for theirs, name in called.items() if name in parsed.wanted}
    names = [field.name for field in content.schema_arrow if field.name in wanted or is_plain(field.type)]
    for batch in content.iter_batches(ROWS_AT_ONCE, columns=names):
        bounds.check_rows(parsed.lines)
        columns = {called[name]: _values(batch[name]) for name in batch.schema.names}
        for line, values in enumerate(zip(*columns.values(), strict=True), first):
            made.add(line, dict(zip(columns, values, strict=True)))
            if made.is_full:
                yield made.take()
        yield made.take()
        first += len(batch)


def _values(column: pa.Array) -> list[Any]:
    """The values of a column; times as text, as Python's end with the year 9999."""
    if pa.types.is_decimal(column.type):  # as as_text has them
        return pc.replace_substring_regex(pc.cast(column, pa.string()), r"\.0+$", "").to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_temporal(column.type):
        return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return None
