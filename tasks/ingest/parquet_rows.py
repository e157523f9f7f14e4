"""Parquet whose columns are not one value a row each: nested ones, lists of items, texts written as bytes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.file_format import FileFormat
from tasks.ingest.input_files import Bounds, actual_names, as_asked, reading_as
from tasks.ingest.nested import MAX_ITEMS
from tasks.ingest.nested_blocks import ByRecordError, Columns, NestedBlocks, values_of
from tasks.ingest.parsed_file import ParsedFile, RowBatch, Rows, write_rows
from tasks.ingest.unreadable import UnreadableLines

ROWS_AT_ONCE = 256  # each may hold a long text
BLOCKS_TOGETHER, BLOCK_BYTES = 32, 4 << 20
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
    """Block by block where types say what lies under each name, else record by record."""
    content = pq.ParquetFile(file)
    wanted = {theirs for theirs, name in called.items() if name in parsed.wanted}
    fields = [field for field in content.schema_arrow if field.name in wanted or is_plain(field.type)]
    names = [field.name for field in fields]
    batches = content.iter_batches(ROWS_AT_ONCE, columns=names)  # and, of a name with a dot, what lies under it
    columns = ({called[name]: _decoded(batch[name]) for name in names} for batch in batches)
    if parsed.file_format.is_plain:
        return by_record(columns, parsed, bounds)
    try:
        blocks = NestedBlocks({called[field.name]: _decoded_type(field.type) for field in fields}, parsed.file_format)
    except ByRecordError:
        return by_record(columns, parsed, bounds)
    return _by_block(columns, blocks, parsed, bounds)


def by_record(columns: Iterator[Columns], parsed: ParsedFile, bounds: Bounds, first: int = 1) -> Iterator[Rows]:
    """The rows of blocks of columns, made of one record after the other; first: the line of the first."""
    made = RowBatch(parsed)
    for block in columns:
        bounds.check_rows(parsed.lines)
        values = {name: values_of(column, is_top=True) for name, column in block.items()}
        line = first - 1
        for line, record in enumerate(zip(*values.values(), strict=True), first):
            made.add(line, dict(zip(values, record, strict=True)))
            if made.is_full:
                yield made.take()
        yield made.take()
        first = line + 1


def _by_block(columns: Iterator[Columns], blocks: NestedBlocks, parsed: ParsedFile, bounds: Bounds) -> Iterator[Rows]:
    """The same, made of whole columns; a record of too many items is left to say so by itself."""
    first = 1
    for block in _together(columns):
        bounds.check_rows(parsed.lines)
        sizes = blocks.sizes(block)
        lines = first + np.arange(len(sizes))
        for place in np.flatnonzero(sizes > MAX_ITEMS).tolist():
            alone = {name: column.slice(place, 1) for name, column in block.items()}
            yield from by_record(iter([alone]), parsed, bounds, first + place)
        fits = sizes <= MAX_ITEMS
        yield from blocks.rows_of({name: column.filter(pa.array(fits)) for name, column in block.items()}, lines[fits])
        first += len(sizes)


def _together(columns: Iterator[Columns]) -> Iterator[Columns]:
    """Blocks of about BLOCK_BYTES, of small ones together or parts of large ones; a record stays whole."""
    held, size = list[Columns](), 0
    for block in columns:
        held.append(block)
        size += sum(column.nbytes for column in block.values())
        if len(held) == BLOCKS_TOGETHER or size > BLOCK_BYTES:
            yield from _cut(_concatenated(held), size)
            held, size = [], 0
    if held:
        yield from _cut(_concatenated(held), size)


def _cut(block: Columns, size: int) -> Iterator[Columns]:
    rows = len(next(iter(block.values())))
    step = max(rows * BLOCK_BYTES // max(size, BLOCK_BYTES), 1)
    for start in range(0, rows, step):
        yield {name: column.slice(start, step) for name, column in block.items()}


def _concatenated(blocks: list[Columns]) -> Columns:
    return {name: pa.concat_arrays([block[name] for block in blocks]) for name in blocks[0]}


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _decoded_type(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype
